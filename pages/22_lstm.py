"""LSTM: gates decide what is kept, and their bias decides where they begin.

The cell is a sum that is multiplied by a forget gate at every step. A gate near one keeps, a gate near zero forgets,
and an untrained gate stands in the middle: then half of the memory is gone after one step.
"""

import streamlit as st

from seqcore.experiments.lstm import LOUDEST, Config, before, gate_map, loudest, run, step, story
from view import cell, charts, page

PRESETS = {
    "Latch": {},
    "Watch it reset": dict(task="reset", length=40, hidden=1, forget_bias=1.0, rate=0.03, steps=400),
    "Watch it hold": dict(task="hold", length=40, hidden=2, forget_bias=3.0, rate=0.03, steps=400),
    "The usual bias 1": {"forget_bias": 1.0},
    "Gates washed out": dict(task="hold", length=40, hidden=16, forget_bias=1.0, rate=0.01, steps=400),
}
TASKS = {
    "latch": "**Latch:** the first symbol is one of four cues, then comes noise. At the end, name the cue.",
    "reset": "**Reset:** at every step, give a fifth of the sum of all values since the last mark. At a mark the sum is zero.",
    "hold": "**Hold:** at every step, give the value that came with the last mark.",
}

page.head(__doc__)
page.predict(
    "A value lies in the cell of an LSTM that nobody has trained yet. Nothing more is written. How much of it is left after "
    "60 steps, if the forget gates have bias 0?",
    ["All: that is what an LSTM is for", "About half", "Nothing"],
    right="Nothing",
    because="At bias 0 the gate stands at σ(0) = ½, and ½ multiplied by itself 60 times is about 10⁻¹⁸. What saves the "
    "memory is not the cell but a forget gate near 1: a bias of 6 starts it at 0.998.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
arms, last_step = tuple(config.arms), config.length - 1
far = (0, last_step)

drawing, memory = st.columns([6, 5])
with drawing:
    stage = page.lens("stage", "Stage", "update", choices=cell.STAGES)
    at, which = st.columns(2)
    with at:
        time = page.lens("time", "Time step t", first.facts["look_at"], 0, last_step)
    with which:
        choices = (LOUDEST, *range(len(first["voice"].ticks["unit"])))
        unit = page.lens("unit", "Unit", LOUDEST, choices=choices)
    seen = step(first, arms[-1], time, loudest(first, arms[-1]) if unit == LOUDEST else unit)
    cell.draw(
        cell.lstm(seen, stage),
        f"One cell of the untrained network with forget bias {config.forget_bias:g}. A gate is filled as far as it is open; "
        "the candidate is filled up or down from zero.",
    )
with memory:
    page.show(
        charts.curve,
        first["highway"],
        first["direct"],
        x="lag",
        colour="bias",
        log=True,
        across=far,
        height=380,
        title="What is left of a cell, before any training",
        caption="Solid: how far the last cell moves when an earlier one is nudged, through every path (median and range of "
        "seeds). Dashed: the product of the forget gates alone. "
        "Among many units h feeds back through the gates, and the solid line lies higher.",
    )

st.latex(cell.lstm_in_full(seen, stage))
page.tell(
    Forget_gate_at_the_start=(f"{first.facts['starts']:.4f}", "σ(b): all other biases start at zero."),
    Half_life=(
        f"{first.facts['half']:.1f} steps",
        "ln ½ / ln f, the median over units, measured on this task's input.",
    ),
    **{
        f"Left after {last_step} steps": (
            f"{first.facts['left']:.2g}",
            "Along the cell alone, with the bias you chose.",
        ),
        "Left with bias 0": (f"{first.facts['left_at_zero']:.1g}", "The same with forget gates that start at ½."),
    },
)

left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["half"],
        first["half_theory"],
        x="bias",
        log=True,
        across=(0, 8),
        title="A bias buys memory",
        caption="Half-life of untrained cells in steps. Dashed: ln ½ / ln σ(b). Every 1 added to the bias makes memory last "
        "e = 2.7 times as long, once b is above 2.",
    )
with right:
    H, D = config.hidden, len(first["x"].ticks["feature"])
    st.markdown("**Shapes**")
    page.ledger(
        ("x", f"{config.length} × {D}", "time × features of the input"),
        ("h, c", f"{config.length} × {H}", "time × units: two states are carried on"),
        ("f, i, g, o", f"{config.length} × {H}", "one gate of each kind for every unit and every step"),
        ("W_x", f"{4 * H} × {D}", "four blocks, for i, f, g and o"),
        ("W_h", f"{4 * H} × {H}", "four blocks, the same at every step"),
        ("b", f"{4 * H}", "the forget block starts at b, all else at zero"),
    )
    page.badge(first.facts["agreement"])

st.subheader("Now train it", anchor=False)
st.markdown(TASKS[config.task])
if config.task == "latch":
    page.predict(
        "Two LSTMs, the same but for the forget bias, must name the cue. After a few hundred steps, who can?",
        ["Both", "Only the one with the large bias", "None"],
        right="Only the one with the large bias",
        because="With bias 0 no gradient arrives from the end at the beginning, so nothing tells it what to keep: it stays at "
        "chance, 25 %, in every seed we tried. With bias 6 the road is open from the start.",
    )
else:
    page.predict(
        "Once it is trained: what does the forget gate do when a mark comes?",
        ["It opens", "It closes", "Nothing: the input gate does the work"],
        right="It closes",
        because="At a mark the old content is worthless, so f falls, and between marks it stays high. The input gate is no "
        "such guide: a network writes nothing by closing it or by offering a candidate of zero. Look at i·g.",
    )


def figures(moment):
    facts = moment.facts
    if config.task == "latch":
        page.tell(
            **{
                f"Right answers, {arm}": (
                    f"{facts[f'score {arm}']:.0%}",
                    "Median over seeds, on fresh rows. Chance is 25 %.",
                )
                for arm in arms
            }
        )
    else:
        page.tell(
            Forget_gate_at_marks=(f"{facts['at_mark']:.2f}", "Of the unit that is heard most; median over seeds."),
            Elsewhere=(f"{facts['elsewhere']:.2f}", "The same gate at all other steps."),
            Half_life_elsewhere=(
                f"{facts['half']:.1f} steps",
                "ln ½ / ln f: how long it would remember without a mark.",
            ),
            Squared_error=(f"{facts[f'score {arms[-1]}']:.3f}", f"Knowing nothing costs {facts['baseline']:.3f}."),
        )
    left, right = st.columns(2)
    with left:
        page.losses(
            moment,
            caption="Line: median, band: range of the seeds, on fresh batches. Arms have the same weights but for the forget "
            "bias, and see the same batches.",
        )
    with right:
        page.show(
            charts.curve,
            moment["highway"],
            moment["direct"],
            x="lag",
            colour="arm",
            log=True,
            across=far,
            title="The highway, audited",
            caption="Solid: ‖∂c_T/∂c_t‖ through every path. Dashed: the product of the forget gates. First seed, four rows. "
            "Where the solid line lies higher, gates and candidates that listen to h carry more than the cell itself.",
        )
    arm = page.lens("arm", "Arm", arms[-1], choices=arms)
    chosen = loudest(moment, arm) if unit == LOUDEST else unit
    left, right = st.columns(2)
    with left:
        page.show(
            charts.heat,
            story(moment, arm, chosen),
            x="time",
            y="line",
            span=(-1, 1),
            height=380,
            title="The story of one unit",
            caption="One row of input that was never trained on, and all that one unit makes of it. Orange: above zero, blue: "
            "below; a gate is deep orange when open. *Written* is i·g: the input gate alone says little.",
        )
    with right:
        gate = page.lens("gate", "Gate", "f", choices=("f", "i", "o", "g"))
        page.show(
            charts.heat,
            gate_map(moment, arm, gate),
            x="time",
            y="unit",
            span=(-1, 1) if gate == "g" else (0, 1),
            height=300,
            title="One gate, all units",
            caption="f forget, i input, o output: how far open. g: the candidate. The first 32 units at most.",
        )
    taken = step(moment, arm, time, chosen)
    left, right = st.columns([6, 5], vertical_alignment="center")
    with left:
        cell.draw(cell.lstm(taken, stage), f"The same cell at this moment of the training, {arm}.")
    with right:
        st.latex(cell.lstm_in_full(taken, stage))


page.play(run, config, figures)
st.markdown(
    "**Try:** take *Watch it reset*, train, and walk through time with the slider across a mark: f closes and the sum starts "
    "again. · Set the bias to 1, a common advice, and train the latch: at 60 steps it is not enough. · Take *Gates washed "
    "out*: 16 units share the work, and the gate of any one of them closes only half."
)
