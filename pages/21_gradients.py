"""Vanishing and exploding gradients: every step back multiplies the gradient, so it dies away or blows up.

A hundred factors of 0.9 leave 0.00003 of it; a hundred of 1.1 make it 14,000 times as long.
"""

import streamlit as st

from seqcore.experiments.gradients import Config, by_hand, fates, journey, run, split, theories, through_gates
from view import charts, page

NETWORK = ("length", "hidden", "activation", "gain", "weights")
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(decades):
    """A size in words, from its logarithm: 10⁻⁶², or 0 where nothing is left."""
    return "0" if decades < -400 else "10" + str(round(decades)).translate(RAISED)


def by_lag(length, *signals, **options):
    """Curves over all steps back from the loss."""
    page.show(charts.curve, *signals, x="lag", across=(0, length), **options)


@page.scene(
    *("length", "hidden", "gain", "weights"),
    presets={
        "ReLU at √2": {"gain": 1.41, "hidden": 128},
        "W = 1.1 I": {"weights": "identity", "gain": 1.1},
        "As torch starts": {"weights": "torch default"},
    },
)
def both_fates(config):
    r"""Both fates: the activation φ and the gain g decide: the gradient vanishes, or it explodes.

    The loss looks at the last state $h_T$. On its way back to $h_t$ the gradient is multiplied at every step by a
    *Jacobian*, the derivatives of one state by the state before. Here $a_s$ is what φ is applied to:
    ${\displaystyle \frac{dL}{dh_t} = \frac{dL}{dh_T} \prod_{s=t+1}^{T} \operatorname{diag}\big(\varphi'(a_s)\big)\, W}$

    *Sigmoid vanishes, ReLU explodes*, says the lecture. A sigmoid's slope is at most ¼, so the gradient vanishes unless g
    is far above 4. ReLU passes about half of the units, so g acts like g/√2. At gain 1 the gradient vanishes too, above √2
    it explodes, and unlike tanh, ReLU never saturates.
    """
    picture = page.picture(fates, config)
    once, twice, dies = (picture.facts[name] for name in ("left", "left_doubled", "dies"))
    wide, narrow = st.columns([7, 2], vertical_alignment="center")
    with wide:
        curves, title = (picture["activations"], picture["doubled"]), "Length of the gradient, by steps before the loss"
        caption = "Solid: gain g; dashed: gain 2 g. Untrained, equal weights and inputs; median and range over seeds."
        by_lag(config.length, *curves, colour="activation", log=True, title=title, caption=caption)
    with narrow:
        st.markdown(f"Left after {config.length} steps")
        head = ("gain", f"{config.gain:g}", f"{2 * config.gain:g}")
        page.table(head, *((name, power(once[name]), power(twice[name])) for name in once))
    if dies:
        told = ", ".join(f"{name} from lag {lag} on" for name, lag in dies.items())
        st.caption(f"Not drawn, because it is smaller than any number the machine can hold: {told}.")


@page.scene(
    *NETWORK,
    presets={"ReLU": {"activation": "relu"}, "tanh at gain 3": {"gain": 3.0}, "Gaussian W": {"weights": "Gaussian"}},
)
def who_takes_it(config):
    r"""Who takes it: saturation only takes; a large W gives, and a tanh takes most of it back.

    At every step the gradient is multiplied by φ′, the slope of φ, and then by W. A *saturated* unit stands where φ is
    flat: φ′ is near 0. On a log scale the two add up exactly. The unit is the decade, a factor of ten. An orthogonal W
    gives log₁₀ g a step, no more and no less. A larger gain also makes larger states, where a tanh is flat, and φ′ takes
    most of it back.

    That is one direction. The product of all Jacobians has H singular values. They say how far it stretches each of its
    directions. They drift apart: some directions vanish long before others.
    """
    picture = page.picture(split, config)
    facts = picture.facts
    left, right = st.columns(2)
    with left:
        caption = (
            f"Solid: gain {config.gain:g}, in all {facts['taken']:+.1f} by φ′ and {facts['given']:+.1f} by W. "
            f"Dashed: gain {2 * config.gain:g}, {facts['taken_doubled']:+.1f} and {facts['given_doubled']:+.1f}."
        )
        curves, title = (picture["split"], picture["split_doubled"]), "What φ′ takes and W gives"
        by_lag(config.length, *curves, colour="line", title=title, caption=caption)
    with right:
        caption = "Singular values of dh_T/dh_t: one input, first seed. From 15 decades below the largest on, all is rounding."
        title = "How far the product of Jacobians stretches"
        by_lag(config.length, picture["singular"], colour="line", log=True, title=title, caption=caption)


@page.scene(
    *NETWORK,
    presets={
        "ReLU, all W": {"activation": "relu"},
        "Knife edge": {"activation": "identity"},
        "Explode": {"activation": "identity", "gain": 1.1},
    },
)
def three_rules(config):
    r"""Three rules: three rules predict the slope, but the textbook's holds for special weights only.

    The curve is nearly a straight line on a log scale. Three rules for its slope, in decades a step:
    **Textbook:** $\log_{10}(\sigma_{max} \cdot \text{mean}\,\varphi')$, where $\sigma_{max}$ is the furthest that W
    stretches anything.
    **Mean square:** $\tfrac12 \log_{10}(\lVert W \rVert^2 / H \cdot \text{mean}\,\varphi'^2)$, for the average direction.
    **Lyapunov exponent:** the mean growth of one vector that is carried forward through the Jacobians.
    """
    asked = page.question(
        "Take four kinds of weights W, each with the gain on screen. Which rule is the furthest off?",
        ["textbook", "mean square", "Lyapunov"],
    )
    if not asked:
        return
    picture = page.picture(theories, config)
    facts = picture.facts
    left, right = st.columns(2)
    with left:
        curves, title = (picture["gradient"], picture["theory"]), "Measured, and predicted by three rules"
        caption = "Band: the seeds. Dashed: straight lines that start at 1, for the W on screen."
        by_lag(config.length, *curves, colour="line", log=True, height=230, title=title, caption=caption)
    with right:
        title = "Rule minus measured, decades a step"
        caption = "For each kind of W: the median over seeds. 0.3 decades are a factor of two at every step."
        bars = picture["rule_error"]
        page.show(charts.bars, bars, x="matrix", colour="line", height=230, title=title, caption=caption)
    if facts["furthest"] is None:
        st.info("No gradient arrives for any kind of W: there is no slope to predict.")
    else:
        told = ", ".join(f"{rule} {worst:.3f}" for rule, worst in facts["worst"].items())
        asked.answer(facts["furthest"], f"The largest errors over the four kinds, in decades a step: {told}.")
    page.metrics(
        Measured_slope=(f"{facts['slope']:+.4f}", f"A straight line explains {facts['fit']:.1%} of the curve."),
        Textbook=(f"{facts['bound']:+.4f}", "A bound only with the largest φ′ for the mean: it errs either way."),
        Mean_square=(f"{facts['mean_square']:+.4f}", "Right on average for orthogonal W."),
        Lyapunov=(f"{facts['lyapunov']:+.4f}", "Right for every W, but it has to be measured."),
        Memory_horizon=(
            f"beyond {config.length}" if facts["horizon"] is None else f"{facts['horizon']} steps",
            "The first lag at which less than 1 % of the gradient is left.",
        ),
    )
    page.badge(facts["agreement"])


@page.scene(
    *("length", "hidden", "activation", "gain", "weight", "epsilon"),
    presets={"ε too large": {"epsilon": 0.1}, "ε too small": {"epsilon": 1e-12}, "A bias": {"weight": "b_h"}},
)
def gradient_check(config):
    r"""Gradient check: the definition of a derivative says whether backpropagation is right.

    Backpropagation adds up one term a step:
    $\displaystyle \frac{dL}{dW_{ij}} = \sum_t \frac{dL}{dh_{t,i}}\, \varphi'(a_{t,i})\, h_{t-1,j}$. Is the sum right? Move
    this one weight w up and down by a small ε, and compute the loss twice, without any backward pass:
    $\displaystyle \frac{dL}{dw} \approx \frac{L(w+\varepsilon) - L(w-\varepsilon)}{2\varepsilon}$.

    With a large ε the error grows like ε². With a small one the two losses agree in almost every digit, and their
    difference has few digits left. The check costs two runs for each weight. Backpropagation gives all of them in one pass.
    """
    picture = page.picture(by_hand, config)
    facts = picture.facts
    left, right = st.columns(2)
    with left:
        asked = page.question("Which ε comes nearest to backpropagation?", ["10⁻¹", "10⁻⁵", "10⁻¹²"])
        if asked:
            title = "Error, from a large ε to a small one"
            page.show(
                charts.curve, picture["mismatch"], x="exponent", log=True, across=(1, 12), height=190, title=title
            )
    with right:
        page.table(
            ("", "digits"),
            (f"w = {config.weight}[{facts['index']}]", f"`{facts['value']:.16g}`"),
            (f"L(w + ε), ε = {config.epsilon:g}", f"`{facts['above']:.16g}`"),
            ("L(w − ε)", f"`{facts['below']:.16g}`"),
            ("difference / 2ε", f"`{facts['difference']:.12g}`"),
            ("**backpropagation**", f"`{facts['kernel']:.12g}`"),
            (f"relative error {facts['error']:.0e}", f"{facts['agree']} digits agree"),
        )
    if asked:
        told = f"{facts['largest']:.0e} at 10⁻¹, {facts['middle']:.0e} at 10⁻⁵, {facts['smallest']:.0e} at 10⁻¹²"
        said = {"largest": "10⁻¹", "middle": "10⁻⁵", "smallest": "10⁻¹²"}[facts["best"]]
        asked.answer(said, f"The relative errors: {told}.")


LOOKS = {  # what can be looked at while it trains: a signal, its title and caption
    "norm": ("norm", "Gradient norm before clipping", "Of all weights together: the largest since the point before."),
    "by lag": (
        "gradient",
        "Gradient of this loss by lag",
        "‖dL/dh‖, a fixed batch; what diverged keeps its last curve.",
    ),
    "step length": (
        "stride",
        "How far all weights move in one step",
        "The distance covered since the moment before, over the number of steps.",
    ),
    "√v̂": ("divisor", "√v̂, by which Adam divides its step", "The root of the mean over all weights."),
    "all moments": ("history", "Every moment's gradient curve", "A column a moment: log₁₀, the median over seeds."),
}


@page.scene(
    *("task_gain", "clip", "optimiser", "rate", "task", "steps"),
    presets={
        "SGD, no clipping": {"clip": 0.0},
        "Adam": dict(task="adding", optimiser="Adam", rate=0.003, seeds=4),
        "Vanish": {"task_gain": 1.0, "task_weights": "torch default", "task_activation": "tanh"},
    },
)
def trained(config):
    r"""Trained: one exploding gradient throws the weights away, unless it is clipped.

    As it opens: a ReLU network whose W is 1.05 times the identity reads 50 symbols and must name the first. SGD moves the
    weights by *rate × gradient*. The first gradient is enormous, and the network is lost. Clipping keeps the direction of
    the gradient and limits its length to c: it multiplies by $\min(1, c / \text{length})$. From the same weights the
    network now learns.
    """

    def figures(moment):
        left, right = st.columns(2)
        with left:
            caption = "Median and range over seeds. All curves start from equal weights and see equal batches."
            page.losses(moment, caption, height=220)
        with right:
            chart = st.container()
            looks = {look: shown for look, shown in LOOKS.items() if shown[0] in moment}
            name, title, caption = looks[page.view_option("look", "Look at", "norm", choices=looks)]
            drawn = dict(title=title, caption=caption, height=220)
            if name == "history":
                arms = moment[name].ticks["arm"]
                arm = page.view_option("arm", "Arm", arms[-1], choices=arms)
        with chart:
            if name == "gradient":
                by_lag(config.task_length, moment[name], colour="arm", log=True, **drawn)
            elif name == "history":
                drawn["height"] = 290  # with the colour scale above it
                page.show(charts.heat, moment[name].sel(arm=arm), x="step", y="lag", across=(0, config.steps), **drawn)
            else:
                rules = {"clipped above": config.clip} if name == "norm" and config.clip else {}
                page.progress(moment, name, log=True, rules=rules, **drawn)

    page.play(run, config, figures)
    if config.optimiser == "Adam":
        st.markdown(
            "**In the preset *Adam* no weights are thrown away.** Adam moves each of them by about the rate, whatever the "
            "gradient: under *step length* both arms start alike. But √v̂, by which it divides, remembers one enormous "
            "gradient for hundreds of steps, and the unclipped arm hardly moves any more."
        )


@page.scene("length", "hidden", "bias", presets={f"Bias {bias:g}": {"bias": bias} for bias in (1.0, 2.0, 4.0)})
def a_way_out(config):
    r"""A way out: a cell with gates carries the gradient, but only if its gates stand open.

    The next pages build LSTM and GRU. Both have a gate, a number between 0 and 1. It says how much of the old state is
    kept. Along that path the gradient is multiplied by the gate and not by W. **Having gates is not enough**: as torch
    starts them, at bias 0, they stand at ½, and both cells lose nearly as much a step as a plain RNN. Raise the bias.

    Both also compute a *candidate*, the new value. For small states the slope can be predicted, from the eigenvalues
    λ(W) of the candidate's weights:

    - LSTM: $\log_{10} \max |\text{forget} + \text{input} \cdot \text{output} \cdot \lambda(W)|$
    - GRU: $\log_{10} \max |\text{update} + (1 - \text{update}) \cdot \text{reset} \cdot \lambda(W)|$
    """
    picture = page.picture(through_gates, config)
    slopes = picture.facts["slopes"].items()
    wide, narrow = st.columns([3, 1], vertical_alignment="center")
    with wide:
        caption = (
            "torch's default weights, all biases zero except the one you set; noise at every gate. First seed, 8 rows."
        )
        title = "Length of the gradient through three untrained cells"
        by_lag(config.length, picture["gated"], colour="arm", log=True, title=title, caption=caption)
    with narrow:
        rows = ((name, f"{slope:+.3f}", "" if rule is None else f"{rule:+.3f}") for name, (slope, rule) in slopes)
        st.markdown("Decades a step")
        page.table(("", "measured", "rule"), *rows)
        st.caption("For the LSTM the rule is too high from bias 3 on.")


@page.scene(*NETWORK, "scale")
def practice(config):
    """Practice: bring a gradient through 100 steps yourself.

    The picture shows one setting, yours. The gain moves its slope, and so does the input, which drives the units into the
    flat parts of φ.
    """
    picture = page.picture(journey, config)
    size = picture.facts["left"]

    def arrives():
        told = f"After {config.length} steps {size:.2g} of the gradient is left"
        if config.activation == "identity":
            return False, "With φ = identity it is easy; choose an activation that bends."
        if config.length < 100:
            return False, f"{told}, but the way is shorter than 100 steps."
        return 0.1 <= size <= 10, told + (": it vanishes." if size < 0.1 else ": it explodes." if size > 10 else ".")

    left, right = st.columns(2)
    with left:
        goal = "with tanh, ReLU or sigmoid, let a tenth to ten times of the gradient arrive after 100 steps, without gates."
        page.mission(goal, arrives)
    with right:
        rules = {"a tenth": 0.1, "ten times": 10.0}
        by_lag(config.length, picture["gradient"], log=True, rules=rules, height=200, title="Your gradient")
    page.exercise(
        "ReLU lets half of the units through; W is orthogonal with gain g. For which g does the gradient keep its length?",
        {
            "g = 1": "W keeps the length, then ReLU sets half of the entries to zero: its square halves at every step.",
            "g = √2": "The squared length is multiplied by g² · ½ = 1.",
            "g = 2": "The squared length is multiplied by 2² · ½ = 2 at every step: it explodes.",
        },
        right="g = √2",
    )
    page.exercise(
        "A sigmoid's slope is at most ¼; W is orthogonal with g = 2. How much is left after 50 steps, at most?",
        {
            "10⁻¹⁵": "(2 · ¼)⁵⁰ = 2⁻⁵⁰ ≈ 10⁻¹⁵.",
            "10⁻³⁰": "That is (¼)⁵⁰, φ′ alone: W doubles the gradient at every step, 10¹⁵ in all.",
            "10¹⁵": "That is 2⁵⁰, W alone: at every step φ′ takes at least three quarters.",
        },
        right="10⁻¹⁵",
    )
    page.exercise(
        "Clipping multiplies the gradient by min(1, c / its length). Which problem does it mend?",
        {
            "exploding": "And only that: the factor is never above 1, and it is the same for every step.",
            "vanishing": "The factor is never above 1: what is small stays as small as it is.",
            "both": "Exploding, yes. But what vanished on the way back is not restored: no factor is above 1.",
        },
        right="exploding",
    )


page.lesson(__doc__, Config, both_fates, who_takes_it, three_rules, gradient_check, trained, a_way_out, practice)
