"""Positional encoding: attention alone sees a bag of words.

Attention compares every token with every other one and adds up what fits. A sum has no order. Whoever wants order has
to write the place into the tokens, or into the comparison.
"""

import streamlit as st

from seqcore.experiments.positions import Config, before, run
from view import charts, page

PRESETS = {
    "Reverse": {},
    "A bag is enough": {"task": "majority"},
    "Which half": {"task": "which half"},
    "Longer rows": dict(task="previous token", length=16, mixed=True, width=64, heads=1, steps=300, seeds=2),
    "Two layers": {"layers": 2, "steps": 300},
}
TASKS = {
    "reverse": "The last digit first. Every token has to know its own place.",
    "previous token": "Every token names the digit before it. It has to know who stands one place away.",
    "which half": "Bits: has the first half more ones than the second? Order matters.",
    "majority": "Bits: are there more ones than zeros? Order does not matter.",
}

page.head(__doc__)
page.predict(
    "An attention layer without positions reads *dog bites man*, then *man bites dog*. How much does the vector that it makes "
    "for *dog* change?",
    ["Not at all", "A little", "Completely"],
    right="Not at all",
    because="Look for the grey bars: there are none. The same words give the same scores, the same weights and the same sums, "
    "in whatever order they stand. With positions the vector changes.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts

left, right = st.columns(2)
with left:
    page.show(
        charts.bars,
        first["reordered"],
        x="word",
        colour="positions",
        title="Your words, read backwards: how far each vector moves",
        caption=f"An untrained encoder reads “{' '.join(config.words)}”, then “{' '.join(reversed(config.words))}”; largest "
        f"change of an entry, median over seeds. Without positions it is {facts['none']:.0e}: rounding. A word that keeps its "
        "place moves little.",
    )
with right:
    page.show(
        charts.heat,
        first["PE"],
        x="entry",
        y="place",
        span=(-1, 1),
        title="What sinusoidal positions add to each token",
        caption=f"Row: the place; columns: the {config.width} numbers that are added there, in pairs of sine and cosine. On the "
        "left they change from place to place, on the right hardly: a clock with fast and slow hands.",
    )

page.tell(
    **{
        name.capitalize(): (f"{facts[name]:.2g}", "The largest bar: max |f(Px) − P f(x)| over all words.")
        for name in ("none", "sinusoidal", "learned", "rotary")
    },
    Fastest_hand=(f"{facts['shortest']:.2f} places", "2π: the first pair is back after so many places."),
    Slowest_hand=(f"{facts['longest']:,.0f} places", "The last pair."),
)

st.subheader("Why sines: a step is a rotation, whatever the place", anchor=False)
left, right = st.columns(2)
with left:
    st.latex(r"PE(p, 2i) = \sin p\,\omega_i \qquad PE(p, 2i{+}1) = \cos p\,\omega_i")
    st.latex(rf"\omega_i = 10000^{{-2i/{config.width}}} \qquad PE(p + k) = R_k\, PE(p)")
    st.markdown(
        f"Going $k$ places on turns every pair by a fixed angle. Measured now, for every place in the picture: the largest "
        f"error of this equation is {facts['turn']:.0e}."
    )
with right:
    st.latex(r"PE(p) \cdot PE(s) = \sum_i \cos\big((p - s)\,\omega_i\big)")
    st.latex(r"(R_p\, q) \cdot (R_s\, k) = q \cdot (R_{s-p}\, k)")
    st.markdown(
        f"So a product of two places depends on their distance alone: along a diagonal it varies by {facts['drift']:.0e}. "
        f"**Rotary** positions add nothing; they turn queries and keys, and so the *scores* have this property "
        f"(here: {facts['rotary_drift']:.0e})."
    )
k = page.lens("k", "Places k to go on", 1, choices=first["rotation"].ticks["k"])
left, right = st.columns([2, 3])
with left:
    page.show(
        charts.heat,
        first["rotation"].pick(k=k),
        x="before the turn",
        y="after the turn",
        span=(-1, 1),
        title="The rotation R for k places",
        caption="Blocks of two by two: one angle a pair. The same matrix for every place p.",
    )
with right:
    page.show(
        charts.heat,
        first["stripes"],
        x="s",
        y="p",
        beside="line",
        span=(-1, 1),
        title="Products of two places, for all pairs of 24 places",
        caption="Stripes: only the distance counts. Left: the table above with itself, largest for equal places. Right: a "
        f"random query, and a key that is this query turned by {facts['back']} places: from everywhere it looks "
        f"{facts['back']} places back.",
    )
page.show(
    charts.curve,
    first["wavelength"],
    x="pair",
    log=True,
    height=180,
    rules={"the longest row tested below": float(config.tested[-1])},
    title="How long each pair takes to come round",
    caption=f"From 2π to nearly 2π · 10,000 places. Pairs above the line never come round in {config.tested[-1]} places.",
)
page.ledger(
    ("$x$", f"{config.length} × {config.width}", "tokens, embedded"),
    ("sinusoidal", f"{config.length} × {config.width}", "added to x; nothing to learn; any length"),
    ("learned", f"{config.tested[-1]} × {config.width}", "added to x; learned row by row, where training rows reach"),
    (
        "rotary",
        f"{config.length} × {config.width // config.heads}",
        "angles for q and k of each head; nothing to learn; nothing added",
    ),
)
page.badge(facts["agreement"])

st.subheader("Now train them", anchor=False)
page.predict(
    "An encoder learns to reverse ten random digits, without positions. It sees all ten, but not where they stand. How many "
    "answers will be right?",
    ["10 %: chance", "about 29 %", "100 %"],
    right="about 29 %",
    because="The best it can do is to name the commonest of the other nine digits. Its share is 28.6 % on average, and that "
    "can be computed exactly. Sinusoidal and learned positions solve the task.",
)
st.caption(f"**{config.task}:** {TASKS[config.task]}")


def figures(moment):
    facts = moment.facts
    left, right = st.columns(2)
    with left:
        page.losses(moment)
    with right:
        page.course(
            moment,
            "right",
            span=(0, 1.02),
            rules={"best without positions": facts["ceiling"]},
            title="Right answers at the trained length",
            caption=f"On {config.length} tokens that were never trained on. The dotted line is exact: what any model could "
            "reach that sees its own token and the bag of all.",
        )
    head = page.lens("head", "Head", 1, choices=moment["weights"].ticks["head"])
    left, right = st.columns(2)
    with left:
        page.show(
            charts.heat,
            moment["weights"].pick(head=head),
            x="key",
            y="query",
            beside="arm",
            title="Where each token looks, at this moment",
            caption="First layer, first seed, one row that was never trained on.",
        )
    with right:
        page.show(
            charts.curve,
            moment["longer"],
            x="length",
            colour="arm",
            span=(0, 1.02),
            rules={"chance": facts["chance"]},
            title="Longer rows than in training",
            caption=f"Up to {config.length}: all places. Beyond: only places that no training row had. Without new training.",
        )


page.play(run, config, figures)
st.markdown(
    "**Try:** *A bag is enough* asks for the majority of all bits: no positions are the best positions, at every length. · "
    "*Longer rows*: sinusoidal positions are often said to extend to longer rows. Here they do not; rotary ones do, "
    "since a step back is the same turn everywhere. · But rotary scores know distances, not places: one layer cannot *Reverse* "
    "with them. *Two layers* do better."
)
