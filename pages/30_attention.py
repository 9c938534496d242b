"""Self-attention: every word reads a weighted mean of what the others hand on."""

import streamlit as st

from seqcore.experiments.attention import Config, arithmetic, by_hand, five_steps, plane, related, run, source
from view import arcs, charts, digits, page

MAP, VECTORS = dict(x="key", y="query"), dict(x="entry", y="token", beside="matrix")


def square(signal, query, title, caption, **size):
    """A map of queries and keys, with a frame around the query that was chosen."""
    page.show(charts.heat, signal, title=title, caption=caption, frame=query, digits=True, legend=False, **MAP, **size)


def entries(signal, query, title, caption):
    """Vectors of all words, one a row, beside each other."""
    page.show(charts.heat, signal, title=title, caption=caption, frame=query, legend=False, **VECTORS)


def choose(config, picture, *wanted):
    """Which query, at first the most decided one, and where it is wanted which key and which entry of z: from 0."""
    columns, tokens = st.columns(3), picture.facts["tokens"]
    decided = tokens[max(range(config.masked, len(tokens)), key=picture.facts["largest"].__getitem__)]
    with columns[0]:
        query = tokens.index(page.view_option("query", "Query: who reads", decided, choices=tokens))
    key = entry = 0
    if "key" in wanted:
        seen = tokens[: query + 1] if config.masked else tokens
        with columns[1]:
            key = tokens.index(page.view_option("key", "Key: who is read from", tokens[0], choices=seen))
    if "entry" in wanted:
        with columns[1]:
            entry = page.view_option("entry", "Entry of z", 1, 1, config.d_v) - 1
    return query, key, entry


def in_digits(*lines):
    """Sums of numbers, each with its name and with what it comes to. Rounded to two places."""
    rows = (rf"{name} &= {entry.terms} = \mathbf{{{entry.total:.2f}}}" for name, entry in lines)
    st.latex(digits.aligned(rows, "6pt"))


@page.scene(
    *("sentence", "d_k", "masked"),
    presets={
        "A word twice": {},
        "Causal mask": {"masked": True},
        "Longer": {"sentence": "every morning the miller opened the gate and the water came"},
    },
)
def who_reads_what(config):
    """Who reads: each word reads from all words, and its weights say how much from each.

    Every word makes three vectors. Its *query* says what it looks for, its *key* what it can be found by, its *value* what
    it hands on. The better a query and a key match, the more weight the pair gets; the weights of a query add up to 1.
    What the word then reads, z, is the mean of all values with these weights. Nothing is trained here, and the words mean
    nothing to the model: every different word has a random vector.
    """
    picture = page.picture(five_steps, config)
    tokens = picture.facts["tokens"]
    left, right = st.columns(2)
    with left:
        top = st.container()
        query, _, _ = choose(config, picture)
    with top:
        caption = "The orange word reads. An arc leads to each word that it reads from; its thickness is the weight."
        page.drawing(arcs.over_words(picture, query), caption)
    with right:
        caption = "Row: who reads. Column: who is read from. Each row adds up to 1; the frame is the query you chose."
        square(picture["weights"], query, "Attention weights", caption)
    seen = query + 1 if config.masked else len(tokens)
    effective, largest = picture.facts["effective"][query], picture.facts["largest"][query]
    page.metrics(
        Favourite=(picture.facts["favourites"][query], "The word that the chosen query reads most from."),
        Its_weight=(f"{largest:.2f}", f"An even share would be {1 / seen:.2f}."),
        Keys_in_use=(f"{effective:.1f} of {seen}", "e to the entropy of the row: as spread as so many equal weights."),
    )


@page.scene("sentence", "width", "d_k", presets={"d_k = 1": {"d_k": 1}, "d_k = 16": {"d_k": 16}})
def query_and_key(config):
    r"""Scores: two matrices make them of each word, and a dot product says how well they match.

    Step 1 is a matrix product: $q = x W_q^\top$, $k = x W_k^\top$ and $v = x W_v^\top$ for every word's vector x. Step 2
    compares each query with each key, entry by entry: $q \cdot k$, the *score*. The more both vectors point the
    same way, the larger it is. Query and key need the same number of entries, d_k, or they could not be multiplied.
    """
    picture = page.picture(five_steps, config)
    tokens = picture.facts["tokens"]
    pictures = st.container()
    query, key, _ = choose(config, picture, "key")
    with pictures:
        left, right = st.columns(2)
    with left:
        caption = "Each word's vector times W_q, W_k and W_v. Orange is above zero, blue below."
        entries(picture["qkv"], query, "1 · A query, a key and a value each", caption)
    with right:
        square(picture["scores"], query, "2 · Scores q · k", "Row: the query. Column: the key.")
    sums = arithmetic(picture, query, key, 0)
    in_digits(("q_1 = x \\cdot w_1", sums.query), ("q \\cdot k", sums.score))
    st.caption(f"“{page.plain(tokens[query])}” and “{page.plain(tokens[key])}”; w₁ is the first row of W_q.")


@page.scene("sentence", "d_k", "masked", presets={"d_k = 16": {"d_k": 16}, "Causal mask": {"masked": True}})
def softmax(config):
    r"""Softmax: it makes every score positive, and every row add up to 1.

    Step 3 divides the scores by √d_k: a sum of d_k products spreads like √d_k, and this brings it back to about one (the
    next page shows why). Step 4 is the softmax: $e^{s}$ is positive for every score s, and divided by the sum of its row
    it is a share. A *causal mask* takes away what comes later **before** the softmax, so that the rest still adds up to 1.
    """
    picture = page.picture(five_steps, config)
    pictures = st.container()
    query, key, _ = choose(config, picture, "key")
    with pictures:
        left, right = st.columns(2)
    with left:
        square(picture["scaled"], query, "3 · Scores, divided by √d_k", "The same picture on another scale.")
    with right:
        square(picture["weights"], query, "4 · Weights", "Each row adds up to 1.")
    sums = arithmetic(picture, query, key, 0)
    in_digits((r"\text{scaled}", sums.scaled), (r"\text{weight}", sums.weight))
    st.code(source(), language="python", wrap_lines=True)
    st.caption("For all pairs at once, in `seqcore/models/attention.py`. `scale` is 1/√d_k.")


@page.scene("sentence")
def turned(config):
    r"""By hand: the direction of q says which keys match, its length how much weight the best one gets.

    Here d_k = 2, so a key is a point and a query is an arrow. The score $q \cdot k$ is positive on the arrow's side of the
    dashed line, and zero on the line. Turn the arrow with the two sliders: the weights follow,
    $\operatorname{softmax}(q \cdot k / \sqrt{2})$. Make it longer in the same direction: the weight moves to the key that
    lies farthest along it. At (0, 0) all scores are 0, and all weights are equal.
    """
    picture = page.picture(plane, config)
    left, right = st.columns(2)
    with right:
        q_1 = page.view_option("q_first", "Query, entry 1", 0.5, -2.0, 2.0)
        q_2 = page.view_option("q_second", "Query, entry 2", 1.5, -2.0, 2.0)
        moment = by_hand(picture, q_1, q_2)
        tokens = picture["k"].ticks["token"]
        best = page.plain(tokens[moment.facts["favourite"]]) if moment.facts["size"] else "all alike"
        page.metrics(
            Length=(f"{moment.facts['size']:.2f}", "The length of q: twice as long, all scores are twice as large."),
            Best_key=(best, "The key with the largest score has the largest weight."),
            Keys_in_use=(f"{moment.facts['effective']:.1f} of {len(tokens)}", "e to the entropy of the weights."),
        )
    with left:
        caption = "Points: keys, larger with more weight. Arrow: the query. A word that comes twice has one key."
        page.drawing(arcs.plane(moment), caption)


@page.scene("d_k", "d_v", presets={"Narrow values": {"d_v": 2}, "Wide values": {"d_v": 12}})
def values(config):
    r"""Values: their length d_v is free, because values are only averaged.

    Step 5: a word reads $z = \sum_j w_j v_j$, the values weighted with its row. Queries and keys are multiplied with each
    other, so they share d_k. Values are multiplied by plain numbers, so d_v may be anything; z is as long as a value.
    """
    picture = page.picture(five_steps, config)
    n = len(picture.facts["tokens"])
    pictures = st.container()
    query, _, entry = choose(config, picture, "entry")
    with pictures:
        left, right = st.columns(2)
    with left:
        caption = "Left: what each word hands on. Right: its rows, averaged with each row of weights."
        entries(picture["mixed"], query, "5 · Values v, and what is read, z", caption)
        st.latex(
            rf"z = \operatorname{{softmax}}\!\left(\frac{{q\,k^\top}}{{\sqrt{{{config.d_k}}}}}\right) v"
            rf"\qquad ({n} \times {config.d_k})({config.d_k} \times {n})({n} \times {config.d_v})"
        )
    with right:
        page.ledger(
            ("x", f"({n}, {config.width})", "one vector a word"),
            ("W_q, W_k", f"({config.d_k}, {config.width})", "queries and keys share d_k"),
            ("W_v", f"({config.d_v}, {config.width})", "values may have another length"),
            ("q, k", f"({n}, {config.d_k})", "what a word looks for, and what it is found by"),
            ("scores, weights", f"({n}, {n})", "a row for each query, a column for each key"),
            ("v, z", f"({n}, {config.d_v})", "what a word hands on, and what it reads"),
        )
    in_digits((f"z_{{{entry + 1}}}", arithmetic(picture, query, query, entry).read))
    page.badge(picture.facts["agreement"])


@page.scene("sentence", "masked", presets={"A word twice": {}, "With a mask": {"masked": True}})
def no_order(config):
    """No order: nothing here says where a word stands.

    Attention compares words and adds up values.

    Neither a dot product nor a sum knows an order. To tell two places apart,
    something has to break the symmetry: a causal mask does, and so do positions, which are added on a later page.
    """
    picture = page.picture(five_steps, config)
    twice, apart = picture.facts["twice"], picture.facts["apart"]
    if twice is None:
        st.info("No word comes twice in your sentence. Write one of them again.")
        return
    first, second = (page.plain(token) for token in twice)
    asked = page.question(
        f"One word comes twice in the sentence: “{first}” and “{second}”. Do its two places read the same thing?",
        ["Exactly the same", "Nearly the same", "Something else"],
    )
    if not asked:
        return
    left, right = st.columns(2)
    row = picture.facts["tokens"].index(twice[1])
    with left:
        square(picture["weights"], row, "Attention weights", "The frame is the second place of the word.")
    with right:
        caption = "Compare the rows of the two places."
        page.show(charts.heat, picture["z"], x="entry", y="query", frame=row, title="What is read, z", caption=caption)
    same = "The same word has the same query, and it meets the same keys and values."
    why = "With the mask the first place sees fewer words than the second." if config.masked and apart >= 1e-6 else same
    told = f"The largest difference between what the two places read is {apart:.2g}. {why}"
    verdict = "Exactly the same" if apart < 1e-6 else "Nearly the same" if apart < 0.01 else "Something else"
    asked.answer(verdict, told)


CURVES = {  # what can be followed: a signal, what equal weights and a guess reach, how it is drawn
    "score": ("right", "ceiling", "chance", dict(span=(0, 1), height=230, title="Right answers on held-out rows")),
    "loss": ("loss", "even", "baseline", dict(height=230, title="Loss")),
}


@page.scene(
    *("length", "d_k", "d_v", "optimiser", "rate", "steps"),
    presets={"16 tokens": {"length": 16}, "d_k = 1": {"d_k": 1}, "d_k = 2": {"d_k": 2}, "d_v = 1": {"d_v": 1}},
)
def relation(config):
    """Trained: self-attention learns which token of the same sequence it has to read.

    Each letter stands in the row twice, as a capital and as a small letter, each with a digit from 0 to 3. Every token must
    name the digit of its other copy: A3 and a1 answer 1 and 3. Queries, keys and values are all made from the same tokens.
    Places are random; only letter and case say where to look. With equal weights all tokens of a row read the same mean, so
    all give the same answer. Best is the most frequent digit; the line *equal weights at best* says how often it is right.
    """

    def figures(moment):
        facts = moment.facts
        left, right = st.columns(2)
        with right:
            caption = f"One held-out row. The weight on the other copy is {facts['found']:.2f} on average, in all rows."
            square(moment["weights"], None, "Attention weights while it learns", caption, height=230)
            name, most, guess, options = CURVES[page.view_option("curve", "Curve", "score", choices=CURVES)]
        with left:
            rules = {"equal weights at best": facts[most], "guess": facts[guess]}
            page.progress(moment, name, rules=rules, caption=f"Equal weights at best: {facts[most]:.2f}.", **options)

    page.play(related, config, figures)
    st.caption(
        "W_q and W_k differ: A looks for a, and is found as A. At d_k = 1 only the largest or smallest key can win."
    )


LOOKS = {  # what can be looked at while it trains, of the first seed: a signal, a caption, its axes
    "weights": ("weights", "Every letter is asked for; its key is on the diagonal.", MAP | {"beside": "arm"}),
    "scores": ("scaled", "q · k / √d_k. The largest grows with training.", MAP),
    "values": ("mixed", "In the end a row of z is the row of v it looks for.", VECTORS),
}


@page.scene(
    *("d_k", "d_v", "pairs", "optimiser", "rate", "steps"),
    presets={
        "d_k = 1": {"d_k": 1},
        "d_v = 1": {"d_v": 1},
        "12 pairs": {"pairs": 12},
        "SGD": {"optimiser": "SGD", "rate": 1.0},
    },
)
def lookup(config):
    """Lookup, trained: where to look is not given; the head learns it by descending the loss.

    A memory holds pairs of a letter, which is a random vector, and a digit from 0 to 5. One letter is asked for; the model
    must name its digit. The letter makes q and k, the digit makes v. A second model has all weights equal: it reads the
    plain mean of the values. The loss is in *nats*: −ln of the probability of the right digit.
    """
    asked = page.question(
        "Before training, each row of weights is as uneven as chance makes it. What does the map look like at the end?",
        ["No clear pattern", "One bright column", "One bright cell a row"],
    )
    if not asked:
        return

    def figures(moment):
        left, right = st.columns(2)
        with left:
            page.losses(moment, height=220)
        with right:
            look = page.view_option("look", "Look at", "weights", choices=LOOKS)
            name, caption, axes = LOOKS[look]
            page.show(charts.heat, moment[name], caption=caption, height=220, **axes)
        if moment.step == config.steps:
            own, column = moment.facts["right"], moment.facts["column"]
            verdict = (
                "One bright cell a row" if own > 0.5 else "One bright column" if column > 0.5 else "No clear pattern"
            )
            asked.answer(verdict, f"On average {own:.0%} of a row's weight is on the key that was asked for.")

    page.play(run, config, figures)
    st.caption("At d_k = 1 only the largest or smallest key can get most weight; at d_v = 1 it takes over 300 steps.")


@page.scene("sentence", "d_k", "d_v", "masked")
def practice(config):
    """Practice: make the weights do what you want.

    The picture follows your sentence and your knobs.
    """
    picture = page.picture(five_steps, config)
    n, least = len(picture.facts["tokens"]), min(picture.facts["effective"])

    def even():
        if config.masked:
            return False, "Turn the causal mask off."
        if n < 4:
            return False, f"The sentence has {n} words, fewer than four."
        return least > n - 0.001, f"The least even row is as spread as {least:.2f} of {n} equal weights."

    left, right = st.columns(2)
    with left:
        page.mission("write four words or more so that every weight is exactly the same.", even)
    with right:
        square(picture["weights"], None, "Your attention weights", "")
    page.exercise(
        "Which two sizes must agree?",
        {
            "d_k of queries and d_k of keys": "They are multiplied entry by entry.",
            "d_k and d_v": "Values are never multiplied with queries or keys; d_v is free.",
            "d_v and d_model": "Only where a residual connection adds z to x, and there another matrix brings it to size.",
        },
        right="d_k of queries and d_k of keys",
    )
    page.exercise(
        "Under the causal mask, how much weight does the first word put on itself?",
        {
            "1": "It sees nothing else, and its weights add up to 1.",
            "1 / n": "That would be an even share among all n words; it may see one.",
            "It depends on the score": "A softmax over one number is 1, whatever the number is.",
        },
        right="1",
    )
    page.exercise(
        "All weights are set equal, and the values are trained. What does every query read?",
        {
            "the mean of all values": "Each value has the weight 1/n. That is why the second model cannot name the digit.",
            "its own value": "For that its whole weight would have to be on itself.",
            "nothing": "Weights add up to 1, so something is always read.",
        },
        right="the mean of all values",
    )


page.lesson(
    __doc__, Config, who_reads_what, query_and_key, softmax, turned, values, no_order, relation, lookup, practice
)
