"""Latent autoregressive models: a state of fixed size can keep what no window reaches.

A window forgets everything at once, τ steps later. A hidden state is rewritten at every step, by the same weights,
and what it keeps is learned.
"""

import streamlit as st

from seqcore.experiments.latent import Config, before, name, run
from view import charts, page

PRESETS = {
    "Long waits": {},
    "Short waits": {"gap": 2, "tau": 16},
    "GRU": {"cell": "GRU"},
    "LSTM": {"cell": "LSTM"},
    "Very long waits": {"gap": 30, "cell": "GRU", "length": 96},
    "Eight letters": {"symbols": 8, "hidden": 32},
    "Four units": {"hidden": 4, "rate": 0.02, "steps": 600},
}

page.head(__doc__)
page.predict(
    "A letter, noise, then the question which letter it was: `Awxw?a`. On average 12 symbols of noise come between. "
    "Does a window of the last 16 symbols know every answer?",
    ["Yes, 16 is more than 12", "No, and no window does", "No, but 32 would"],
    right="No, and no window does",
    because="The average is 12, but some waits are longer than any window. A state needs no more room for a long wait than "
    "for a short one.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts
window, longer = map(name, config.orders)

left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["least"],
        first["least_theory"],
        x="tau",
        colour="line",
        log_x=True,
        across=(1, 64),
        rules={"knows nothing": facts["baseline"]},
        title="The best that a window can do, and a state",
        caption="Loss at the questions, exact on 2,000 rows: a letter out of sight can only be guessed. The state is made by "
        "hand: it holds the last letter. Rows end, and so lack the longest waits; dashed: rows without end.",
    )
with right:
    page.show(
        charts.curve,
        first["remembered"],
        first["chance"],
        x="back",
        colour="line",
        span=(0, 1),
        title="What is still in there, before any training",
        caption="A letter, then 24 symbols of noise. From the last state a linear probe names the symbol so many steps back. "
        "A window ends in a cliff; an untrained state fades. A low share says that no straight line finds the symbol.",
    )
page.tell(
    **{
        f"{window}_at_best": (
            f"{facts['floor']:.3f}",
            f"Least loss with {config.tau} symbols in sight, counted on 2,000 rows; without end {facts['theory']:.3f}.",
        )
    },
    A_state_at_best=("0", "It keeps one letter, and so knows every answer."),
    Knowing_nothing=(f"{facts['baseline']:.3f}", f"ln {config.symbols}: a guess among {config.symbols} letters."),
    **{
        f"Weights,_{arm}": (f"{facts[f'weights {arm}']:,}", "All of the model, embedding and head included.")
        for arm in (config.cell, window, longer)
    },
)

left, right = st.columns(2)
with left:
    st.markdown("**A window**")
    st.latex(r"P(x_{t+1}\mid x_{t-\tau+1}\dots x_t)")
    st.latex(
        rf"\text{{loss}} \ge (1-p)^{{\tau-1}}\ln K = \left(1-\tfrac{{1}}{{{config.gap + 1}}}\right)^{{{config.tau - 1}}}"
        rf"\ln {config.symbols} = {facts['theory']:.3f}"
    )
with right:
    st.markdown("**A state**")
    st.latex(r"h_t = g(h_{t-1}, x_t) \qquad P(x_{t+1}\mid h_t)")
    st.latex(
        r"\text{by hand:}\quad h_t = \begin{cases} x_t & \text{if } x_t \in \{A, B, \dots\}\\ h_{t-1} & \text{else}\end{cases}"
    )
page.ledger(
    ("row $x$", f"(batch, {config.length})", f"{facts['vocabulary']} different symbols"),
    (f"window of {window}", f"(batch, {config.tau} · E)", "grows with τ, and so do the weights that read it"),
    (
        f"window of {longer}",
        f"(batch, {config.orders[-1]} · E)",
        "with as many weights it has fewer units to read it with",
    ),
    ("state $h$", f"(batch, {config.hidden})", "stays as it is, however long the past"),
)
page.badge(facts["agreement"])

st.subheader("Now train them", anchor=False)
page.predict(
    "The state learns from the questions alone. Afterwards it reads a letter and 24 symbols of noise. Which of these can "
    "still be read from it?",
    ["The newest few", "All of them, a little", "The newest, and the letter 24 steps back"],
    right="The newest, and the letter 24 steps back",
    because="It learned what to forget. Noise leaves it after two or three steps; the letter, which will be asked for, stays.",
)


def figures(moment):
    left, right = st.columns(2)
    with left:
        page.course(
            moment,
            "loss",
            span=(0, facts["uniform"]),
            rules={
                "knows nothing": moment.facts["baseline"],
                **{f"{arm} at best": moment.facts[f"least {arm}"] for arm in (window, longer)},
            },
            title="Loss at the questions",
            caption="Mean on fresh rows since the moment before. Every arm has as many weights and sees the same rows. No window "
            "gets below its dotted line; the floor of the state is 0.",
        )
    with right:
        page.show(
            charts.curve,
            moment["answers"],
            x="distance",
            colour="arm",
            span=(0, 1),
            rules={"chance": 1 / config.symbols},
            title="Right answers, by how far back the letter is",
            caption=f"32 questions for each distance and seed, the same for all. A question {config.tau} or more steps after its "
            f"letter shows nothing of it to {window}.",
        )
    page.show(
        charts.heat,
        moment["h"],
        x="time",
        y="unit",
        span=(-1, 1),
        title="The hidden state while it reads",
        caption="Each row is one unit of the first seed, each column a symbol. Look for rows that change at a capital letter and "
        "then hold their colour through the noise, up to the question mark.",
    )
    page.show(
        charts.curve,
        moment["remembered"],
        moment["chance"],
        x="back",
        colour="line",
        span=(0, 1),
        title="What is still in there, at this moment",
        caption="The probe of the picture above, on the same rows: 24 steps back stands the letter, in between is noise.",
    )


page.play(run, config, figures)
st.markdown(
    "**Try:** *Short waits*: almost every letter is in sight, and a window does as well as a state. · Give the state four "
    "units. · **Honest notes:** a state is no better where the past beyond the window holds nothing new: on the noisy sine "
    "of the page on windows, an RNN does not beat AR(16). And a plain RNN learns long waits here because short ones, which "
    "are easy, lead the way. Where every wait is long, it fails: see the race of the cells."
)
