"""Markov chains: what comes next depends on the last symbol alone.

Then one table holds everything: P(next | this). Where the last k symbols count, contexts of k symbols form such a chain.
"""

import streamlit as st

from seqcore.experiments.markov import FIRST, WRITERS, Config, factors, orders, own_text, run, table, walk
from view import charts, page

SOURCE = ("order", "learned", "symbols", "sharpness")


def limits(facts):
    """Horizontal lines: what knowing nothing costs, and the least there can be."""
    return {"knows nothing": facts["baseline"], "best possible": facts["floor"]}


@page.scene(
    *("sentence", "text"),
    presets={
        "The story": {},
        "A pair it never had": {"sentence": "the xylophone"},
        "Swinging": {"text": "ab" * 40, "sentence": "ab" * 8},
    },
)
def one_table(config):
    r"""One table: the probability of a sentence is a product of entries of one table.

    In general each character depends on all before it. A *Markov chain* keeps only the last one:
    $P(x_1 \dots x_T) = P(x_1) \prod_{t=2}^{T} P(x_t \mid x_{t-1})$. So a table is enough: a row for each character, with
    the probabilities of what follows it, counted in a text. Each row adds up to 1. The first factor is π, the share of time
    that the chain spends at that character.
    """
    with st.sidebar:
        page.upload("Or a text file of yours", "text", own_text, ("txt", "md", "csv", "srt"))
    picture, matrix = page.picture(factors, config), page.picture(table, config)
    facts, hidden = picture.facts, matrix.facts["hidden"]
    left, right = st.columns(2)
    with left:
        caption = "A row a character, a column what follows it. ␣ is the space."
        caption += f" The {hidden} rarest characters are not drawn." if hidden else ""
        options = dict(x="next", y="this", height=360, large=True)
        page.show(charts.heat, matrix["P"], title="The table P(next | this)", caption=caption, **options)
    with right:
        caption = "π of the first character, then one entry of the table for each step."
        options = dict(x="time", span=(0, 1), height=230, title="The sentence, factor by factor", caption=caption)
        page.show(charts.bars, picture["next"], **options)
        shown = r" \cdot ".join(f"{value:.3f}" for value in picture["next"].values[:4])
        mantissa, exponent = f"{facts['product']:.1e}".split("e")
        product = rf"{mantissa} \times 10^{{{int(exponent)}}}" if facts["product"] else "0"
        st.latex(rf"P = {shown} \cdots = {product}")
        st.caption(
            f"“{page.plain(facts['never'])}” never occurs in the text: its entry is 0, and so is the product."
            if facts["never"]
            else f"Perplexity {facts['perplexity']:.2f}: on average as uncertain as a choice among so many equally likely "
            "characters."
        )


@page.scene("seed", presets={"Other dice": {"seed": 1}})
def a_walk(config):
    """A walk: each step draws from one row of the table, and nothing earlier plays a part.

    To write, a chain looks up the row of its last character, draws the next one with these probabilities, and goes on. Turn
    the step and compare the row with the character that came.
    """
    picture = page.picture(walk, config)
    wrote = picture.facts["walk"]
    at = page.view_option("at", "Step of the walk", 32, 1, len(picture["taken"].ticks["time"]))
    left, right = st.columns(2)
    with left:
        caption = "The only row that this step was drawn from."
        options = dict(x="to", span=(0, 1), height=230, title="The row of the last character", caption=caption)
        page.show(charts.bars, picture["taken"].isel(time=at - 1), **options)
    with right:
        page.metrics(Last_character=wrote[at - 1], Drawn=wrote[at])
        st.code(wrote[: at + 1], language=None, wrap_lines=True)
        st.caption("The text so far.")


@page.scene("text", presets={"It settles": {}, "It swings for ever": {"text": "ab" * 40}})
def where_it_ends(config):
    r"""Where it ends: the powers of the table forget the start, at the pace of the second eigenvalue.

    If the start is known with probabilities $p_0$ (a row), then $p_0 P$ holds those one step later, and $p_0 P^n$ those n
    steps later. For most chains they end at π, the *stationary distribution*, $\pi = \pi P$, wherever the start was. What
    is left of the start shrinks like $|\lambda_2|^n$, where λ₂ is the eigenvalue of P that is second in size.
    """
    picture = page.picture(table, config)
    facts, stays = picture.facts, picture["stays"]
    target = page.view_option("to", "Character to watch", stays.ticks["to"][0], choices=stays.ticks["to"])
    left, right = st.columns(2)
    with left:
        caption = "Probability of that character, n steps after each of the commonest ones, at most six. Dotted: π."
        options = dict(
            x="n", colour="start", across=(0, 16), rules={"π": float(stays.sel(to=target).values)}, height=240
        )
        signal = picture["settling"].sel(to=target)
        page.show(charts.curve, signal, title="Whatever the start, the same end", caption=caption, **options)
    with right:
        caption = (
            "The largest difference the start still makes to any probability. Dashed: |λ₂|ⁿ, which gives its slope."
        )
        options = dict(
            x="n", log=True, across=(0, 16), height=240, title="How fast the start is forgotten", caption=caption
        )
        page.show(charts.curve, picture["forgetting"], picture["envelope"], **options)
    page.metrics(
        Second_eigenvalue=(f"{facts['pace']:.3f}", "|λ₂| of P."),
        Entropy_rate=(
            f"{facts['rate']:.3f} nats",
            "−Σ π_i P_ij ln P_ij: what stays uncertain when the last one is known.",
        ),
        Entropy=(f"{facts['unigram']:.3f} nats", "Of single characters: a nat is a unit of −ln P."),
    )
    if facts["periodic"]:
        st.info(
            "This chain is periodic: Pⁿ swings for ever and never settles. π is still the share of time in each character."
        )
    if facts["closed"] > 1:
        st.info(f"This chain has {facts['closed']} parts that are never left again: the end depends on the start.")


@page.scene(
    *SOURCE,
    presets={
        "k = 2": {},
        "k = 1, a chain": {"order": 1},
        "k = 4, of two symbols": {"order": 4, "symbols": 2, "sharpness": 3.0},
        "Pure noise": {"sharpness": 0.0},
        "Much data": {"learned": 5000},
    },
)
def which_order(config):
    """Which order: a model of the true order predicts best; a shorter one misses something, a longer one sees too little.

    Now the source is known: it draws each symbol from the last k, and from nothing else. So the least possible loss is
    known too, its *entropy rate*. Nine models count its symbols; model m looks at the last m, from 0 to 8.

    With every further symbol of context there are more contexts to count, and the same data.
    """
    asked = page.question(
        "Which model predicts new symbols best?", ["One that looks back less than k", "Exactly k", "More than k"]
    )
    if not asked:
        return
    picture = page.picture(orders, config)
    facts, best, k = picture.facts, picture.facts["best_order"], config.order
    left, right = st.columns([3, 2])
    with left:
        caption = (
            "On the symbols it has counted, and on 1,000 new ones. Line: median, band: seeds; the same source for all."
        )
        options = dict(
            x="order", colour="line", across=(0, 8), rules=limits(facts), title="Loss by order", caption=caption
        )
        page.show(charts.curve, picture["orders"], **options)
    with right:
        V = config.symbols
        page.metrics(
            Knowing_nothing=(f"{facts['baseline']:.3f}", "Entropy of single symbols, in nats."),
            Best_possible=(
                f"{facts['floor']:.3f}",
                "Entropy rate: the mean, over contexts, of the entropy of what follows.",
            ),
        )
    asked.answer(
        asked.choices[(best >= k) + (best > k)],
        f"Here k = {k}, and the lowest loss on new symbols is that of m = {best}, after {config.learned:,} symbols.",
    )
    with st.expander("Shapes"):
        page.ledger(
            ("P, order 1", f"({V}, {V})", "a row for each last symbol"),
            (f"P, order {k}", f"{(V,) * (k + 1)}", f"{V**k:,} contexts: the true source"),
            ("P, order 8", f"{(V,) * 9}", f"{V**8:,} contexts for {config.learned:,} symbols"),
        )


@page.scene(
    *("order", "symbols", "unseen", "steps"),
    presets={"k = 3": {"order": 3}, "Back off": {"unseen": "shorter"}, "10,000 symbols": {"steps": 10_000}},
)
def trained_on_more_and_more(config):
    """Trained on more and more: data mend a context that is too long, and never one that is too short.

    The symbols of the same source arrive one by one; a training step is one more symbol that is counted. A model that looks
    back less than k cannot see a symbol that matters, however much it counts. A model that looks back too far could be
    perfect, but has many more contexts to fill. *Back off* means: an unseen context counts as its shorter, known end.

    With k = 3, orders 1 and 2 do not win early on either: through a short window this random source looks like noise. In a
    natural text they would.
    """

    def figures(moment):
        facts = moment.facts
        left, right = st.columns(2)
        with left:
            caption = "Left of k the line stops above the best possible. Right of k it sinks as the data grow."
            span = 0.9 * facts["floor"], 1.3 * facts["baseline"]
            options = dict(x="order", across=(0, 8), span=span, rules=limits(facts), height=240)
            page.show(charts.curve, moment["orders"], title="Loss by order, now", caption=caption, **options)
        with right:
            caption = "The same, while the data arrive: of 1,000 new symbols. The axis runs in doublings."
            options = dict(
                x="step", colour="arm", log_x=True, across=(FIRST, config.steps), rules=limits(facts), height=240
            )
            if moment.step < FIRST:
                st.info(f"Loss while the data arrive: it is drawn from {FIRST} symbols on, on an axis of doublings.")
            else:
                page.show(charts.curve, moment["loss"], title="Loss while the data arrive", caption=caption, **options)
        page.metrics(
            Best_order_now=(f"{facts['best_order']}", "The lowest loss on new symbols, the median over seeds."),
            Symbols_counted=f"{moment.step:,}",
        )

    page.play(run, config, figures, verb=("Count", "Counted"))


@page.scene("seed")
def it_babbles(config):
    """It babbles: higher orders write better, and order 8 writes well because it copies.

    All orders have counted the same text and use the same random numbers. Order 0 knows frequencies only, order 1 pairs.
    Of the contexts of eight characters four in five occur once in the text, so order 8 mostly has no choice. The idea is
    Shannon's (1948).
    """
    facts = page.picture(walk, config).facts
    st.code("\n".join(f"order {order}: {facts[f'order {order}']}" for order in WRITERS), language=None)


@page.scene(*SOURCE, "smoothing", "unseen")
def practice(config):
    """Practice: let order 8 come near the best possible.

    Order 8 could predict as well as the true order: all that it needs is in its context. What it lacks is data.
    """
    picture = page.picture(orders, config)
    facts = picture.facts

    def near():
        left, learned = facts["orders"][8] - facts["floor"], facts["baseline"] - facts["floor"]
        told = f"Order 8 pays {left:.3f} nats more than the best possible; {learned:.2f} nats can be learned."
        return left <= 0.05 and learned >= 0.4, told

    left, right = st.columns(2)
    with left:
        goal = "on a source with at least 0.4 nats to learn, bring order 8 within 0.05 nats of the best possible."
        page.mission(goal, near)
    with right:
        options = dict(x="order", colour="line", across=(0, 8), rules=limits(facts), height=200)
        page.show(charts.curve, picture["orders"], title="Loss by order", **options)
    page.exercise(
        "The true order is 2. What do more data do to the loss of order 1?",
        {
            "It stops above the best": "It cannot see the symbol that matters, and no data change that. Order 8 goes on falling: "
            "it could be perfect, but has 65,536 contexts to fill where order 2 has 16.",
            "It reaches the best": "Only a model that sees both symbols can.",
            "It rises": "More counts make its estimates better, not worse.",
        },
        right="It stops above the best",
    )
    page.exercise(
        "On the symbols that it has counted, order 8 has a loss far below the entropy rate. Is it the best model?",
        {
            "No": "It remembers them. On new symbols it does worse than order 2.",
            "Yes": "The entropy rate bounds the loss on new symbols only.",
        },
        right="No",
    )
    page.exercise(
        "A chain swings between two states: a b a b … Does Pⁿ settle?",
        {
            "No": "It alternates for ever; |λ₂| = 1. Still half of the time is spent at each: π = (½, ½).",
            "Yes, at (½, ½)": "That is π, the share of time; but after n steps the state is certain.",
        },
        right="No",
    )


page.lesson(
    __doc__, Config, one_table, a_walk, where_it_ends, which_order, trained_on_more_and_more, it_babbles, practice
)
