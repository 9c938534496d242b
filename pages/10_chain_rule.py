"""Conditional probability: a sentence's probability is the product of next-character probabilities.

Models differ only in what they keep of the past: all of it, the last τ characters, the last one, or a state.
"""

import streamlit as st

from seqcore.experiments.chain_rule import Config, factors, orders, own_text, padding, run
from view import charts, page

HEART = "the river ran past the old mill"


def along(config):
    """The places of the sentence's characters, for an axis."""
    return 1, len(config.letters)


@page.scene(
    *("sentence", "order", "smoothing"),
    presets={
        "A new sentence": {},
        "Known by heart": {"sentence": HEART, "smoothing": 0.0},
        "Spelled backward": {"sentence": "egdirb eht no reh tem rellim eht"},
        "No smoothing": {"smoothing": 0.0},
    },
)
def factor_by_factor(config):
    r"""Factors: give each character its probability after those before it, and multiply.

    $P(x_1 \dots x_T) = \prod_t P(x_t \mid x_1 \dots x_{t-1})$ holds for every sequence and every model; it is the *chain
    rule* of probability. Here three models have counted what follows what in a short story. They differ in the past that
    they look at: all of it, the last τ characters, or the last one.

    A product of many factors soon becomes tiny. The **perplexity** is easier to read: one over the (geometric) mean factor,
    the number of equally likely characters the model is choosing between.
    """
    picture = page.picture(factors, config)
    facts, following = picture.facts, picture["next"].sel(model="order τ")
    left, right = st.columns(2)
    with left:
        caption = "The model of order τ. The first characters have a shorter past. ␣ is the space."
        title = "P(character | the last τ before it)"
        page.show(charts.bars, following, x="time", span=(0, 1), height=230, title=title, caption=caption)
    with right:
        caption = "The product of all factors so far. A line that ends has met a factor of zero."
        options = dict(x="time", colour="model", log=True, across=along(config), height=230)
        page.show(
            charts.curve, picture["sofar"], title="Multiplied up: the sentence so far", caption=caption, **options
        )
    shown = r" \cdot ".join(f"{value:.3f}" for value in following.values[:5])
    mantissa, exponent = f"{facts['product']:.1e}".split("e")
    st.latex(rf"P(\text{{sentence}}) = {shown} \cdots = {mantissa} \times 10^{{{int(exponent)}}}")
    page.metrics(
        Log_of_the_product=(
            f"{facts['log_sum']:.1f}",
            "Σ ln P, order τ. A long product becomes 0, its logarithm does not.",
        ),
        Perplexity_order_τ=(f"{facts['order τ']:.2f}", "e to the mean of −ln P: one over the (geometric) mean factor."),
        Perplexity_order_1=(f"{facts['order 1']:.2f}", "The same sentence, looking at one character of the past."),
        Perplexity_full_history=(f"{facts['full history']:.2f}", "The same sentence, looking at all of the past."),
    )


@page.scene(
    *("order", "smoothing", "unseen", "text"),
    presets={"τ = 8": {"order": 8}, "τ = 8, backing off": {"order": 8, "unseen": "shorter"}},
)
def best_order(config):
    r"""Best order: long contexts are seen once or never, so there is too little to count.

    Counting estimates $P(x \mid c) = (n(c, x) + \alpha) / (n(c) + \alpha V)$: how often x followed the context c, where V
    is the number of characters in the alphabet and α the smoothing.

    A longer context says more about the next character. But of long contexts most occur a single time, and a new text
    brings contexts that never occurred.
    """
    with st.sidebar:
        page.upload("Or a text file of yours", "text", own_text, ("txt", "md", "csv", "srt"))
    asked = page.question(
        "The context grows from 0 to 8 characters. What does the perplexity of a text do that was not counted?",
        ["It falls all the way", "It falls, then rises", "It rises all the way"],
    )
    if not asked:
        return
    picture = page.picture(orders, config)
    facts, perplexity = picture.facts, picture["perplexity"].sel(line="held-out text").values
    best = facts["best_order"]
    left, right = st.columns(2)
    with left:
        caption = (
            "Seen once: contexts that occur a single time. Unseen: characters of the held-out text, the last 15 %, whose "
            "context never occurred. Impossible: those that never followed theirs."
        )
        title = "What becomes of contexts as they grow"
        options = dict(x="context", colour="line", span=(0, 1), across=(0, 8), height=230)
        page.show(charts.curve, picture["collapse"], title=title, caption=caption, **options)
    with right:
        caption = (
            "Always of the same characters. A missing point is infinite: something happened that had probability 0."
        )
        options = dict(x="order", colour="line", log=True, across=(0, 8), height=230)
        page.show(charts.curve, picture["perplexity"], title="Perplexity by order", caption=caption, **options)
    shares = picture["collapse"]
    once, unseen = (shares.sel(line=name).values[-1] for name in ("seen once", "unseen"))
    asked.answer(
        asked.choices[2 if best == 0 else 0 if best == len(perplexity) - 1 else 1],
        f"It is {perplexity[0]:.1f} without any context, {facts['best']:.2f} at order {best} and {perplexity[-1]:.1f} at "
        f"order 8. Of contexts of length 8, {once:.0%} are seen once, and {unseen:.0%} of those of a new text never.",
    )
    with st.expander("The same as a table"):
        st.dataframe(
            {
                "order": list(picture["perplexity"].ticks["order"]),
                "counted text": picture["perplexity"].sel(line="text it has read").values,
                "held-out text": perplexity,
                "distinct contexts": facts["contexts"],
                **{name: shares.sel(line=name).values for name in shares.ticks["line"]},
            },
            hide_index=True,
        )
        st.caption(
            f"Of whole pasts there are {facts['distinct']:,} different ones for {facts['predictions']:,} predictions: each has "
            "another length, so none can come twice."
        )


@page.scene("cell", "hidden", "embedding", "seed")
def padding_and_mask(config):
    """Padding: rows are filled up to one length, and the loss must leave the filling out.

    Sentences differ in length, but a network reads many at once, as one rectangle. Short rows are filled up with a symbol
    that means nothing, ∅. The **mask** says which cells are characters. If the loss also averages over ∅, a model is paid
    for predicting ∅ after ∅, which is easy.
    """
    picture = page.picture(padding, config)
    facts = picture.facts
    left, right = st.columns(2)
    with left:
        st.code(facts["rows"], language=None)
        caption = "The mean is taken over the coloured cells. A row of n characters has n − 1 answers: the first is only read."
        page.show(
            charts.heat, picture["mask"], x="time", y="row", height=170, legend=False, title="Its mask", caption=caption
        )
    with right:
        caption = (
            "A model of order 1 that has counted these rows, padding included. It gets no better with more padding; averaged "
            "over all cells, its perplexity falls towards 1."
        )
        title = "Perplexity of one model, told in two ways"
        page.show(
            charts.curve,
            picture["told"],
            x="extra",
            colour="line",
            across=(0, 60),
            height=230,
            title=title,
            caption=caption,
        )
    page.metrics(
        Padding=(f"{facts['padded']:.0%}", "Of the cells of the batch on the left."),
        Masked_loss_is_off_by=(
            f"{facts['loss_gap']:.0e}",
            "|loss of the padded batch − loss of its rows, one by one|.",
        ),
        Masked_gradient_is_off_by=(
            f"{facts['gradient_gap']:.0e}",
            "‖g − g₀‖ / ‖g₀‖; g₀ is the gradient without padding.",
        ),
        With_padding_counted=(f"{facts['gradient_counted']:.0%}", "‖g − g₀‖ / ‖g₀‖ where the loss counts the padding."),
    )
    st.caption(
        f"The last three: an untrained {config.cell} reads the batch, and the same rows one by one without padding."
    )


@page.scene(
    *("hidden", "cell", "order", "length", "rate", "steps"),
    presets={"LSTM": {}, "GRU": {"cell": "GRU"}, "RNN": {"cell": "RNN"}, "Window of 8": {"order": 8}},
)
def trained(config):
    """Trained: a state that sums up the whole past predicts better than every count.

    Two networks learn the same story. One sees a window of τ characters. The other is a *latent* model: it carries a state,
    a vector that is updated with every character, so nothing is cut off. The story is short, and after a while both
    networks learn it by heart: the loss on training text still falls, the perplexity of the held-out text rises. So the
    best moment counts, not the last.
    """

    def figures(moment):
        facts = moment.facts
        left, right = st.columns(2)
        with left:
            caption = "In nats, which are units of −ln P, a character; line: median, band: range of the seeds."
            page.losses(moment, caption, height=230)
        with right:
            caption = "Solid: now. Dashed: the lowest so far. Dotted: what counting reaches."
            references = page.picture(orders, config).facts["references"]
            options = dict(rules=references, height=230, title="Perplexity of the held-out text", caption=caption)
            curves = moment["perplexity"], moment["best"]
            page.show(charts.curve, *curves, x="step", colour="arm", log=True, across=(0, config.steps), **options)
        page.metrics(
            Lowest_perplexity=(f"{facts['best']:.2f}", f"Held out, of the {config.cell}; the median over seeds."),
            Reached_at_step=(f"{facts['best_at']}", "What comes later is learned by heart."),
        )

    page.play(run, config, figures)
    rows = f"{config.batch}, {config.length}"
    with st.expander("Shapes"):
        page.ledger(
            ("characters x", f"({rows})", "a batch of windows of the text"),
            ("embedded e(x)", f"({rows}, {config.embedding})", "each character as a vector"),
            ("states h", f"({rows}, {config.hidden})", "the past of each character, always of this size"),
            (
                "logits y",
                f"({rows}, {len(set(config.corpus))})",
                "a number for each that may be next; the first τ − 1 answers do not count",
            ),
        )


@page.scene("sentence", "cell", "rate", "steps")
def trained_on_yours(config):
    """Your sentence, trained: while the network learns, its factors change, and the counts stay.

    The same training, looked at through your sentence. At the first character the network has no past, and takes the
    character's frequency. A sentence of the story itself becomes ever more likely; a new one mostly becomes less likely
    again once the network learns the story by heart.
    """

    def figures(moment):
        left, right = st.columns(2)
        with left:
            caption = "A row a model; darker: more probable. The network of the first seed."
            options = dict(x="time", y="model", height=230, title="P(character | past)", caption=caption)
            page.show(charts.heat, moment["next"], **options)
        with right:
            options = dict(x="time", colour="model", log=True, across=along(config), height=230)
            page.show(
                charts.curve, moment["sofar"], title="The sentence so far", caption="Higher is better.", **options
            )
        st.markdown(f"Perplexity of your sentence: **{moment.facts['sentence']:.2f}**. The network writes:")
        st.code(moment.facts["written"], language=None, wrap_lines=True)

    page.play(run, config, figures)


@page.scene("sentence", "order", "smoothing", "unseen")
def practice(config):
    """Practice: make a sentence certain.

    The model of the whole past has counted the beginnings of one story, and of nothing else.
    """
    picture = page.picture(factors, config)
    perplexity = picture.facts["full history"]

    def certain():
        return perplexity < 1.005, f"Its perplexity of your sentence is {perplexity:.4g}; certain is 1."

    left, right = st.columns(2)
    with left:
        page.mission("find a sentence and a smoothing for which the model of the full history is certain.", certain)
    with right:
        options = dict(x="time", colour="model", log=True, across=along(config), height=190)
        page.show(charts.curve, picture["sofar"], title="The sentence so far", **options)
    page.exercise(
        "Three models have counted the same story. Which finds a new sentence least likely?",
        {
            "The whole past": "After a few characters its past is one that never occurred: from then on it can only guess, "
            "1 of 27, again and again.",
            "The last few characters": "It has seen most contexts of three characters before, and so it does best.",
            "The last character": "It says little, but the model has seen every such past: it never has to guess.",
        },
        right="The whole past",
    )
    page.exercise(
        "A network's training loss still falls, and its perplexity on held-out text rises. What does it do?",
        {
            "It learns the text by heart": "What helps on the text it reads no longer helps on any other.",
            "Its learning rate is too high": "Then the training loss would not go on falling.",
            "It forgets": "It remembers more and more: of the text it trains on.",
        },
        right="It learns the text by heart",
    )
    page.exercise(
        "One model is measured on two batches of the same sentences, the second with more padding, which is counted. What "
        "happens to its perplexity?",
        {
            "It falls": "After ∅ comes ∅, which is nearly certain: each such cell pulls the mean towards 1.",
            "It stays": "It stays if the padding is masked. Counted, it takes part in the mean.",
            "It rises": "That would need cells that are hard to predict; ∅ after ∅ is the easiest of all.",
        },
        right="It falls",
    )


page.lesson(__doc__, Config, factor_by_factor, best_order, padding_and_mask, trained, trained_on_yours, practice)
