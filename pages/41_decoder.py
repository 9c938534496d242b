"""Decoder: it may not see the future.

A decoder writes one symbol after the other, but it is taught on whole rows at once. What keeps each position from copying
the answer that stands beside it is a triangle of ones and zeros. Without it the training loss is wonderful, and worthless.
"""

import streamlit as st

from seqcore.experiments.decoder import Config, before, run, write
from view import charts, page

PRESETS = {
    "Below the floor": {},
    "Pure noise": {"sharpness": 0.0},
    "Four heads, two layers": {"heads": 4, "layers": 2, "rate": 0.005},
    "Long rows": {"length": 32, "steps": 600},
    "Reverse digits": dict(task="reverse", length=8, width=64, rate=0.003, seeds=1),
}

page.head(__doc__)
page.predict(
    "One token in the middle of a row is replaced by another. Which outputs of a decoder with a causal mask move?",
    ["those before it", "its own and those after it", "all of them"],
    right="its own and those after it",
    because="An output reads only what stands at its own place or before it. Without the mask every output moves, also the "
    "one whose task it was to guess the token.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts
T, S, d, d_k, h, V = facts["time"], facts["source"], config.width, config.d_k, config.heads, facts["vocabulary"]

left, right = st.columns([1, 2])
with left:
    page.show(
        charts.heat,
        first["visible"],
        x="key",
        y="query",
        title="The causal mask",
        caption=f"Blue: the query in this line may see the key in this column. {T * (T + 1) // 2} of {T * T} cells.",
    )
with right:
    page.show(
        charts.heat,
        first["moved"],
        x="changed",
        y="position",
        beside="arm",
        span=(-4, 0.5),
        title="Change one token: which outputs move?",
        caption="Measured on two untrained decoders with the same weights. Colour: how far the output in this line moves, as a "
        "share of its length, when the token in this column is another one. A cell is missing where not one bit moves.",
    )

page.tell(
    Leak_with_the_mask=(f"{facts['leak']:g}", "The largest move of an output that stands before the changed token."),
    Leak_without=(f"{facts['leak_open']:.2g}", "The same without the mask, as a share of the output's length."),
    Knows_nothing=(f"{facts['baseline']:.3f} nats", "The loss of the best guess that does not look at the row."),
    Best_possible=(
        f"{facts['floor']:.3f} nats" if facts["floor"] else "0 nats",
        "The entropy of the next symbol when all before it are known: no honest loss is lower, on average.",
    ),
    Weights=f"{facts['parameters']:,}",
)

left, right = st.columns(2)
with left:
    st.markdown("**The formula, at these sizes**")
    st.latex(rf"\text{{weights}} = \text{{softmax}}\!\left(\frac{{Q K^\top}}{{\sqrt{{{d_k}}}}} + \log M\right)")
    st.latex(rf"M_{{qk}} = 1 \text{{ where }} k \le q,\ \text{{else }} 0 \qquad ({T} \times {T})")
    st.markdown(
        "log 1 = 0 changes nothing, and log 0 = −∞ has the softmax 0. The mask stands *before* the softmax, so "
        "that what may be seen still adds up to one. The output at place $t$ is a guess of the symbol at place $t+1$, so "
        "the very next key is the answer."
    )
    st.markdown(
        f"**Keys and values are kept.** No place sees a later one, so what was computed for it stays true. To write {T} symbols "
        f"takes {T} keys instead of {T * (T + 1) // 2}. Largest difference between the two ways, measured now: "
        f"{facts['cache']:.1e}."
    )
with right:
    page.ledger(
        ("tokens", f"(B, {T})", "what is written so far"),
        ("E[tokens] + PE", f"(B, {T}, {d})", "embedded, with positions"),
        ("Q, K, V", f"(B, {h}, {T}, {d_k})", "self-attention: all three from the decoder"),
        ("M", f"({T}, {T})", "the mask, the same for all rows and heads"),
        ("weights", f"(B, {h}, {T}, {T})", "where each place looks"),
        ("Q, cross", f"(B, {h}, {T}, {d_k})" if S else "none", "the decoder asks"),
        ("K, V, cross", f"(B, {h}, {S}, {d_k})" if S else "none", "the encoder's memory answers"),
        ("weights, cross", f"(B, {h}, {T}, {S})" if S else "none", "no mask here: the whole source is known"),
        ("logits", f"(B, {T}, {V})", "a guess of the next symbol at every place"),
    )
    if not S:
        st.caption("A decoder alone is a language model. Preset *Reverse digits* gives it an encoder to read from.")
page.badge(facts["agreement"])

st.subheader("Now train both", anchor=False)
page.predict(
    "Both decoders learn the same rows. The source is random: after any past, the next symbol is uncertain by "
    "the floor. How low does the *training* loss of the decoder without a mask fall?",
    ["It stays above the floor", "To the floor", "Far below the floor"],
    right="Far below the floor",
    because="It finds the answer one place to the right and copies it. Only the last symbol of a row must still be guessed. A "
    "training loss below the entropy of the source always means one thing: the model saw the answer. (For digits to reverse "
    "the floor is zero, and the loss tells nothing at all. There, look at what it writes.)",
)


def figures(moment):
    left, right = st.columns(2)
    with left:
        page.losses(
            moment, caption="What training sees: all places of fresh rows at once. Line: median, band: the seeds."
        )
    with right:
        page.show(
            charts.curve,
            moment["honest"],
            moment["trained"],
            x="step",
            colour="arm",
            log=True,
            across=(0, config.steps),
            rules={"best possible": facts["floor"]} if facts["floor"] else {},
            title="The honest loss: only the past is given",
            caption="Solid: each symbol guessed from a row that ends before it. Dashed: the same rows given whole, as in "
            "training. With the mask the two are one line. 64 held-out rows, so a line may scatter around the floor by 0.03.",
        )
    left, right = st.columns(2)
    with left:
        head = page.lens("head", "Head", 1, 1, config.heads)
        page.show(
            charts.heat,
            moment["weights"].at(head=head - 1),
            x="key",
            y="query",
            beside="arm",
            title="Where they look",
            caption="Self-attention of the last layer in one held-out row, first seed. Without the mask the bright cells "
            "move one place right of the diagonal: onto the answer.",
        )
        if "right" in moment.signals:
            shares = {arm: moment["right"].pick(arm=arm).values[:, -1].mean() for arm in moment["right"].ticks["arm"]}
            page.tell(**{f"Written right: {arm}": f"{share:.1%}" for arm, share in shares.items()})
    with right:
        written(moment)


def written(moment):
    st.markdown("**Let it write, step by step**")
    left, right = st.columns(2)
    with left:
        arm = page.lens("writer", "Who writes", "causal mask", choices=moment["weights"].ticks["arm"])
    with right:
        way = page.lens("way", "Each symbol is the", "likeliest", choices=("likeliest", "one drawn"))
    heat, draw = None, 0
    if way == "one drawn":
        left, right = st.columns(2)
        with left:
            heat = page.lens("temperature", "Temperature", 1.0, 0.1, 3.0)
        with right:
            draw = page.lens("draw", "Draw number", 0, 0, 99)
    text = write(moment, arm, heat, draw)
    places = text["taken"].ticks["time"]
    place = page.lens("place", "Place to look at", places[0], places[0], places[-1])
    page.show(
        charts.bars,
        text["taken"].at(time=place - places[0]),
        x="symbol",
        colour="line",
        span=(0, 1),
        height=200,
    )
    told = text.facts
    wanted = f" · wanted `{told['wanted']}`" if told["wanted"] else ""
    st.markdown(f"given `{told['prompt']}` · writes `{told['text'] or 'nothing'}`{wanted}")
    cache = (
        f"With kept keys and values, or all computed anew: max |Δp| = {told['cache']:.1e}."
        if told["cache"] is not None
        else "Nothing can be kept here: each new symbol changes what the old places saw."
    )
    st.caption(
        f"Written by the weights of step {moment.facts['measured']}. Bars: what the symbol at this place is taken from, and the "
        f"truth after the very same past. {cache}"
    )


page.play(run, config, figures)
st.markdown(
    "**Try:** *Pure noise*: coin tosses nobody can foretell, and the decoder without a mask seems to foretell them. · Let *no "
    "mask* write: it learned to copy what stands to the right, and when it writes nothing stands there. · *Reverse digits*: "
    "both losses are near zero, and one of the two cannot write a single answer."
)
