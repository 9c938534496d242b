"""Encoder-decoder: it finds out by itself where to look.

One network reads, another writes, and attention joins them. Nobody tells it which input place belongs to which output: pairs
of texts are enough, and the map that forms can be read, checked, and changed by hand.
"""

import streamlit as st

from seqcore.experiments.translation import Config, before, run, translate
from view import charts, page

PRESETS = {
    "Reverse": {},
    "Sorting needs no order": dict(task="sort", shorter=4, heads=4, batch=64, steps=500, seeds=1),
    "Spelled numbers": dict(task="numbers", heads=4, steps=400, seeds=1),
    "Dates": dict(task="dates", heads=4, steps=500, seeds=1),
    "Padding": dict(shorter=4, heads=4, batch=64, steps=500, seeds=1, beside="no padding mask"),
    "No encoder layer": dict(shorter=4, encoder_layers=0, batch=64, steps=400, seeds=1, beside="nothing else"),
}

page.head(__doc__)
page.predict(
    "Eight digits are to be written from last to first. Which single input place tells all about the third digit of the output?",
    ["the third", "the third from the end", "none, it takes them all"],
    right="the third from the end",
    because="The left picture is counted in the pairs, without any model: one place tells everything, the others nothing. A "
    "model that finds it needs to read one digit only. With mixed lengths (preset *Padding*) no fixed place does: the length "
    "has to be known first.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts
S, T, d, d_k, h, V = facts["inputs"], facts["outputs"], config.width, config.d_k, config.heads, facts["vocabulary"]

left, right = st.columns(2)
with left:
    page.show(
        charts.heat,
        first["known"],
        x="input",
        y="output",
        title="What the pairs say: where the answer stands",
        caption="Share of an output symbol's uncertainty that one input place alone takes away, counted in 2,000 pairs. The last "
        "output is the end sign.",
    )
with right:
    page.show(
        charts.heat,
        first["untrained"],
        x="input",
        y="output",
        title="Where a model looks that has learned nothing",
        caption=f"Attention of the decoder on “{config.sample}”, random weights, mean of the heads. It writes "
        + (f"“{facts['written']}”." if facts["written"] else "nothing."),
    )

page.tell(
    Knows_nothing=(
        f"{facts['baseline']:.3f} nats",
        "A symbol, for a decoder that does not look at the source but knows all answers there are.",
    ),
    Best_possible=("0 nats", "Every source has one right answer."),
    Longest_input=f"{S}",
    Longest_output=(f"{T}", "With the end sign. Input and output need not be of the same length."),
    Weights=f"{facts['parameters']:,}",
)

left, right = st.columns(2)
with left:
    st.markdown("**The formulas, at these sizes**")
    st.latex(rf"Q = \text{{decoder state}}\; W_q^\top \quad ({T} \times {d_k})")
    st.latex(rf"K, V = \text{{memory}}\; W_k^\top, W_v^\top \quad ({S} \times {d_k})")
    st.latex(rf"A = \text{{softmax}}(Q K^\top / \sqrt{{{d_k}}} + \log M)")
    st.markdown(
        "The decoder asks, the encoder's memory answers. $M$ is 0 at padding, which fills up short sources, and 1 elsewhere. No "
        "causal mask is needed here: the whole source is known."
    )
    st.markdown("**Held-out pairs** (never trained on, in no way of writing them)")
    pairs = "\n".join(f"| `{source}` | `{target}` |" for source, target in facts["pairs"][:4])
    st.markdown(f"| source | target |\n|---|---|\n{pairs}")
with right:
    page.ledger(
        ("source", f"(B, {S})", "symbols, padded to the longest"),
        ("memory", f"(B, {S}, {d})", "what the encoder makes of them"),
        ("target, one step late", f"(B, {T})", "start sign, then the symbols so far"),
        ("Q", f"(B, {h}, {T}, {d_k})", "from the decoder"),
        ("K, V", f"(B, {h}, {S}, {d_k})", "from the encoder"),
        ("A", f"(B, {h}, {T}, {S})", "each row adds up to one"),
        ("M", f"(B, 1, 1, {S})", "padding mask, the same for all heads and outputs"),
        ("logits", f"(B, {T}, {V})", "a guess at every output place"),
    )
if facts["ragged"]:
    page.show(
        charts.heat,
        first["mask"],
        x="input",
        y="row",
        title="The padding mask of six held-out sources",
        caption="Blue: a character. Grey: padding, which no query may read.",
    )
page.badge(facts["agreement"])

st.subheader("Now train it", anchor=False)
page.predict(
    "The model sees pairs and nothing else. It is never told which place belongs to which. After some seconds of training on "
    "*Reverse*, what does its attention map look like?",
    ["evenly grey", "the diagonal from the top left", "the other diagonal"],
    right="the other diagonal",
    because="It is the map that was counted above. Training finds it because any weight on a wrong place costs loss. Without "
    "positions all places look alike to the model, so it can know which digits there are, but not where.",
)


def figures(moment):
    left, right = st.columns(2)
    with left:
        arm = page.lens("arm", "Model", config.arms[0], choices=config.arms)
    with right:
        what = page.lens("what", "Held-out pairs: show the", "share right", choices=("share right", "loss"))
    left, right = st.columns(2)
    with left:
        page.losses(moment)
    with right:
        page.show(
            charts.curve,
            moment["cost" if what == "loss" else "right"].pick(arm=arm),
            x="step",
            colour="line",
            log=what == "loss",
            span=None if what == "loss" else (0, 1),
            across=(0, config.steps),
            title="With the true prefix, and with its own",
            caption="64 held-out pairs. Grey: the right symbols so far are given (teacher forcing). Orange: it goes on from its "
            "own. For whole answers it is the same: who errs nowhere with the true prefix writes that very prefix.",
        )
    reading(moment, arm)


def reading(moment, arm):
    st.markdown("**Your own input**, read by the model of this moment. Write something else:")
    padded = "survives" in moment.signals
    row, place, extra = 1, 1, 0
    left, middle, right = st.columns([2, 1, 1])
    with left:
        text = page.lens(*OWN[config.task], config.sample, high=40)
    with middle:
        head = page.lens("head", "Head", 1, 1, h)
        if padded:
            extra = page.lens("extra", "Columns of padding added", 0, 0, 16)
        else:
            row = page.lens("row", "While it writes symbol", 2, 1, T)
    with right:
        if not padded:
            place = page.lens("look", "make it look at place", 1, 1, S)
    try:
        told = translate(moment, arm, text, head - 1, extra, row - 1, place - 1)
    except ValueError as wrong:
        st.warning(f"{wrong}. Write something else; the training goes on.", icon="✏️")
        return
    left, right = st.columns(2)
    with left:
        wanted = told.facts["wanted"]
        verdict = "" if wanted is None else " ✓" if wanted == told.facts["written"] else f" ✗ wanted `{wanted}`"
        st.markdown(f"by itself: `{told.facts['written'] or 'nothing'}`{verdict}")
        page.show(
            charts.heat,
            told["weights"],
            x="input",
            y="output",
            caption=f"Where this head looks while it writes, line by line, by the weights of step {moment.facts['measured']}. "
            "A dot is padding. Lines after the end are empty.",
        )
    with right:
        if padded:
            padding(moment)
        else:
            st.markdown(f"with the row set by hand: `{told.facts['rewritten'] or 'nothing'}`")
            page.show(
                charts.heat,
                told["edited"],
                x="input",
                y="output",
                caption=f"The same, but while it writes symbol {row} this head may read place {place} alone. If the symbol "
                "follows, the map is a cause and no decoration. Later symbols may change too: they are written after others.",
            )
    if "aligned" in moment.signals:
        found, mass = (moment["aligned"].pick(arm=arm, line=line).values for line in ("found", "mass"))
        page.tell(
            Looks_at_the_right_place=(
                f"{found.min():.1%}",
                "Of all symbols, worst seed: the largest weight is where the digit is.",
            ),
            Weight_on_it=(f"{mass.min():.2f}", "Mean weight on the place the digit is copied from, worst seed."),
            Whole_answers_right=f"{moment['right'].pick(arm=arm, line='whole answers').values[:, -1].min():.1%}",
        )


def padding(moment):
    st.markdown("more padding than in training")
    page.show(
        charts.bars,
        moment["survives"],
        x="extra",
        colour="arm",
        span=(0, 1),
        caption="Share of held-out answers that are right. Trained to the end, both arms are perfect with the padding they know: "
        "the one without a mask learns to live with it. Only when the amount changes does it fail.",
    )


OWN = {
    "reverse": ("digits", "Digits to reverse"),
    "sort": ("unsorted", "Digits to sort"),
    "numbers": ("number", "A number from one to nine hundred and ninety-nine"),
    "dates": ("date", "A date from 1950 to 2049"),
}

page.play(run, config, figures)
st.markdown(
    "**Try:** symbol 2 is made to look at place 1, and the second output becomes the first input digit: move the two sliders. · "
    "*Sorting needs no order*: without positions it still learns, because a sorted row does not depend on where digits stood. · "
    "*Dates*: without positions, which digits were there is known, but not their order. Look at the years it writes. · "
    "*No encoder layer*: the map cannot settle, since no place knows how long the source is. · A clean map is no proof of "
    "understanding: a model without causal mask has one too, and cannot write (see *Decoder*)."
)
