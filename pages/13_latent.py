"""Latent autoregressive models: a state of fixed size keeps what no window reaches.

A window forgets everything at once, τ steps later. A state is rewritten at every step, and what it keeps is learned.
"""

import streamlit as st

from seqcore.experiments.latent import EXAMINED, WAIT, Config, least, name, run, untrained
from view import charts, page

TASK = ("length", "tau", "gap", "symbols")
CHOICES = ["The newest few", "All of them, a little", f"The newest, and the letter {WAIT} steps back"]


@page.scene(
    *TASK,
    presets={
        "Long waits": {},
        "Short waits": {"gap": 2, "tau": 16},
        "Very long waits": {"gap": 30, "length": 96},
        "Eight letters": {"symbols": 8},
    },
)
def window_and_state(config):
    r"""Window and state: a window loses what is further back, a state of one letter never does.

    The task: a letter, some noise, then `?`, which asks for the letter: `Awxw?a`. The wait is random, 12 steps on average
    as the page opens. A window of the last τ symbols must guess when the letter lies outside: on endless rows that happens
    for every τ. A **state** h is a memory that is updated at each step. By hand: $h_t = x_t$ if that is a letter, else
    $h_t = h_{t-1}$.
    """
    picture = page.picture(least, config)
    facts = picture.facts
    left, right = st.columns([3, 2])
    with left:
        caption = (
            "At the questions, exact on 2,000 rows of this length, which lack the longest waits; dashed: endless rows."
        )
        rules = {"knows nothing": facts["baseline"]}
        options = dict(x="tau", colour="line", log_x=True, across=(1, 64), rules=rules, caption=caption)
        curves = picture["least"], picture["least_theory"]
        page.show(charts.curve, *curves, title="The least loss with a window of τ symbols, and with a state", **options)
    with right:
        st.markdown("On endless rows with K letters:")
        st.latex(
            rf"\text{{loss}} \ge \Big(1-\tfrac{{1}}{{{config.gap + 1}}}\Big)^{{{config.tau - 1}}} \ln K = {facts['theory']:.3f}"
        )
        page.metrics(
            Window_at_best=(
                f"{facts['floor']:.3f}",
                f"In nats, units of −ln P: the least with {config.tau} symbols in sight.",
            ),
            State_at_best=("0", "It keeps one letter, and so knows every answer."),
            Knowing_nothing=(
                f"{facts['baseline']:.3f}",
                f"ln {config.symbols}: a guess among {config.symbols} letters.",
            ),
        )


@page.scene("hidden", "tau")
def two_ways_to_count(config):
    r"""Two ways to count: the lecture's state knows the past up to t − 1, ours up to t.

    Both describe the same model; only the indices differ by one. In the lecture the state that predicts $x_t$ is called
    $h_t$. Here, as in torch, $h_t$ has already read $x_t$, and predicts $x_{t+1}$. The probability of a row is the same
    product.
    """
    left, right = st.columns(2)
    with left:
        st.markdown("**As in the lecture**")
        st.latex(r"h_t = g(h_{t-1}, x_{t-1}) \qquad \hat x_t \sim P(x_t \mid h_t)")
    with right:
        st.markdown("**As on these pages**")
        st.latex(r"h_t = g(h_{t-1}, x_t) \qquad \hat x_{t+1} \sim P(x_{t+1} \mid h_t)")
    page.table(
        ("t", "is read", "lecture: state, and what it predicts", "here: state, and what it predicts"),
        ("1", "$x_1$", "$h_1$ (nothing read yet) → $x_1$", "$h_1 = g(h_0, x_1)$ → $x_2$"),
        ("2", "$x_2$", "$h_2 = g(h_1, x_1)$ → $x_2$", "$h_2 = g(h_1, x_2)$ → $x_3$"),
        ("3", "$x_3$", "$h_3 = g(h_2, x_2)$ → $x_3$", "$h_3 = g(h_2, x_3)$ → $x_4$"),
    )
    facts = page.picture(least, config).facts
    page.ledger(
        ("row $x$", f"(batch, {config.length})", f"{facts['vocabulary']} different symbols"),
        (f"window of {name(config.orders[0])}", f"(batch, {config.orders[0]} · E)", "grows with τ, as do its weights"),
        (f"window of {name(config.orders[1])}", f"(batch, {config.orders[1]} · E)", "four times as long"),
        ("state $h$", f"(batch, {config.hidden})", "stays as it is, however long the past"),
    )


@page.scene("hidden", "tau", "cell", presets={"Four units": {"hidden": 4}, "Sixty-four units": {"hidden": 64}})
def untrained_memory(config):
    """Random weights: a state that was never trained fades, a window ends in a cliff.

    What does a state still hold? A row begins with a letter, then come 24 symbols of noise. A *linear probe* tries to name
    each symbol from the last state: a linear readout, fitted to half of the rows and tested on the others. More units hold
    more. A low share says that no linear readout recovers the symbol. A window holds its τ symbols exactly, and nothing
    else.
    """
    picture = page.picture(untrained, config)
    facts, (window, longer) = picture.facts, map(name, config.orders)
    left, right = st.columns([3, 2])
    with left:
        options = dict(x="back", colour="line", span=(0, 1), height=260)
        title = "Share of symbols named, by how far back they are"
        page.show(
            charts.curve, picture["remembered"], picture["chance"], title=title, caption="Dashed: a guess.", **options
        )
    with right:
        st.markdown("The next scene trains three models with about as many weights:")
        page.table(
            ("model", "weights, embedding and head included"),
            *((arm, f"{facts[f'weights {arm}']:,}") for arm in (config.cell, window, longer)),
        )
        page.badge(facts["agreement"])


@page.scene(
    *("hidden", "tau", "cell", "gap", "rate", "steps"),
    presets={
        "RNN": {},
        "GRU": {"cell": "GRU"},
        "LSTM": {"cell": "LSTM"},
        "Short waits, trained": {"gap": 2, "tau": 16},
        "Four units, trained": {"hidden": 4, "rate": 0.02, "steps": 600},
        "Waits of 30": {"gap": 30, "cell": "GRU", "length": 96},
        "Eight letters, trained": {"symbols": 8, "hidden": 32},
    },
)
def trained(config):
    """Trained: the state answers after every wait, the windows only after those they see.

    A state and two windows learn from the same rows, with about as many weights. On average no window gets below its dotted
    line, its least loss. The longer window sees nearly every letter, but has to learn each place by itself. With short
    waits almost every letter is in sight, and a window does as well as a state.
    """
    window, longer = map(name, config.orders)

    def figures(moment):
        facts = moment.facts
        left, right = st.columns(2)
        with left:
            rules = {"knows nothing": facts["baseline"]}
            rules |= {f"{arm} at best": facts[f"least {arm}"] for arm in (window, longer)}
            caption = "Mean on fresh rows since the moment before; the least loss of a state is 0."
            options = dict(
                span=(0, facts["uniform"]), rules=rules, height=250, title="Loss at the questions", caption=caption
            )
            page.progress(moment, "loss", **options)
        with right:
            caption = f"{EXAMINED} questions for each distance and seed, the same for all."
            options = dict(x="distance", colour="arm", span=(0, 1), rules={"chance": 1 / config.symbols}, height=250)
            page.show(charts.curve, moment["answers"], title="Right answers, by distance", caption=caption, **options)

    page.play(run, config, figures)


@page.scene("hidden", "cell", "steps")
def trained_to_forget(config):
    """What training keeps: the letter, which will be asked for, and of the noise only the newest few.

    The state learns from the questions alone. Nobody tells it what to remember.

    Its memory has a fixed size, so it learns what to forget.
    """
    asked = page.question(
        f"Afterwards it reads a letter and {WAIT} symbols of noise. Which of these can still be read from it?", CHOICES
    )
    if not asked:
        return

    def figures(moment):
        share = moment["remembered"].sel(line=config.cell).values.mean(axis=0)
        middle = float(share[WAIT // 3 : WAIT - 1].mean())
        told = f"Named at this moment: the letter {share[WAIT]:.0%}, the noise before it {middle:.0%}, chance about "
        told += f"{moment['chance'].values[0, WAIT // 2]:.0%}."
        verdict = 2 if share[WAIT] > 1.5 * middle else 1 if middle > 0.6 else 0
        left, right = st.columns(2)
        with left:
            options = dict(x="back", colour="line", span=(0, 1), height=240, caption="The letter is the last point.")
            title = "Share of symbols named, by how far back"
            page.show(charts.curve, moment["remembered"], moment["chance"], title=title, **options)
        with right:
            caption = "A row a unit, a column a symbol. Rows that change at a capital letter and then hold keep it."
            options = dict(x="time", y="unit", span=(-1, 1), height=240, title="The state while it reads", large=True)
            page.show(charts.heat, moment["h"], caption=caption, **options)
        asked.answer(CHOICES[verdict], told)

    page.play(run, config, figures)


@page.scene(*TASK)
def practice(config):
    """Practice: make the window good enough.

    The picture shows what windows and states can do at best.
    """
    picture = page.picture(least, config)
    facts = picture.facts

    def enough():
        told = f"With τ = {config.tau} and a mean wait of {config.gap} the least loss is {facts['floor']:.3f}"
        if config.gap < 6:
            return False, f"{told}, but the mean wait is below 6."
        return facts["floor"] <= 0.25 * facts[
            "baseline"
        ], f"{told}; a quarter of guessing is {0.25 * facts['baseline']:.3f}."

    left, right = st.columns(2)
    with left:
        goal = "with a mean wait of at least 6, let a window reach a quarter of the loss of guessing."
        page.mission(goal, enough)
    with right:
        options = dict(
            x="tau", colour="line", log_x=True, across=(1, 64), rules={"guessing": facts["baseline"]}, height=200
        )
        page.show(charts.curve, picture["least"], picture["least_theory"], title="The least loss", **options)
    page.exercise(
        "The mean wait is 12 symbols. Does a window of 16 know every answer, on endless rows?",
        {
            "Yes, 16 is more than 12": "12 is the mean. Some waits are much longer.",
            "No, and no window does": "For every τ there are waits that are longer, if rarely.",
            "No, but 32 would": "It is wrong less often; but waits of 40 occur too.",
        },
        right="No, and no window does",
    )
    page.exercise(
        "On a noisy sine an RNN does not beat a window of 16. Why?",
        {
            "The past beyond the window adds hardly anything": "A few values tell the phase; most of what is left is noise.",
            "An RNN cannot learn a sine": "It does, and comes as near to the noise as the window.",
            "Its state is too small": "A larger one changes little: there is hardly more to know.",
        },
        right="The past beyond the window adds hardly anything",
    )
    page.exercise(
        "A plain RNN learns waits of 24 here. What helps it?",
        {
            "Short waits": "They are easy, and what it learns from them carries over. Where every wait is long, it fails.",
            "The number of its weights": "The windows have about as many.",
            "The noise": "Noise has to be forgotten; it helps nobody.",
        },
        right="Short waits",
    )


page.lesson(
    __doc__, Config, window_and_state, two_ways_to_count, untrained_memory, trained, trained_to_forget, practice
)
