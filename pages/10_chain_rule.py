"""Conditional probability: a whole sentence is as likely as the product of its next steps.

P(x₁ … x_T) = Π P(x_t | x₁ … x_{t−1}) holds for every sequence and every model. Models differ only in what they keep
of the past: all of it, the last τ characters, the last one, or a state that sums it up.
"""

import streamlit as st

from seqcore.experiments.chain_rule import Config, before, fit, run
from view import charts, page

HEART = "the river ran past the old mill"
PRESETS = {
    "A new sentence": {},
    "Known by heart": {"sentence": HEART, "smoothing": 0.0},
    "Spelled backward": {"sentence": "egdirb eht no reh tem rellim eht"},
    "No smoothing": {"smoothing": 0.0},
    "τ = 8": {"order": 8},
    "τ = 8, backing off": {"order": 8, "unseen": "shorter"},
    "GRU": {"cell": "GRU"},
}

page.head(__doc__)
page.predict(
    "Three models have counted the same story. One remembers the whole past of every character, one the last few, one the "
    "last, and each meets a new sentence. Which finds it least likely?",
    ["The whole past", "The last few characters", "The last character"],
    right="The whole past",
    because="After a few characters its history is one that never occurred, and it can only guess: 1 of 27, again and "
    "again. A history that is never seen twice teaches nothing.",
)
config = page.ask(Config, PRESETS)
with st.sidebar:
    page.upload("Or a text file of yours", "text", fit, ("txt", "md", "csv", "srt"))
first = page.still(before, config)
facts = first.facts
letters = first["next"].ticks["time"]
across = (1, len(letters))

left, right = st.columns(2)
with left:
    page.show(
        charts.bars,
        first["next"].pick(model="order τ"),
        x="time",
        span=(0, 1),
        height=250,
        title=f"One factor for each character: how expected was it? (τ = {config.order})",
        caption="The model of order τ, by counting. The first characters have a shorter past. ␣ is the space.",
    )
with right:
    page.show(
        charts.curve,
        first["sofar"],
        x="time",
        colour="model",
        log=True,
        across=across,
        height=250,
        title="Multiplied up: the sentence so far",
        caption="The product of all bars so far, for three models. A line that ends has met a factor of zero: to this "
        "model the sentence is impossible.",
    )

factors = r" \cdot ".join(f"{value:.3f}" for value in first["next"].pick(model="order τ").values[:5])
mantissa, exponent = f"{facts['product']:.1e}".split("e")
st.latex(
    rf"P(x_1 \ldots x_{{{len(letters)}}}) = \prod_t P(x_t \mid x_1 \ldots x_{{t-1}}) \approx {factors} \cdots "
    rf"= {mantissa} \times 10^{{{int(exponent)}}}"
)
page.tell(
    Log_of_the_product=(
        f"{facts['log_sum']:.1f}",
        "Σ ln P in nats, order τ. A long product leaves the machine's range, a sum does not.",
    ),
    Perplexity_order_τ=(f"{facts['order τ']:.2f}", "exp(−mean ln P): among how many characters it had to choose."),
    Perplexity_order_1=(f"{facts['order 1']:.2f}", "The same sentence, looking at one character of the past."),
    Perplexity_full_history=(f"{facts['full history']:.2f}", "The same sentence, looking at all of the past."),
)

st.subheader("Why the whole past teaches nothing", anchor=False)
st.markdown(
    f"The text asks for {facts['predictions']:,} predictions, and their whole pasts are **{facts['distinct']:,} different "
    "contexts**: no past comes twice. Counting means P(x | past) = (n(past, x) + α) / (n(past) + αV), and nearly every "
    "n(past) is 1 or 0."
)
left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["collapse"],
        x="context",
        colour="line",
        span=(0, 1),
        across=(0, 8),
        title="Long contexts are seen once, or never",
        caption="Seen once: contexts of the text that came a single time. Unseen: characters of the held-out text, the last "
        "15 %, whose context never came. Impossible: those that never came after their context.",
    )
with right:
    page.show(
        charts.curve,
        first["perplexity"],
        x="order",
        colour="line",
        log=True,
        across=(0, 8),
        title="So there is a best order",
        caption="Perplexity by the number of characters that count, always on the same characters. Lower is better: a longer "
        "context says more, until there is too little text to count it. A missing point is infinite: the impossible happened.",
    )
with st.expander("The same as a table"):
    shares, perplexities = first["collapse"], first["perplexity"]
    st.dataframe(
        {
            "order": perplexities.ticks["order"],
            "training perplexity": perplexities.pick(line="text it has read").values,
            "held-out perplexity": perplexities.pick(line="held-out text").values,
            "distinct contexts": facts["contexts"],
            **{name: shares.pick(line=name).values for name in shares.ticks["line"]},
        },
        hide_index=True,
    )

st.subheader("Sentences of different length", anchor=False)
st.markdown(
    "A network reads many sentences at once, as one rectangle of symbols. Short rows are filled up with a symbol that means "
    f"nothing, ∅. Here {facts['padded']:.0%} of the cells are padding, and the loss must not count them."
)
left, right = st.columns(2)
with left:
    st.markdown("**A batch**")
    st.code(facts["rows"], language=None)
    page.show(
        charts.heat,
        first["mask"],
        x="time",
        y="row",
        height=230,
        title="Its mask",
        caption="The mean is taken over the coloured cells. The first character of a row is only an input, so a row of n "
        "characters has n − 1 answers.",
    )
with right:
    page.show(
        charts.curve,
        first["told"],
        x="extra",
        colour="line",
        across=(0, 60),
        title="Counting the padding flatters the model",
        caption="A first-order model that has counted these rows, padding included. It gets no better with more padding, but "
        "after ∅ comes ∅, which is easy: averaged over all cells, its perplexity falls towards 1.",
    )
page.tell(
    Masked_loss_is_off_by=(
        f"{facts['loss_gap']:.0e}",
        "|loss of the padded batch − loss of the sentences one by one|.",
    ),
    Masked_gradient_is_off_by=(
        f"{facts['gradient_gap']:.0e}",
        "‖g − g₀‖ / ‖g₀‖, where g₀ is the gradient without any padding.",
    ),
    With_padding_counted=(f"{facts['gradient_counted']:.0%}", "‖g − g₀‖ / ‖g₀‖ where the loss counts the padding."),
)
st.caption(
    f"An untrained {config.cell} reads the batch with padding, and the sentences one by one without. Masked, what differs is "
    "rounding. With the padding counted, the gradient is off by this share of its length."
)

st.subheader("Now sum the past up in a state", anchor=False)
page.predict(
    "Two networks are trained on the same story. One sees the last τ = 3 characters, the other carries a state along. Both go "
    "on for 300 steps. What does the perplexity of the held-out text do?",
    ["Falls to the end", "Falls, then rises", "Falls, then stays"],
    right="Falls, then rises",
    because="The story has only 2,559 characters to learn from. After 100 to 200 steps both begin to learn it by heart: the "
    "training loss still falls, the held-out text gets worse. What counts is the best moment, not the last.",
)


def figures(moment):
    told, network = moment.facts, config.cell
    left, right = st.columns(2)
    with left:
        page.losses(
            moment,
            caption="Mean loss on fresh batches since the moment before, in nats a character; line: median, band: range of the "
            "seeds. Both networks see the same batches.",
        )
    with right:
        page.show(
            charts.curve,
            moment["perplexity"],
            moment["best"],
            x="step",
            colour="arm",
            log=True,
            across=(0, config.steps),
            rules=facts["references"],
            title="Perplexity of the held-out text",
            caption="Solid: now. Dashed: the best so far. What rises above it is overfitting. Dotted: what counting reaches.",
        )
    left, right = st.columns(2)
    with left:
        page.show(
            charts.heat,
            moment["next"],
            x="time",
            y="model",
            title="Your sentence: P(next character | past)",
            caption=f"A row a model; darker is more expected. The {network} of the first seed changes as it learns. It has no "
            "past at the first character, which gets its frequency.",
        )
    with right:
        page.show(
            charts.curve,
            moment["sofar"],
            x="time",
            colour="model",
            log=True,
            across=across,
            title="Your sentence, multiplied up",
            caption="Higher is better. A sentence of the text itself goes on rising; a new one mostly sinks again once the "
            "network overfits.",
        )
    page.tell(
        Best_held_out_perplexity=(f"{told['best']:.2f}", f"Of the {network}, the median over seeds."),
        Reached_at_step=(f"{told['best_at']}", "What comes later is overfitting."),
        Your_sentence=(f"{told['sentence']:.2f}", f"Its perplexity to the {network} of the first seed, now."),
    )
    st.markdown("**The network writes**")
    st.code(told["written"], language=None, wrap_lines=True)


page.play(run, config, figures)
rows = f"{config.batch}, {config.length}"
page.ledger(
    ("characters x", f"({rows})", "a batch of windows of the text"),
    ("embedded e(x)", f"({rows}, {config.embedding})", "each character as a vector"),
    ("states h", f"({rows}, {config.hidden})", "the past of each character, always of this size"),
    ("logits y", f"({rows}, {len(facts['alphabet'])})", "a number for each character that may be next"),
)
st.markdown(
    "**Try:** press *Known by heart*: to the whole past the first words of the story are certain, and with *No smoothing* any "
    "other sentence is impossible. · Find the first factor that is zero. · Turn τ up to 8, then "
    "let unseen contexts back off to shorter ones. · Paste a text of your own."
)
