"""LSTM: gates decide what is kept, and their bias decides where they begin.

A gate is a factor between 0 and 1. An untrained one without a bias stands near ½, and about halves the memory at every step.
"""

import streamlit as st

from seqcore.experiments import lstm
from seqcore.experiments.lstm import Config
from view import cell, charts, page

STRONGEST = "strongest"
BIASES = {f"Bias {bias:g} against 0": {"forget_bias": bias} for bias in (6.0, 3.0, 1.0)}
NUDGED = "How far the last cell moves when an earlier one is nudged"
EQUATIONS = r"""\begin{aligned}
f_t &= \sigma(W_{xf}\,x_t + W_{hf}\,h_{t-1} + b_f) \\
i_t &= \sigma(W_{xi}\,x_t + W_{hi}\,h_{t-1} + b_i) \\
g_t &= \tanh(W_{xg}\,x_t + W_{hg}\,h_{t-1} + b_g) \\
o_t &= \sigma(W_{xo}\,x_t + W_{ho}\,h_{t-1} + b_o) \\
c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
h_t &= o_t \odot \tanh(c_t)
\end{aligned}"""


@page.scene("length", "forget_bias")
def the_cell(config):
    """The cell: a forget gate near one keeps the cell, a gate near one half loses it in a few steps.

    A long short-term memory (LSTM) carries two vectors from step to step: the hidden state h and the **cell** c. A **gate**
    is a number from 0 to 1. At every step the **forget** gate f keeps a part of the cell, the **input** gate i adds a part
    of the candidate g (the **update**), and the **output** gate o shows a part of the result as h. What is left of an old
    value is the product of all forget gates since. Here the LSTM is untrained.
    """
    working, left = page.picture(lstm.at_work, config), page.picture(lstm.memory, config)
    drawn, beside = st.columns([1, 1], gap="medium")
    with drawn:
        digits, stage = _one_step(working, config)
    with beside:
        page.show(
            charts.curve,
            left["kept"],
            x="later",
            colour="bias",
            span=(0, 1),
            across=(0, config.length - 1),
            height=220,
            title="What the forget gates leave of the cell",
            caption="The product of the gates over the steps, all units together; line: median, band: range of the seeds.",
        )
        st.latex(cell.lstm_in_full(digits, stage))


def _one_step(working, config):
    """The drawing of one unit, with the choices below it; the unit taken apart, and the stage."""
    picture = st.container()
    units = working["inside"].ticks["unit"]
    stage = page.view_option("stage", "Stage", cell.STAGES[0], choices=cell.STAGES)
    when, which = st.columns(2)
    with when:
        time = page.view_option("time", "Time step t", working.facts["look_at"], 0, config.length - 1)
    with which:
        unit = page.view_option(
            "unit", "Unit", STRONGEST, choices=(STRONGEST, *units) if len(units) > 1 else (STRONGEST,)
        )
    digits = lstm.step(working, time, lstm.strongest(working) if unit == STRONGEST else unit)
    with picture:
        page.drawing(
            cell.lstm(digits, stage), "A gate is filled as far as it is open, the candidate up or down from zero."
        )
    return digits, stage


def _power(value):
    """2 · 10⁻¹⁷, as a formula in Markdown."""
    digit, exponent = f"{value:.0e}".split("e")
    return rf"${digit} \cdot 10^{{{int(exponent)}}}$"


@page.scene("hidden")
def six_equations(config):
    """Six equations: three gates and a candidate are computed alike, then come the cell and the state.

    The logistic function σ puts the forget gate f, the input gate i and the output gate o between 0 and 1. tanh puts the
    candidate g between −1 and 1. ⊙ multiplies unit by unit: each unit has gates of its own. The weights of the four sums
    are stacked, so one matrix product computes them all. They are the same at every step, however long the sequence is.
    """
    facts = page.picture(lstm.six_lines, config).facts
    H, D = config.hidden, facts["inputs"]
    left, right = st.columns([5, 6], gap="medium")
    with left:
        page.drawing(
            cell.lstm_weights(H, D),
            f"The four sums for D = {D} input features and H = {H} units, at their true proportions.",
        )
        page.metrics(
            Numbers_a_step=(f"{6 * H}", "f, i, g, o, c and h, each of H numbers: one for every unit."),
            Weights=(f"{4 * H * (D + H + 1):,}", "4 · H · (D + H + 1). torch stores b as two vectors that are added."),
        )
    with right:
        st.latex(EQUATIONS)
        st.code(lstm.source(), language="python")
        st.caption("The same six lines in `seqcore/models/lstm.py`, in torch's order: i before f.")
        page.badge(facts["agreement"])


@page.scene("length", "hidden", "forget_bias")
def the_bias(config):
    """The bias: a higher forget bias buys memory; 1 more makes it last about e = 2.7 times as long.

    The weights of an untrained LSTM are small, between −1/√H and 1/√H. So its gates stand near σ(b), where b is their
    bias. At b = 0 that is one half. The **half-life** is the number of steps until half of a cell is left. For a gate
    that stays at f it is ln ½ / ln f.
    """
    last = config.length - 1
    asked = page.question(
        f"A value lies in the cell of an untrained LSTM, and nothing more is written. How much of it is left after {last} "
        "steps, if the forget gates have bias 0?",
        ["½ or more", "½ to 1/1000", "Less than 1/1000"],
    )
    if not asked:
        return
    facts = page.picture(lstm.memory, config).facts
    curves, half = page.picture(lstm.road, config), page.picture(lstm.half_lives, config)
    none = facts["left_at_zero"]
    asked.answer(
        asked.choices[0 if none >= 0.5 else 1 if none >= 0.001 else 2],
        f"{_power(none)} is left at bias 0, and {facts['left']:.2g} at bias {config.forget_bias:g}, where the half-life is "
        f"{facts['half']:.3g} steps.",
    )
    left, right = st.columns(2, gap="medium")
    with left:
        page.show(
            charts.curve,
            curves["highway"],
            curves["direct"],
            x="ago",
            colour="bias",
            log=True,
            across=(0, last),
            height=250,
            title=NUDGED,
            caption="Solid: through every path; median and range of the seeds. Dashed: the product of the forget gates alone. "
            "With many units h feeds back through the gates: the solid line is higher.",
        )
    with right:
        page.show(
            charts.curve,
            half["half"],
            half["half_theory"],
            x="bias",
            log=True,
            across=(0, 8),
            height=250,
            title="Half-life of untrained cells",
            caption="Solid: the median over units; median and range of the seeds. Dashed: ln ½ / ln σ(b). From b = 2 on, "
            "1 more makes it about e times as long.",
        )


@page.scene("length", "forget_bias", "rate", presets=BIASES | {"T = 10": {"length": 10}})
def latch(config):
    """Latch, trained: the bias decides whether the gradient reaches the first step.

    **Latch:** the first symbol is one of four cues, then comes noise. At the end the LSTM must name the cue. Two LSTMs
    start from the same weights and see the same batches; only their forget bias differs. Where nothing of the first cell
    is left at the end, no gradient comes back to it either.
    """

    def figures(moment):
        left, right = st.columns(2, gap="medium")
        with left:
            page.losses(
                moment,
                height=250,
                caption="On fresh batches, in nats (natural logarithm); line: median, band: range of the seeds.",
            )
        with right:
            page.show(
                charts.curve,
                moment["highway"],
                moment["direct"],
                x="ago",
                colour="arm",
                log=True,
                across=(0, config.length - 1),
                height=250,
                title=NUDGED,
                caption="Solid: through every path. Dashed: the product of the forget gates. First seed, four rows.",
            )
        scores = {arm: f"{moment.facts[f'right {arm}']:.0%}" for arm in config.arms}
        meaning = "On new rows, median of the seeds. Chance is 25 %."
        page.metrics(**{f"Right answers, {arm}": (score, meaning) for arm, score in scores.items()})

    page.play(lstm.run, config, figures)


HOLD = {"task": "hold", "cells": 2}
MARKED = {"Reset": {}, "Hold": HOLD, "Start at bias 6": {"start": 6.0, "seeds": 8}, "16 units": HOLD | {"cells": 16}}


@page.scene("task", "cells", "start", presets=MARKED)
def reset(config):
    """Reset, trained: a forget gate learns to close at a mark and to stay open elsewhere.

    At every step comes a value, sometimes with a **mark**. *Reset:* the answer is a fifth of the sum of all values since
    the last mark. *Hold:* the answer is the value at the last mark. One or two units can do it. With 16 units the gates
    at marks and elsewhere differ less. In the right picture *written* is i·g: nothing is written when i **or** g is near
    zero. A gate that starts almost fully open may not learn to close in time.
    """

    def figures(moment):
        facts = moment.facts
        left, right = st.columns([5, 6], gap="medium")
        with left:
            page.show(
                charts.curve,
                moment["forget"],
                x="step",
                colour="line",
                span=(0, 1),
                across=(0, config.steps),
                every_seed=True,
                height=250,
                title="The forget gate while it learns",
                caption="Of the unit with the strongest effect on the answer; thick: median, thin: each seed.",
            )
        with right:
            page.show(
                charts.heat,
                moment["story"],
                x="time",
                y="line",
                span=(-1, 1),
                legend=False,
                height=290,
                title="The same unit reads one row",
                caption="First seed, a row that was never trained on. Orange: above zero, blue: below.",
            )
        page.metrics(
            Forget_gate_at_marks=(f"{facts['at_mark']:.2f}", "Median of the seeds, on new rows."),
            Elsewhere=(f"{facts['elsewhere']:.2f}", "The same gate at all other steps."),
            Half_life_elsewhere=(f"{facts['half']:.1f} steps", "ln ½ / ln f: how long it remembers without a mark."),
            Squared_error=(f"{facts['error']:.3f}", f"On new rows. Knowing nothing costs {facts['baseline']:.3f}."),
        )
        time = page.view_option("moment", "Time step t of the drawing", facts["look_at"], 0, config.length - 1)
        page.drawing(
            cell.lstm(lstm.step(moment, time, facts["unit"])), "The same unit at one step. The slider begins at a mark."
        )

    page.play(lstm.run_marked, config, figures)


@page.scene("length", "forget_bias")
def practice(config):
    """Practice: a goal to reach and three questions."""

    def check():
        lower = config.but(forget_bias=max(config.forget_bias - 0.5, -2.0))
        left, less = (page.picture(lstm.memory, each).facts["left"] for each in (config, lower))
        told = f"{left:.0%} is left at b = {config.forget_bias:g}, {less:.0%} at b = {lower.forget_bias:g}"
        return config.length == 100 and left >= 0.5 > less, f"After {config.length - 1} steps {told}."

    page.mission(
        "Set the length to T = 100 and find the smallest forget bias, in steps of 0.5, with which an untrained LSTM keeps at "
        "least half of its cell to the end. Calculate first: the half-life is about 0.69 · eᵇ steps.",
        check,
    )
    page.exercise(
        "Along the cell alone, through neither gates nor candidate, what is ∂cₜ/∂cₜ₋₁?",
        {
            "fₜ": "cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ: the old cell is multiplied by fₜ and by nothing else, no weight and no slope.",
            "fₜ Wₕ": "Wₕ multiplies hₜ₋₁, not cₜ₋₁. No matrix stands on this path: that is why gradients survive it.",
            "oₜ (1 − tanh² cₜ)": "That is ∂hₜ/∂cₜ, the step from the cell to the hidden state. It is taken once only.",
            "1": "So it was in 1997, before there was a forget gate: a cell was emptied only by writing its opposite.",
        },
        "fₜ",
    )
    page.exercise(
        "With forget bias 0 an LSTM of 32 units stays at chance on the latch, T = 60, for 300 steps. What helps?",
        {
            "64 units": "Each still loses half of its cell at every step: 8 seeds of 8 stayed at chance.",
            "Ten times the learning rate": "The direction of the step does not know the cue: 8 seeds of 8 stayed at chance.",
            "Clipping the gradient": "It is clipped already, and here the gradient is too small, not too large.",
            "A forget bias of 6": "The gates start at 0.998, so that 86 % of the first cell and of its gradient arrive.",
        },
        "A forget bias of 6",
    )
    page.exercise(
        "Between two marks a trained input gate stands at i = 0.9. Does the unit write there?",
        {
            "Yes, the gate is open": "The gate lets the candidate in, but a candidate of zero adds nothing.",
            "Only if g is not near zero": "What is written is i·g. A network can write nothing by closing i or by making g zero.",
            "Only if f is below 1": "f says what is kept of the old cell. Keeping and writing are two products that are added.",
            "No, only marks are written": "In Reset every value is added to the sum, so units do write between the marks.",
        },
        "Only if g is not near zero",
    )


page.lesson(__doc__, Config, the_cell, six_equations, the_bias, latch, reset, practice)
