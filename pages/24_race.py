"""RNN against LSTM and GRU: on a long memory the RNN stays where it began, and gates find the way back.

RNN, LSTM and GRU read the same sequences and answer at the end. What they need lies many steps back, and what
they learn from has to walk back all these steps.
"""

import streamlit as st

from seqcore.experiments.race import SOLVED, Config, before, clock, run
from view import charts, page

LATCH = {"task": "latch", "length": 60, "rate": 0.003}
PRESETS = {
    "Adding": {},
    "Equal parameters": {"sizes": "equal parameters"},
    "Latch, gates at ½": LATCH | {"steps": 400},
    "Latch, gates open": LATCH | {"steps": 400, "forget_bias": 6.0, "update_bias": 2.0},
    "Temporal order": LATCH | {"task": "temporal order", "steps": 400, "forget_bias": 2.0, "update_bias": 2.0},
    "Copy": {"task": "copy", "length": 20, "hidden": 64, "steps": 600, "seeds": 1},
    "No clipping": {"clip": 0.0},
}
TASKS = {
    "adding": "Every step brings a value and a mark; two steps are marked, one in each half. The answer is the sum of the "
    "two marked values. Always answering 1 costs ⅙.",
    "first token": "Symbols from one alphabet of four. The answer is the first of them, and nothing but its place marks it.",
    "latch": "One of four cues, then noise from another alphabet. The answer is the cue: easy to see, hard to keep.",
    "temporal order": "Noise with two marks in it, each X or Y, one early and one past the middle. The answer is which two, "
    "in order: four classes.",
    "copy": "Three symbols, then blanks, then a signal: now repeat the three. The many blanks are easy, and almost all of the "
    "loss that is left is the symbols.",
}

page.head(__doc__)
page.predict(
    "No cell is trained yet, and all have torch's default weights. The answer is given at the last step. Through which cell "
    "does the largest share of its gradient reach the first step?",
    ["RNN", "LSTM", "GRU", "None: all lose about the same"],
    right="None: all lose about the same",
    because="Gates that know nothing stand near ½, and so every step halves what passes. In 50 steps each cell loses ten to "
    "twelve decades. The difference is that one bias opens the gates: see the picture on the right.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts
far = (0, facts["far"])

left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["reach"],
        x="lag",
        colour="arm",
        log=True,
        across=far,
        title="Before training: how far back the answer is heard",
        caption="Gradient of the last answer at a state so many steps earlier, as a share of what the last state gets. "
        "Mean over 8 rows of your task; bands: the seeds. In double precision.",
    )
with right:
    page.show(
        charts.curve,
        first["far"],
        x="bias",
        colour="arm",
        log=True,
        title="The same, at the first step, by the bias of one gate",
        caption="Forget gate of the LSTM, update gate of the GRU, first seed. 0 is torch's default. The RNN has no such gate, "
        "so nothing can be turned.",
    )

page.tell(
    **{
        f"{name}_hears": (f"{share:.1e}", "‖dL/dh_1‖ / ‖dL/dh_T‖ before training: the far end of the left picture.")
        for name, share in facts["left"].items()
    }
)
page.ledger(
    *(
        (
            f"**{name}**",
            f"H\u00a0=\u00a0{facts['sizes'][name]}",
            f"{facts['parameters'][name]:,} weights with the head, {facts['milliseconds'][name]:.1f} ms a training step, "
            "measured now on one processor",
        )
        for name in facts["sizes"]
    )
)
st.caption(
    f"**Your task, {config.task}:** {TASKS[config.task]} Milliseconds say as much about the code as about the cell: the LSTM "
    "runs in a kernel of torch's, the others in this project's own. That is why the axis below is steps."
)

st.subheader("Now train all three", anchor=False)
page.predict(
    "Default task: add two marked numbers out of 50 steps. All three see the same batches. Who is first below a squared error "
    "of 0.05?",
    ["RNN", "LSTM", "GRU"],
    right="GRU",
    because="The GRU gets there in 200 to 250 steps, the LSTM in 400 to 1,100, the RNN never: neither with other seeds nor "
    "with smaller learning rates in 2,000 steps.",
)


def figures(moment):
    page.tell(**clock(first, moment))
    left, right = st.columns(2)
    with left:
        page.losses(
            moment,
            caption="Mean loss on fresh batches since the moment before; line: median, band: range of the seeds. "
            f"Same batches for all. *Solved* means below {SOLVED:.0%} of knowing nothing.",
        )
    with right:
        page.show(
            charts.curve,
            moment["reach"],
            x="lag",
            colour="arm",
            log=True,
            across=far,
            title="How far back the answer is heard now",
            caption="As in the first picture, with the weights of this moment. It shows the road, not how wrong the answer is.",
        )
    left, right = st.columns(2)
    with left:
        page.course(
            moment,
            "far",
            log=True,
            title="What is left at the first step, while they learn",
            caption="The far end of the curve above, measured about 40 times. It rises before the loss falls, or with it.",
        )
    with right:
        page.course(
            moment,
            "norm",
            log=True,
            rules={f"clipped to {config.clip:g}": config.clip} if config.clip else {},
            title="Gradient norm before clipping",
            caption="All weights together, the largest since the moment before. Clipping scales what lies above the dotted line.",
        )


page.play(run, config, figures)
st.markdown(
    "**Try:** *Latch, gates at ½*: nobody learns. Then *Latch, gates open*: one bias changed, and both gated cells are done in "
    "a few hundred steps. · Take *Equal parameters*: is it the size? · Turn the length of *Adding* down to 10: where does "
    "the RNN begin to learn?"
)
st.caption(
    "Folklore to leave behind: gates do not help by being there. With torch's default biases an LSTM starts as deaf as an "
    "RNN; it learns to add because the second number is often near the end, and hearing that one opens the road to the other. "
    "Nor is an RNN bound to fail: with a learning rate of 0.01 it often solves a latch of 20 or 30 steps. "
    "Where the first token matters alone, 40 steps and gates at ½, all three stay at chance."
)
