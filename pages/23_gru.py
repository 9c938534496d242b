"""GRU: one state and two gates do the work of the LSTM's two states and three gates."""

import streamlit as st

from seqcore.experiments import gru
from seqcore.experiments.gru import LATER, PROBED, TESTED, Config, clock, inside, leaks, run, sizes
from view import cell, charts, page

GATES = {"reset gate r": "reset", "update gate z": "update", "candidate n": "candidate", "state h": "h"}
RECALL = {"torch": r"r_t \odot (W_{hn} h_{t-1} + b_{hn})", "paper": r"W_{hn} (r_t \odot h_{t-1}) + b_{hn}"}
KEEPS, LETS_IN = "z keeps (torch)", "z lets in (Chung)"
WHOLE = "all"
AFTER = ["About 1 step", "About 5 steps", "About 20 steps", "About 60 steps, or more"]
UP_TO = (2.2, 10, 35, float("inf"))  # half-lives up to which each of these answers is the nearest


UPDATE = r"\sigma(W_{xz} x_t + b_{xz} + W_{hz} h_{t-1} + b_{hz})"


def equations(convention, lets_in):
    """The four lines of a GRU, in one of the two conventions for r and one of the two for z."""
    mixed = r"(1 - z_t) \odot h_{t-1} + z_t \odot n_t" if lets_in else r"(1 - z_t) \odot n_t + z_t \odot h_{t-1}"
    st.latex(
        r"""\begin{aligned}
        r_t &= \sigma(W_{xr} x_t + b_{xr} + W_{hr} h_{t-1} + b_{hr}) \\
        z_t &= """
        + (UPDATE if not lets_in else UPDATE.replace("(", "(-(", 1) + ")")
        + r""" \\ n_t &= \tanh(W_{xn} x_t + b_{xn} + """
        + RECALL[convention]
        + r") \\ h_t &= "
        + mixed
        + r"\end{aligned}"
    )


def look(moment, gate, arm):
    """A map of one gate, or of the state, over the sequence."""
    span = (0, 1) if gate in ("update", "reset") else None
    caption = "Up to 16 units of the first seed on one fixed row, which is not trained on."
    options = dict(x="time", y="unit", span=span, height=240, large=True, title="Over one sequence")
    page.show(charts.heat, moment[gate].sel(arm=arm), caption=caption, **options)


def place(config, picture):
    """The time step and the unit that are drawn, the same in all scenes."""
    when, which = st.columns(2)
    with when:
        time = page.view_option("t", "Time step t", config.length // 2, 0, config.length - 1)
    with which:
        return time, page.view_option("unit", "Unit", 2, 0, len(picture["h"].ticks["unit"]) - 1)


def z_lets_in():
    return page.view_option("z", "z = 1 means", KEEPS, choices=(KEEPS, LETS_IN)) == LETS_IN


@page.scene("hidden", "update_bias", "task")
def one_state(config):
    r"""One state: cell and hidden state are one, and a single gate decides what stays.

    An LSTM carries two vectors from step to step, c and h. A gated recurrent unit (GRU) carries one, h. Where the LSTM has
    a forget gate f and an input gate i, the GRU has one **update gate** z: z of the old state stays, and 1 − z of a
    candidate n comes in, as if i = 1 − f. The **reset gate** r says how much of the past the candidate may use.
    """
    picture = page.picture(inside, config)
    drawings = st.columns(2, gap="medium")
    left, right = st.columns([2, 3], gap="medium")
    with left:
        time, unit = place(config, picture)
    with right:
        lines = dict(x="time", colour="line", title="What this unit carries over the sequence", height=110)
        page.show(charts.curve, gru.carried(picture, unit), **lines)
    page.table(
        ("LSTM", "GRU"),
        ("cell $c$ and hidden state $h$", "one state $h$"),
        ("forget gate $f$, input gate $i$", "$z$, and $1 - z$: what is kept and what is new add up to 1"),
        ("output gate $o$", "none: the whole state is shown"),
        ("candidate $g$ sees all of $h_{t-1}$", "candidate $n$ sees what the reset gate $r$ lets through"),
    )
    lstm = gru.lstm_step(picture, time, unit)
    both = lstm.facts["f"] + lstm.facts["i"]
    with drawings[0]:
        page.drawing(cell.lstm(lstm), f"LSTM: two lines, c and h. Two gates, and here f + i = {both:.3f}. Untrained.")
    with drawings[1]:
        words = "GRU: one line, h. One gate, so the shares z and 1 − z add up to 1. The same row and step, weights of its own."
        page.drawing(cell.gru(gru.step(picture, time, unit)), words)


@page.scene("hidden", "convention", "task")
def two_conventions(config):
    r"""Conventions: texts differ in what z = 1 means and in where r acts.

    *What z = 1 means.* Here, in torch and in Cho et al. (2014) it keeps the old state; in Chung et al. (2014) and in the
    well-known drawing it lets the new one in. Since $1 - \sigma(a) = \sigma(-a)$, these are the same networks with the
    signs of z's weights and biases turned round: **a positive bias remembers here and forgets there.**

    *Where r acts.* torch and Keras reset after the product, $r \odot (W h + b)$; the papers before it, $W (r \odot h) + b$.
    These are different functions. ⊙ multiplies unit by unit, σ is the logistic function.
    """
    picture = page.picture(inside, config)
    left, right = st.columns(2, gap="medium")
    with left:
        drawn, lets_in = st.container(), z_lets_in()
        step = gru.step(picture, *place(config, picture))
    with drawn:
        z = step.facts["z"]
        page.drawing(
            cell.gru(step, lets_in=lets_in),
            f"The same network in both: only the number shown for z changes, {z:.3f} or 1 − {z:.3f} = {1 - z:.3f}, and n "
            "and h stay.",
        )
    with right:
        equations(config.convention, lets_in)
        st.latex(cell.gru_in_full(step, "update", lets_in))
        told = f"{picture.facts['conventions']:.2g}"
        page.metrics(
            Largest_difference=(told, "Of any state, between the two places of r: equal weights, before training.")
        )


@page.scene("hidden", "update_bias", "convention")
def in_digits(config):
    """Digits: one update of one unit, with all numbers of an untrained cell.

    In each sum the first number is what the input adds, the second what the past adds, biases included. The last lines mix
    the candidate n and the state before. Take a unit that keeps nearly all of it, and see how little of n comes in.
    """
    picture = page.picture(inside, config)
    left, right = st.columns(2, gap="medium")
    with left:
        drawn = st.container()
        chosen = page.view_option("stage", "Stage", cell.GRU_STAGES[0], choices=(*cell.GRU_STAGES, WHOLE))
        stage, lets_in = "" if chosen == WHOLE else chosen, z_lets_in()
        step = gru.step(picture, *place(config, picture))
    with drawn:
        page.drawing(
            cell.gru(step, stage, lets_in), "A gate is filled as far as it is open, the candidate up or down from zero."
        )
    with right:
        st.latex(cell.gru_in_full(step, stage, lets_in))
        st.code(gru.source(), language="python", wrap_lines=True)
        recall = gru.recall_source(config.convention)
        st.caption(f"From `seqcore/models/gru.py`, where z keeps. `recall(h, r, W, b)` is `{recall}`.")
        page.badge(picture.facts["agreement"])


@page.scene(
    *("length", "update_bias", "forget_bias"),
    presets={"Bias 2": {}, "Bias 6": {"update_bias": 6.0}, "Same bias for both": {"forget_bias": 2.0}},
)
def a_memory_leaks(config):
    r"""A leak: what is left after k steps is a product of k gates, and a bias sets the gates.

    If nothing new is written, $z^k$ of a unit's state is left after k steps. All weights are small before training, so a
    gate stands near σ(bias). The **half-life** is the number of steps until half is left: ln ½ / ln z.
    """
    asked = page.question(
        "The update gate of this GRU has the bias you set, 2 as the page opens. When is half of a memory gone?",
        AFTER,
    )
    if not asked:
        return
    picture = page.picture(leaks, config)
    lives, expected = picture.facts["half_life"], picture.facts["expected"]
    verdict = next(answer for answer, end in zip(AFTER, UP_TO) if lives["GRU"] <= end)
    left, right = st.columns([3, 2])
    with left:
        caption = f"Mean over units and {PROBED} rows; band: seeds. Dashed: σ(bias)ᵏ. z of a GRU, f of an LSTM; the direct path."
        options = dict(x="later", colour="arm", span=(0, 1), across=(0, LATER), rules={"half": 0.5}, height=240)
        curves = picture["kept"], picture["expected"]
        page.show(charts.curve, *curves, title="What is left of a memory", caption=caption, **options)
    with right:
        head = ("", "half-life, steps", "from the bias")
        page.table(head, *((arm, f"{life:.1f}", f"{expected[arm]:.1f}") for arm, life in lives.items()))
    asked.answer(
        verdict, f"Measured: {lives['GRU']:.1f} steps for the median unit; from the bias alone {expected['GRU']:.1f}."
    )


@page.scene("hidden", "length", "convention")
def what_it_costs(config):
    """Cost: three blocks of weights instead of four, and not always less time.

    Every gate and every candidate needs one block of weights, as large as a whole RNN. A GRU has three, an LSTM four. But
    time also depends on the code. The LSTM here runs in torch's own kernel, the GRU in this project's: measure it.
    """
    weights = page.picture(sizes, config).facts["weights"]
    left, right = st.columns(2)
    with left:
        caption = "Weights and biases without the head that answers."
        options = dict(x="arm", height=240, title="What a cell has to learn", caption=caption)
        page.show(charts.bars, page.picture(sizes, config)["size"], **options)
        page.metrics(GRU_over_LSTM=(f"{weights['GRU'] / weights['LSTM']:.0%}", "Always three blocks of four."))
    with right:
        st.markdown("**One training step, in milliseconds of one processor**")
        measured = page.clock(clock, config)
        if measured:
            caption = "Forward, backward and the optimiser's step, the shortest of three."
            page.show(charts.bars, measured["milliseconds"], x="arm", height=240, caption=caption)
        st.caption("The papers' place of r has no fast kernel here: training is several times slower with it.")
        H, inputs = config.hidden, config.made.inputs
        page.ledger(
            ("x_t", f"({inputs})", "the input"),
            ("h, r, z, n", f"({H})", "one number a unit; H does not depend on T"),
            ("W_x", f"({3 * H}, {inputs})", "stacked r, z, n"),
            ("W_h", f"({3 * H}, {H})", "stacked r, z, n"),
            ("b_x, b_h", f"({3 * H})", "two biases a gate, as in torch"),
        )


@page.scene(
    *("length", "hidden", "update_bias", "task", "steps"),
    presets={
        "Latch": {},
        "Latch, bias 6": {"update_bias": 6.0},
        "Temporal order": {"task": "temporal order", "forget_bias": 2.0},
        "First token": {"task": "first token", "length": 40, "steps": 500, "seeds": 2},
        "Reset as in the papers": {"convention": "paper", "seeds": 1},
    },
)
def trained(config):
    """Trained: a bias of 2 learns a long memory, and gates that begin at one half do not.

    *Latch*: one of four cues at the first step, then noise, then the question which cue it was. With a bias of 2 the first
    gradient that arrives is faint, but it points somewhere. With gates at one half there is next to nothing to learn from.
    The right picture shows how far back the gradient reaches.
    """

    def figures(moment):
        left, right = st.columns(2)
        with left:
            caption = "Both GRUs start from the same weights but for the bias, and all see the same batches."
            page.losses(moment, caption, height=240)
        with right:
            caption = "Gradient of the answer at earlier states, as a share of the last state's. Every path counts."
            options = dict(x="lag", colour="arm", log=True, across=(0, config.length - 1), height=240)
            page.show(
                charts.curve, moment["reach"], title="How far back the gradient reaches", caption=caption, **options
            )
        scores = {arm: (f"{score:.0%} right", f"On {TESTED} new rows.") for arm, score in moment.facts["score"].items()}
        page.metrics(**{arm.replace(",", ""): told for arm, told in scores.items()})

    page.play(run, config, figures)


@page.scene("length", "hidden", "update_bias", "task")
def trained_gates(config):
    """Gates, trained: they divide the work, and a few units hold what will be asked.

    For every cue a few units learn to stay open, with half-lives longer than the sequence; which they are depends on the
    cue. Most units keep a few steps. The LSTM, whose gates begin nearly open at bias 4, keeps them so. In *temporal order*
    half-lives of a quarter of the sequence are enough: a tenth of a memory can be read, and the candidate may write it
    anew, which half-lives do not count.
    """

    def figures(moment):
        left, right = st.columns(2)
        with left:
            caption = "From the gate that keeps, over all steps but the first. Sorted in every row, median over rows."
            options = dict(
                x="rank", colour="arm", log=True, across=(1, config.hidden), rules={"sequence": config.length}
            )
            title = "Half-life of every unit, sorted"
            page.show(charts.curve, moment["half_life"], title=title, caption=caption, height=240, **options)
        with right:
            arm = page.view_option("arm", "Look into", "GRU", choices=moment["update"].ticks["arm"])
            look(moment, GATES[page.view_option("gate", "Show", "update gate z", choices=GATES)], arm)

    page.play(run, config, figures)


@page.scene("update_bias", "forget_bias", "length")
def practice(config):
    """Practice: keep half of a memory for a whole sequence.

    A gate near 1 keeps; but what keeps everything also lets nothing new in.
    """
    picture = page.picture(leaks, config)
    life = picture.facts["half_life"]["GRU"]

    def lasts():
        told = f"The median unit of the GRU has a half-life of {life:.1f} steps; the sequence has {config.length}."
        return life >= config.length >= 40 and config.update_bias < 6, told

    left, right = st.columns(2)
    with left:
        page.mission(
            "in a sequence of 40 steps or more, give the untrained GRU a half-life as long, with a bias below 6.", lasts
        )
    with right:
        options = dict(x="later", colour="arm", span=(0, 1), across=(0, LATER), rules={"half": 0.5}, height=200)
        page.show(charts.curve, picture["kept"], picture["expected"], title="What is left of a memory", **options)
    page.exercise(
        "Latch of 60 steps. At bias 2 half of a memory is gone after 5 steps, at bias 0 after one. Which GRU learns it?",
        {
            "Both": "½⁶⁰ is about 10⁻¹⁸: at bias 0 there is nothing to learn from.",
            "Bias 2 only": "0.88⁶⁰ is about 0.0005: faint, but a direction to learn from.",
            "Neither": "0.0005 of a gradient is small, and enough.",
        },
        right="Bias 2 only",
    )
    page.exercise(
        "A text writes h = (1 − z) h + z n. Which bias of z makes such a unit remember at first?",
        {
            "A negative one": "There z = 1 lets the new state in, so a small z keeps.",
            "A positive one": "It does so here, where z keeps. There it forgets.",
        },
        right="A negative one",
    )
    page.exercise(
        "A GRU has three quarters of the weights of an LSTM. Is it faster?",
        {
            "It depends on the code": "Time is measured, not counted: a good kernel can outweigh a quarter of the weights.",
            "Always": "Fewer products need not take less time.",
            "Never": "With equally good kernels it usually is.",
        },
        right="It depends on the code",
    )


page.lesson(
    __doc__,
    Config,
    one_state,
    two_conventions,
    in_digits,
    a_memory_leaks,
    what_it_costs,
    trained,
    trained_gates,
    practice,
)
