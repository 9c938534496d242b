"""Vanishing and exploding gradients: a product of many Jacobians shrinks or grows.

The loss looks at the last state. To reach an earlier one its gradient passes through one Jacobian a step,
dh_t/dh_{t-1} = diag(φ′(a_t)) W, and a hundred factors below one leave nothing, a hundred above one leave no number.
"""

import streamlit as st

from seqcore.experiments.gradients import Config, before, run, through_gates
from view import charts, page

PRESETS = {
    "Vanish": {"weights": "torch default"},
    "Knife edge": {"activation": "identity"},
    "Explode": {"activation": "identity", "gain": 1.1},
    "Saturated tanh": {"gain": 3.0},
    "ReLU at √2": {"activation": "relu", "gain": 1.41, "hidden": 128},
    "Gates with bias 2": {"bias": 2.0},
    "Clipping rescue": dict(activation="relu", weights="identity", gain=1.05, length=50, steps=600, seeds=4),
    "Clipping, SGD": dict(
        activation="relu", weights="identity", gain=1.05, length=50, optimiser="SGD", rate=0.03, seeds=4
    ),
}

page.head(__doc__)
page.predict(
    "Four networks differ only in their activation φ. The gradient starts with length 1 and walks back 100 steps through "
    "weights that keep every length. For which φ does it arrive unharmed?",
    ["tanh", "relu", "sigmoid", "identity"],
    right="identity",
    because="Only φ′ = 1 takes nothing away. tanh loses a little at every step, ReLU about half of the units, and a "
    "sigmoid, whose slope is at most ¼, three quarters: after 100 steps that is about 10⁻⁶³.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts
far = (0, config.length)

left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["activations"],
        x="lag",
        colour="activation",
        log=True,
        across=far,
        title="The same weights under four activations",
        caption="Length of the gradient that reaches the state so many steps before the loss. "
        "Lines are medians over seeds, bands their range; before any training, in double precision.",
    )
with right:
    page.show(
        charts.curve,
        first["gradient"],
        first["theory"],
        x="lag",
        colour="line",
        log=True,
        across=far,
        title=f"Your setting against three theories: {config.activation}, {config.weights}, gain {config.gain:g}",
        caption="Band and thin lines: the seeds. Dashed: straight lines that start at 1. The first is the textbook's, mostly too "
        "high; the second is exact on average for orthogonal W; the third, the growth of one direction, holds for every W.",
    )

horizon = facts["horizon"]
page.tell(
    Memory_horizon=(
        f"{horizon} steps" if horizon is not None else f"beyond {config.length}",
        "The first lag at which less than 1 % of the gradient is left.",
    ),
    Measured_slope=(
        f"{facts['slope']:+.4f}",
        f"Decades a step; a straight line explains {facts['fit']:.1%} of the curve.",
    ),
    Lyapunov_exponent=(f"{facts['lyapunov']:+.4f}", "Decades a step: right for every W."),
    Mean_square_rule=(f"{facts['mean_square']:+.4f}", "½ log₁₀(‖W‖²/H · mean φ′²): exact on average for orthogonal W."),
    Textbook_rule=(
        f"{facts['bound']:+.4f}",
        "log₁₀(σ_max · mean φ′): up to 0.25 decades a step too high. It is a bound only with the largest φ′ for the mean.",
    ),
)
if facts["dies"] is not None:
    st.info(
        f"From lag {facts['dies']} on the gradient is smaller than any number the machine can hold, and is not drawn."
    )

left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["split"],
        x="lag",
        colour="line",
        across=far,
        title="Who takes it: saturation or the weights",
        caption="log₁₀ of the gradient is exactly this sum: what φ′ takes away plus what W gives or takes, step by step. "
        "A large gain saturates the units, and the two nearly cancel: this is why tanh barely explodes.",
    )
with right:
    page.show(
        charts.curve,
        first["singular"],
        x="lag",
        colour="line",
        log=True,
        across=far,
        title="How far the product of Jacobians stretches",
        caption="Singular values of dh_T/dh_{T−lag} for one input of one seed. Values more than 15 decades below the largest "
        "are rounding, not mathematics.",
    )
page.badge(facts["agreement"])

st.subheader("The same road through gates", anchor=False)
gates = page.still(through_gates, config.gates)
left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        gates["gated"],
        x="lag",
        colour="arm",
        log=True,
        across=far,
        caption="Cells with torch's default weights and no bias but yours, of the LSTM's forget and the GRU's update gate; noise "
        "at every gate of every unit. First seed, mean over 8 rows.",
    )
with right:
    st.markdown(
        "Do gates save the gradient? **Not by being there.** With torch's defaults, bias 0, they stand at ½, and LSTM and GRU "
        "lose about as much a step as the plain RNN, 0.2 decades. Open the gate that keeps: at bias 2 the LSTM loses hardly "
        "anything, and the GRU a fifth of that."
    )
    st.latex(r"""\begin{aligned}
    \text{LSTM: }& \log_{10}\max|f + i\,o\,\lambda(W_{hg})| \\
    \text{GRU: }& \log_{10}\max|z + (1-z)\,r\,\lambda(W_{hn})|
    \end{aligned}""")
    page.tell(
        **{
            f"{name}": (
                f"{measured:+.3f}",
                "Decades a step, measured."
                + (f" The formula above gives {theory:+.3f}." if theory is not None else "")
                + (" It overshoots for an LSTM from bias 3 on." if name == "LSTM" else ""),
            )
            for name, (measured, theory) in gates.facts["slopes"].items()
        }
    )
    st.caption(
        "Decades a step. log₁₀ f alone is not the slope: it forgets the way through the candidate, and says −0.30 at bias 0."
    )

st.subheader("Now train it", anchor=False)
page.predict(
    "An exploding ReLU network learns to add two marked numbers (preset *Clipping rescue*). Does clipping the gradient at "
    "norm 1 change where it ends?",
    ["No, only the speed", "Yes, it ends lower", "Yes, it ends higher"],
    right="Yes, it ends lower",
    because="Without clipping one enormous step throws the weights away, and the loss stays at the baseline of ⅙, which is "
    "what always answering 1 costs. Clipped, the same network from the same weights learns the task.",
)


def figures(moment):
    arms = moment["gradient"].ticks["arm"]
    left, right = st.columns(2)
    with left:
        page.losses(moment)
    with right:
        page.show(
            charts.curve,
            moment["gradient"],
            x="lag",
            colour="arm",
            log=True,
            across=far,
            title="Gradient of this loss by lag, at this moment",
            caption="‖dL/dh‖ for one row of a fixed batch. An arm that has diverged keeps its last good curve.",
        )
    left, right = st.columns(2)
    with left:
        page.course(
            moment,
            "norm",
            log=True,
            rules={f"clipped to {config.clip:g}": config.clip} if config.clip else {},
            title="Gradient norm before clipping",
            caption="The largest since the moment before, all weights together. What lies above the dotted line is scaled "
            "down to it; its direction stays.",
        )
    with right:
        arm = page.lens("arm", "Arm", arms[-1], choices=arms)
        page.show(
            charts.heat,
            moment["history"].pick(arm=arm),
            x="step",
            y="lag",
            across=(0, config.steps),
            title="Every moment's gradient curve, side by side",
            caption="Each column is the curve above at one moment: log₁₀, the median over seeds.",
        )


page.play(run, config, figures)
st.markdown(
    "**Try:** turn the gain from 0.9 to 1.1 with the identity, and watch a straight line swing through zero. · Set tanh to "
    "gain 3 and look at *who takes it*. · Take *Clipping, SGD*, press Train, and see at which step the unclipped arm is lost."
)
