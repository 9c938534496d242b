"""Encoder: attention mixes all places in one step, and a residual connection lets many layers learn.

One layer is two sublayers; around each stand a residual connection and layer normalisation.
"""

import streamlit as st

from seqcore.experiments import encoder
from seqcore.experiments.encoder import ARMS, LONGEST, USUAL, Config, block, gradient, padding, run, stack, stages
from view import blocks, charts, page

TRAINING = ("length", "width", "heads", "layers", "rate", "steps")
PRESETS = {
    "Four layers": {},
    "One layer": {"layers": 1},
    "Eight layers": {"layers": 8},
    "High rate": {"rate": 0.02},
    "High rate, six layers": {"rate": 0.02, "layers": 6},
}


@page.scene("length", "width", "heads")
def the_block(config):
    """The block: attention carries a change to every place, the feed-forward network keeps it in its own.

    An encoder layer has two parts. In *self-attention* the places exchange what they know: every query reads every key. In
    the *feed-forward network* each place is computed by itself, with the same weights. Here one token is replaced by
    another, and both parts are computed again. A cell says how far an output moves, as a share of its length, in powers of
    ten: −1 is a tenth. An empty cell is exactly zero: not one bit is different.
    """
    picture = page.picture(block, config)
    facts, T = picture.facts, config.length
    captions = {
        "self-attention": "Row: the token that is changed. Every output moves; the diagonal moves most, since the residual "
        "connection passes the token itself on.",
        "feed-forward": "The same input, without attention. Only the diagonal moves.",
    }
    for column, (sublayer, caption) in zip(st.columns(2), captions.items()):
        with column:
            page.show(
                charts.heat,
                picture["moved"].sel(arm=USUAL, sublayer=sublayer),
                x="position",
                y="changed",
                span=(-3, 1),
                title=f"After {sublayer} alone",
                caption=caption,
            )
    page.metrics(
        Attention_moves=(f"{facts['heard']:g} of {T} outputs", "The mean over the changed tokens."),
        Feed_forward_moves=(f"{facts['kept']:g} of {T} outputs", "The same without attention."),
    )
    tokens = " ".join(map(str, facts["tokens"]))
    st.caption(f"First layer of a fresh encoder ({USUAL}), input {tokens}. Nothing is trained.")
    page.badge(facts["agreement"])


@page.scene("length", "layers", presets={"Eight layers": {"layers": 8}, "One layer": {"layers": 1}})
def through_the_stack(config):
    """Through the stack: with a residual connection a place keeps what it knows at any depth.

    The same change on its way through all layers. A *residual connection* adds the input of a sublayer to its output:
    x + f(x). With it, the changed place keeps most of the change to the end. Without it all places soon move alike: they
    hold nearly the same state, and no later layer can tell them apart. With nothing around the sublayers the change itself
    dies away.
    """
    picture, T = page.picture(stack, config), config.length
    drawn = st.container()
    left, right = st.columns(2)
    with left:
        which = page.view_option("token", "Change the token at position", (T + 1) // 2, 1, T)
    with right:
        around = page.view_option("around", "What stands around each sublayer", USUAL, choices=ARMS)
    with drawn:
        left, right = st.columns(2)
    for column, arm, title in ((left, around, "With what you choose"), (right, "nothing", "With nothing around")):
        with column:
            page.show(
                charts.heat,
                picture["travel"].sel(arm=arm, changed=which),
                x="position",
                y="stage",
                span=(-max(3, 1 + config.layers), 1),
                title=title,
                caption="One line a sublayer, the embedding at the top. Powers of ten of the relative change.",
            )


@page.scene("length", "width", "heads", "layers", "feedforward")
def inside(config):
    r"""Inside: normalise, let the sublayer work, add the result to what was there.

    LN is *layer normalisation*: the entries of each place are shifted and scaled to mean 0 and variance 1, then multiplied
    and shifted by learned numbers. With *pre-norm* it stands before the sublayer. The paper of 2017 has it after the sum
    (*post-norm*): y = LN(m + FFN(m)). *Nothing* is y = FFN(m). The drawing follows one token's vector through one layer of
    a fresh encoder, from the bottom to the top.
    """
    T, d, heads = config.length, config.width, config.heads
    left, right = st.columns([1, 1], gap="medium")
    with left:
        drawn = st.container()
        around = page.view_option("around", "What stands around each sublayer", USUAL, choices=ARMS)
        which, where = st.columns(2)
        with which:
            position = page.view_option("position", "Token at position", (T + 1) // 2, 1, T)
        with where:
            layer = page.view_option("in_layer", "Layer", 1, 1, config.layers)
        step = encoder.step(page.picture(stages, config), around, layer, position)
        with drawn:
            page.drawing(
                blocks.encoder(step),
                "Beside each part: the root mean square of the token's vector when it leaves that part, √(mean of its "
                f"{d} squared entries). Bars: as a share of the largest one.",
            )
    with right:
        st.latex(blocks.encoder_in_full(step))
        st.markdown("The output has the shape of the input, so layers can be stacked.")
        page.ledger(
            ("x", f"{T} × {d}", "token vectors plus positions"),
            ("q, k, v", f"{heads} × {T} × {d // heads}", "for each head"),
            ("weights", f"{heads} × {T} × {T}", "who reads whom: only this grows as T²"),
            ("inside FFN", f"{T} × {config.feedforward}", "each position by itself"),
            ("y", f"{T} × {d}", "same shape as x"),
            (
                "all weights",
                f"{page.picture(padding, config).facts['weights']:,}",
                f"{config.layers} layers with pre-norm; T is not in it",
            ),
        )


@page.scene("width", "length", "layers")
def layer_norm(config):
    """LayerNorm: each token's vector gets mean 0 and variance 1, then a learned scale and shift.

    The mean μ and the variance σ² are taken over the d entries of one token. No other token and no other row takes part.
    γ and β are learned, one number of each for every entry; before training every γ is 1 and every β is 0. ε = 0.00001
    keeps the division finite. Here you see it before a sublayer of a fresh pre-norm encoder.
    """
    T, d = config.length, config.width
    picture = page.picture(stages, config)
    left, right = st.columns([5, 6], gap="medium")
    with left:
        drawn = st.container()
        before = page.view_option("before", "LayerNorm before", encoder.SUBLAYERS[0], choices=encoder.SUBLAYERS)
        which, where = st.columns(2)
        with which:
            position = page.view_option("position", "Token at position", (T + 1) // 2, 1, T)
        with where:
            layer = page.view_option("in_layer", "Layer", 1, 1, config.layers)
        entry = page.view_option("entry", "Entry i", 1, 1, d)
    digits = encoder.normalise(picture, layer, before, position)
    with drawn:
        page.show(
            charts.bars,
            digits["x"],
            x="entry",
            colour="line",
            height=200,
            title="The vector before and after",
            caption=f"All {d} entries of token {picture.facts['tokens'][position - 1]} at position {position}.",
        )
    with right:
        st.latex(blocks.norm_in_full(digits, entry))
        st.code(encoder.source(), language="python")
        page.table(*blocks.norm_rows(digits, entry))
        st.caption(
            f"The four lines stand in `seqcore/experiments/encoder.py`. Their largest difference to torch.nn.LayerNorm, "
            f"which the encoder uses, is {digits.facts['gap']:.0e} here."
        )


@page.scene("layers", "width", "heads")
def any_length(config):
    """Any length: the same weights read rows of every length in one pass, if padding is masked.

    No matrix of an encoder has the length of the sequence as a size. Rows of different lengths are filled up with *padding*
    and read together. A mask tells attention which keys are padding; they get the weight 0. Then each row's outputs are
    those of the row alone, up to rounding in the seventh digit. Read like tokens, padding changes the outputs of every row.
    """
    picture = page.picture(padding, config)
    page.show(
        charts.curve,
        picture["padded"],
        x="length",
        colour="line",
        log=True,
        across=(3, LONGEST),
        title="Largest difference between a row in a padded batch and the row alone",
        caption=f"Rows of 3 to 31 tokens, padded to {LONGEST} and read in one pass. Fresh weights.",
    )
    page.metrics(Largest_with_a_mask=(f"{picture.facts['apart']:.0e}", "What is left is rounding."))


@page.scene(*TRAINING, presets=PRESETS)
def trained(config):
    """Trained: with a residual connection a deep stack learns; without one it does not.

    Five encoders learn to reverse their input. Around a sublayer they have a residual connection, layer normalisation,
    both, or nothing.

    Without a residual connection each sublayer takes some of the gradient, and soon all places are alike. LayerNorm mends
    only the first.
    """
    asked = page.question(
        "Which of the five encoders learn nothing useful?",
        [
            "those without layer normalisation",
            "those without a residual connection",
            "only the one with nothing",
            "others, or none",
        ],
    )
    if not asked:
        return

    def figures(moment):
        left, right = st.columns(2)
        with left:
            page.losses(moment, height=180)
        with right:
            page.progress(
                moment,
                "right",
                span=(0, 1),
                rules={"guessing": moment.facts["chance"]},
                title="Share of right answers",
                caption="On new sequences. Every token has to come out at its mirrored place.",
                height=180,
            )
        if moment.step == config.steps:
            learned = moment.facts["learned"]
            failed = {arm for arm, share in learned.items() if share < 0.6}
            verdicts = {
                frozenset({"residual only", "nothing"}): "those without layer normalisation",
                frozenset({"norm only", "nothing"}): "those without a residual connection",
                frozenset({"nothing"}): "only the one with nothing",
            }
            told = ", ".join(f"{arm} {share:.0%}" for arm, share in learned.items())
            asked.answer(verdicts.get(frozenset(failed), "others, or none"), f"Right answers at the end: {told}.")

    page.play(run, config, figures)
    st.caption(
        "At this size and the usual rate a residual connection alone is enough, and where layer normalisation stands makes no "
        "difference. At a *High rate* it does: pre-norm still learns."
    )


@page.scene(*TRAINING, presets=PRESETS)
def layer_by_layer(config):
    """Trained, by layer: what gradient each layer gets, and who reads whom.

    With nothing around the sublayers about one power of ten of the gradient is lost with every layer on the way back to
    the first. Later the gradient is also small where the task is solved: read it together with the loss. To reverse, the
    first position has to read the last one: look for the line from bottom left to top right. One layer that has it is
    enough.
    """
    first = page.picture(gradient, config)

    def figures(moment):
        left, right = st.columns(2)
        with left:
            page.show(
                charts.curve,
                moment["by_layer"],
                first["by_layer"],
                x="layer",
                colour="arm",
                log=True,
                across=(1, max(2, config.layers)),
                title="Gradient of each layer's weights",
                caption="Its length; dashed: before training, on the first batch. Solid: now, on the last one.",
                height=240,
            )
        with right:
            drawn = st.container()
            arm = page.view_option("arm", "Arm", USUAL, choices=ARMS)
            layer = page.view_option("layer", "Layer", min(2, config.layers), 1, config.layers)
            with drawn:
                page.show(
                    charts.heat,
                    moment["weights"].sel(arm=arm, layer=layer),
                    x="key",
                    y="query",
                    title="Who reads whom",
                    caption="Attention weights, the mean over heads and test sequences; first seed.",
                    height=240,
                )

    page.play(run, config, figures)
    page.metrics(
        **{
            f"First_against_last: {arm}": (
                f"{first.facts['decades'][arm]:+.2f}",
                "Powers of ten, before training; 0 is equal.",
            )
            for arm in (USUAL, "norm only", "nothing")
        }
    )


@page.scene("layers", "length", "width")
def practice(config):
    """Practice: how deep may a bare stack be?

    The gradient of the first layer against that of the last one, before training, in powers of ten.
    """
    first = page.picture(gradient, config)
    bare = first.facts["decades"]["nothing"]

    def deep():
        told = f"{config.layers} layers: the first layer gets 10^{bare:.1f} of the last one's gradient."
        return bare <= -5, told

    left, right = st.columns(2)
    with left:
        goal = "find the depth at which the first layer of the bare stack gets less than 0.001 % of the last one's gradient."
        page.mission(goal, deep)
    with right:
        axes = dict(x="layer", colour="arm", log=True, across=(1, max(2, config.layers)))
        page.show(charts.curve, first["by_layer"], title="Gradient of each layer's weights", height=200, **axes)
    page.exercise(
        "One token is replaced by another. Which outputs of one layer's two sublayers change?",
        {
            "attention: all, feed-forward: one": "Every query reads every key; the feed-forward network sees one place.",
            "both: all": "The feed-forward network is applied to each place by itself.",
            "both: one": "Every query reads every key, so the change arrives everywhere.",
        },
        right="attention: all, feed-forward: one",
    )
    page.exercise(
        "Why can one encoder read rows of any length?",
        {
            "no weight matrix has the length as a size": "T appears in the maps, which are computed anew for each row.",
            "it is trained on all lengths": "These weights are fresh and read all lengths alike.",
            "padding makes them equal": "Padding makes one batch of them; without a mask it changes what is computed.",
        },
        right="no weight matrix has the length as a size",
    )
    page.exercise(
        "x + f(x): what does the residual connection do for the gradient?",
        {
            "it has a way around f": "d(x + f(x))/dx = 1 + f′(x): whatever f takes, the 1 stays.",
            "it makes it smaller": "The 1 is added; nothing is divided.",
            "it normalises it": "That is what layer normalisation does to the states.",
        },
        right="it has a way around f",
    )


page.lesson(
    __doc__, Config, the_block, through_the_stack, inside, layer_norm, any_length, trained, layer_by_layer, practice
)
