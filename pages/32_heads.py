"""Multi-head attention: one softmax blends two places into one; two heads read both.

Whoever needs two places at once gets half of each from one softmax, mixed into one vector.
"""

import streamlit as st

from seqcore.experiments.heads import Config, by_hand, one_reader, run, sizes
from view import blocks_heads, charts, page

TASKS = {
    "neighbours": "Every token names both its neighbours, out of 16 symbols each.",
    "two keys": "A question names two keys, and wants both their values, in order, out of 16 each.",
    "subtract": "A question names two keys, and wants the first one's value minus the second's: four numbers.",
}
SIZES = ("heads", "width", "d_k", "d_v")
TRAINING = (*SIZES, "task", "readout", "length", "rate", "steps")
PRESETS = {
    "Both neighbours": {},
    "Two keys": {"task": "two keys", "heads": 4, "rate": 0.01, "steps": 400},
    "Subtract": {"task": "subtract", "heads": 4, "rate": 0.01},
    "Two heads, one place": {"task": "subtract", "rate": 0.01, "length": 8, "seeds": 6},
    "Feed-forward unmixes": {"readout": "feed-forward", "steps": 400},
    "Values of two": {"d_v": 2},
    "Keys of one": {"d_k": 1},
}


@page.scene("heads", "length", presets={"Two": {}, "One": {"heads": 1}, "Four": {"heads": 4}, "Eight": {"heads": 8}})
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
        caption=f"Weights set by hand, not trained: one reader for all of the {picture.facts['places']} nearest places"
        + (", then a head for each of them. " if config.heads > 1 else "; it is the only head. ")
        + "Row: the place that asks; columns: the places it can read; every row adds up to 1.",
    )
    sharp = picture.facts["sharp"]
    page.metrics(
        One_reader=(
            f"{picture.facts['halves']:.3f}",
            "Its largest weight in the middle row: it looks at all places at once.",
        ),
        One_of_several=(
            "none" if sharp is None else f"{sharp:.3f}",
            "The largest weight of the first head in the same row; none if there is one head only.",
        ),
        Heads=f"{config.heads}",
    )


@page.scene("heads")
def one_reads_two(config):
    r"""One reads two: wherever a single softmax looks, an error stays.

    Give the share p to the first place and 1 − p to the second, and let a linear readout make the best of what arrives.
    To *subtract* b from a, it multiplies what is read by a number m.

    Then one of these squares is at least 1:

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


@page.scene(
    *SIZES,
    "length",
    presets={
        "As usual": {},
        "Eight thin heads": {"heads": 8},
        "Short keys": {"heads": 4, "d_k": 2, "d_v": 16},
        "Wide heads": {"heads": 4, "d_k": 32, "d_v": 32},
    },
)
def true_sizes(config):
    r"""True sizes: the sizes of a head are free; with the usual ones, more heads cost no more parameters.

    A query and its key need equally many entries, $d_k$, for their dot product. A value may have another size, $d_v$. The
    heads' reads are joined to $h\,d_v$ entries. $W_o$ mixes them; without it an entry of y would come from one head only.
    It also makes y as wide as x, since a residual connection adds the two.

    The usual $d_k = d_v = d_{model} / h$ is a choice, not a law: the four matrices are then the same size for every h
    that divides $d_{model}$, and a little smaller for any other.
    """
    picture = page.picture(sizes, config)
    facts, h = picture.facts, config.heads
    all_heads = "1" if h == 1 else rf"1 \ldots {h}"
    left, right = st.columns([4, 5])
    with left:
        page.drawing(
            blocks_heads.matrices(picture),
            f"One scale for all matrices. d_k = {config.key_size}, d_v = {config.value_size}; "
            f"the usual choice is d_model / h = {usual(config)}. $W_o$ has the rows of a head in its colour.",
        )
    with right:
        st.latex(
            rf"z_i = \operatorname{{softmax}}\!\Big(\tfrac{{1}}{{\sqrt{{{config.key_size}}}}}\, Q_i K_i^\top\Big)\, V_i"
            rf"\qquad i = {all_heads}"
        )
        joined = "z_1" if h == 1 else rf"[\,z_1 \ldots z_{h}\,]"
        st.latex(rf"y = {joined}\, W_o + b_o")
        page.ledger(
            ("$W_q$, $W_k$", shape(facts["W_q"]), "each $d_{model}$ × $h\\,d_k$"),
            ("$W_v$", shape(facts["W_v"]), "$d_{model}$ × $h\\,d_v$"),
            ("$W_o$", shape(facts["W_o"]), "$h\\,d_v$ × $d_{model}$"),
            ("$b_q$, $b_k$, $b_v$, $b_o$", f"{facts['biases']}", "together"),
            ("weights", f"{h} × {shape(facts['weights'])}", "a map for each head"),
        )
        page.metrics(
            Parameters=(f"{facts['parameters']:,}", "Counted in the layer of these sizes: matrices and biases."),
            As_usual=(
                f"{facts['usual']:,}",
                "One head with d_k = d_v = d_model, or any h that divides d_model with d_k = d_v = d_model / h.",
            ),
        )
        if facts["twin"]:
            page.badge(facts["agreement"])
        else:
            st.caption(
                f"max |ours − reference| = {facts['agreement']:.1e} for these knobs. torch.nn.MultiheadAttention needs "
                "h d_k = h d_v = d_model, so the reference is `torch.einsum` with `F.scaled_dot_product_attention`."
            )
        st.caption("The matrices are written as in *Attention is all you need*; torch stores them transposed.")


def shape(sizes):
    return " × ".join(map(str, sizes))


def usual(config):
    """The usual d_k and d_v in words."""
    whole = config.width % config.heads == 0
    return (
        f"{config.width} / {config.heads} = {config.usual}"
        if whole
        else (f"{config.width} / {config.heads}, rounded down {config.usual}")
    )


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


STARTS = """
Of 40 starts of one head, with the sizes and the task this page opens with, 39 end near half of each, most of them
within 300 steps: they know which two symbols it is, but not their order. Both answers were right in 6 to 20 % of cases
by then. A fixed rule, say *the smaller one first*, would reach 53 %; but both orders are equally likely, so the loss
does not reward it. The first seed on screen is the other one: it reads one neighbour and guesses the other.

*Values of two* entries can be enough: 10 of 12 starts had both answers right within 300 steps, and 2 stuck. *Keys of
one* are not: the product of two numbers is largest for the largest or the smallest key, so no query can prefer any
other.
"""


@page.scene(*TRAINING, presets=PRESETS)
def trained(config):
    """Trained: from equal weights and equal data, one head fails where several succeed.

    The one head has h·d_k and h·d_v entries, so both have equally many weights. Nothing bypasses the attention.

    """
    task, meaning = st.empty(), f"**{config.task}:** {TASKS[config.task]}"
    asked = page.question(
        "How often is the single head right about everything it is asked, at the end?",
        ["below 30 %", "about half", "nearly always"],
    )
    if not asked:
        task.caption(meaning)
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
            told = f"On average over the seeds: {share:.0%}{' of the variance' if numbers else ''}"
            told += f"; {config.heads} heads: {facts['together']:.0%}." if config.heads > 1 else "."
            asked.answer("below 30 %" if share < 0.3 else "about half" if share < 0.8 else "nearly always", told)

    page.play(run, config, figures)
    st.caption(meaning)
    st.markdown(STARTS)
    if config.heads == 1:
        st.caption("h = 1: there is no other model to compare with. With two heads or more, both are trained.")


@page.scene(*TRAINING, presets=PRESETS)
def who_carries_what(config):
    """Trained heads: each carries one answer, and without it that answer is lost.

    This is the same training. The maps show where each head looks at this moment, for one row that was never trained on.
    The bars show what happens when the reads of one head are replaced by zeros, without any new training. Some starts end
    with two heads on the same place, as in *Two heads, one place*.
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
    if config.heads == 1:
        st.caption("h = 1: without the only head, the attention hands on b_o at every place. What is left is guessing.")
    st.caption(
        "*Feed-forward unmixes* is the counter-example: if the shares are unequal, say 0.7 and 0.3, a network after the heads "
        "can take the blend apart, and one head is often enough. In *Two heads, one place* some pairs of heads settle on the "
        "same place and stay there; with four heads all seeds find both."
    )


@page.scene(*SIZES)
def practice(config):
    """Practice: which sizes may a head have?

    Short keys and long values, or the other way round: both cost parameters.
    """
    facts = page.picture(sizes, config).facts
    joined, width = facts["joined"][1], config.width

    def wider():
        return joined > width and facts["parameters"] <= facts["usual"], (
            f"Now h d_v = {config.heads} · {config.value_size} = {joined}, d_model = {width}, "
            f"{facts['parameters']:,} parameters of {facts['usual']:,} at most."
        )

    left, right = st.columns(2)
    with left:
        page.mission(
            "leave the usual choice. Join more entries than x has, h d_v > d_model, with no more parameters than one head "
            "with d_k = d_v = d_model.",
            wider,
        )
    with right:
        page.metrics(
            Entries_of_a_query=f"{config.key_size}",
            Entries_of_a_value=f"{config.value_size}",
            Parameters=f"{facts['parameters']:,}",
        )
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
            "h d_v is always d_model": "That is only the usual choice. W_o brings any h d_v to any output width.",
        },
        right="the residual connection adds them",
    )
    page.exercise(
        "From 2 to 8 heads at the same width, with the usual d_k = d_v = d_model / h: what grows?",
        {
            "the maps of weights": "There is one T × T map for each head.",
            "the number of parameters": "h d_k and h d_v stay d_model, so W_q, W_k, W_v and W_o stay as they are.",
            "d_k": "It shrinks: d_k = d_model / h. If you set d_k yourself, it stays.",
        },
        right="the maps of weights",
    )


page.lesson(__doc__, Config, two_places, one_reads_two, true_sizes, trained, who_carries_what, practice)
