"""Recurrence or attention: to attention every token is one step away, and that is not free.

A recurrent network hands the past on from state to state. Attention looks it up. Three things follow, and each is
measured here: the length of the path, what can be done at once, and the cost.
"""

import streamlit as st

from seqcore.experiments.contest import Config, before, measure, run
from view import charts, page

PRESETS = {
    "A needle, 50 tokens": {},
    "Near, 10 tokens": {"length": 10},
    "Far, 100 tokens": {"length": 100, "steps": 300},
    "Two layers": {"layers": 2},
}

page.head(__doc__)
page.predict(
    "The last token asks for one near the start. In which fresh network does that token get about as much gradient as the "
    "question's own neighbour?",
    ["RNN and LSTM", "LSTM only", "Encoder only"],
    right="Encoder only",
    because="Attention connects the question to every token directly. A recurrent network multiplies one Jacobian a step, and "
    "the forget gates of an LSTM, as torch draws it, start at one half. Started open, with forget bias 3, it nearly keeps up.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts
T, d = config.length, config.width

left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["arrives"],
        x="lag",
        colour="arm",
        log=True,
        across=(1, T - 1),
        title="Path: gradient that arrives at a token, before training",
        caption="Against the token just before the question. Line: median over the seeds. In double precision, since single "
        "precision would end at 10⁻³⁸.",
    )
with right:
    page.show(
        charts.curve,
        first["chain"],
        x="length",
        colour="arm",
        across=(0, T),
        title="Waiting: operations that have to come one after the other",
        caption="The longest chain in the graph of one forward pass, counted. No number of processors makes it shorter. The "
        "encoder's does not depend on T; the work beside it, which can be done at once, does.",
    )

page.tell(
    **{
        f"Arrives,_{arm}": (
            f"{10 ** facts['decades'][arm]:.1g}",
            "Gradient at the farthest token, if the nearest one gets 1.",
        )
        for arm in ("encoder", "RNN", "LSTM", "GRU")
    },
    In_a_row=(
        f"{facts['chain']['encoder']} against {facts['chain']['RNN']}",
        f"Operations of the encoder and of the RNN at T = {T}. One more token adds {facts['slope']['RNN']:g} to the RNN, "
        f"{facts['slope']['LSTM']:g} to the LSTM, {facts['slope']['GRU']:g} to the GRU and {facts['slope']['encoder']:g} to the "
        "encoder.",
    ),
)
recurrent, attended = (f"{products:,}".replace(",", "{,}") for products in (T * d * d, T * T * d))
st.latex(
    r"\begin{aligned}"
    rf"h_{{{T}}} &= f(f(\cdots f(h_0, x_1) \cdots), x_{{{T}}}) \\"
    rf"&\quad {T} \text{{ steps, each waits}},\quad T d^2 = {T} \cdot {d}^2 = {recurrent} \\"
    rf"z_{{{T}}} &= \textstyle\sum_s w_{{{T}, s}}\, v_s \\"
    rf"&\quad 1 \text{{ step, all at once}},\quad T^2 d = {T}^2 \cdot {d} = {attended}"
    r"\end{aligned}"
)
page.ledger(
    ("states h", f"{T} × {d}", "each needs the one before"),
    ("W_h h", f"{d} × {d} a step", "the recurrent product: T d² in all"),
    ("weights", f"{config.heads} × {T} × {T}", "every token with every other: T² d products"),
)
page.badge(facts["agreement"])

st.subheader("Find the needle", anchor=False)
page.predict(
    "Noise of 50 tokens hides one value, in the first quarter, after a marker. The last token asks for it. Who has learned to "
    "answer after 250 steps?",
    ["All of them", "The encoder and both LSTMs", "The encoder, and nearly the LSTM with forget bias 3"],
    right="The encoder, and nearly the LSTM with forget bias 3",
    because="One look from the question finds the value. RNN, GRU and the LSTM as torch draws it still guess: no gradient tells "
    "them that the start matters. With its forget gates open from the start an LSTM comes close. So this is about paths.",
)


def needle(moment):
    left, right = st.columns(2)
    with left:
        page.losses(
            moment,
            caption="Mean loss on fresh batches since the moment before; line: median, band: range of the seeds. All see the "
            "same batches; the two LSTMs start from the same weights but for the bias.",
        )
    with right:
        page.course(
            moment,
            "right",
            span=(0, 1),
            rules={"guessing": moment.facts["chance"]},
            title="Share of right answers",
            caption="On a fixed batch of new rows. Eight values, so guessing is right once in eight.",
        )
    left, right = st.columns(2)
    with left:
        page.show(
            charts.heat,
            moment["look"],
            x="time",
            y="example",
            height=380,
            title="Where the encoder looks from the question",
            caption="One row for each value, named with the place where it stands: that is the cell to watch. First seed, last "
            "layer, the first quarter of the row. Often one value is never looked at: what is none of the others must be it.",
        )
    with right:
        page.show(
            charts.curve,
            moment["arrives"],
            x="lag",
            colour="arm",
            log=True,
            across=(1, T - 1),
            height=380,
            title="Gradient that arrives at a token, at this moment",
            caption="As above, now: single precision, on a few rows. Trained, the encoder sends most to the first quarter, where "
            "the values are.",
        )


page.play(run, config, needle)

st.subheader("What it costs on this machine", anchor=False)
page.predict(
    "One layer, forward and backward, on one processor core. Which is fastest for 512 tokens?",
    ["The encoder layer", "The GRU", "The RNN or the LSTM"],
    right="The RNN or the LSTM",
    because="On one core nothing is done at once, and T² d is more work than T d². Attention wins on hardware that does "
    "thousands of things at the same time. There the chain above counts, not the work. That is not measured here.",
)


def clock(moment):
    left, right = st.columns(2)
    with left:
        page.show(
            charts.curve,
            moment["duration"],
            moment["duration_theory"],
            x="length",
            colour="arm",
            log=True,
            log_x=True,
            across=(config.lengths[0], config.longest),
            height=380,
            title="Time of one layer, forward and backward",
            caption=f"Measured on this machine now: processor time of one thread, {moment.facts['batch']} rows of width {d}, the "
            "least of several. Both axes are logarithmic, so powers are straight lines. Dashed: one product alone, through the "
            "newest encoder and LSTM points.",
        )
    with right:
        page.show(
            charts.curve,
            moment["held"],
            x="length",
            colour="arm",
            log=True,
            log_x=True,
            across=(config.lengths[0], config.longest),
            height=380,
            title="Memory held for the backward pass",
            caption="Counted byte by byte. The T × T weights cost T² only if they are kept, as this dashboard does to draw them. "
            "The fast kernel computes them again, so its memory grows like T and only its time like T².",
        )
    page.tell(
        **{
            f"Encoder_against_{arm}": (
                "not measured yet" if ratio != ratio else f"{ratio:.1f} ×",
                f"Its time over the time of the {arm}, at the longest length measured so far.",
            )
            for arm, ratio in moment.facts["ratio"].items()
        },
        Crossover_with_GRU=(
            {None: "not reached yet", 0.0: "always dearer"}.get(
                moment.facts["crossover"]["GRU"], f"T ≈ {moment.facts['crossover']['GRU'] or 0:.0f}"
            ),
            "From this length on the encoder layer takes longer than the GRU. The two run close, so it moves from one "
            "measurement to the next.",
        ),
    )


page.play(measure, config, clock, verb=("Measure", "Measured"))
st.markdown(
    "**Try:** take *Near, 10 tokens*, where the gated cells get there too. · Go to *Far, 100 tokens*. · Set the width to 64 and "
    "measure again. The crossover with the GRU moves, and not as T² d against T d² alone would have it: the encoder's "
    "projections and its feed-forward network cost T d² as well.\n\n"
    "Honestly: the recurrent cells here have the biases torch gives them. The contest is fair in weights and batches, not in "
    "what is known about starting an LSTM; that is why the one with forget bias 3 runs along."
)
