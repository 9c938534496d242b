"""Self-attention in five steps: a query reads a weighted mean of the values.

Every token asks with its query, is found by its key and hands on its value. How well a query and a key match is one
dot product; a softmax turns a row of them into shares; the values are averaged with these shares.
"""

import streamlit as st

from seqcore.experiments.attention import Config, arithmetic, before, run
from view import charts, page

PRESETS = {
    "A word twice": {},
    "Causal mask": {"masked": True},
    "Longer": {"text": "every morning the miller opened the gate and the water came"},
    "d_k = 1": {"d_k": 1},
    "Narrow values": {"d_v": 2},
    "SGD": {"optimiser": "SGD", "rate": 1.0},
}

page.head(__doc__)
page.predict(
    "In “the cat saw the dog” one word comes twice. Do its two places read the same thing?",
    ["Exactly the same", "Nearly the same", "Something else"],
    right="Exactly the same",
    because="The same word has the same query, and it meets the same keys and values. Nothing here says where a word stands: "
    "rows 1 and 4 are equal in all five panels. With the causal mask they are not, for the first sees only itself.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
tokens = first.facts["tokens"]

panels = st.container()
left, middle, right = st.columns(3)
with left:
    query = tokens.index(page.lens("query", "Query: who reads", tokens[len(tokens) // 2], choices=tokens))
seen = tokens[: query + 1] if config.masked else tokens
with middle:
    key = tokens.index(page.lens("key", "Key: who is asked", tokens[0], choices=seen))
with right:
    entry = page.lens("entry", "Entry of z", 1, 1, config.d_v) - 1
digits = arithmetic(first, query, key, entry)

with panels:
    look = dict(legend=False, height=max(190, 80 + 20 * len(tokens)))
    square = dict(x="key", y="query", frame=query, digits=len(tokens) <= 7, **look)
    narrow = dict(x="entry", digits=config.d_v <= 6, **look)
    left, middle, right = st.columns([1.35, 1, 1])
    with left:
        page.show(
            charts.heat,
            first["qkv"],
            x="entry",
            y="token",
            beside="matrix",
            frame=query,
            title="1 · A query, a key and a value each",
            caption="Each token's vector times W_q, W_k and W_v. Orange is above zero, blue below.",
            **look,
        )
    with middle:
        page.show(
            charts.heat,
            first["scores"],
            title="2 · Scores q · k",
            caption="Row: who asks. Column: who is asked.",
            **square,
        )
    with right:
        page.show(
            charts.heat,
            first["scaled"],
            title="3 · Divided by √d_k",
            caption="The same picture, smaller numbers.",
            **square,
        )
    left, middle, right = st.columns([1, 1, 1])
    with left:
        page.show(
            charts.heat,
            first["weights"],
            title="4 · Softmax: weights",
            caption="Each row sums to 1. The frame is the query you chose.",
            **square,
        )
    with middle:
        page.show(charts.heat, first["v"], y="token", title="× values v", caption="What each token hands on.", **narrow)
    with right:
        page.show(
            charts.heat,
            first["z"],
            y="query",
            frame=query,
            title="5 · = what is read, z",
            caption="Each row: the rows of v, averaged with a row of weights.",
            **narrow,
        )

page.tell(
    Favourite=(first.facts["favourites"][query], f"The token that “{tokens[query]}” reads most from."),
    Its_weight=(f"{first.facts['largest'][query]:.2f}", f"An even share would be {1 / len(seen):.2f}."),
    Keys_in_use=(
        f"{first.facts['effective'][query]:.1f} of {len(seen)}",
        "e to the entropy of the row: as spread as so many equal weights.",
    ),
)
st.latex(
    rf"z = \operatorname{{softmax}}\!\left(\frac{{q\,k^\top}}{{\sqrt{{{config.d_k}}}}}\right) v"
    rf"\qquad ({len(tokens)} \times {config.d_k})({config.d_k} \times {len(tokens)})"
    rf"({len(tokens)} \times {config.d_v}) \to ({len(tokens)} \times {config.d_v})"
)
st.markdown(
    f"**In digits:** “{tokens[query]}” asks “{tokens[key]}”, and entry {entry + 1} of what it reads. Rounded to two places."
)
st.latex(
    r"\begin{aligned}"
    rf"q \cdot k &= {digits.score.terms} = \mathbf{{{digits.score.total:.2f}}} \\[6pt]"
    rf"\text{{scaled}} &= {digits.scaled.terms} = \mathbf{{{digits.scaled.total:.2f}}} \\[6pt]"
    rf"\text{{weight}} &= {digits.weight.terms} = \mathbf{{{digits.weight.total:.2f}}} \\[6pt]"
    rf"z_{{{entry + 1}}} &= {digits.read.terms} = \mathbf{{{digits.read.total:.2f}}}"
    r"\end{aligned}"
)
st.caption(
    "The vectors are drawn from a seed, one for every different word: nothing is trained, and the words mean nothing here. "
    "The arithmetic is real: hover over a cell for its number."
)
page.ledger(
    ("x", f"({len(tokens)}, {config.width})", "one vector a token"),
    ("W_q, W_k", f"({config.d_k}, {config.width})", "q and k share d_k, or they could not be multiplied"),
    ("W_v", f"({config.d_v}, {config.width})", "v may have another length"),
    ("q, k", f"({len(tokens)}, {config.d_k})", "what a token looks for, and what it is found by"),
    ("scores, weights", f"({len(tokens)}, {len(tokens)})", "a row for each query, a column for each key"),
    ("v, z", f"({len(tokens)}, {config.d_v})", "what a token hands on, and what it reads"),
)
page.badge(first.facts["agreement"])

st.subheader("Now train it", anchor=False)
st.markdown(
    f"A memory of {config.pairs} pairs: a letter that is a random vector, and a digit from 0 to 5. One letter is asked for; "
    "the model must name its digit. The letter makes q and k, the digit makes v. A second model has all weights equal: it "
    "reads the plain mean of the values."
)
page.predict(
    "Untrained, each row of weights is as uneven as chance makes it. What does the map look like once the head answers rightly?",
    ["As before", "One bright column", "One bright cell a row"],
    right="One bright cell a row",
    because="The answer is the digit of one letter, so the best mean of the values has all its weight there. Nobody told the "
    "head where to look: it found that by descending the loss.",
)


def figures(moment):
    left, right = st.columns(2)
    with left:
        page.losses(moment)
    with right:
        page.show(
            charts.heat,
            moment["weights"],
            x="key",
            y="query",
            beside="arm",
            title="4 · The weights: every letter of one memory is asked for",
            caption="A memory that was never trained on, first seed. The right key stands on the diagonal. Equal weights stay "
            "equal.",
        )
    left, right = st.columns(2)
    with left:
        page.show(
            charts.heat,
            moment["scaled"],
            x="key",
            y="query",
            title="3 · Scores divided by √d_k",
            caption="What the softmax is given. The colour's limits follow the largest score, which grows with training.",
        )
    with right:
        page.show(
            charts.heat,
            moment["mixed"],
            x="entry",
            y="token",
            beside="matrix",
            title="5 · The values, and what each letter's query reads",
            caption="When a query has all its weight on one key, its row of z is that key's row of v: the two maps become one.",
        )


page.play(run, config, figures)
st.markdown(
    "**Try:** turn on the mask: the first word can only read itself, so its weight is 1. · Write one word several times: all "
    "weights are equal. · Set d_k = 1 and train: one number a key is too few to tell six letters apart. · Set d_v = 1: "
    "the weights still find the right key, but one number names six digits unsurely."
)
