"""Recurrence or attention: to attention every token is one step away, and that is not free.

A recurrent network hands the past on from state to state. Attention looks it up.
"""

import streamlit as st

from seqcore.experiments.contest import ARMS, ENCODER, OTHER_KERNEL, Config, measure, path, run, waiting
from view import charts, page

TRAINING = ("length", "width", "heads", "layers", "rate", "steps")
PRESETS = {
    "A needle, 50 tokens": {},
    "Near, 10 tokens": {"length": 10},
    "Far, 100 tokens": {"length": 100, "steps": 300},
    "Two layers": {"layers": 2},
}
OPEN = "LSTM, forget bias 3"


@page.scene(
    *("length", "width", "layers"),
    presets={"10 tokens": {"length": 10}, "50 tokens": {}, "200 tokens": {"length": 200, "seeds": 1}},
)
def how_far(config):
    """How far: a fresh recurrent network passes hardly any gradient to the start; an encoder passes it all.

    The last token asks for one near the start. The picture shows how much gradient arrives at each token, on its way back
    from the question, before training. Attention connects the question to every token directly. A recurrent network
    multiplies one Jacobian matrix a step, and the forget gates of an LSTM, as torch draws it, start at one half. Started
    open, with forget bias 3, it nearly keeps up.
    """
    picture = page.picture(path, config)
    decades = picture.facts["decades"]
    page.show(
        charts.curve,
        picture["arrives"],
        x="lag",
        colour="arm",
        log=True,
        across=(1, config.length - 1),
        title="Gradient that arrives at a token, by its distance from the question",
        caption="The token just before the question gets 1. Line: median over the seeds. In double precision, since single "
        "precision ends near 10⁻³⁸.",
    )
    told = "Gradient at the farthest token, if the nearest one gets 1."
    page.metrics(**{arm: (f"{10 ** decades[arm]:.1g}", told) for arm in ARMS})
    page.badge(picture.facts["agreement"])


@page.scene(*TRAINING, presets=PRESETS)
def needle(config):
    """Trained: one look from the question finds the value; most recurrent cells never learn to keep it.

    Noise hides one value, in the first quarter, after a marker. The last token asks for it. All see the same batches; the
    two LSTMs start from the same weights but for the bias.
    """
    asked = page.question(
        "Who has learned to answer at the end?",
        [
            "every one",
            "an RNN, a GRU or the plain LSTM too",
            "the encoder, and perhaps the LSTM with forget bias 3",
            "nobody",
        ],
    )
    if not asked:
        return

    def figures(moment):
        left, right = st.columns(2)
        with left:
            caption = "Mean loss on fresh batches since the moment before; line: median, band: range of the seeds."
            page.losses(moment, caption, height=220)
        with right:
            page.progress(
                moment,
                "right",
                span=(0, 1),
                rules={"guessing": moment.facts["chance"]},
                title="Share of right answers",
                caption="On new rows. Eight values, so guessing is right once in eight.",
                height=220,
            )
        if moment.step == config.steps:
            learned = moment.facts["learned"]
            able = {arm for arm, share in learned.items() if share > 0.5}
            told = ", ".join(f"{arm} {share:.0%}" for arm, share in learned.items())
            if not able:
                verdict = "nobody"
            elif able <= {ENCODER, OPEN}:
                verdict = "the encoder, and perhaps the LSTM with forget bias 3"
            else:
                verdict = "every one" if able == set(learned) else "an RNN, a GRU or the plain LSTM too"
            asked.answer(verdict, f"Right answers: {told}. More than half counts as learned.")

    page.play(run, config, figures)
    st.markdown(
        "The RNN, the GRU and the LSTM as torch draws it get no gradient that tells them to keep the start. With its forget "
        "gates open from the start an LSTM comes close, so this is about paths. The contest is fair in width and batches, "
        "not in what is known about starting an LSTM."
    )


@page.scene(*TRAINING, presets=PRESETS)
def where_it_looks(config):
    """Trained, where it looks: the question reads the places where a value may stand.

    The same training. Each row of the map is one example, named with its value and the place where that stands: this is the
    cell to watch. Often one value is never looked at: what is none of the others must be it. The trained encoder sends most
    gradient to the first quarter of the row, where the values are.
    """

    def figures(moment):
        left, right = st.columns(2)
        with left:
            page.show(
                charts.heat,
                moment["look"],
                x="time",
                y="example",
                title="Where the encoder looks from the question",
                caption="First seed, last layer, the largest weight of all heads; the first quarter of the row.",
            )
        with right:
            page.show(
                charts.curve,
                moment["arrives"],
                x="lag",
                colour="arm",
                log=True,
                across=(1, config.length - 1),
                title="Gradient that arrives at a token",
                caption="As in the first scene, at this moment: single precision, a few rows.",
            )

    page.play(run, config, figures)


@page.scene("length", "width", "heads", "layers", presets={"100 tokens": {"length": 100}, "Two layers": {"layers": 2}})
def what_waits(config):
    r"""What waits for what: each step of a recurrence waits for the one before; attention does all at once.

    The longest chain of operations that wait for each other is counted in the graph of one forward pass. No number of
    processors makes it shorter. The encoder's does not depend on T; the work beside it, which can be done at once, does. A
    sum over T keys counts as one operation here. Done by many processors, it takes about log₂ T steps of adding pairs.
    """
    facts, T, d = page.picture(waiting, config).facts, config.length, config.width
    left, right = st.columns([3, 2])
    with left:
        page.show(
            charts.curve,
            page.picture(waiting, config)["chain"],
            x="length",
            colour="arm",
            across=(0, T),
            title="Operations that have to come one after the other",
            caption="Longest chain of one forward pass.",
        )
    with right:
        recurrent, attended = (f"{products:,}".replace(",", "{,}") for products in (T * d * d, T * T * d))
        st.latex(
            r"\begin{aligned}"
            rf"h_{{{T}}} &= f(f(\cdots f(h_0, x_1) \cdots), x_{{{T}}}) \\"
            rf"&\quad {T} \text{{ steps in a row}} \\ &\quad T d^2 = {T} \cdot {d}^2 = {recurrent} \\"
            rf"z_{{{T}}} &= \textstyle\sum_s w_{{{T}, s}}\, v_s \\"
            rf"&\quad \text{{all at once}} \\ &\quad T^2 d = {T}^2 \cdot {d} = {attended}"
            r"\end{aligned}"
        )
        page.ledger(
            ("states h", f"{T} × {d}", "each needs the one before"),
            ("W_h h", f"{d} × {d} a step", "the recurrent product: T d² in all"),
            ("weights", f"{config.heads} × {T} × {T}", "every token with every other: T² d products"),
        )
    page.metrics(
        **{
            name: (f"{count} in a row", f"One more token adds {facts['slope'][name]:g}.")
            for name, count in facts["chain"].items()
        }
    )


@page.scene(
    "width", "heads", "longest", presets={"Up to 512": {}, "Width 64": {"width": 64}, "To 1024": {"longest": 1024}}
)
def the_clock(config):
    """The clock: on one core nothing is done at once, and beyond T = d the work T² d is more than T d².

    One layer of each kind, forward and backward, on this machine.

    Attention wins on hardware that does thousands of things at the same time; that is not measured here. Which recurrent
    cell is fastest is not in its equations: a clock times a *kernel*, the code that computes them. torch.nn.GRU has the
    same equations as the GRU here. The encoder's projections and its feed-forward network cost T d² as well.
    """
    asked = page.question(
        "Which is fastest for the longest sequence?", ["the encoder layer", "a GRU", "the RNN or the LSTM"]
    )
    if not asked:
        return

    def figures(moment):
        facts = moment.facts
        if not moment.step:
            st.info("Nothing is measured yet. Press *Measure*: it takes a few seconds.", icon="⏱️")
            return
        axes = dict(
            x="length", colour="arm", log=True, log_x=True, across=(config.lengths[0], config.longest), height=260
        )
        left, right = st.columns(2)
        with left:
            title = "Time of one layer, forward and backward"
            caption = (
                f"Processor time of one thread, {facts['batch']} rows, the least of several. Dashed: one product alone."
            )
            page.show(charts.curve, moment["duration"], moment["duration_theory"], title=title, caption=caption, **axes)
        with right:
            title = "Memory held for the backward pass"
            caption = (
                "Counted byte by byte. The T × T map costs T² only if it is kept, as it is here to draw it; the fast "
            )
            caption += "kernel computes it again."
            page.show(charts.curve, moment["held"], title=title, caption=caption, **axes)
        crossing = facts["crossover"]["GRU"]
        page.metrics(
            **{
                f"Encoder_against_{arm}": ("–" if ratio != ratio else f"{ratio:.1f} ×", "At the longest length so far.")
                for arm, ratio in facts["ratio"].items()
            },
            Crossover_with_GRU=(
                "not reached" if crossing is None else "always dearer" if not crossing else f"T ≈ {crossing:.0f}",
                "From this length on the encoder layer takes longer. The two run close, so it moves from time to time.",
            ),
        )
        if facts["last"]:
            last = facts["last"]
            fastest = min(last, key=last.get)
            named = {"RNN": "the RNN or the LSTM", "LSTM": "the RNN or the LSTM", "GRU": "a GRU", OTHER_KERNEL: "a GRU"}
            told = ", ".join(f"{arm} {took:.1f}" for arm, took in last.items())
            asked.answer(named.get(fastest, "the encoder layer"), f"Milliseconds for {config.longest} tokens: {told}.")

    page.play(measure, config, figures, verb=("Measure", "Measured"))


@page.scene("length", "width", "layers")
def practice(config):
    """Practice: how far does the gradient get in a fresh cell?

    The picture is that of the first scene, for your knobs.
    """
    picture = page.picture(path, config)
    decades = picture.facts["decades"]

    def near():
        left = 10 ** decades["LSTM"]
        return left >= 0.01, f"The farthest of {config.length} tokens gets {left:.1g} of the nearest one's gradient."

    left, right = st.columns(2)
    with left:
        goal = (
            "find a length at which the LSTM, as torch draws it, still gets 1 % of the gradient to the farthest token."
        )
        page.mission(goal, near)
    with right:
        axes = dict(x="lag", colour="arm", log=True, across=(1, config.length - 1), height=220)
        page.show(charts.curve, picture["arrives"], title="Gradient that arrives at a token", **axes)
    page.exercise(
        "What makes attention fast on a graphics processor?",
        {
            "its steps need not wait for each other": "All queries are answered at the same time.",
            "it does less work": "T² d products are more than T d², as soon as T is larger than d.",
            "it needs less memory": "A map that is kept needs T² numbers.",
        },
        right="its steps need not wait for each other",
    )
    page.exercise(
        "Twice the sequence length: how does the work of attention alone grow?",
        {
            "four times": "T² d: every token meets every other.",
            "twice": "That is the recurrence, T d².",
            "not at all": "Its longest chain does not grow; its work does.",
        },
        right="four times",
    )
    page.exercise(
        "Why does the LSTM with forget bias 3 learn what the same LSTM with bias 0 does not?",
        {
            "its gates start nearly open": "σ(3) = 0.95 a step instead of σ(0) = 0.5: the gradient gets through.",
            "it has more weights": "It has as many, and the same ones but for the bias.",
            "it sees other batches": "All see the same.",
        },
        right="its gates start nearly open",
    )


page.lesson(__doc__, Config, how_far, needle, where_it_looks, what_waits, the_clock, practice)
