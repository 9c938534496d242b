"""GRU: one state and two gates do the work of the LSTM's two states and three gates.

There is no cell beside the hidden state. The update gate z says how much of the old state stays, and 1 − z how much
of a new candidate comes in; the reset gate r says how much of the past the candidate may see.
"""

import streamlit as st

from seqcore.experiments.gru import LATER, PROBED, Config, before, digits, run
from view import charts, page

PRESETS = {
    "Bias 2": {},
    "Bias 6": {"update_bias": 6.0},
    "Temporal order": {"task": "temporal order", "forget_bias": 2.0},
    "First token": {"task": "first token", "length": 40, "steps": 500, "seeds": 2},
    "Same bias for both": {"forget_bias": 2.0},
    "Reset as in the papers": {"convention": "paper", "seeds": 1},
}
GATES = {"reset gate r": "reset", "update gate z": "update", "candidate n": "candidate", "state h": "h"}

RECALL = {"torch": r"r_t \odot (W_{hn} h_{t-1} + b_{hn})", "paper": r"W_{hn} (r_t \odot h_{t-1}) + b_{hn}"}

page.head(__doc__)
page.predict(
    "A unit's update gate stands at z = 0.88, which is a bias of 2, and nothing new is written. After how many steps is half "
    "of its memory gone?",
    ["1", "about 5", "about 20", "about 60"],
    right="about 5",
    because="What is left after k steps is zᵏ, and ln ½ / ln 0.88 = 5.4. At z = ½, where gates stand that have learnt nothing, "
    "it is one step.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts

left, right = st.columns(2)
with left:
    page.show(
        charts.curve,
        first["kept"],
        first["expected"],
        x="later",
        colour="arm",
        span=(0, 1),
        across=(0, LATER),
        rules={"half": 0.5},
        title="How a memory leaks, before training",
        caption="Product of the gate that keeps (z of a GRU, f of an LSTM) over the steps of your task: mean over units and "
        f"{PROBED} rows, bands: seeds. Dashed: σ(bias)ᵏ. This is the direct path; what the candidate adds is not in it.",
    )
with right:
    page.show(
        charts.bars,
        first["size"],
        x="arm",
        title="What a cell has to learn",
        caption="Weights and biases without the head. Every gate and every candidate costs one block as large as a whole RNN: "
        "the RNN has one block, the GRU three, the LSTM four.",
    )

milliseconds, weights, lives = facts["milliseconds"], facts["weights"], facts["half_life"]
page.tell(
    GRU_half_life=(f"{lives['GRU']:.1f} steps", f"Median unit; from the bias alone {facts['expected']['GRU']:.1f}."),
    LSTM_half_life=(f"{lives['LSTM']:.1f} steps", f"Median unit; from the bias alone {facts['expected']['LSTM']:.1f}."),
    GRU_over_LSTM=(f"{weights['GRU'] / weights['LSTM']:.0%}", "Of the weights; always three blocks of four."),
    GRU_step=(f"{milliseconds['GRU']:.1f} ms", "One training step, measured now on one processor."),
    LSTM_step=(
        f"{milliseconds['LSTM']:.1f} ms",
        "Measured now. The LSTM runs in torch's own kernel, the GRU in this project's: fewer weights need not be faster.",
    ),
)
page.badge(facts["agreement"])

st.subheader("The update, and the two ways to write it", anchor=False)
H, inputs = config.hidden, config.made.inputs
left, right = st.columns(2)
with left:
    st.latex(
        r"""\begin{aligned}
        r_t &= \sigma(W_{xr} x_t + b_{xr} + W_{hr} h_{t-1} + b_{hr}) \\
        z_t &= \sigma(W_{xz} x_t + b_{xz} + W_{hz} h_{t-1} + b_{hz}) \\
        n_t &= \tanh(W_{xn} x_t + b_{xn} + """
        + RECALL[config.convention]
        + r""") \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}
        \end{aligned}"""
    )
    page.ledger(
        ("x_t", f"({inputs})", "the input"),
        ("h, r, z, n", f"({H})", "one number a unit; H does not depend on T"),
        ("W_x", f"({3 * H},\u00a0{inputs})", "stacked r, z, n"),
        ("W_h", f"({3 * H},\u00a0{H})", "stacked r, z, n"),
        ("b_x, b_h", f"({3 * H})", "two biases a gate, as in torch"),
    )
with right:
    st.markdown(
        f"""
**Two things differ from text to text**, and neither is a mistake.

*What z = 1 means.* Here, in torch and in Cho et al. (2014) it keeps the old state. In Chung et al. (2014) and Bahdanau et al.
(2015) it lets the new one in: h = (1 − z) h + z n. Since 1 − σ(a) = σ(−a), the same network is written with the signs of
z's weights and biases turned round. **A positive bias remembers here and forgets there.**

*Where r acts.* torch and Keras reset after the product, r ⊙ (W h + b). The printed papers reset before it,
W (r ⊙ h) + b. These are different functions: with the same weights on your task the two states differ by up to
**{facts["conventions"]:.2g}** before training. Turn *Reset gate as in* to train the other one. It has no fast kernel here,
so it is several times slower.
"""
    )

st.subheader("Now train it", anchor=False)
page.predict(
    "Latch: one of four cues at the first step, 59 steps of noise, then the question. At bias 2 half of a memory is gone after "
    "5 steps, and at bias 0 after one. Which GRU learns it?",
    ["Both", "Bias 2 only", "Neither: 60 steps are too far"],
    right="Bias 2 only",
    because="0.88⁶⁰ is about 0.0005: faint, but a direction to learn from. ½⁶⁰ is about 10⁻¹⁸, and that GRU is still guessing "
    "when the other is right every time.",
)


def figures(moment):
    facts, arms = moment.facts, moment["update"].ticks["arm"]
    page.tell(
        **{
            name.replace(",", ""): (f"{score:.0%} right", "On 128 rows it never trains on; median over seeds.")
            for name, score in facts["score"].items()
        }
    )
    left, right = st.columns(2)
    with left:
        page.losses(
            moment,
            caption="Mean loss on fresh batches since the moment before; line: median, band: seeds. Both GRUs start "
            "from the same weights but for the bias, and all see the same batches.",
        )
    with right:
        page.show(
            charts.curve,
            moment["reach"],
            x="lag",
            colour="arm",
            log=True,
            across=(0, config.length - 1),
            title="How far back the answer is heard",
            caption="Gradient of the answer at earlier states, as a share of what the last state gets. Every path counts here.",
        )
    left, right = st.columns(2)
    with left:
        arm = page.lens("arm", "Look into", "GRU", choices=arms)
    with right:
        shown = page.lens("gate", "Show", "update gate z", choices=GATES)
    left, right = st.columns(2)
    with left:
        page.show(
            charts.curve,
            moment["half_life"],
            x="rank",
            colour="arm",
            log=True,
            across=(1, config.hidden),
            rules={"sequence": config.length},
            title="Half-life of every unit, sorted",
            caption="From the gate that keeps, over all steps but the first: the direct path alone. Sorted in every row, median "
            "over rows, since which unit keeps depends on the cue.",
        )
    with right:
        page.show(
            charts.heat,
            moment[GATES[shown]].pick(arm=arm),
            x="time",
            y="unit",
            span=(0, 1) if GATES[shown] in ("update", "reset") else (-1, 1),
            title="Gates over one sequence",
            caption="Up to 16 units of the first seed on one fixed row, which is not trained on.",
        )
    st.markdown("**One update with its numbers**")
    left, right = st.columns([1, 2], vertical_alignment="center")
    with left:
        step = page.lens("t", "Time step t", 0, 0, config.length - 1)
        unit = page.lens("unit", "Unit", 0, 0, len(moment["h"].ticks["unit"]) - 1)
    with right:
        st.latex(digits(moment, arm, step, unit))
    st.caption(
        "In every sum the first number is what the input adds, the second what the past adds, biases included; in h the last "
        "factor is the state before."
    )


page.play(run, config, figures)
st.markdown(
    "**Try:** *Same bias for both*: which cell is helped more by a bias of 2? · Train the default, rewind to the start, and "
    "watch the update gates: which units close at the cue and which stay open? · Set the update bias to 6: is more always better?"
)
st.caption(
    "What training does to the gates: it divides the work. For every cue a few units learn to stay open, with half-lives longer "
    "than the sequence, and which they are depends on the cue; most units stay at a few steps. The LSTM opens nearly all. "
    "*Temporal order* is learnt with half-lives of a quarter of the sequence: a tenth of a memory can be enough, and what is "
    "left of it can be written anew through the candidate, which half-lives do not count."
)
