"""Positional encoding: attention alone sees a bag of words.

Attention compares every token with every other one and adds up what fits. A sum has no order.
"""

import streamlit as st

from seqcore.experiments.positions import PLACES, Config, bag, one_entry, one_turn, products, run, source, table, turn
from view import charts, digits, page

TASKS = {
    "reverse": "The last digit first. Every token has to know its own place.",
    "previous token": "Every token names the digit before it. It has to know which one stands one place away.",
    "which half": "Bits: has the first half more ones than the second? Order matters.",
    "majority": "Bits: are there more ones than zeros? Order does not matter.",
}
TRAINING = ("length", "width", "heads", "layers", "task", "mixed", "rate", "steps")


@page.scene("sentence", "width", presets={"The miller": {}, "Dog bites man": {"sentence": "dog bites man"}})
def one_bag(config):
    """One bag: read the words in another order, and without positions no vector changes.

    An untrained encoder reads your words forwards and then backwards. Without positions (*none*) every word ends with the
    same vector both times: the same words give the same scores, the same weights and the same sums, wherever they stand.
    Three ways to write the order into the model: *sinusoidal* and *learned* positions are added to the tokens; *rotary*
    ones turn queries and keys.
    """
    picture = page.picture(bag, config)
    facts = picture.facts
    title = "Your words, read backwards: how far each vector moves"
    caption = "Largest change of an entry, median over seeds. A word that keeps its place moves little."
    page.show(charts.bars, picture["reordered"], x="word", colour="positions", title=title, caption=caption)
    page.metrics(
        **{
            name.capitalize(): (
                f"{facts[name]:.2g}",
                "The largest bar: the most that any entry of any word's vector moves.",
            )
            for name in ("none", "sinusoidal", "learned", "rotary")
        }
    )
    st.caption(
        f"“{page.plain(' '.join(config.words))}”, then “{page.plain(' '.join(reversed(config.words)))}”. What is left without "
        "positions is rounding."
    )
    page.badge(facts["agreement"])


@page.scene("width", presets={"Narrow": {"width": 16}, "Wide": {"width": 64}})
def the_table(config):
    r"""The table: sines and cosines of the place, some fast and some slow, are added to each token.

    $$PE(p, 2i) = \sin p\,\omega_i \qquad PE(p, 2i{+}1) = \cos p\,\omega_i \qquad \omega_i = 10000^{-2i/d}$$

    Each pair of columns is one clock hand. The first turns fast, from place to place; the last hardly moves in the places
    shown. Together they give every place a vector of its own.
    """
    picture = page.picture(table, config)
    facts, longest = picture.facts, config.tested[-1]
    pictures = st.container()
    left, right = st.columns(2, gap="medium")
    with left:
        for_place, for_entry = st.columns(2)
        with for_place:
            place = page.view_option("place", "Place p", 5, 0, PLACES - 1)
        with for_entry:
            entry = page.view_option("entry", "Entry", 6, 0, config.width - 1)
        st.latex(digits.place_in_full(one_entry(config, place, entry)))
    with right:
        st.code(source()["omega"] + "\n\n" + source()["PE"], language="python", wrap_lines=True)
        st.caption("`frequencies` and `sinusoidal` in `seqcore/models/positions.py`: all places and all pairs at once.")
    with pictures:
        left, right = st.columns(2)
    with left:
        page.show(
            charts.heat,
            picture["PE"],
            x="entry",
            y="place",
            span=(-1, 1),
            large=True,
            frame=place,
            title="PE: what is added to each token",
            caption=f"Row: the place. Columns: pairs of sine and cosine. In the frame, point at entry {entry}: it is the number "
            "below.",
        )
    with right:
        page.show(
            charts.curve,
            picture["wavelength"],
            x="pair",
            log=True,
            rules={"the longest row tested later": float(longest)},
            title="How long each pair takes to come round",
            caption=f"From 2π = {facts['shortest']:.2f} places to {facts['longest']:,.0f}. Pairs above the line never come "
            f"round in {longest} places.",
        )


@page.scene("width")
def distance(config):
    r"""Distance: the product of two places depends on how far apart they are, and on nothing else.

    $$PE(p) \cdot PE(s) = \sum_i \cos\big((p - s)\,\omega_i\big) \qquad (R_p\, q) \cdot (R_s\, k) = q \cdot (R_{s-p}\, k)$$

    Sinusoidal positions have this property for the products of the table with itself. *Rotary* positions add nothing; they
    turn queries and keys by $R_p$, a rotation that grows with the place, and so the **scores** have it. A pair of query and
    key that fits at a distance of three fits so everywhere.
    """
    picture = page.picture(products, config)
    facts = picture.facts
    page.show(
        charts.heat,
        picture["stripes"],
        x="s",
        y="p",
        beside="line",
        span=(-1, 1),
        large=True,
        title="Products of two places",
        caption="Stripes: only the distance counts. Left: the table with itself, largest for equal places. Right: a random "
        f"query, and a key that is this query turned by {facts['back']} places: it looks {facts['back']} places back from "
        "everywhere.",
    )
    page.metrics(
        Varies_along_a_stripe=(f"{facts['drift']:.0e}", "The table with itself, in double precision: rounding."),
        Varies_for_rotary=(f"{facts['rotary_drift']:.0e}", "The same for rotary scores."),
    )


@page.scene("width")
def a_turn(config):
    r"""A turn: going k places on is the same rotation from everywhere.

    $$PE(p + k) = R_k^\top\, PE(p)$$

    $R_k$ turns every pair of entries by the angle $k\,\omega_i$; it is the matrix of rotary positions. Here it is
    transposed, which turns the other way, because PE writes the sine before the cosine. A model can learn one matrix for
    "three places back" and use it at every place.
    """
    picture = page.picture(turn, config)
    left, right = st.columns(2, gap="medium")
    for_k, for_place, for_pair = st.columns(3)
    with for_k:
        k = page.view_option("k", "Places k to go on", 1, choices=picture["rotation"].ticks["k"])
    with for_place:
        place = page.view_option("place", "Place p", 5, 0, PLACES - 1)
    with for_pair:
        pair = page.view_option("pair", "Pair i", 3, 0, config.width // 2 - 1)
    with left:
        axes = dict(x="before the turn", y="after the turn", span=(-1, 1), large=True)
        caption = "Blocks of two by two: one angle a pair. Move p: the matrix stays the same."
        page.show(charts.heat, picture["rotation"].sel(k=k), title="The rotation for k places", caption=caption, **axes)
    with right:
        st.latex(digits.turn_in_full(one_turn(config, k, place, pair)))
        st.code(source()["rotation"], language="python", wrap_lines=True)
        st.caption(
            f"`shift` in `seqcore/models/positions.py`. The largest error of the equation, over all places and all k here, is "
            f"{picture.facts['turn']:.0e}."
        )
    with st.expander("Shapes"):
        page.ledger(
            ("$x$", f"{config.length} × {config.width}", "tokens, embedded"),
            ("sinusoidal", f"{config.length} × {config.width}", "added to x; nothing to learn; any length"),
            ("learned", f"{config.tested[-1]} × {config.width}", "added to x; learned where training rows reach"),
            (
                "rotary",
                f"{config.length} × {config.width // config.heads}",
                "q and k of each head, whose entries are turned in pairs",
            ),
        )


@page.scene(
    *TRAINING,
    presets={
        "Reverse": {},
        "A bag is enough": {"task": "majority"},
        "Which half": {"task": "which half"},
        "Two layers": {"layers": 2, "steps": 300},
    },
)
def trained(config):
    """Trained: whoever has to know the order cannot learn it without positions.

    Four encoders learn the same task; only their positions differ.

    Without any, the best for *reverse* is to name the commonest of the other nine digits. The dotted line is that share,
    computed exactly. Rotary scores know distances, not places: one layer cannot reverse, two do better. For the *majority*
    of all bits a bag is enough.
    """
    task = f"**{config.task}:** {TASKS[config.task]}"
    asked = page.question(
        "An encoder without positions sees all tokens, but not where they stand. How many of its answers will be right?",
        ["as many as by chance", "somewhat more", "all"],
    )
    if not asked:
        st.caption(task)
        return

    def figures(moment):
        facts = moment.facts
        left, right = st.columns(2)
        with left:
            page.losses(moment, height=200)
        with right:
            page.progress(
                moment,
                "right",
                span=(0, 1.02),
                rules={"best without positions": facts["ceiling"]},
                title="Right answers at the trained length",
                caption="On rows that were never trained on. Dotted: what any model could reach that sees its own token and "
                "the bag of all.",
                height=200,
            )
        if moment.step == config.steps:
            share, chance = facts["bag"], facts["chance"]
            verdict = "all" if share > 0.95 else "somewhat more" if share > chance + 0.05 else "as many as by chance"
            told = f"Without positions {share:.0%} are right; chance is {chance:.0%}, and {facts['ceiling']:.1%} is possible."
            asked.answer(verdict, told)

    page.play(run, config, figures)
    st.caption(task)


@page.scene(
    *TRAINING,
    presets={
        "Longer rows": dict(task="previous token", length=16, mixed=True, width=64, heads=1, steps=300, seeds=2),
        "Reverse": {},
        "A bag is enough": {"task": "majority"},
    },
)
def longer(config):
    """Trained, then longer: few kinds of positions work beyond the lengths they were trained on.

    The same training, tested on longer rows at places that no training row had. Sinusoidal positions are often said to
    extend to longer rows. In *Longer rows* they do not. Rotary ones do, since one place back is the same turn everywhere. A
    rule that changes with the length, as in *Reverse*, none of them carries over.
    """

    def figures(moment):
        left, right = st.columns(2)
        with left:
            page.show(
                charts.curve,
                moment["longer"],
                x="length",
                colour="arm",
                span=(0, 1.02),
                rules={"chance": moment.facts["chance"]},
                title="Right answers on longer rows",
                caption=f"Up to {config.length}: all places. Beyond: only new places, without new training.",
                height=240,
            )
        with right:
            drawn = st.container()
            head = page.view_option("head", "Head", 1, choices=moment["weights"].ticks["head"])
            with drawn:
                page.show(
                    charts.heat,
                    moment["weights"].sel(head=head),
                    x="key",
                    y="query",
                    beside="arm",
                    title="Where each token looks",
                    caption="First layer, first seed, one row that was never trained on.",
                    height=240,
                )

    page.play(run, config, figures)


@page.scene("sentence", "width")
def practice(config):
    """Practice: what survives another order?

    The bars follow your words.
    """
    picture = page.picture(bag, config)

    def still():
        moves = picture["reordered"].sel(positions="sinusoidal")
        word, least = min(zip(moves.ticks["word"], moves.values.tolist()), key=lambda pair: pair[1])
        told = f"The least that any word moves with sinusoidal positions is {least:.2g}: “{page.plain(word)}”."
        return len(config.words) >= 3 and least < 1e-4, told

    left, right = st.columns(2)
    with left:
        goal = "write three words or more so that with sinusoidal positions one word's vector does not move at all."
        page.mission(goal, still)
    with right:
        page.show(charts.bars, picture["reordered"], x="word", colour="positions", height=200, title="Your words")
    page.exercise(
        "Why does the order of the words not matter to attention without positions?",
        {
            "a sum has no order": "z is a sum over keys, and its weights depend on the words alone.",
            "the softmax sorts them": "It sorts nothing; it turns scores into shares.",
            "the words are too few": "It holds for any number of words.",
        },
        right="a sum has no order",
    )
    page.exercise(
        "Rotary positions turn queries and keys. What does a score then depend on?",
        {
            "the distance of the two": "(R_p q) · (R_s k) = q · (R_{s−p} k).",
            "the place of the query": "Both are turned, and what they share cancels.",
            "nothing but the words": "That is attention without positions.",
        },
        right="the distance of the two",
    )
    page.exercise(
        "Learned positions were trained on rows of 16. What do they know of place 20?",
        {
            "nothing": "Its row of the table never got a gradient: it is as random as at the start.",
            "what place 4 knows": "Nothing comes round in a table.",
            "the mean of the others": "Nothing is averaged: each place has a row of its own.",
        },
        right="nothing",
    )


page.lesson(__doc__, Config, one_bag, the_table, distance, a_turn, trained, longer, practice)
