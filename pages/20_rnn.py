"""Recurrent network: one small cell, used again at every step, carries the past in its state.

The network reads one character at a time. Its state is made from that character and from the state before, so
everything it has read is in there, a little fainter at every step.
"""

import streamlit as st

from seqcore.experiments.rnn import Config, before, own_text, run, step
from view import cell, charts, page

PRESETS = {
    "Small enough to add up": {"hidden": 3, "embedding": 2, "rate": 0.03},
    "A state too small": {"hidden": 4},
    "Short windows": {"length": 4},
    "Learns by heart": {"hidden": 128, "steps": 600, "seeds": 1},
    "Too fast": {"rate": 0.1},
}

page.head(__doc__)
page.predict(
    "An untrained network reads a text. We change the first character and nothing else. How many of the states change?",
    ["Only the first", "About half", "All of them"],
    right="All of them",
    because="Each state is made from the one before, so the difference is passed on for ever. But it shrinks: the curve "
    "says how fast. With the memory cut (W_h = 0) it would be gone after one step.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
shown = len(first["states"].values)

drawing, echo = st.columns([5, 3])
with drawing:
    time = page.lens("time", "Time step t", min(3, shown - 1), 0, shown - 1)
    cell.draw(
        cell.unrolled(first, time),
        "The untrained network, unrolled: one cell, drawn once for every step. W_x, W_h and W_y are the same each time. "
        f"The boxes are the first of its {config.hidden} units; above, its guesses for what comes next (green: the truth).",
    )
with echo:
    page.show(
        charts.curve,
        first["echo"],
        x="time",
        colour="arm",
        across=(0, shown - 1),
        span=(0, 1.05),
        title="The echo of the first character",
        caption="How far the states move when the first character is another one, as a share of the first move. "
        "Mean over all other characters; thin lines: seeds. Untrained.",
    )

H, E, V = config.hidden, config.embedding, first.facts["vocabulary"]
st.latex(
    rf"h_t = \tanh(\underbrace{{W_x}}_{{{H}\times{E}}} x_t + b_x + \underbrace{{W_h}}_{{{H}\times{H}}} h_{{t-1}} + b_h)"
    rf"\qquad P(\text{{next}}) = \mathrm{{softmax}}(\underbrace{{W_y}}_{{{V}\times{H}}} h_t + b_y)"
)
left, right = st.columns([3, 2])
with left:
    page.ledger(
        ("x", f"{shown} × {E}", "time × numbers that stand for a character"),
        ("h", f"{shown} × {H}", "time × units: T states of H numbers each. Units are not time steps"),
        ("W_x", f"{H} × {E}", "no T in it, nor in any other weight: it is one cell"),
        ("W_h", f"{H} × {H}", "from the state before to this one"),
        ("b_x, b_h", f"{H}, {H}", "two biases, as in torch; both are added"),
        ("W_y", f"{V} × {H}", "a row for every character"),
    )
    page.badge(first.facts["agreement"])
with right:
    audible = first.facts["last_audible"]
    page.tell(
        Echo_below_one_percent=(
            f"after {audible} steps" if audible else f"not within {shown}",
            "Median over seeds, before training.",
        ),
    )
    page.upload("Or a text of yours, as a file", "text", own_text, ["txt", "md"])

st.subheader("Now train it to guess the next character", anchor=False)
page.predict(
    "The loss on its training text keeps falling. What happens to the loss on text it has never seen?",
    ["It falls too", "It falls, then rises", "It stays where it was"],
    right="It falls, then rises",
    because="Up to about step 150 it learns the language. From then on it learns this little text by heart, and "
    "that costs it on every other text. So one keeps the best point so far, not the last.",
)


def figures(moment):
    facts = moment.facts
    page.tell(
        Best_so_far=(f"{facts['best']:.2f}", f"Held-out perplexity at its best, near step {facts['best_step']}."),
        Held_out_now=(f"{facts['now']:.2f}", "e to the loss: among so many equally likely characters it hesitates."),
        Training_now=(f"{facts['training']:.2f}", "The same on the windows it learns from."),
        No_memory=(f"{facts['cut']:.2f}", "The best of the network whose W_h is zero: it sees one character."),
        Real_words=(
            "none yet" if facts["words"] is None else f"{facts['words']:.0%}",
            "The share of whole words in the samples that the text has.",
        ),
    )
    left, right = st.columns(2)
    with left:
        page.losses(
            moment,
            caption="Nats a character. Line: median, band: range of the seeds. *Knows nothing* knows only how often each "
            "character occurs. Both networks start from the same weights (but for W_h) and read the same windows.",
        )
    with right:
        with_memory, without = st.columns(2)
        with_memory.markdown("**What it writes**")
        with_memory.code(facts["sample"], language=None, wrap_lines=True)
        without.markdown("**Without memory**")
        without.code(facts["cut_sample"], language=None, wrap_lines=True)
        st.caption(
            "Six samples of 60 characters of the first seed, each drawn from the network's own chances and read back in. "
            "The same dice are thrown at every moment."
        )
    left, right = st.columns(2)
    with left:
        page.show(
            charts.heat,
            moment["h"],
            x="time",
            y="unit",
            span=(-1, 1),
            title="The state as it reads",
            caption="A column for each character of a held-out piece, a row for each unit (the first 32 at most): what "
            "the unit says after reading it. Look for units that care about spaces.",
        )
    with right:
        page.show(
            charts.curve,
            moment["echo"],
            x="time",
            colour="arm",
            across=(0, shown - 1),
            span=(0, 1.05),
            title="The echo, before and now",
            caption="The same measure as above. Training on this text teaches the state to hold on longer. It may also rise "
            "above 1: then a small difference has grown.",
        )
    st.markdown(f"**The network at this moment, unrolled around t = {time}**")
    cell.draw(
        cell.unrolled(moment, time),
        "The first seed's network reads text that it has never seen. Green is what really comes next.",
    )
    unit = page.lens("unit", "Unit", 0, 0, config.hidden - 1)
    taken = step(moment, time, unit)
    left, right = st.columns(2)
    with left:
        st.markdown(f"**One unit, one step, by hand: t = {time}**")
        st.latex(cell.terms_in_full(taken))
        st.caption(
            "Weight times value, then the four parts of the sum. Both biases count: without them it does not add up."
        )
    with right:
        page.show(
            charts.bars,
            taken["terms"].pick(line="product"),
            x="term",
            title="Every term of that sum",
            caption="x: what is read; h: the state before; and two biases. All bars together are a.",
        )


page.play(run, config, figures)
st.markdown(
    "**Try:** take *Small enough to add up* and check the sum with a calculator. · Set T to 4: the windows are shorter, the "
    "weights keep their shapes. · Paste a text of your own: how long is the echo in your language? · Go back with *Rewind* to "
    "the best point and read the samples there."
)
