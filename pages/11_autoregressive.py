"""Autoregressive models: the last τ values say what comes next, and more is not always better.

A short window sees too little. A long one has a weight for every value in it, and learns the noise by heart.
The error on values held out falls, and then rises again.
"""

import streamlit as st

from seqcore.experiments.autoregressive import OWN, TEXT, Config, before, column, name, passage, run
from view import charts, page

PRESETS = {
    "Two tones": {},
    "Window too short": {"tau": 4},
    "Slow sine": {"data": "sine", "tau": 4},
    "AR(2): two are enough": {"data": "AR(2)", "tau": 2, "hidden": 0, "rate": 0.01},
    "Learning by heart": {"tau": 64, "length": 500, "hidden": 64, "steps": 1000},
    "Chaos: no line fits": {"data": OWN, "tau": 4, "rate": 0.01},
    "Text": {"data": TEXT, "tau": 4, "hidden": 64},
}

page.head(__doc__)
page.predict(
    "A window of the last τ values predicts the next one. Double τ again and again. What happens to the error on "
    "values held out?",
    ["It only falls", "It falls, then rises", "It only rises"],
    right="It falls, then rises",
    because="The training error can only fall: more weights fit better. But after some length the new weights fit the noise, "
    "which will not come again.",
)
config = page.ask(Config, PRESETS)
with st.sidebar:
    page.upload("A table (CSV): one column of numbers", "numbers", column, ["csv", "txt", "tsv"])
    page.upload("A text file", "text", passage, ["txt", "md"])
    st.caption("Then choose *own numbers* or *text* as data.")
first = page.still(before, config)
facts = first.facts
numbers = config.data != TEXT
arms = [name(order) for order in config.orders]
chosen = name(config.tau)


floors = {"noise": facts["floor"]} if facts.get("floor") else {}
rules = {"knows nothing": facts["baseline"]} | floors

left, right = st.columns(2)
with left:
    error = first["squared_error" if numbers else "perplexity"]
    page.show(
        charts.curve,
        error,
        x="tau",
        colour="part",
        log=True,
        log_x=True,
        across=(1, error.ticks["tau"][-1]),
        rules=rules,
        title="How long should the window be?",
        caption=(
            "Mean squared error one step ahead of the AR(τ) that fits the training part best: exact least squares, no training. "
            + (
                "Lines: medians; bands: the seeds, each with its own noise. No prediction is better than the noise."
                if floors
                else "Your numbers are scaled: 1 is their variance while fitting."
            )
        )
        if numbers
        else "Perplexity of counting what followed each window (0.1 added to every count): exact, no network yet. A window "
        "that was never seen says nothing.",
    )
with right:
    if numbers:
        page.show(
            charts.curve,
            first["ahead"],
            x="ahead",
            colour="arm",
            log=True,
            log_x=True,
            across=(1, len(first["ahead"].ticks["ahead"])),
            rules=rules,
            title="How far ahead can it see?",
            caption="The same models, fed with their own predictions: error k steps ahead, over all starts with so many values "
            "after them. At *knows nothing* a forecast is worth no more than the mean.",
        )
    else:
        page.show(
            charts.curve,
            first["unseen"],
            x="tau",
            colour="line",
            log_x=True,
            across=(1, first["unseen"].ticks["tau"][-1]),
            span=(0, 1),
            title="Why long windows starve",
            caption="The longer a window, the fewer were ever seen before. A table can say nothing about a new window; a network "
            "can, if windows that are alike have a like future.",
        )

if numbers:
    page.tell(
        **{f"One_step,_{chosen}": (f"{facts['error']:.3g}", "Mean squared error on the values held out.")},
        Best_window=(f"τ = {facts['best']}", f"Of those drawn; its error is {facts['best_error']:.3g}."),
        Knowing_nothing=(f"{facts['baseline']:.3g}", "The error of answering with the mean of the training part."),
        **{
            f"{k}_steps_ahead": (f"{facts[f'ahead {k}']:.3g}", f"With {chosen}, fed with its own predictions.")
            for k in (4, 16, 64)
            if f"ahead {k}" in facts
        },
    )
    st.subheader("One model: its weights, and two ways to run it", anchor=False)
    latest = first["coefficients"].values[:4]
    terms = "".join(f"{weight:+.2f}\\,x_{{t{f'-{k}' if k else ''}}}" for k, weight in enumerate(latest))
    more = r"+\dots" if config.tau > len(latest) else ""
    st.latex(
        rf"\hat x_{{t+1}} = \sum_{{k=0}}^{{\tau-1}} w_k\,x_{{t-k}} + b"
        rf"= {terms.removeprefix('+')} {more} {facts['constant']:+.3f}\qquad\tau={config.tau}"
    )
    window = page.lens("window", "Window", chosen, choices=arms)
    left, right = st.columns([2, 1])
    with left:
        page.show(
            charts.curve,
            first["series"].pick(arm=window),
            x="time",
            colour="line",
            title="Teacher forcing against free running",
            caption="Up to time 0 the series is for training. After it, teacher forcing predicts each value from the true ones "
            "before it; free running has to read its own predictions, and errors feed on errors.",
        )
    with right:
        page.show(
            charts.bars,
            first["coefficients"],
            x="back",
            title=f"What the window {chosen} listens to",
            caption=f"Least-squares weights w for {facts['series']}, first seed. 0 is the newest value.",
        )
    windows = facts["train"] - config.tau
    page.ledger(
        ("windows $W$", f"({windows}, {config.tau})", "each row is one window of the training part"),
        ("targets $y$", f"({windows})", "the value that followed each window"),
        ("weights $w$, $b$", f"({config.tau}) and 1", "of the linear model: w solves min ‖W w + b − y‖²"),
        ("held out", f"({facts['held_out']})", "the last 40 % of the series; no weight has seen it"),
    )
else:
    page.tell(
        Best_window_for_counting=(f"τ = {facts['best']}", f"Perplexity {facts['best_error']:.2f}."),
        Knowing_nothing=(f"{facts['baseline']:.1f}", "Perplexity of knowing how frequent each character is."),
        Characters=(f"{facts['train']:,} + {facts['held_out']:,}", "For training, and held out."),
    )
    st.subheader("One network for all windows", anchor=False)
    st.latex(
        r"w_t = [e(x_{t-\tau+1}) \dots e(x_t)]\qquad h_t = \max(0, W_w w_t + b_w)\qquad "
        r"P(x_{t+1}\mid x_{t-\tau+1}\dots x_t) = \mathrm{softmax}(W_y h_t + b_y)"
    )
    page.ledger(
        ("window $w$", f"(batch, {config.tau} · 8)", "every character is a vector of 8 numbers, learned too"),
        (
            "hidden layer $h$",
            f"(batch, {config.hidden or config.tau * 8})",
            "rectified; with 0 hidden units it is the window",
        ),
        ("outputs $y$", f"(batch, {facts['symbols']})", "one number for each character of the alphabet"),
    )
page.badge(facts["agreement"])

st.subheader("Now train it", anchor=False)
page.predict(
    "Three networks learn two tones by gradient descent, with windows of 4, 16 and 64 values. Whose *training* loss gets lowest?",
    ["The shortest window", "The longest window"],
    right="The longest window",
    because="It has the most weights, and learns the training part by heart, noise and all. On what was held out that does "
    "not help, and its error there turns upwards.",
)


def figures(moment):
    left, right = st.columns(2)
    with left:
        page.losses(
            moment,
            caption="Mean loss on fresh training batches. All arms predict the same targets; only the window differs. Below "
            "*best possible* a model repeats what it learned by heart."
            if floors
            else "Mean loss on fresh training batches. All arms predict the same targets; only the window differs.",
        )
    with right:
        page.show(
            charts.curve,
            moment[config.measure],
            x="step",
            colour="arm",
            log=True,
            across=(0, config.steps),
            rules={"knows nothing": moment.facts["blind"]} | floors,
            title="The same networks on what was held out",
            caption="Look for the lowest point of each line, not for its end: what rises after it is learned by heart.",
        )
    best = {arm: (moment.facts[f"best {arm}"], moment.facts[f"best step {arm}"]) for arm in moment["loss"].ticks["arm"]}
    page.tell(
        **{
            f"Best_{arm.replace(' ', '_')}": (f"{low:.3g}", f"Held out, at step {step}.")
            for arm, (low, step) in best.items()
        }
    )
    if numbers:
        arm = page.lens("arm", "Network", chosen, choices=arms)
        page.show(
            charts.curve,
            moment["series"].pick(arm=arm),
            x="time",
            colour="line",
            title="What the network says of the series",
            caption="First seed. Teacher forcing reads true values; free running reads only its own predictions after time 0.",
        )
    else:
        st.markdown("**What each network writes, reading only what it wrote**")
        for arm in best:
            st.code(f"{arm:<7} {moment.facts[f'written {arm}']}", language=None)


page.play(run, config, figures)
st.markdown(
    "**Try:** take *Window too short* and look 16 steps ahead: four values cannot tell two tones apart, sixteen can. · In "
    "*AR(2)* read the weights: 1.8 and −0.9 made the series, and no longer window finds more. · *Chaos* has no noise at all, yet "
    "every line fails: the next value is a curve of the last one, and a hidden layer finds it. · Upload a series of your own; "
    "its error is then a share of its variance."
)
