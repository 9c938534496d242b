"""Multi-head attention: one softmax is one place; two heads are two places.

The weights of a softmax add up to one. Whoever needs two places at once gets half of each, blended into one vector.
Several heads are several softmaxes over the same tokens. They share the width, so they cost nothing extra.
"""

import streamlit as st

from seqcore.experiments.heads import Config, before, run
from view import charts, page

PRESETS = {
    "Both neighbours": {},
    "Two keys": {"task": "two keys", "heads": 4, "rate": 0.01, "steps": 400},
    "Subtract": {"task": "subtract", "heads": 4, "rate": 0.01},
    "Two heads, one place": {"task": "subtract", "rate": 0.01, "length": 8, "seeds": 6},
    "Eight thin heads": {"heads": 8},
    "Feed-forward unmixes": {"readout": "feed-forward", "steps": 400},
}
TASKS = {
    "neighbours": "Every token names both its neighbours, out of 16 symbols each.",
    "two keys": "A question names two keys, and wants both their values, in order, out of 16 each.",
    "subtract": "A question names two keys, and wants the first one's value minus the second's: four numbers.",
}

page.head(__doc__)
page.predict(
    "A question needs the values of two places. One reader divides its attention between them, and a linear readout makes the "
    "best of what arrives. Is there a division that leaves no error?",
    ["Half and half", "All on one place", "No, never"],
    right="No, never",
    because="Both curves on the left stay above zero for every division. A second reader needs no compromise: each looks at "
    "one place, and nothing is left to guess.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts

left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["alone"],
        x="share",
        colour="line",
        span=(0, 1),
        across=(0, 100),
        rules={"two readers: nothing is left": 0.0},
        title="One reader: what stays wrong, wherever it looks",
        caption="Exact, not trained: the least loss of the best linear readout; 1 is knowing nothing. *Subtract* never falls "
        f"below ½. *Name both* could fall to {facts['blend']:.2f} just beside half and half, on paper; training ends higher.",
    )
with right:
    page.show(
        charts.heat,
        first["weights"],
        x="key",
        y="query",
        beside="head",
        title="Where each reader looks",
        caption=f"Row: a place that asks; columns: the {config.length} places it can read; a row adds up to 1. "
        f"Weights set by hand to look at the {config.heads} nearest places: one reader shares, {config.heads} heads do not.",
    )

page.tell(
    One_reader=(
        f"{facts['halves']:.3f}",
        "Its largest weight in the middle row: it has to look at all the places at once.",
    ),
    One_of_several=(f"{facts['sharp']:.3f}", "The largest weight of the first head in the same row."),
    Least_error_of_one=("½ of the variance", "For subtract, whatever the weights: the inequality below."),
    Both_right_by_one=("1 in 16", "Read one of the two, guess the other: how often both are right."),
    Parameters=(f"{facts['parameters'][0]:,}", "Of the attention layer, for 1, 2, 4 and 8 heads alike."),
)

st.subheader("The same numbers, cut into heads", anchor=False)
left, right = st.columns(2)
with left:
    st.latex(
        rf"z_i = \operatorname{{softmax}}\!\Big(\tfrac{{1}}{{\sqrt{{{facts['d_k']}}}}}\, Q_i K_i^\top\Big)\, V_i"
        rf"\qquad i = 1 \ldots {config.heads}"
    )
    st.latex(rf"y = [\,z_1 \ldots z_{{{config.heads}}}\,]\, W_o^\top + b_o")
    st.markdown(
        f"The matrices do not know about heads. Their {config.width} outputs are cut into {config.heads} pieces of "
        f"$d_k = {config.width}/{config.heads} = {facts['d_k']}$, and each piece has a softmax of its own."
    )
    st.latex(r"(1 - m\,p_1)^2 + (1 + m\,p_2)^2 \;\ge\; 1 \qquad\text{since } p_1, p_2 \ge 0")
    st.markdown(
        "This is why one reader cannot subtract: the first term needs $m > 0$, the second $m < 0$, and a softmax has no "
        "negative weights."
    )
with right:
    T, d, h = config.length, config.width, config.heads
    page.ledger(
        ("$x$", f"{T} × {d}", "a vector for each place"),
        ("$W_q, W_k, W_v, W_o$", f"4 × {d} × {d}", "the same for every number of heads"),
        ("$b_q, b_k, b_v, b_o$", f"4 × {d}", ""),
        ("$Q, K, V$, cut", f"{h} × {T} × {facts['d_k']}", "heads × places × d_k"),
        ("weights", f"{h} × {T} × {T}", "one map a head: this alone grows"),
        ("$z$, joined again", f"{T} × {d}", "as wide as x"),
        ("**all parameters**", " = ".join(f"{count:,}" for count in facts["parameters"]), "with 1, 2, 4, 8 heads"),
    )
page.badge(facts["agreement"])

st.subheader("Now train them", anchor=False)
page.predict(
    f"Two layers start from the same {facts['parameters'][0]:,} weights and see the same data. One has a single head, the other "
    "two. How often does the single head name both neighbours right, after training?",
    ["about 6 to 20 %", "about 50 %", "nearly always"],
    right="about 6 to 20 %",
    because="It ends in one of two places. Reading one neighbour and guessing the other is right in 1 of 16 cases. Half of each "
    "says which two symbols they are, but not their order. Two heads are right nearly every time; about one start in "
    "twenty ends with both on the same place.",
)
st.caption(f"**{config.task}:** {TASKS[config.task]} There is no way around the attention, and no second layer.")


def figures(moment):
    facts = moment.facts
    numbers = config.task == "subtract"
    losses = {"knows nothing": facts["baseline"]} | (
        {"the least that one head can": facts["one_read"]}
        if numbers
        else {"reads one, guesses the other": facts["one_read"], "half of each, order lost": facts["even_mixture"]}
    )
    left, right = st.columns(2)
    with left:
        page.course(
            moment,
            "loss",
            span=(0, 1.1 * facts["baseline"]),
            rules=losses,
            title="Loss",
            caption="Mean over fresh batches since the moment before; line: median, band: range of the seeds. "
            + (
                "One head cannot go below the lower line, on average; for these normally distributed numbers no readout helps."
                if numbers
                else "The lower lines are where one head settles, not walls."
            ),
        )
    with right:
        page.show(
            charts.curve,
            moment["explained" if numbers else "right"],
            x="step",
            colour="arm",
            span=(0, 1.02),
            across=(0, config.steps),
            rules={"most that one head can" if numbers else "reads one, guesses the other": facts["one_read_score"]},
            title="Variance explained" if numbers else "Both answers right",
            caption="On 256 rows that were never trained on.",
        )
    left, right = st.columns([3, 2])
    with left:
        page.show(
            charts.heat,
            moment["weights"],
            x="key",
            y="query",
            beside="head",
            title="What each head looks at, at this moment",
            caption="First seed, one row that was never trained on; every map's columns are the "
            + (f"{config.length} tokens." if config.task == "neighbours" else f"{config.length} pairs.")
            + (
                " A diagonal beside the middle is a head that reads one neighbour."
                if config.task == "neighbours"
                else ""
            )
            + (
                " The questions name the pairs in order, so good heads draw stairs."
                if config.task != "neighbours"
                else ""
            ),
        )
    with right:
        page.show(
            charts.bars,
            moment["without"],
            x="off",
            colour="answer",
            span=(0, 1),
            title="Switch one of the heads off",
            caption="First seed: the score of each answer when one head's reads are replaced by zeros, without any new training.",
        )


page.play(run, config, figures)
st.markdown(
    "**Try:** train *Both neighbours* and read the bars: each head carries one answer alone. · *Feed-forward unmixes* is the "
    "counter-example: if the shares are unequal, say 0.7 and 0.3, a network after the heads can take the blend apart, and one "
    "head is often enough. · *Two heads, one place*: with six seeds, some pairs of heads "
    "settle on the same place and stay there. Turn to four heads, and all find both."
)
