"""Why divide by √d_k: without it the softmax has made up its mind before training begins.

A score is a sum of d_k products. If their factors are independent with variance 1, its standard deviation is √d_k, and
a softmax of numbers that far apart puts nearly all weight on one key, where it no longer moves when it is nudged.
"""

import streamlit as st

from seqcore.experiments.scaling import Config, before, run
from view import charts, page

PRESETS = {
    "d_k = 16": {"d_k": 16},
    "d_k = 256": {},
    "d_k = 1024": {"d_k": 1024},
    "Adam": {"d_k": 1024, "optimiser": "Adam", "rate": 0.01},
    "nn.Linear's start": {"d_k": 64, "initial": "nn.Linear default", "seeds": 6},
    "Xavier": {"d_k": 512, "initial": "Xavier"},
    "Too fast": {"d_k": 16, "rate": 3.0},
}

page.head(__doc__)
page.predict(
    "A query and 16 keys have 256 random entries each, all of variance 1. Their 16 dot products go through a softmax as "
    "they are. How is the weight shared out?",
    ["Almost evenly", "A few keys share most of it", "One key gets almost all"],
    right="One key gets almost all",
    because="The scores differ by about √256 = 16, and e¹⁶ is nine million. The winner takes it all, by pure chance.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts
none, root, linear = first["weights"].ticks["arm"]
sizes = (first["spread"].ticks["d_k"][0], first["spread"].ticks["d_k"][-1])
sweep = dict(x="d_k", colour="arm", log_x=True, across=sizes)

left, right = st.columns(2)
with left:
    picture = st.container()
    query = page.lens("query", "Another query", 1, choices=first["weights"].ticks["query"])
    with picture:
        page.show(
            charts.bars,
            first["weights"].pick(query=query),
            x="key",
            colour="arm",
            span=(0, 1),
            title=f"One query's weights on {config.keys} keys, d_k = {config.d_k}",
            caption="The same scores, multiplied by three numbers. Queries and keys are random: no key deserves the weight it "
            "gets. Each colour sums to 1.",
        )
with right:
    page.show(
        charts.curve,
        first["spread"],
        first["rule"],
        log=True,
        **sweep,
        title="Scores spread like √d_k, unless they are divided by it",
        caption="Standard deviation of the scores; line: median, band: range of the seeds. Dashed: the theory for entries of "
        "variance 1. Both axes are logarithmic, so a root is a straight line.",
    )

page.tell(
    Spread_unscaled=(f"{facts['spread'][none]:.1f}", f"Theory for variance 1: √{config.d_k} = {config.d_k**0.5:.1f}."),
    Largest_weight=(
        f"{facts['largest'][none]:.2f} → {facts['largest'][root]:.2f}",
        "The mean over queries: without scaling, and divided by √d_k.",
    ),
    Median_Jacobian=(
        f"{facts['jacobian'][none]:.2g} → {facts['jacobian'][root]:.2f}",
        "‖∂weights/∂scores‖ of the median query: without scaling, and divided by √d_k.",
    ),
    Spread_of_q=(
        f"{facts['query_spread']:.2f}",
        "Standard deviation of the queries in the model below before training. The argument for √d_k assumes 1.",
    ),
)

st.latex(
    rf"\operatorname{{Var}}(q \cdot k) = \sum_{{i=1}}^{{d_k}} \operatorname{{Var}}(q_i k_i) = d_k = {config.d_k}"
    rf"\qquad \text{{weights}} = \operatorname{{softmax}}\!\left(\frac{{q K^\top}}{{\sqrt{{{config.d_k}}}}}\right)"
    r"\qquad \frac{\partial p_i}{\partial s_j} = p_i\,(\delta_{ij} - p_j)"
)
st.markdown(
    "The last formula is the softmax's Jacobian. If one weight is 1 and the others are 0, every entry of it is 0: "
    "nudge a score, and nothing happens. No gradient reaches that query or its keys, whatever the loss."
)

left, middle, right = st.columns(3)
with left:
    page.show(
        charts.curve,
        first["density"],
        x="score",
        colour="arm",
        title="How far the scores lie apart",
        caption=f"All scores at d_k = {config.d_k}. Every curve is scaled to a peak of 1.",
    )
with middle:
    page.show(
        charts.curve,
        first["entropy"],
        span=(0, 1),
        **sweep,
        title="How spread the weights are",
        caption="Mean entropy over ln n. 1: all keys alike. 0: one key has it all.",
    )
with right:
    page.show(
        charts.curve,
        first["largest"],
        span=(0, 1),
        **sweep,
        title="What the favourite key gets",
        caption="Mean of the largest weight. With entries of variance 1, only 1/√d_k is the same for every d_k.",
    )
left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["jacobian"],
        log=True,
        span=(1e-6, 1),
        **sweep,
        title="The softmax of the median query dies",
        caption="‖∂weights/∂scores‖. The median, not the mean: a few undecided queries keep the mean up. The unscaled "
        "curve rises a little before it falls.",
    )
with right:
    page.show(
        charts.curve,
        first["start"],
        log=True,
        **sweep,
        title="But the first gradient is not smaller",
        caption="‖dL/dW_q‖ of the model below on its first batch. It is often told that it vanishes without scaling. It is the "
        "largest of the three: the few undecided queries get all of it. With 1/d_k it does shrink.",
    )
page.ledger(
    ("q", f"(batch, 1, {config.d_k})", f"x W_qᵀ, from {facts['width']} features of the key that is asked for"),
    ("k", f"(batch, {config.keys}, {config.d_k})", "the keys in memory, x W_kᵀ"),
    ("scores, weights", f"(batch, 1, {config.keys})", "one number a key"),
    ("W_q, W_k", f"({config.d_k}, {facts['width']})", f"{2 * config.d_k * facts['width']:,} weights together"),
)
page.badge(facts["agreement"])

st.subheader("Now train it", anchor=False)
st.markdown(
    f"A memory holds {config.keys} pairs of a key and a digit; one key comes again, and the model must name its digit. One head, "
    f"a linear readout, {config.optimiser} with learning rate {config.rate:g}. The three models differ in one number."
)
page.predict(
    "At d_k = 256, with SGD and learning rate 1, which of the three can look keys up after 300 steps?",
    ["All three", "1/√d_k and 1/d_k", "Only 1/√d_k"],
    right="Only 1/√d_k",
    because="Unscaled, the weights sit on wrong keys, and most queries get no gradient to move them. Divided by d_k, the "
    "scores are so small that a much larger learning rate would be needed. With 1/√d_k one learning rate suits every d_k.",
)


def figures(moment):
    left, right = st.columns(2)
    with left:
        page.losses(moment)
    with right:
        page.course(
            moment,
            "right",
            span=(0, 1),
            title="Right answers",
            caption="The share of 64 questions that were never trained on. Line: median, band: range of the seeds.",
        )
    page.show(
        charts.heat,
        moment["weights"],
        x="key",
        y="query",
        beside="arm",
        title="Who looks where: every key of one memory is asked for in turn",
        caption="The first seed's three models. The right key stands on the diagonal. Without scaling a softmax soon looks "
        "certain, also where it is wrong; with 1/d_k it is still nearly even.",
    )


page.play(run, config, figures)
if config.optimiser == "Adam" and config.rate > 0.1:
    st.info("Adam takes steps of the size of its learning rate, whatever the gradient. 0.01 suits it here.")
st.markdown(
    "**Try:** take d_k = 16 and then 1024: only 1/√d_k needs no new learning rate. · Take *Adam*: it divides every gradient by "
    "its own size, so 1/d_k learns as well as 1/√d_k, but the unscaled softmax stays behind. · Take *nn.Linear's start*: "
    "its initial weights have a third of the variance, so the scores are three times smaller, and the unscaled model "
    "learns with some seeds. · *Too fast* breaks 1/√d_k as well: it is no cure for a learning rate of 3."
)
