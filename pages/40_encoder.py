"""Encoder: every position hears all others at once, and a residual connection lets many layers learn.

One layer is two sublayers: self-attention, in which positions exchange what they know, and a feed-forward network,
in which each one thinks for itself. Around each stand a residual connection and layer normalisation.
"""

import streamlit as st

from seqcore.experiments.encoder import ARMS, LONGEST, Config, before, run
from view import charts, page

PRESETS = {
    "Four layers": {},
    "One layer": {"layers": 1},
    "Eight layers": {"layers": 8},
    "High rate": {"rate": 0.02},
    "High rate, six layers": {"rate": 0.02, "layers": 6},
}

page.head(__doc__)
page.predict(
    "One token of the input is replaced by another. Which outputs of a layer's two sublayers change?",
    ["Attention: all. Feed-forward: all", "Attention: all. Feed-forward: one", "Attention: one. Feed-forward: one"],
    right="Attention: all. Feed-forward: one",
    because="Every query reads every key, so a change arrives everywhere in one step. The feed-forward network is applied "
    "to each position alone: the other outputs are equal to the last bit.",
)
config = page.ask(Config, PRESETS)
first = page.still(before, config)
facts = first.facts
T, d, heads = config.length, config.width, config.heads
tokens = " ".join(map(str, facts["tokens"]))
around = "residual + pre-norm"

left, right = st.columns(2)
for column, sublayer, caption in (
    (
        left,
        "self-attention",
        "Each row: one token is changed, and every output moves. The diagonal moves most: "
        "there the residual connection passes the token itself on.",
    ),
    (
        right,
        "feed-forward",
        "The same input, without attention. Only the diagonal moves. An empty cell is exactly zero: not one bit is different.",
    ),
):
    with column:
        page.show(
            charts.heat,
            first["moved"].pick(arm=around, sublayer=sublayer),
            x="position",
            y="changed",
            span=(-3, 1),
            height=360,
            title=f"After {sublayer} alone",
            caption=caption,
        )
st.caption(
    f"First layer of a fresh encoder ({around}), input {tokens}. Measured as the length of the change over the length of the "
    "output, in powers of ten: −1 is a tenth. No training yet."
)

page.tell(
    Attention_moves=(
        f"{facts['heard']:g} of {T}",
        "Outputs that differ after one self-attention, the mean over the changed tokens.",
    ),
    Feed_forward_moves=(f"{facts['kept']:g} of {T}", "Outputs that differ after the feed-forward network alone."),
    Gradient_residual=(
        f"{facts['decades'][around]:+.2f}",
        "Powers of ten between the first layer's gradient and the last one's, before training; 0 is equal.",
    ),
    Gradient_bare=(f"{facts['decades']['nothing']:+.2f}", "The same with neither residual connection nor norm."),
    Padding_moves=(f"{facts['apart']:.0e}", "Largest difference between a padded row and the same row alone."),
)

st.latex(
    r"\begin{aligned}"
    r"m &= x + \mathrm{Attention}(\mathrm{LN}(x)) &\quad x, m, y &: "
    rf"{T} \times {d} \\"
    r"y &= m + \mathrm{FFN}(\mathrm{LN}(m)) &\quad W_1, W_2^\top &: "
    rf"{config.feedforward} \times {d} \\"
    r"\mathrm{FFN}(m) &= \max(0,\ m\,W_1^\top + b_1)\,W_2^\top + b_2 \end{aligned}"
)
st.caption(
    "This is *pre-norm*: LN stands before the sublayer. *Post-norm*, as in the paper of 2017, is y = LN(m + FFN(m)). "
    "*Nothing* is y = FFN(m): no way around the sublayer."
)

left, right = st.columns(2)
with left:
    picture = st.container()
    which = page.lens("token", "Change the token at position", (T + 1) // 2, 1, T)
    around = page.lens("around", "What stands around each sublayer", around, choices=ARMS)
    with picture:
        page.show(
            charts.heat,
            first["travel"].pick(arm=around, changed=which),
            x="position",
            y="stage",
            span=(-max(3, 1 + config.layers), 1),
            height=400,
            title="The change on its way through the stack",
            caption="One line a sublayer, from the embedding at the top. With a residual connection the token's own place keeps "
            "most of the change at any depth. Without one, all places soon move alike, and with nothing at all the change itself "
            "dies away.",
        )
with right:
    page.show(
        charts.curve,
        first["padded"],
        x="length",
        colour="line",
        log=True,
        across=(3, LONGEST),
        height=400,
        title="Any length: the same weights, padded and alone",
        caption=f"Rows of 3 to 31 tokens, padded to {LONGEST} and read in one pass, against each row alone. Green: padding is "
        "masked, and what is left is rounding in the seventh digit. Red: padding is read like tokens.",
    )
page.ledger(
    ("x", f"{T} × {d}", "token vectors plus positions"),
    ("q, k, v", f"{heads} × {T} × {d // heads}", "for each head"),
    ("weights", f"{heads} × {T} × {T}", "who reads whom: the only thing that grows as T²"),
    ("inside FFN", f"{T} × {config.feedforward}", "each position by itself"),
    ("y", f"{T} × {d}", "same shape as x, so layers can be stacked"),
    (
        "parameters",
        f"{facts['weights']:,}",
        f"embedding, {config.layers} layers and readout: T is not in it, so any length goes",
    ),
)
page.badge(facts["agreement"])

st.subheader("What lets a deep stack learn", anchor=False)
page.predict(
    "Five encoders learn to reverse their input. Which of them learn nothing useful with four layers?",
    ["Those without layer normalisation", "Those without a residual connection", "Only the one with nothing"],
    right="Those without a residual connection",
    because="Their gradient has to pass through every sublayer, and each takes some of it; and after a few sublayers all "
    "places hold nearly the same state. Layer normalisation mends the gradient but not the second.",
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
            rules={"guessing": moment.facts["chance"]},
            title="Share of right answers",
            caption="On a fixed batch of new sequences. Every one of the tokens has to come out at its mirrored place.",
        )
    left, right = st.columns(2)
    with left:
        if config.layers > 1:
            page.show(
                charts.curve,
                moment["by_layer"],
                first["by_layer"],
                x="layer",
                colour="arm",
                log=True,
                across=(1, config.layers),
                title="Gradient of each layer, before training and now",
                caption="Length of the gradient of a layer's weights, on the first batch (dashed) and the last one. With nothing "
                "around the sublayers about one power of ten is lost a layer on the way back to the first. Later it is also "
                "small where the task is solved: read it together with the loss.",
            )
        else:
            st.caption("With one layer there is no way back through others, and every arm learns. Add layers.")
    with right:
        picture = st.container()
        arm = page.lens("arm", "Arm", "residual + pre-norm", choices=ARMS)
        layer = page.lens("layer", "Layer", min(2, config.layers), 1, config.layers)
        with picture:
            page.show(
                charts.heat,
                moment["weights"].pick(arm=arm, layer=layer),
                x="key",
                y="query",
                title="Who reads whom, at this moment",
                caption="Attention weights, the mean over heads and test sequences; first seed. To reverse, position 1 has to "
                "read the last one: look for the line from bottom left to top right. One layer that has it is enough.",
            )


page.play(run, config, figures)
st.markdown(
    "**Try:** take *One layer*, where all five arms learn, then *Eight layers*. · At a *High rate* pre-norm still learns and "
    "post-norm falls back to guessing. · Choose *nothing* for the stack above: all places end alike.\n\n"
    "Honestly: at this size and the usual learning rate a residual connection alone is enough, and where layer normalisation "
    "stands makes no difference. It matters at high rates."
)
