"""Autoregressive models: the last τ values predict the next one, and a longer window is not always better.

A short window sees too little. A long one has a weight for every value in it, and fits the noise of the values it learns.
"""

import streamlit as st

from seqcore.experiments.autoregressive import (
    OWN,
    TEXT,
    Config,
    column,
    fitted,
    forecasts,
    name,
    own_text,
    run,
    windows,
)
from view import charts, page

DATA = ("tau", "data", "length")
SINE, AR2, WORDS = {"data": "sine", "tau": 4}, {"data": "AR(2)", "tau": 2}, {"data": TEXT, "tau": 4}
LINEAR, BY_HEART = {"hidden": 0, "rate": 0.01}, {"tau": 64, "length": 500, "hidden": 64, "steps": 1000}


def limits(facts):
    """Horizontal lines: what knowing nothing costs, and the noise, where it is known."""
    return {"knows nothing": facts["baseline"]} | ({"noise": facts["floor"]} if facts.get("floor") else {})


@page.scene(*DATA, presets={"Too short": {"tau": 4}, "Slow sine": SINE, "AR(2): two are enough": AR2, "Text": WORDS})
def one_window(config):
    r"""One window: the next value is a weighted sum of the last τ values.

    Such a model is called *autoregressive*, AR(τ). A window of τ values slides along the series, and the same τ weights
    predict what comes next. Here least squares finds the weights that fit the training part best; there is nothing to
    train. **Teacher forcing** predicts each value from the true ones before it. **Free running** reads its own predictions.
    For a text, a model of order τ gives each character a probability.
    """
    picture = page.picture(fitted, config)
    facts = picture.facts
    if config.data == TEXT:
        caption = (
            f"Counted from the training part of the text, at most {min(config.tau, 8)} characters back; ␣ is the space."
        )
        title = "Probability of each character of a held-out piece, given those before it"
        page.show(charts.bars, picture["next"], x="time", span=(0, 1), title=title, caption=caption)
        with st.expander("Shapes of the network that the scene *Trained* trains"):
            page.ledger(
                ("window $w$", f"(batch, {config.tau} · 8)", "every character is a vector of 8 numbers, learned too"),
                (
                    "hidden layer $h$",
                    f"(batch, {config.hidden or config.tau * 8})",
                    "without hidden units it is the window",
                ),
                ("outputs $y$", f"(batch, {facts['symbols']})", "a number for each character of the alphabet"),
                ("text", f"({facts['train']} + {facts['held_out']})", "characters for training, and held out"),
            )
            page.badge(facts["agreement"])
        return
    left, right = st.columns([2, 1])
    with left:
        caption = "Up to time 0 the series is for fitting. After it, free running sees no true value any more."
        title = "The series, and what the window predicts"
        series = picture["series"].sel(arm=name(config.tau))
        page.show(charts.curve, series, x="time", colour="line", height=240, title=title, caption=caption)
    with right:
        caption = f"Weights w, fitted to {page.plain(facts['series'])}; 0 is the newest value."
        page.show(charts.bars, picture["coefficients"], x="back", height=240, title="The weights", caption=caption)
    latest = picture["coefficients"].values[:4]
    terms = "".join(f"{weight:+.2f}\\,x_{{t{f'-{k}' if k else ''}}}" for k, weight in enumerate(latest))
    more = r"+\dots" if config.tau > len(latest) else ""
    st.latex(
        r"\hat x_{t+1} = \sum_{k=0}^{\tau-1} w_k\,x_{t-k} + b"
        rf"= {terms.removeprefix('+')} {more} {facts['constant']:+.3f}\qquad\tau={config.tau}"
    )
    page.badge(facts["agreement"])
    with st.expander("Shapes"):
        rows = facts["train"] - config.tau
        page.ledger(
            ("windows $W$", f"({rows}, {config.tau})", "a row for each window of the training part"),
            ("targets $y$", f"({rows})", "the value that followed each window"),
            ("weights $w$, $b$", f"({config.tau}) and 1", "w solves min ‖W w + b − y‖²"),
            ("held out", f"({facts['held_out']})", "the last 40 % of the series; no weight has seen it"),
        )


@page.scene(*DATA, presets={"Short series": {"length": 500}, "Slow sine": SINE, "AR(2)": AR2, "Text": WORDS})
def how_long(config):
    """How long: the held-out error falls while the window still sees too little, then rises with every needless weight.

    A window of τ values has τ weights. They are fitted to one part of the series and tried on another, which was held out.

    A window that is too short has a *bias*: what it would need lies outside. Every further value brings one more weight,
    which is estimated from the same data: the *variance* grows, and weights begin to fit noise that will not come again.
    On the fitted part of a series more weights fit better.
    """
    asked = page.question(
        "Double the window again and again. What does the error do on values that were held out?",
        ["It only falls", "It falls, then rises", "It only rises"],
    )
    if not asked:
        return
    picture = page.picture(windows, config)
    facts, numbers = picture.facts, config.data != TEXT
    errors = picture["squared_error" if numbers else "perplexity"]
    orders = errors.ticks["tau"]
    left, right = st.columns([3, 2] if numbers else 2)
    with left:
        caption = "Perplexity of counting, with 0.1 added to every count. An unseen window gives no information."
        if numbers:
            caption = "Mean squared error one step ahead. Lines: medians; bands: the seeds, each with its own noise."
        options = dict(x="tau", colour="part", log=True, log_x=True, across=(1, orders[-1]), rules=limits(facts))
        page.show(charts.curve, errors, title="Error by the length of the window", caption=caption, **options)
    with right:
        if numbers:
            page.metrics(
                Your_window=(f"{facts['error']:.3g}", f"Held-out error of τ = {config.tau}."),
                Best_window=(f"τ = {facts['best']}", f"Its error is {facts['best_error']:.3g}."),
                Knowing_nothing=(f"{facts['baseline']:.3g}", "The error of answering with the training part's mean."),
            )
        else:
            caption = "The longer a window, the fewer were seen before. A network may find that it is like a known one."
            options = dict(x="tau", colour="line", log_x=True, across=(1, orders[-1]), span=(0, 1))
            page.show(charts.curve, picture["unseen"], title="Windows seen once, or never", caption=caption, **options)
    verdict = asked.choices[2 if facts["best"] == orders[0] else 0 if facts["best"] == orders[-1] else 1]
    asked.answer(verdict, f"Of the windows drawn, τ = {facts['best']} has the lowest: {facts['best_error']:.3g}.")


@page.scene(*DATA, presets={"τ = 16": {}, "τ = 4": {"tau": 4}, "Slow sine": SINE})
def further_ahead(config):
    """Further ahead: forecasts are made of forecasts, and their errors feed on each other.

    To look k steps ahead, a model predicts the next value, puts it into its window as if it were true, and goes on. What it
    got wrong becomes its input. With a window that is too short the error grows with k until the forecast is worth no more
    than the mean. With one that sees enough of the *two tones* it stays near the noise for many steps.
    """
    if config.data == TEXT:
        st.info(
            "Characters are not forecast as numbers. Choose a series as data; what networks write, the next scenes show."
        )
        return
    picture = page.picture(forecasts, config)
    facts = picture.facts
    caption = (
        "The window you chose, one of a quarter of its length and one four times as long; over all held-out starts."
    )
    options = dict(x="ahead", colour="arm", log=True, log_x=True, across=(1, len(picture["ahead"].ticks["ahead"])))
    title = "Error by steps ahead"
    page.show(charts.curve, picture["ahead"], rules=limits(facts), title=title, caption=caption, **options)
    told = {k: f"{facts[f'ahead {k}']:.3g}" for k in (1, 4, 16, 64) if f"ahead {k}" in facts}
    page.metrics(**{f"{k}_ahead": (error, f"{k} steps ahead, with {name(config.tau)}.") for k, error in told.items()})


@page.scene(
    *("tau", "hidden", "data", "rate", "steps"),
    presets={"By heart": BY_HEART, "AR(2), linear": AR2 | LINEAR, "Text": WORDS | {"hidden": 64}},
)
def trained(config):
    r"""Trained: the longest window gets the lowest training loss, but its held-out error falls first and then rises.

    Now a network with one hidden layer reads the window, $h = \max(0, W_w w_t + b_w)$, and gradient descent finds its
    weights. Three networks learn the same targets; only their windows differ. Look for the lowest point of each held-out
    line: what rises after it is learned by heart. A text is learned alike: every character is a vector of 8 numbers.
    """

    def figures(moment):
        facts, arms = moment.facts, moment["loss"].ticks["arm"]
        left, right = st.columns(2)
        with left:
            caption = (
                "Mean loss on fresh training batches. Below *best possible* a model repeats what it learned by heart."
            )
            page.losses(moment, caption, height=240)
        with right:
            rules = {"knows nothing": facts["blind"]} | ({"noise": facts["floor"]} if facts["floor"] else {})
            options = dict(x="step", colour="arm", log=True, across=(0, config.steps), rules=rules, height=240)
            page.show(charts.curve, moment[config.measure], title="The same networks on held-out data", **options)
        lowest = {
            arm: (f"{facts[f'best {arm}']:.3g}", f"Held out, at step {facts[f'best step {arm}']}.") for arm in arms
        }
        page.metrics(**{f"Lowest,_{arm}": told for arm, told in lowest.items()})

    page.play(run, config, figures)


@page.scene("tau", "hidden", "data", presets={"Two tones": {}, "Text": WORDS | {"hidden": 64}})
def trained_to_run(config):
    """Running free, trained: the network goes on by itself, and its mistakes become its input.

    The same training, seen on the series: each network predicts from true values, and then from its own. A network for text
    draws each character from its own probabilities and reads it again.
    """

    def figures(moment):
        arms = moment["loss"].ticks["arm"]
        if config.data == TEXT:
            for arm in arms:
                st.code(f"{arm:<7} {moment.facts[f'written {arm}']}", language=None)
            return
        arm = page.view_option("arm", "Network", name(config.tau), choices=arms)
        caption = "First seed. Free running reads only its own predictions after time 0."
        title = "What the network predicts"
        series = moment["series"].sel(arm=arm)
        page.show(charts.curve, series, x="time", colour="line", height=260, title=title, caption=caption)

    page.play(run, config, figures)


@page.scene("numbers", "text", "data", presets={"Chaos, trained": {"data": OWN, "tau": 4, "rate": 0.01}})
def your_own_data(config):
    r"""Your own data: a table or a text of yours takes the place of the examples.

    Until you upload one, *own numbers* holds a chaotic series, $x_{t+1} = 3.9\,x_t (1 - x_t)$. It has no noise at all. A
    line explains only part of it, however long its window: the next value is a curve of the last one. A hidden layer finds
    that curve. Numbers are scaled here: 1 is their variance while fitting.
    """
    with st.sidebar:
        page.upload("A table (CSV): one column of numbers", "numbers", column, ["csv", "txt", "tsv"])
        page.upload("A text file", "text", own_text, ["txt", "md"])
        st.caption("Then choose *own numbers* or *text* as data: all scenes use it.")
    short = config.but(data=OWN, tau=1)
    own = short.but(tau=min(config.tau, short.longest))
    picture, errors = page.picture(fitted, own), page.picture(windows, own)
    left, right = st.columns(2)
    with left:
        title, caption = (
            "Your series, and what a window predicts",
            f"{page.plain(picture.facts['series'])}, τ = {own.tau}.",
        )
        series = picture["series"].sel(arm=name(own.tau))
        page.show(charts.curve, series, x="time", colour="line", title=title, caption=caption)
    with right:
        curves = errors["squared_error"]
        options = dict(
            x="tau", colour="part", log_x=True, across=(1, curves.ticks["tau"][-1]), rules=limits(errors.facts)
        )
        page.show(charts.curve, curves, title="Error of a linear window, by its length", **options)
    best, nothing = errors.facts["best_error"], errors.facts["baseline"]
    st.markdown(
        f"The best linear window, τ = {errors.facts['best']}, leaves {best / nothing:.0%} of the error of knowing nothing. "
        "Press *Chaos, trained* and go back to *Trained* to see what a hidden layer leaves."
    )


@page.scene(*DATA)
def practice(config):
    """Practice: forecast sixteen steps with as few weights as possible.

    The picture shows your window one step ahead and further.
    """

    def near():
        if config.data != "two tones":
            return False, "Choose *two tones* as data."
        error, nothing = (page.picture(forecasts, config).facts[key] for key in ("ahead 16", "baseline"))
        told = f"With τ = {config.tau} the error 16 steps ahead is {error / nothing:.0%} of knowing nothing"
        if error > 0.2 * nothing:
            return False, f"{told}; it should be below 20 %."
        return config.tau <= 12, f"{told}." if config.tau <= 12 else f"{told}, but more than 12 weights do it."

    left, right = st.columns(2)
    with left:
        page.mission(
            "two tones, 16 steps ahead, less than 20 % of the error of knowing nothing, with at most 12 weights.", near
        )
    with right:
        if config.data != TEXT:
            picture = page.picture(forecasts, config)
            options = dict(x="ahead", colour="arm", log=True, log_x=True, across=(1, 64), height=200)
            page.show(
                charts.curve, picture["ahead"], rules=limits(picture.facts), title="Error by steps ahead", **options
            )
    page.exercise(
        "An AR(2) series is made with the weights 1.8 and −0.9. What does a window of 64 find in it?",
        {
            "The two weights, and some noise": "The further weights are near zero, but not zero: they fit noise.",
            "Better weights": "There are none: with two weights the error is the noise already.",
            "Nothing": "The newest two values are in every longer window too.",
        },
        right="The two weights, and some noise",
    )
    page.exercise(
        "Three networks differ only in their window: 4, 16 and 64 values. Whose training loss ends lowest?",
        {
            "4": "It has the fewest weights, and sees the least.",
            "16": "At the end it may well be the best on held-out values. On the values it trains on, more weights fit better.",
            "64": "It has the most weights, and learns the training part by heart, noise and all.",
        },
        right="64",
    )
    page.exercise(
        "Why does free running depart from teacher forcing?",
        {
            "It reads its own errors": "From the second step on its window holds predictions, and their errors add up.",
            "It has other weights": "It is the same model; only what it reads differs.",
            "The series changes": "Both predict the same series.",
        },
        right="It reads its own errors",
    )


page.lesson(__doc__, Config, one_window, how_long, further_ahead, trained, trained_to_run, your_own_data, practice)
