"""Markov chains: what comes next depends on the last symbol alone.

Then one table holds all there is to know: P(next | this). Its powers tell the future, its stationary distribution what
stays, its entropy rate what nobody can predict. Where the last k symbols count, contexts of k symbols form a chain.
"""

import streamlit as st

from seqcore.experiments.markov import Config, before, fit, run
from view import charts, page

PRESETS = {
    "k = 2": {},
    "k = 1, a chain": {"order": 1},
    "k = 4, of two symbols": {"order": 4, "symbols": 2, "sharpness": 3.0},
    "Pure noise": {"sharpness": 0.0},
    "Much data": {"learned": 5000},
    "Backing off": {"unseen": "shorter"},
    "A text that swings": {"text": "ab" * 40},
}

page.head(__doc__)
page.predict(
    "A source draws each symbol from the last k = 2, and from nothing else. Nine models count 500 symbols of it; the m-th "
    "looks at the last m. Which predicts new symbols best?",
    ["m = 0", "m = 1", "m = 2", "m = 8"],
    right="m = 2",
    because="Less misses what the source looks at. More tells the source's choices apart no better, but spreads the same 500 "
    "symbols over four times as many contexts with every further symbol.",
)
config = page.ask(Config, PRESETS)
with st.sidebar:
    page.upload("Or a text file of yours", "text", fit, ("txt", "md", "csv", "srt"))
first = page.still(before, config)
facts = first.facts
limits = {"knows nothing": facts["baseline"], "best possible": facts["floor"]}

left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["orders"],
        x="order",
        colour="line",
        across=(0, 8),
        rules=limits,
        height=400,
        title=f"Which order predicts a source where the last {config.order} count?",
        caption=f"Loss after counting {config.learned:,} symbols: on these, and on 1,000 new ones. Line: median, band: range "
        "of the seeds, each with its own symbols of the same source. Best possible: the source's entropy rate, known exactly.",
    )
with right:
    page.show(
        charts.heat,
        first["P"],
        x="next",
        y="this",
        height=400,
        title="The table of a text, if only the last character counts",
        caption="A row a character, a column what follows it, counted in the text on the left. ␣ is the space."
        + (f" The {facts['hidden']} rarest characters are not drawn." if facts["hidden"] else ""),
    )
page.tell(
    Best_order=(f"{facts['best_order']}", "The lowest loss on new symbols, the median over seeds."),
    Cost_of_knowing_nothing=(f"{facts['baseline']:.3f}", "Entropy of single symbols of the source, in nats."),
    Best_possible=(f"{facts['floor']:.3f}", "Entropy rate of the source: Σ π(context) · entropy of what follows."),
    Entropy_of_the_text=(
        f"{facts['unigram']:.3f}",
        "Of single characters, in nats: 2.72 to the power of it are equally likely.",
    ),
    Entropy_rate_of_its_chain=(
        f"{facts['rate']:.3f}",
        "H = −Σ π_i P_ij ln P_ij: what knowing the last character leaves open.",
    ),
)
page.ledger(
    ("P, order 1", f"({config.symbols}, {config.symbols})", "one row for each last symbol"),
    (
        f"P, order {config.order}",
        str((config.symbols,) * (config.order + 1)),
        f"{config.symbols**config.order:,} contexts, one row each: the true source",
    ),
    (
        "P, order 8",
        str((config.symbols,) * 9),
        f"{config.symbols**8:,} contexts, and {config.learned:,} symbols to fill their rows",
    ),
)

st.subheader("Walk through the table", anchor=False)
at = page.lens("at", "Step of the walk", 32, 1, len(first["taken"].ticks["time"]))
left, right = st.columns(2)
with left:
    page.show(
        charts.bars,
        first["taken"].at(time=at - 1),
        x="to",
        span=(0, 1),
        height=240,
        title=f"After “{facts['walk'][at - 1]}” the dice fell on “{facts['walk'][at]}”",
        caption="The one row of the table that this step was drawn from. The rest of the text so far plays no part.",
    )
with right:
    st.markdown("**The text so far**")
    st.code(facts["walk"][: at + 1], language=None, wrap_lines=True)
st.markdown("**What other orders write**, counted in the same text, with the same dice")
st.code("\n".join(f"{m}: {facts[f'order {m}']}" for m in (0, 1, 2, 4, 8)), language=None)
st.caption(
    "Order 8 writes well because it copies: nearly every context of 8 characters came once. The idea is Shannon's (1948)."
)

st.subheader("Where does it end?", anchor=False)
left, middle, right = st.columns([2, 3, 1])
left.latex(r"p_{n} = p_0 P^n \;\to\; \pi = \pi P")
middle.latex(rf"H = -\sum_i \pi_i \sum_j P_{{ij}} \ln P_{{ij}} = {facts['rate']:.3f}")
right.latex(rf"|\lambda_2| = {facts['pace']:.3f}")
target = page.lens("to", "Character to watch", first["stays"].ticks["to"][0], choices=first["stays"].ticks["to"])
left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["settling"].pick(to=target),
        x="n",
        colour="start",
        across=(0, 16),
        rules={"π": float(first["stays"].pick(to=target).values)},
        title="Whatever the start, the same end",
        caption="Probability of this character n steps after each of six others, read from the powers Pⁿ. Dotted: the "
        "stationary distribution.",
    )
with right:
    page.show(
        charts.curve,
        first["forgetting"],
        first["envelope"],
        x="n",
        log=True,
        across=(0, 16),
        title="How fast the start is forgotten",
        caption="Measured: the largest difference that the start still makes to the probability of anything. Theory: |λ₂|ⁿ, the "
        "slope it takes in the end; the height may differ.",
    )
if facts["periodic"]:
    st.info("This chain is periodic: Pⁿ swings for ever and never settles. π is the share of time in each character.")
if facts["closed"] > 1:
    st.info(
        f"This chain has {facts['closed']} parts that are never left again: where it ends depends on where it began."
    )

st.subheader("Now let the data arrive", anchor=False)
page.predict(
    "The same source, symbol by symbol, up to 3,000. Order 1 looks back too little, order 8 much further than needed. Where do "
    "their losses on new symbols go?",
    ["Both to the best possible", "Order 1 stops, order 8 goes on falling", "Order 1 goes on falling, order 8 stops"],
    right="Order 1 stops, order 8 goes on falling",
    because="Order 1 cannot see a symbol that counts, and no data mend that. Order 8 could be perfect, but has 65,536 rows to "
    "fill where order 2 has 16: after 3,000 symbols order 2 has made 99 % of the way, order 8 about half.",
)


def figures(moment):
    left, right = st.columns(2)
    with left:
        page.show(
            charts.curve,
            moment["loss"],
            x="step",
            colour="arm",
            log_x=True,
            across=(8, config.steps),
            rules=limits,
            title="Loss on new symbols while the data arrive",
            caption="A training step is one more symbol counted; the axis runs in doublings. All orders count the same symbols "
            "and are asked for the same 1,000 new ones.",
        )
    with right:
        page.show(
            charts.curve,
            moment["orders"],
            x="order",
            across=(0, 8),
            span=(0.9 * facts["floor"], 1.3 * facts["baseline"]),
            rules=limits,
            title="The same by order, at this moment",
            caption="Left of k a model cannot see what counts, and no data help. Right of k it has seen its contexts too rarely, "
            "and the right arm of the U sinks as the data grow.",
        )
    page.tell(
        Best_order_now=(f"{moment.facts['best_order']}", "The lowest loss on new symbols, the median over seeds."),
        Symbols_counted=f"{moment.step:,}",
    )


page.play(run, config, figures)
st.markdown(
    "**Try:** *Pure noise*: nothing can be learned, and orders that have seen their contexts once or twice do worse than "
    "guessing. · *Backing off* to shorter contexts makes high orders less harmful. · Raise k to 3 and look at orders 1 and 2: "
    "through too short a window a random source looks like noise, so they do not win early on either. (In a natural text they "
    "would.) · Paste a text of your own, and see how much of its entropy the last character explains."
)
