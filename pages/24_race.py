"""RNN against LSTM and GRU: on a long memory the RNN stays where it began, and cells with open gates learn it.

They read the same sequences and answer at the end. What they need lies many steps back, and so far has the gradient to go.
"""

import streamlit as st

from seqcore.experiments.race import SOLVED, TESTED, Config, by_bias, clock, run, untrained
from view import charts, page

LATCH = {"task": "latch", "length": 60, "rate": 0.003, "steps": 400}
OPEN = {"forget_bias": 6.0, "update_bias": 2.0}
TASKS = {
    "adding": "Every step brings a value and a mark; two steps are marked, one in each half. The answer is the sum of the two "
    "marked values. Always answering 1 costs a squared error of ⅙.",
    "first token": "Symbols from one alphabet of four. The answer is the first of them, and nothing but its place marks it.",
    "latch": "One of four cues, then noise from another alphabet. The answer is the cue: easy to see, hard to keep.",
    "temporal order": "Noise with two marks in it, each X or Y, one early and one past the middle. The answer is which two, in "
    "order: four classes.",
    "copy": "Three symbols, then blanks, then a signal: now repeat the three. The many blanks are easy, and almost all of the "
    "loss that is left is the symbols.",
}


def reach(signal, config, last, **options):
    """How far back the gradient reaches, by lag."""
    options = dict(x="lag", colour="arm", log=True, across=(0, last), height=230) | options
    page.show(charts.curve, signal, title="How far back the gradient of the answer reaches", **options)


def solved(moment):
    """When each cell had solved the task, and how it does on new rows, for a row of numbers."""
    facts, squares = moment.facts, moment.config.made.unit == "squared error"
    for name, step in facts["solved"].items():
        score = facts["score"][name]
        told = (f"squared error {score:.3g}" if squares else f"{score:.0%} right") + f" on {TESTED} new rows"
        share = f"{facts['reached'][name]} of {moment.config.seeds} seeds; " if step is not None else ""
        yield name, ("not solved" if step is None else f"step {step:,}", f"{share}{told}.")


def losses(moment):
    caption = f"*Solved*: below {SOLVED:.0%} of knowing nothing. Line: median, band: range of the seeds; same batches for all."
    page.losses(moment, caption, height=230)


@page.scene(
    *("length", "hidden", "forget_bias", "update_bias", "task"),
    presets={
        "Bias 0, as in torch": {},
        "Bias 3": {"forget_bias": 3.0, "update_bias": 3.0},
        "Ten steps": {"length": 10},
    },
)
def the_road(config):
    """The road back: before training no cell passes the gradient far, and one bias opens the gates.

    With torch's default weights the gates stand near one half. The gradient that arrives at the first step is then about as
    small in all three cells: a step passes about 0.6 of it. **Having gates is not enough.** But LSTM and GRU have a gate
    that keeps, and a bias moves it towards 1. The RNN has nothing to turn.
    """
    picture, swept = page.picture(untrained, config), page.picture(by_bias, config)
    facts = picture.facts
    left, right = st.columns(2)
    with left:
        caption = "‖dL/dh‖ of the last answer, as a share of that at the last state; 8 rows, band: seeds."
        reach(picture["reach"], config, facts["far"], caption=caption)
    with right:
        caption = "Forget gate of the LSTM, update gate of the GRU, first seed; 0 is torch's default."
        options = dict(
            x="bias", colour="arm", log=True, height=250, title="Left at the first step, by the bias of that gate"
        )
        page.show(charts.curve, swept["far"], caption=caption, **options)
    steps = max(facts["far"], 1)
    page.metrics(
        **{
            f"{name}_passes_a_step": (f"{share ** (1 / steps):.2f}", f"{share:.1e} is left after {steps} steps.")
            for name, share in facts["left"].items()
        }
    )


@page.scene(
    *("length", "hidden", "task", "rate", "steps"),
    presets={
        "Adding": {},
        "Adding, 10 steps": {"length": 10},
        "Temporal order": LATCH | {"task": "temporal order", "forget_bias": 2.0, "update_bias": 2.0},
        "Copy": {"task": "copy", "length": 20, "hidden": 64, "steps": 600, "seeds": 1},
    },
)
def trained(config):
    """Trained: on adding the GRU is first, the LSTM comes later, and the RNN stays at knowing nothing.

    Default task: add two marked numbers out of 50. Over ten seeds the GRU got below a squared error of 0.05 in 200 to 250
    steps, the LSTM in 450 to 1,050, the RNN never, nor in 2,000 steps with smaller rates. Gates at one half are enough
    here: the second number is often near the end; it is easy to use, and this opens the gates for the first.
    """

    def figures(moment):
        left, right = st.columns(2)
        with left:
            losses(moment)
        with right:
            reach(
                moment["reach"],
                config,
                len(moment["reach"].ticks["lag"]) - 1,
                caption="With the weights of this moment.",
            )
        page.metrics(**dict(solved(moment)))

    page.play(run, config, figures)
    st.caption(f"**Your task, {config.task}:** {TASKS[config.task]}")


@page.scene("length", "task", "clip", "rate", presets={"No clipping": {"clip": 0.0}})
def trained_road(config):
    """The road, while they are trained: the gradient reaches the first step before the loss falls, or with it.

    The left picture follows the far end of the curve: what is left at the first step. It grows by many decades, that is,
    factors of ten. Right: the length of the whole gradient. Clipping shortens what lies above the dotted line.
    """

    def figures(moment):
        left, right = st.columns(2)
        with left:
            page.progress(moment, "far", log=True, height=250, title="Left at the first step")
        with right:
            rules = {"clipped above": config.clip} if config.clip else {}
            page.progress(moment, "norm", log=True, rules=rules, height=250, title="Gradient norm before clipping")
        page.metrics(**dict(solved(moment)))

    page.play(run, config, figures)


@page.scene("hidden", "sizes", presets={"Equal hidden size": {}, "Equal parameters": {"sizes": "equal parameters"}})
def fair(config):
    """Fair how: with equal units the LSTM has about four times the weights of the RNN, with equal weights fewer units.

    Every gate and every candidate brings a block of weights, as large as a whole RNN. So "the same size" can mean two things.
    Choose one, and go back to the scenes before: is it the size that decides? A step does not take the same time either.
    """
    facts = page.picture(untrained, config).facts
    left, right = st.columns(2)
    with left:
        rows = ((name, f"{facts['sizes'][name]}", f"{facts['parameters'][name]:,}") for name in facts["sizes"])
        page.table(("cell", "hidden units H", "weights, with the head"), *rows)
        st.caption(
            "With *equal parameters* RNN and GRU get as many weights as the LSTM has at the hidden size you chose."
        )
    with right:
        st.markdown("**One training step, in milliseconds of one processor**")
        measured = page.clock(clock, config)
        if measured:
            caption = "The LSTM runs in torch's own kernel, the others in this project's."
            page.show(charts.bars, measured["milliseconds"], x="arm", height=240, caption=caption)


@page.scene(
    *("length", "task", "forget_bias", "update_bias", "steps"),
    presets={
        "Latch, gates at ½": LATCH,
        "Latch, gates open": LATCH | OPEN,
        "First token, gates at ½": LATCH | {"task": "first token", "length": 40},
    },
)
def trained_with_shut_gates(config):
    """When gates do not help, trained: if only the first step matters and gates stand at one half, nobody learns.

    Press *Latch, gates at ½*: nothing leads from near to far, and all three cells stay at guessing. Then *Latch, gates
    open*: one bias is different, and LSTM and GRU are done in a few hundred steps. Nor must an RNN fail: at a learning rate
    of 0.01 it often learns a latch of 20 or 30 steps.
    """

    def figures(moment):
        left, right = st.columns(2)
        with left:
            losses(moment)
        with right:
            reach(moment["reach"], config, len(moment["reach"].ticks["lag"]) - 1)
        page.metrics(**dict(solved(moment)))

    page.play(run, config, figures)


@page.scene("length", "hidden", "forget_bias", "update_bias", "task")
def practice(config):
    """Practice: open the road, without training.

    The curve shows how far the gradient of the last answer reaches, before training.
    """
    picture = page.picture(untrained, config)
    facts = picture.facts

    def opened():
        lowest = min(facts["left"][name] for name in ("LSTM", "GRU"))
        told = f"After {facts['far']} steps at least {lowest:.1e} is left in LSTM and GRU"
        return facts["far"] >= 49 and lowest >= 0.01, f"{told}; wanted: 0.01 after 49 steps or more."

    left, right = st.columns(2)
    with left:
        page.mission("let 1 % of the gradient arrive after 49 steps, in LSTM and GRU.", opened)
    with right:
        reach(picture["reach"], config, facts["far"], height=200)
    page.exercise(
        "No cell is trained yet, and all have torch's default weights. Through which does most of the gradient arrive?",
        {
            "RNN": "It loses about as much as the others.",
            "LSTM": "Its forget gate stands near one half, so its cell loses half at every step.",
            "GRU": "Its update gate stands near one half too.",
            "None: all lose about the same": "Each loses ten to twelve decades in 50 steps. One bias changes that.",
        },
        right="None: all lose about the same",
    )
    page.exercise(
        "An LSTM with gates at one half learns to add, but not the latch of 60 steps. Why?",
        {
            "In adding, some of it lies near": "The second number is often near the end, and learning it opens the gates.",
            "Adding is shorter": "Ten steps do not decide: a first token 40 steps back is not learned either.",
            "Numbers are easier than cues": "A cue is easier to see; what is hard is to keep it.",
        },
        right="In adding, some of it lies near",
    )
    page.exercise(
        "What remains to be said for the RNN?",
        {
            "It learns what is near": "On ten steps it learns to add, with a third or a quarter of the weights.",
            "Nothing": "Shorten the sequence and train it again.",
            "It needs a larger state": "With *equal parameters* it has one, and still stays where it began.",
        },
        right="It learns what is near",
    )


page.lesson(__doc__, Config, the_road, trained, trained_road, fair, trained_with_shut_gates, practice)
