"""Multi-head attention: one softmax blends two places into one; two heads read both.

Whoever needs two places at once gets half of each from one softmax, mixed into one vector.
"""

import streamlit as st

from seqcore.experiments.heads import Config, by_hand, one_reader, run, sizes
from view import charts, page

TASKS = {
    "neighbours": "Every token names both its neighbours, out of 16 symbols each.",
    "two keys": "A question names two keys, and wants both their values, in order, out of 16 each.",
    "subtract": "A question names two keys, and wants the first one's value minus the second's: four numbers.",
}
TRAINING = ("heads", "width", "task", "readout", "length", "rate", "steps")
PRESETS = {
    "Both neighbours": {},
    "Two keys": {"task": "two keys", "heads": 4, "rate": 0.01, "steps": 400},
    "Subtract": {"task": "subtract", "heads": 4, "rate": 0.01},
    "Two heads, one place": {"task": "subtract", "rate": 0.01, "length": 8, "seeds": 6},
    "Feed-forward unmixes": {"readout": "feed-forward", "steps": 400},
}


@page.scene("heads", "length", presets={"Two": {}, "Four": {"heads": 4}, "Eight": {"heads": 8}})
def two_places(config):
    """Two places: one softmax has to share its weight; several heads give each place all of theirs.

    The weights of a softmax add up to 1. A word that needs its left *and* its right neighbour gives each one half, and
    reads a blend: one vector in which the two can no longer be told apart. *Heads* are several softmaxes side by side over
    the same words. Each has its own weights, so each may look at one place only.
    """
    picture = page.picture(by_hand, config)
    page.show(
        charts.heat,
        picture["weights"],
        x="key",
        y="query",
        beside="head",
        title="Where each reader looks",
        caption="Weights set by hand, not trained: one reader for all of the nearest places, then a head for each of them. "
        "Row: the place that asks; columns: the places it can read; every row adds up to 1.",
    )
    page.metrics(
        One_reader=(
            f"{picture.facts['halves']:.3f}",
            "Its largest weight in the middle row: it looks at all places at once.",
        ),
        One_of_several=(f"{picture.facts['sharp']:.3f}", "The largest weight of the first head in the same row."),
        Heads=f"{config.heads}",
    )


@page.scene("heads")
def one_reads_two(config):
    r"""One reads two: wherever a single softmax looks, an error stays.

    Give the share p to the first place and 1 − p to the second, and let a linear readout make the best of what arrives.
    To *subtract* b from a, it multiplies what is read by a number m. Then one of these squares is at least 1:

    $$(1 - m\,p)^2 + (1 + m\,(1 - p))^2 \;\ge\; 1 \qquad\text{since } p,\ 1 - p \ge 0$$

    The first needs m > 0 to be small, the second m < 0, and a softmax has no negative weights.
    """
    asked = page.question(
        "A question needs the values of two places. Which division of one reader's weight leaves no error?",
        ["Half and half", "All on one place", "None does"],
    )
    if not asked:
        return
    picture = page.picture(one_reader, config)
    least = picture.facts["blend"]
    page.show(
        charts.curve,
        picture["alone"],
        x="share",
        colour="line",
        span=(0, 1),
        across=(0, 100),
        rules={"two readers: nothing is left": 0.0},
        title="One reader: what stays wrong, wherever it looks",
        caption="Exact, not trained: the least loss of the best linear readout; 1 is knowing nothing. *Subtract* never falls "
        f"below ½. *Name both* could fall to {least:.2f} just beside half and half, on paper; training ends higher.",
    )
    asked.answer(
        "None does", f"Both curves stay above zero for every division; the lowest point of all is {least:.2f}."
    )


@page.scene("heads", "width", "length", presets={"Eight thin heads": {"heads": 8}, "Wide": {"width": 64, "heads": 4}})
def true_sizes(config):
    r"""True sizes: the heads share the width, so they cost nothing extra.

    The matrices do not know about heads. Their outputs are cut into h pieces of $d_k = d_{model} / h$ entries, and each
    piece has a softmax of its own. What the heads read is joined again, side by side, and $W_o$ mixes it: without $W_o$
    an entry of the output could come from one head only.

    The output is as wide as the input. It has to be: a residual connection adds the two, and the next layer expects the
    same width.
    """
    facts, T, d, h = page.picture(sizes, config).facts, config.length, config.width, config.heads
    left, right = st.columns(2)
    with left:
        st.latex(
            rf"z_i = \operatorname{{softmax}}\!\Big(\tfrac{{1}}{{\sqrt{{{config.d_k}}}}}\, Q_i K_i^\top\Big)\, V_i"
            rf"\qquad i = 1 \ldots {h}"
        )
        st.latex(rf"y = [\,z_1 \ldots z_{{{h}}}\,]\, W_o^\top + b_o")
        page.metrics(
            Parameters=(f"{facts['parameters'][0]:,}", "Of the attention layer, for 1, 2, 4 and 8 heads alike.")
        )
    with right:
        page.ledger(
            ("$x$", f"{T} × {d}", "a vector for each place"),
            ("$W_q, W_k, W_v, W_o$", f"4 × {d} × {d}", "the same for every number of heads"),
            ("$b_q, b_k, b_v, b_o$", f"4 × {d}", ""),
            ("$Q, K, V$, cut", f"{h} × {T} × {config.d_k}", "heads × places × d_k"),
            ("weights", f"{h} × {T} × {T}", "one map a head: this alone grows"),
            ("$z$, joined again", f"{T} × {d}", "as wide as x"),
        )
    page.badge(facts["agreement"])


def score(moment):
    """The curve of right answers, or of the variance that is explained, with the most that one head can do."""
    numbers = "explained" in moment
    page.progress(
        moment,
        "explained" if numbers else "right",
        span=(0, 1.02),
        rules={"most that one head can" if numbers else "reads one, guesses the other": moment.facts["one_read_score"]},
        title="Variance explained" if numbers else "Both answers right",
        caption="On 256 rows that were never trained on.",
        height=220,
    )


@page.scene(*TRAINING, presets=PRESETS)
def trained(config):
    """Trained: from equal weights and equal data, one head fails where several succeed.

    Nothing bypasses the attention, and there is no second layer. Of 40 starts of one head, trained to name both neighbours,
    39 end near half of each, most of them within 300 steps: they know which two symbols it is, but not their order. Both
    answers were right in 6 to 20 % of cases by then. A fixed rule, say *the smaller one first*, would reach 53 %; but both
    orders are equally likely, so the loss does not reward it. The first seed on screen is the other one: it reads one
    neighbour and guesses the other.
    """
    st.caption(f"**{config.task}:** {TASKS[config.task]}")
    asked = page.question(
        "How often is the single head right about everything it is asked, at the end?",
        ["below 30 %", "about half", "nearly always"],
    )
    if not asked:
        return

    def figures(moment):
        facts, numbers = moment.facts, config.task == "subtract"
        losses = {"knows nothing": facts["baseline"]} | (
            {"the least that one head can": facts["one_read"]}
            if numbers
            else {"reads one, guesses the other": facts["one_read"], "half of each, order lost": facts["even_mixture"]}
        )
        left, right = st.columns(2)
        with left:
            page.progress(
                moment,
                "loss",
                span=(0, 1.1 * facts["baseline"]),
                rules=losses,
                title="Loss",
                caption="Mean over fresh batches since the moment before; line: median, band: range of the seeds. "
                + ("No readout of one head gets below the lower line." if numbers else "The lower lines are no walls."),
                height=220,
            )
        with right:
            score(moment)
        if moment.step == config.steps:
            share = facts["alone"]
            told = f"On average over the seeds: {share:.0%}{' of the variance' if numbers else ''}; "
            told += f"{config.heads} heads: {facts['together']:.0%}."
            asked.answer("below 30 %" if share < 0.3 else "about half" if share < 0.8 else "nearly always", told)

    page.play(run, config, figures)


@page.scene(*TRAINING, presets=PRESETS)
def who_carries_what(config):
    """Trained heads: each carries one answer, and without it that answer is lost.

    This is the same training. The maps show where each head looks at this moment, for one row that was never trained on. The
    bars show what happens when the reads of one head are replaced by zeros, without any new training. Some starts end with
    two heads on the same place, as in *Two heads, one place*.
    """
    where = {
        "neighbours": "A diagonal beside the middle is a head that reads one neighbour.",
        "two keys": "The questions name the pairs in order, so good heads draw stairs.",
    }

    def figures(moment):
        left, right = st.columns([3, 2])
        with left:
            page.show(
                charts.heat,
                moment["weights"],
                x="key",
                y="query",
                beside="head",
                title="What each head looks at",
                caption=f"First seed. {where.get(config.task, where['two keys'])}",
            )
        with right:
            page.show(
                charts.bars,
                moment["without"],
                x="off",
                colour="answer",
                span=(0, 1),
                title="Switch one of the heads off",
                caption="First seed: the score of each answer.",
            )

    page.play(run, config, figures)
    st.caption(
        "*Feed-forward unmixes* is the counter-example: if the shares are unequal, say 0.7 and 0.3, a network after the heads "
        "can take the blend apart, and one head is often enough. In *Two heads, one place* some pairs of heads settle on the "
        "same place and stay there; with four heads all seeds find both."
    )


@page.scene("heads", "width")
def practice(config):
    """Practice: how thin may a head be?

    The more heads share a width, the fewer entries has each of their queries.
    """
    facts = page.picture(sizes, config).facts

    def thin():
        return config.d_k == 2, f"Now d_k = {config.width} / {config.heads} = {config.d_k}."

    left, right = st.columns(2)
    with left:
        page.mission(
            "make every head as thin as these knobs allow: d_k = 2. What happens to the number of weights?", thin
        )
    with right:
        page.metrics(Entries_of_a_query=f"{config.d_k}", Parameters=f"{facts['parameters'][0]:,}")
    page.exercise(
        "One softmax reads two places, half and half, out of 16 symbols. What does it know?",
        {
            "which two symbols, not their order": "The blend of a and b is the blend of b and a.",
            "nothing": "It costs ln 2 an answer instead of ln 16: much less than nothing known.",
            "both, in order": "For that the two shares would have to differ, and the readout to be non-linear.",
        },
        right="which two symbols, not their order",
    )
    page.exercise(
        "Why must the output of multi-head attention be as wide as its input?",
        {
            "the residual connection adds them": "x + y needs equal shapes, and so does stacking layers.",
            "softmax needs it": "A softmax runs over the keys; it does not see the width.",
            "d_k would not divide it": "W_o brings any joined width to any output width.",
        },
        right="the residual connection adds them",
    )
    page.exercise(
        "From 2 to 8 heads at the same width: what grows?",
        {
            "the maps of weights": "There is one T × T map for each head.",
            "the number of parameters": "The matrices are cut, not copied: 4 d² + 4 d numbers for every h.",
            "d_k": "It shrinks: d_k = d_model / h.",
        },
        right="the maps of weights",
    )


page.lesson(__doc__, Config, two_places, one_reads_two, true_sizes, trained, who_carries_what, practice)
