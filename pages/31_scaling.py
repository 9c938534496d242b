"""Why divide by √d_k: without it one key gets nearly all the weight, before any training.

A score is a sum of d_k products. If their factors are independent with variance 1, it spreads like √d_k.
"""

from functools import partial

import streamlit as st

from seqcore.experiments import scaling
from seqcore.experiments.scaling import ALIKE, ALIVE, ARMS, FAR, SIZES, WIDE, Config, at, run
from view import charts, digits, page

NONE, ROOT, LINEAR = ARMS
BY_SIZE = dict(x="d_k", log_x=True, across=(SIZES[0], SIZES[-1]))
TRAININGS = {
    "Rate 0.3": {"rate": 0.3},
    "Rate 5": {"rate": 5.0},
    "Adam": {"d_k": 1024, "optimiser": "Adam", "rate": 0.01},
    "nn.Linear's start": {"d_k": 64, "initial": "nn.Linear default", "seeds": 6},
    "Xavier": {"d_k": 512, "initial": "Xavier"},
    "Too fast": {"d_k": 16, "rate": 3.0},
}


def lines(title, caption, *signals, **options):
    page.show(charts.curve, *signals, title=title, caption=caption, **(dict(colour="arm") | options))


def maps(title, caption, signal, **options):
    page.show(charts.heat, signal, beside="arm", title=title, caption=caption, **options)


def with_option(draw, *option, choices):
    """A picture that depends on a view option, and the option below it."""
    place = st.container()
    chosen = page.view_option(*option, choices=choices)
    with place:
        draw(chosen)


@page.scene("d_k")
def one_query(config):
    r"""One query: without scaling one key gets nearly all the weight, by pure chance.

    A *query* q and several *keys* k are lists of d_k random numbers. Each *score* is a dot product q · k, and a softmax
    turns the scores into *weights* that add up to 1. No key is better than another. Still, without scaling (red) one key
    takes almost all of the weight once d_k is large. With $\operatorname{softmax}(q K^\top / \sqrt{d_k})$ (blue) the
    weights are about equally even at every d_k.
    """
    weights = page.picture(scaling.few_queries, config)["weights"]

    def draw(query):
        chosen = weights.sel(query=query)
        here = chosen.sel(d_k=config.d_k)
        left, right = st.columns(2)
        with left:
            words = "The same scores, as they are and divided by √d_k. Each colour adds up to 1."
            options = dict(x="key", colour="arm", span=(0, 1), caption=words)
            page.show(charts.bars, here, title="Weights at the d_k of the slider", **options)
        with right:
            words = "Downward the query and its keys get more entries, and keep those they had."
            maps("The same query at every d_k", words, chosen, x="key", y="d_k", frame=SIZES.index(config.d_k))

    place = st.container()
    for_query, for_key = st.columns(2)
    with for_query:
        query = page.view_option("query", "Another query", 1, choices=weights.ticks["query"])
    with for_key:
        key = page.view_option("key", "The key to follow in digits", min(8, config.keys), 1, config.keys)
    with place:
        draw(query)
    left, right = st.columns([6, 5], gap="medium")
    with left:
        st.latex(digits.score_in_full(scaling.one_score(config, query, key)))
    with right:
        st.code(scaling.source(), language="python", wrap_lines=True)
        st.caption(
            "From `seqcore/models/attention.py`: `scale` is 1 for red and 1/√d_k for blue, and there is no mask. $s_j$ is what "
            f"goes into the softmax, and $p_{{{key}}}$ the weight: both are the bars of key {key}."
        )


@page.scene("d_k", "initial")
def spread(config):
    r"""Spread: a sum of d_k products spreads like √d_k, if their factors have variance 1.

    A score is a sum of d_k products. If all entries are independent, with mean 0 and variance 1, the variance of each
    product is 1 too. Variances of independent terms add up:
    $\operatorname{Var}(q \cdot k) = \sum_{i=1}^{d_k} \operatorname{Var}(q_i k_i) = d_k$. The standard deviation, the
    *spread*, is √d_k. Dividing by √d_k brings it back to 1. Dividing by d_k leaves 1/√d_k, and nearly equal weights. Do the
    entries have variance 1? That depends on how W_q and W_k are drawn (right picture).
    """
    picture, starts = page.picture(scaling.sharpness, config), page.picture(scaling.starts, config)

    def draw(look):
        if look == "every d_k":
            words = "Line: median, band: range of the seeds. Dashed: √d_k. On two logarithmic axes a root is a straight line."
            lines("Spread of the scores, by scaling", words, picture["spread"], picture["rule"], log=True, **BY_SIZE)
        elif look == "all scores":
            density = page.picture(scaling.every_score, config)["density"]
            words = "All scores at the d_k of the slider. Every curve is scaled to a peak of 1."
            lines("How far the scores lie apart", words, density, x="score")
        else:
            sums = page.picture(scaling.product_by_product, config)
            words = "Each product is a random step. After i steps of variance 1 a sum is about √i away from 0 (dashed)."
            options = dict(x="added", colour="key", across=(0, config.d_k))
            lines("Five scores, product by product", words, sums["walk"].isel(query=0), sums["root"], **options)

    left, right = st.columns(2)
    with left:
        looks = ("every d_k", "all scores", "product by product")
        with_option(draw, "look", "Draw", looks[0], choices=looks)
    with right:
        words = "Dashed: Var(q) √d_k. Var(q) is 1, or ⅓ for nn.Linear, or 2 d_model / (d_model + d_k) for Xavier."
        options = dict(colour="start", log=True, **BY_SIZE)
        lines("Unscaled, by initial weights", words, starts["by_start"], starts["by_start_theory"], **options)
    measured, model = at(picture["spread"], config.d_k), page.picture(scaling.untrained, config).facts
    page.metrics(
        Spread_unscaled=(f"{measured[NONE]:.1f}", f"Theory for variance 1: √{config.d_k} = {config.d_k**0.5:.1f}."),
        Spread_divided_by_the_root=(f"{measured[ROOT]:.2f}", "Theory for variance 1: 1."),
        Spread_of_q=(f"{model['query_spread']:.2f}", "Of the queries of an untrained model. The rule assumes 1."),
    )


def draw_measure(picture, measure):
    if measure == "Jacobian":
        words = "‖∂p/∂s‖. The median: a few queries with no clear winner keep the mean up."
        lines("Size of the Jacobian, median query", words, picture["jacobian"], log=True, span=(1e-6, 1), **BY_SIZE)
    elif measure == "largest weight":
        words = "Mean over queries. With entries of variance 1, only 1/√d_k keeps it the same at every d_k."
        lines("The largest weight", words, picture["largest"], span=(0, 1), **BY_SIZE)
    else:
        words = "Mean entropy over ln n. 1: all n keys have the same weight. 0: one key has all of it."
        lines("How even the weights are", words, picture["entropy"], span=(0, 1), **BY_SIZE)


@page.scene("d_k", "keys")
def saturation(config):
    r"""Saturation: a softmax that gives all weight to one key does not move when its scores do.

    The *Jacobian* of the softmax says how far weight $p_i$ moves when score $s_j$ is raised:
    $\partial p_i / \partial s_j = p_i (\delta_{ij} - p_j)$, where $\delta_{ij}$ is 1 if i = j and 0 otherwise.

    If one weight is 1 and the others are 0, all entries of the Jacobian are 0. Then no gradient reaches this query, nor its
    keys through it, whatever the loss is. Only the values still get a gradient.
    """
    asked = page.question(
        "At the d_k of the slider a score is raised a little. How far do the weights of the median query move without "
        "scaling, compared with 1/√d_k?",
        FAR,
    )
    if not asked:
        return
    picture, softmax = page.picture(scaling.sharpness, config), page.picture(scaling.nudged, config)["softmax"]

    def draw_one(query):
        end = min(0.25, 1.6 / config.keys)
        words = (
            f"Orange: the weight grows with the score. Blue: it shrinks. Colours end at ±{end:.2g}. Rows add up to 0."
        )
        chosen = softmax.sel(query=query)
        maps("The Jacobian of one query", words, chosen, x="nudged", y="moving", span=(-end, end))

    left, right = st.columns(2)
    with left:
        with_option(draw_one, "query", "Another query", 1, choices=softmax.ticks["query"])
    with right:
        measures = ("Jacobian", "largest weight", "entropy")
        with_option(partial(draw_measure, picture), "measure", "Draw", measures[0], choices=measures)
    moves = at(picture["jacobian"], config.d_k)
    asked.answer(
        scaling.how_far(moves[NONE], moves[ROOT]),
        f"The median ‖∂p/∂s‖ is {moves[NONE]:.2g} without scaling and {moves[ROOT]:.2g} with 1/√d_k, at d_k = {config.d_k}.",
    )


@page.scene("d_k", "initial")
def first_gradient(config):
    """First gradient: without scaling the first gradient is not smaller but larger, and few queries hold it.

    It is often said that the gradient vanishes without scaling. All queries share W_q, and its gradient is a sum over all
    of them.

    For most queries the gradient does vanish. But where no key takes all the weight, a query keeps its gradient:
    ∂L/∂q = scale · Kᵀ J ∂L/∂p. There the Jacobian J is not 0, the keys K have a length of about √d_k, and without scaling
    nothing divides by √d_k.
    """
    asked = page.question("On the first batch: which scaling has the largest gradient ‖dL/dW_q‖?", (*ARMS, ALIKE))
    if not asked:
        return
    picture, crowd = page.picture(scaling.first_step, config), page.picture(scaling.who_gets_it, config)
    left, right = st.columns(2)
    with left:
        words = "‖dL/dW_q‖ of the model before its first step. Line: median, band: range of the seeds."
        lines("Gradient of W_q on the first batch", words, picture["start"], log=True, **BY_SIZE)
    with right:
        words = "‖dL/dq‖ of 128 queries at the d_k of the slider. What is below the axis is left out."
        options = dict(x="sorted", log=True, across=(0, 100), span=(1e-7, 10))
        lines("Gradient of each query, the largest first", words, crowd["per_query"], **options)
    start, held = at(picture["start"], config.d_k), crowd.facts["held"]
    asked.answer(
        scaling.largest_of(start),
        f"At d_k = {config.d_k} it is {start[NONE]:.2g} without scaling, {start[ROOT]:.2g} with 1/√d_k and {start[LINEAR]:.2g} "
        f"with 1/d_k. One tenth of the queries holds {held[NONE]:.0%} of the squared gradients without scaling, and "
        f"{held[ROOT]:.0%} with 1/√d_k.",
    )


@page.scene("initial", "keys")
def one_step(config):
    """One step: with 1/√d_k a step of SGD moves the scores equally far at every d_k.

    A step of SGD changes q by −rate · scale · Kᵀ ∂L/∂s. So the scaled scores s = scale · K q change by −rate · scale² · K
    Kᵀ ∂L/∂s. K Kᵀ grows like d_k. So the change stays the same with 1/√d_k, shrinks like 1/d_k with 1/d_k, and grows like
    d_k without scaling (somewhat less, since most of its queries have no gradient). *Adam* moves each weight by the
    learning rate, however small the gradient. So one factor *scale* is missing, and 1/d_k makes its first step even.
    """
    picture = page.picture(scaling.first_step, config)
    for column, (optimiser, (rate, _)) in zip(st.columns(2), scaling.FIRST_STEPS.items()):
        powers = ", ".join(f"{power:.2f} ({arm})" for arm, power in picture.facts["slopes"][optimiser].items())
        words = f"Learning rate {rate:g}. From 16 to 1024 it grows like d_k to the power {powers}.".replace("-", "−")
        with column:
            signal = picture["one_step"].sel(optimiser=optimiser)
            lines(f"One step of {optimiser}", words, signal, log=True, span=(1e-6, 100), **BY_SIZE)


@page.scene("d_k", "rate", "optimiser", presets=TRAININGS)
def trained(config):
    """Trained: with 1/√d_k one learning rate serves d_k = 16 as well as 1024.

    A memory holds pairs of a key and a digit. One key comes again, and the model names its digit. Three models have the
    same initial weights and batches, and differ in their scaling. *Rate 0.3*: the unscaled one learns too. *Rate 5*: the
    one with 1/d_k learns. *Adam*: 1/d_k learns, the unscaled one stays behind. *nn.Linear's start* makes smaller scores:
    the unscaled one learns with some seeds. *Too fast* stops 1/√d_k as well.
    """

    def figures(look, moment):
        left, right = st.columns(2)
        with left:
            if look == "loss":
                page.losses(moment)
            else:
                words = "The share of 64 questions that were never trained on. Line: median, band: range of the seeds."
                page.progress(moment, "right", span=(0, 1), title="Right answers", caption=words)
        with right:
            words = "Each row asks for one key of a memory. The right key is on the diagonal. First seed."
            maps("Who looks where", words, moment["weights"], x="key", y="query")
        answered = moment.facts["answered"].items()
        page.metrics(**{f"Right, {arm.replace('_k', 'ₖ')}": f"{share:.0%}" for arm, share in answered})

    def draw(look):
        page.play(run, config, partial(figures, look))

    with_option(draw, "drawn", "Draw", "loss", choices=("loss", "right answers"))
    if config.optimiser == "Adam" and config.rate > 0.1:
        st.info("Adam takes steps of the size of its learning rate, whatever the gradient. 0.01 suits it here.")
    model = page.picture(scaling.untrained, config).facts
    page.ledger(
        ("q", f"(batch, 1, {config.d_k})", f"x W_qᵀ, from {model['width']} features of the key that is asked for"),
        ("k", f"(batch, {config.keys}, {config.d_k})", "the keys in memory, x W_kᵀ"),
        ("scores, weights", f"(batch, 1, {config.keys})", "one number a key"),
        ("W_q, W_k", f"({config.d_k}, {model['width']})", f"{2 * config.d_k * model['width']:,} weights together"),
    )
    page.badge(model["agreement"])


@page.scene("d_k", "initial", "keys")
def practice(config):
    """Practice: find weights that need no scaling, then answer three questions."""
    picture = page.picture(scaling.sharpness, config)

    def check():
        size = at(picture["jacobian"], config.d_k)[NONE]
        return scaling.survives(picture, config), f"‖∂p/∂s‖ is {size:.2g} without scaling, at d_k = {config.d_k}."

    page.mission(
        f"Keep the median ‖∂p/∂s‖ without scaling at {ALIVE} or more, at a d_k of {WIDE} or more. Turn the knobs.",
        check,
    )
    left, right = st.columns(2)
    with left:
        draw_measure(picture, "Jacobian")
    with right:
        page.exercise(
            "d_model = 512, 8 heads, so d_k = 64. By mistake the scores are divided by √d_model. How far do they spread?",
            {
                "1": "For that they have to be divided by √64 = 8.",
                "0.35": "√64 / √512 = 8 / 22.6. The weights are more even than they should be.",
                "2.8": "That is √512 / √64, the wrong way round.",
                "8": "That is their spread before the division.",
            },
            right="0.35",
        )
        page.exercise(
            "Entries of q and k are independent, with mean 0 and variance 4. What must q · k be divided by to spread by 1?",
            {
                "√d_k": "That is right for variance 1.",
                "2 √d_k": "Both factors of a product have variance 4, so the product has 16.",
                "4 √d_k": "Each product has variance 4 · 4 = 16, the sum has 16 d_k, and its root is 4 √d_k.",
                "16 √d_k": "The variance of the sum is 16 d_k. Its root is smaller: 4 √d_k.",
            },
            right="4 √d_k",
        )
        page.exercise(
            "d_k = 256, SGD, learning rate 1, 300 steps, variance 1. Which models name every digit that is asked for?",
            {
                "All three": "A step moves the unscaled scores far too much, and those over d_k hardly at all.",
                "1/√d_k and 1/d_k": "With 1/d_k a step moves the scores about 256 times less. It needs a rate of about 5.",
                "Only 1/√d_k": "This rate fits its steps. At 256 the others need other rates: about 0.3 and 5.",
                "None": "The scores over √d_k spread by 1 and move a little at each step: that model learns.",
            },
            right="Only 1/√d_k",
        )


page.lesson(__doc__, Config, one_query, spread, saturation, first_gradient, one_step, trained, practice)
