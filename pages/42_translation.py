"""Encoder-decoder: it finds out by itself where to look.

One network reads, another writes, and attention joins them. Pairs of texts are all it is given.
"""

import streamlit as st

from seqcore.experiments.translation import Config, examples, pairs, run, stack, translate, untrained, writing
from view import charts, page
from view import stack as draw

OWN = {
    "reverse": ("digits", "Digits to reverse"),
    "sort": ("unsorted", "Digits to sort"),
    "numbers": ("number", "A number from one to nine hundred and ninety-nine"),
    "dates": ("date", "A date from 1950 to 2049"),
}
SAMPLES = {
    "Reverse": {},
    "Sorting needs no order": dict(task="sort", shorter=4, heads=4, batch=64, steps=500, seeds=1),
    "Spelled numbers": dict(task="numbers", heads=4, steps=400, seeds=1),
    "Dates": dict(task="dates", heads=4, steps=500, seeds=1),
}
SMALL = {"No encoder layer": dict(shorter=4, encoder_layers=0, batch=64, steps=400, seeds=1, beside="nothing else")}
PADDING = {"Padding": dict(shorter=4, heads=4, batch=64, steps=500, seeds=1, beside="no padding mask")}
TRAINING = ("length", "width", "heads", "task", "shorter", "beside", "rate", "steps")


@page.scene("length", "task", "shorter", presets=SAMPLES | {"Mixed lengths": {"shorter": 4}})
def two_texts(config):
    """Two texts: what is written may have another length, and another alphabet, than what is read.

    A network of fixed size maps so many numbers to so many numbers. Here an *encoder* reads a text of any length, and a
    *decoder* writes another one, symbol by symbol, until it writes the end sign. Nobody tells it which place of the input
    belongs to which output. For some tasks the pairs themselves know (the map): one place tells all about a symbol. With
    mixed lengths no fixed place tells a digit; the length has to be known first.
    """
    picture, found = page.picture(pairs, config), page.picture(examples, config).facts["examples"]
    left, right = st.columns([2, 3])
    with left:
        page.show(
            charts.heat,
            picture["known"],
            x="input",
            y="output",
            title="What the pairs say: where the answer stands",
            caption="Share of an output symbol's uncertainty that one input place alone takes away: 2,000 pairs of the task "
            f"{config.task}, without a model. The last output is the end sign.",
        )
    with right:
        page.table(
            ("", "read", "write", "length"),
            *((name, f"`{x}`", f"`{y}`", f"{len(x)} → {len(y)}") for name, (x, y) in found.items()),
        )
        read, written = map(len, picture.facts["characters"])
        page.metrics(
            Characters_read=(f"{read}", "How many different ones the sources of this task have."),
            Characters_written=(f"{written}", "How many different ones its targets have, without the end sign."),
        )


@page.scene("length", "width", "heads", "task", "encoder_layers", "decoder_layers", presets=SAMPLES)
def who_asks(config):
    r"""Who asks whom: queries come from the decoder, keys and values from the encoder.

    The encoder's output is the *memory*: a vector for each place of the source. Each place of the decoder makes a query; keys
    and values are made from the memory. No causal mask is needed here: the whole source is known. The mask M is 0 at
    *padding*, which fills up short sources, and 1 elsewhere. Before training the weights differ by chance only.
    """
    sizes, first, whole = (
        page.picture(pairs, config).facts,
        page.picture(untrained, config),
        page.picture(stack, config),
    )
    S, T, d_k, h = sizes["inputs"], sizes["outputs"], config.d_k, config.heads
    left, right = st.columns([4, 5], gap="medium")
    with left:
        last = len(whole.facts["written"])
        symbol = page.view_option("symbol", "The decoder writes symbol", min(3, last), 1, last)
        page.drawing(
            draw.transformer(writing(whole, symbol)),
            "Untrained. Numbers: root mean square of all entries there. Bars: weights of the last cross-attention, mean of the "
            "heads; the longest is the largest.",
        )
    with right:
        written = f"“{page.plain(first.facts['written'])}”" if first.facts["written"] else "nothing"
        page.show(
            charts.heat,
            first["untrained"],
            x="input",
            y="output",
            title="Where a model looks that has learned nothing",
            caption=f"Attention of the decoder, random weights, mean of the heads. It writes {written}.",
            height=220,
        )
        st.latex(rf"A = \text{{softmax}}\!\left(\frac{{Q K^\top}}{{\sqrt{{{d_k}}}}} + \log M\right)")
        page.ledger(
            ("Q", f"(B, {h}, {T}, {d_k})", "from the decoder; B rows"),
            ("K, V", f"(B, {h}, {S}, {d_k})", "from the encoder"),
            ("A", f"(B, {h}, {T}, {S})", "each row adds up to one"),
            ("M", f"(B, 1, 1, {S})", "padding mask"),
        )
    page.metrics(
        Weights=f"{first.facts['parameters']:,}",
        Knows_nothing=(
            f"{sizes['baseline']:.3f} nats",
            "A symbol, for a decoder that does not look at the source.",
        ),
    )
    page.badge(first.facts["agreement"])


def reading(config, moment, edited):
    """The reader's own text, as the model of this moment reads it: by itself, and where wanted with a row set by hand."""
    if "parameters" not in moment:
        st.info("Weights are kept of the newest moment only: move on to the newest step to let it read.", icon="⏭️")
        return
    sizes, drawn = page.picture(pairs, config).facts, st.container()
    columns = st.columns(4 if edited else [3, 2, 4, 1])
    row, place, arm = 1, 1, config.arms[0]
    with columns[0]:
        text = page.view_option(*OWN[config.task], config.sample, high=40)
    with columns[1]:
        head = page.view_option("head", "Head", 1, 1, config.heads)
    with columns[2]:
        if edited:
            row = page.view_option("row", "While it writes symbol", 2, 1, sizes["outputs"])
        else:
            arm = page.view_option("arm", "Model", arm, choices=config.arms)
    with columns[3]:
        if edited:
            place = page.view_option("look", "make it look at place", 1, 1, sizes["inputs"])
    try:
        told = translate(moment, arm, text, head - 1, 0, row - 1, place - 1)
    except ValueError as wrong:
        st.warning(f"{page.plain(wrong)}. Write something else; the training goes on.", icon="✏️")
        return
    facts, maps = told.facts, dict(x="input", y="output", height=170, legend=False)
    wanted = facts["wanted"]
    verdict = "" if wanted is None else " ✓" if wanted == facts["written"] else f" ✗ wanted `{wanted}`"
    left, right = drawn.columns(2) if edited else (drawn, None)
    with left:
        st.markdown(f"by itself it writes `{facts['written'] or 'nothing'}`{verdict}")
        caption = f"Where this head looks while it writes, by the weights of step {moment.facts['measured']}. Dots are padding."
        page.show(charts.heat, told["weights"], caption=caption, **maps)
    if edited:
        with right:
            st.markdown(f"with the row set by hand `{facts['rewritten'] or 'nothing'}`")
            caption = (
                f"While it writes symbol {row} it may read place {place} alone. Later symbols follow what was written."
            )
            page.show(charts.heat, told["edited"], caption=caption, **maps)


@page.scene(*TRAINING, presets=SAMPLES | SMALL)
def trained(config):
    """Trained: weight on a wrong place costs loss, and so the map forms.

    Pairs are all that the model sees. Another model is trained beside it.

    Without positions a model sees all places alike: it can know which digits there are, but not where. *Sorting* needs no
    order, and it learns that. *Dates*: look at the years it writes. With *No encoder layer* the map cannot settle, since no
    place knows how long the source is.
    """
    reverses = config.task == "reverse" and not config.shorter
    asked = reverses and page.question(
        "After some seconds of training on strings to reverse, what does the attention map look like?",
        ["evenly grey", "the diagonal from the top left", "the other diagonal"],
    )
    if reverses and not asked:
        return

    def figures(moment):
        left, right = st.columns([2, 3])
        with left:
            page.losses(moment, height=170)
        with right:
            reading(config, moment, edited=False)
        if reverses and moment.step == config.steps:
            found, mass = (
                moment["aligned"].sel(arm=config.arms[0], line=line).values.min() for line in ("found", "mass")
            )
            told = f"{found:.0%} of all symbols are read mostly from the place the digit stands at, with weight {mass:.2f}."
            asked.answer("the other diagonal" if found > 0.5 else "evenly grey", f"{told} Both: the worst seed.")

    page.play(run, config, figures)


@page.scene(*TRAINING, presets=SAMPLES)
def look_elsewhere(config):
    """Trained, edited: if the symbol follows where it is made to look, the map is a cause.

    One row of the map is set by hand: while the model writes one symbol, the head may read one place alone. In *Reverse*
    symbol 2, made to look at place 1, becomes the first digit of the input. Later symbols may change too, since they are
    written after others. A clean map alone is no proof: a model without a causal mask has one as well, and cannot write
    (see the page *Decoder*).
    """
    page.play(run, config, lambda moment: reading(config, moment, edited=True))


@page.scene(*TRAINING, presets=SAMPLES)
def own_words(config):
    """Trained, own words: when it writes, it has to go on from its own symbols.

    In training the decoder is given the right symbols before each place, whatever it would have written: *teacher forcing*.
    When it writes it runs free: one wrong symbol is read back in, and the next ones are guessed after it. For whole answers
    the two are the same: a model that errs nowhere with the true prefix writes that very prefix.
    """

    def figures(moment):
        left, right = st.columns(2)
        for column, name, title in ((left, "right", "Share right"), (right, "cost", "Loss")):
            with column:
                page.show(
                    charts.curve,
                    moment[name].sel(arm=config.arms[0]),
                    x="step",
                    colour="line",
                    log=name == "cost",
                    across=(0, config.steps),
                    title=f"{title}, with the true prefix and with its own",
                    caption="64 held-out pairs, which were never trained on, in any spelling.",
                    height=240,
                )
        whole = moment["right"].sel(line="whole answers")
        page.metrics(
            **{f"Whole answers right: {arm}": f"{whole.sel(arm=arm).values[:, -1].min():.1%}" for arm in config.arms}
        )

    page.play(run, config, figures)


@page.scene("length", "task", "shorter", "steps", presets=PADDING)
def padded(config):
    """Trained, padded: without a mask a model copes with the padding it knows, and with no other.

    Short sources are filled up with padding, so that rows of several lengths fit into one batch. Both models see the same
    rows; one is told by the mask where each source ends. Trained to the end both are perfect with the padding they know.
    Only when its amount changes does the model without a mask fail.
    """
    config = config.but(beside="no padding mask", shorter=config.shorter or min(4, config.length - 2))
    picture = page.picture(pairs, config)

    def figures(moment):
        left, right = st.columns(2)
        with left:
            title, caption = (
                "The padding mask of six sources",
                "Blue: a character. Grey: padding, which no query may read.",
            )
            page.show(charts.heat, picture["mask"], x="input", y="row", title=title, caption=caption, legend=False)
        with right:
            caption = "Share of whole held-out answers that are right, at this moment."
            options = dict(x="extra", colour="arm", span=(0, 1), title="With more padding than in training")
            page.show(charts.bars, moment["survives"], caption=caption, **options)

    page.play(run, config, figures)


@page.scene("length", "task", "shorter")
def practice(config):
    """Practice: where does the answer stand?

    The map is counted in the pairs, without a model.
    """
    picture = page.picture(pairs, config)
    most = picture["known"].values.max()

    def hidden():
        return most < 0.3, f"The best single place tells {most:.0%} of what is to be known about an output symbol."

    left, right = st.columns(2)
    with left:
        page.mission("find a task in which no single input place tells even 30 % about any output symbol.", hidden)
    with right:
        page.show(charts.heat, picture["known"], x="input", y="output", title="What one place tells", height=220)
    page.exercise(
        "Eight digits are written from last to first. Which input place tells all about the third output?",
        {
            "the third from the end": "Output t is the digit at place 9 − t.",
            "the third": "That is the third output of a copy.",
            "none, it takes them all": "One place is enough, as long as the length is fixed.",
        },
        right="the third from the end",
    )
    page.exercise(
        "What is the decoder given in training?",
        {
            "the right symbols so far": "Teacher forcing: all positions are trained at once.",
            "its own symbols so far": "That is what it gets when it writes.",
            "the source alone": "Then it could not know what it has written so far.",
        },
        right="the right symbols so far",
    )
    page.exercise(
        "How do you show that a clean attention map is a cause, and no decoration?",
        {
            "change a row and see the symbol follow": "What is written changes with it, so it is used.",
            "look at a second model": "A model that cheats has a clean map as well.",
            "train longer": "A sharper map is still only a map.",
        },
        right="change a row and see the symbol follow",
    )


page.lesson(__doc__, Config, two_texts, who_asks, trained, look_elsewhere, own_words, padded, practice)
