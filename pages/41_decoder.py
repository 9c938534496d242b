"""Decoder: it may not see the future.

A decoder writes one symbol after the other, but it is trained on whole rows at once.
"""

import streamlit as st

from seqcore.experiments import decoder
from seqcore.experiments.decoder import ARMS, Config, run, sight, sizes, stages, write
from view import blocks, charts, page

TRAINING = ("length", "width", "heads", "layers", "task", "sharpness", "rate", "steps")
PRESETS = {
    "Below the floor": {},
    "Pure noise": {"sharpness": 0.0},
    "Four heads, two layers": {"heads": 4, "layers": 2, "rate": 0.005},
    "Long rows": {"length": 32, "steps": 600},
    "Reverse digits": dict(task="reverse", length=8, width=64, rate=0.003, seeds=1),
}


@page.scene("length", "heads", "layers", presets={"Eight": {"length": 8}, "Long rows": {"length": 32}})
def what_may_be_seen(config):
    """What may be seen: with the causal mask an output depends on its own token and those before it.

    The output at place t is a guess of the symbol at place t + 1. While it is trained the decoder is given the whole row,
    so the answer stands one place to the right. The *causal mask*, a triangle of ones and zeros, hides it. Here one token
    is replaced by another, in two untrained decoders with the same weights: with the mask no earlier output moves, not by
    one bit; without it all of them do.
    """
    picture = page.picture(sight, config)
    facts = picture.facts
    left, right = st.columns([1, 2])
    with left:
        caption = "Blue: the query in this row may see the key in this column."
        page.show(charts.heat, picture["visible"], x="key", y="query", title="The causal mask", caption=caption)
    with right:
        page.show(
            charts.heat,
            picture["moved"],
            x="changed",
            y="position",
            beside="arm",
            span=(-4, 0.5),
            title="Change one token: which outputs move?",
            caption="How far the output in this row moves, as a share of its length and in powers of ten, when the token in "
            "this column is another one. Empty: not one bit moves.",
        )
    page.metrics(
        Moves_before_the_change=(f"{facts['leak']:g}", "With the mask: the largest move of an earlier output."),
        Without_the_mask=(f"{facts['leak_open']:.2g}", "The same, as a share of the output's length."),
    )


@page.scene("length", "width", "heads", "layers")
def three_sublayers(config):
    r"""Three sublayers: masked self-attention, attention on the encoder's memory, and a feed-forward network.

    In the second sublayer the queries come from the decoder, the keys and values from the encoder. No mask is needed there:
    the whole source is known. A decoder without an encoder has two sublayers and is a *language model*. The mask stands
    before the softmax: log 1 = 0 changes nothing, and log 0 = −∞ has the softmax 0, so that what may be seen still adds up
    to 1.
    """
    left, right = st.columns([3, 4], gap="medium")
    with left:
        drawn = st.container()
        kinds = ("with an encoder", "alone")
        alone = page.view_option("decoder", "Decoder", kinds[0], choices=kinds) == kinds[1]
    config = config.but(task="Markov source" if alone else "reverse")
    facts = page.picture(sizes, config).facts
    T, S, d, d_k, h, V = facts["time"], facts["source"], config.width, config.d_k, config.heads, facts["vocabulary"]
    picture = page.picture(stages, config)
    with left:
        which, where = st.columns(2)
        with which:
            position = page.view_option("position", "Token at position", (T + 1) // 2, 1, T)
        with where:
            layer = page.view_option("in_layer", "Layer", 1, 1, config.layers)
        step = decoder.step(picture, layer, position)
        with drawn:
            page.drawing(blocks.decoder(step), _caption(step.facts))
    with right:
        st.latex(rf"\text{{softmax}}\!\left(\frac{{Q K^\top}}{{\sqrt{{{d_k}}}}} + \log M\right) V")
        st.latex(rf"M_{{qk}} = 1 \text{{ where }} k \le q,\ \text{{else }} 0 \qquad ({T} \times {T})")
        page.ledger(
            ("tokens", f"(B, {T})", "what is written so far; B rows"),
            ("E[tokens] + PE", f"(B, {T}, {d})", "embedded, with positions"),
            ("Q, K, V", f"(B, {h}, {T}, {d_k})", "1 · self-attention: all from the decoder"),
            ("weights", f"(B, {h}, {T}, {T})", "where each place looks, under the mask"),
            ("Q, cross", f"(B, {h}, {T}, {d_k})" if S else "none", "2 · the decoder asks"),
            ("K, V, cross", f"(B, {h}, {S}, {d_k})" if S else "none", "the encoder's memory answers"),
            ("weights, cross", f"(B, {h}, {T}, {S})" if S else "none", "no mask: the whole source is known"),
            ("inside FFN", f"(B, {T}, {step.facts['feedforward']})", f"{3 if S else 2} · each place by itself"),
            ("logits", f"(B, {T}, {V})", "a guess of the next symbol at every place"),
        )
        page.metrics(
            Weights=(f"{facts['parameters']:,}", "All of them, with embeddings" + (" and encoder." if S else "."))
        )
    page.badge(facts["agreement"])


def _caption(facts):
    """What the numbers of the drawing are, and where this token looks."""
    words = (
        f"A fresh decoder. Beside each part: the root mean square of the token's {facts['d']} entries when it leaves that "
        "part. Bars: as a share of the largest one. "
    )
    mean = f", of the mean over {facts['heads']} heads," if facts["heads"] > 1 else ""
    key, weight = facts["seen"]
    words += (
        f"Self-attention sees positions 1 to {facts['position']}; the largest weight{mean} is {weight:.2f}, on {key}"
    )
    if not facts["S"]:
        return words + ". With an encoder there is a sublayer between the two."
    key, weight = facts["read"]
    return f"{words}. Cross-attention sees all {facts['S']} places of the source; its largest{mean} is {weight:.2f}, on {key}."


@page.scene(*TRAINING, presets=PRESETS)
def trained(config):
    """Trained: without a mask the training loss is wonderful, and worthless.

    Both decoders learn the same rows of a random source. After any past its next symbol is uncertain by its *entropy*, the
    floor, in nats: no honest loss is lower, on average. The *honest* loss gives each guess only the symbols before it.

    Every batch here is fresh, so no row can be learned by heart. A training loss below the floor then means one thing: the
    model saw the answer.
    """
    source = config.task == "Markov source"
    asked = source and page.question(
        "How low does the training loss of the decoder without a mask fall?",
        ["It stays above the floor", "To the floor", "Far below the floor"],
    )
    if source and not asked:
        return

    def figures(moment):
        floor = moment.facts["floor"]
        left, right = st.columns(2)
        with left:
            caption = "All places of fresh rows at once. Line: median, band: the seeds."
            page.losses(moment, caption=caption, height=220)
        with right:
            page.show(
                charts.curve,
                moment["honest"],
                moment["trained"],
                x="step",
                colour="arm",
                log=True,
                across=(0, config.steps),
                rules={"best possible": floor} if floor else {},
                title="The honest loss: only the past is given",
                caption="64 held-out rows. Dashed: the same rows given whole, as in training. With the mask the two are one "
                "line.",
                height=220,
            )
        if "right" in moment:
            last = {arm: moment["right"].sel(arm=arm).values[:, -1].mean() for arm in ARMS}
            page.metrics(**{f"Written right: {arm}": f"{share:.1%}" for arm, share in last.items()})
        elif moment.step == config.steps and asked:
            seen, honest = (moment[name].sel(arm="no mask").values[:, -1].mean() for name in ("trained", "honest"))
            choices = {"Far below the floor": seen < 0.8 * floor, "To the floor": seen < 1.1 * floor}
            verdict = next((each for each, true in choices.items() if true), "It stays above the floor")
            told = f"Floor {floor:.3f} nats; without a mask {seen:.3f} on whole rows, {honest:.2f} with the past alone."
            asked.answer(verdict, told)

    page.play(run, config, figures)
    if not source:
        st.caption(
            "Each string of digits has one right answer: the floor is zero, and the losses tell nothing. Look at what is "
            "written: one of the two cannot write a single answer."
        )


@page.scene(*TRAINING, presets=PRESETS)
def where_they_look(config):
    """Trained, where they look: without the mask the weight moves onto the answer.

    Self-attention of the last layer in one held-out row. Without the mask the bright cells move one place to the right of
    the diagonal: onto the very symbol that is to be guessed. Only the last symbol of a row must still be guessed. With the
    mask nothing stands there.
    """

    def figures(moment):
        drawn = st.container()
        head = page.view_option("head", "Head", 1, 1, config.heads)
        with drawn:
            page.show(
                charts.heat,
                moment["weights"].isel(head=head - 1),
                x="key",
                y="query",
                beside="arm",
                title="Attention weights",
                caption=f"First seed; measured at step {moment.facts['measured']}. Row: the place that looks.",
            )

    page.play(run, config, figures)


@page.scene(*TRAINING, presets=PRESETS)
def it_writes(config):
    """Trained, it writes: symbol by symbol, and what it computed before stays true.

    A decoder writes one symbol, reads it back in, and writes the next. With the mask no place sees a later one, so its keys
    and values can be kept (the *KV cache*): a row of T symbols takes T keys instead of T (T + 1) / 2. Without a mask each
    new symbol changes what the old places saw. And it learned to copy what stands to the right: when it writes, nothing
    stands there.
    """
    facts = page.picture(sizes, config).facts
    T = facts["time"]

    def figures(moment):
        if "parameters" not in moment:
            st.info("Weights are kept of the newest moment only: move on to the newest step to let it write.", icon="⏭️")
            return
        top, columns = st.container(), st.columns(4)
        with columns[0]:
            arm = page.view_option("writer", "Who writes", "causal mask", choices=ARMS)
        with columns[1]:
            way = page.view_option("way", "Each symbol is the", "likeliest", choices=("likeliest", "one drawn"))
        heat, draw = None, 0
        if way == "one drawn":
            with columns[2]:
                heat = page.view_option("temperature", "Temperature", 1.0, 0.1, 3.0)
            with columns[3]:
                draw = page.view_option("draw", "Draw number", 0, 0, 99)
        text = write(moment, arm, heat, draw)
        told, places = text.facts, text["taken"].ticks["time"]
        wanted = f" · wanted `{told['wanted']}`" if told["wanted"] else ""
        top.markdown(f"given `{told['prompt']}` · writes `{told['text'] or 'nothing'}`{wanted}")
        drawn = top.container()
        place = page.view_option("place", "Place to look at", places[0], places[0], places[-1])
        kept = (
            "Nothing can be kept here" if told["cache"] is None else f"Kept or not, they differ by {told['cache']:.0e}"
        )
        with drawn:
            page.show(
                charts.bars,
                text["taken"].isel(time=place - places[0]),
                x="symbol",
                colour="line",
                span=(0, 1),
                height=200,
                title="What the symbol at this place is taken from",
                caption=f"Probabilities by the weights of step {moment.facts['measured']}, and the truth. {kept}.",
            )

    page.play(run, config, figures)
    page.metrics(
        Keys_computed=(f"{T} instead of {T * (T + 1) // 2}", f"To write {T} symbols, with and without a cache."),
        Largest_difference=(
            f"{facts['cache']:.1e}",
            "Of a probability, kept or computed anew, in an untrained decoder.",
        ),
    )


@page.scene("length", "task", "layers", "heads")
def practice(config):
    """Practice: count what a mask saves, and what it costs.

    The picture is the mask of your knobs.
    """
    picture = page.picture(sight, config)
    T = len(picture["visible"].ticks["key"])
    seen = T * (T + 1) // 2

    def few():
        return seen <= 15, f"With {T} places {seen} of {T * T} cells may be seen: {seen / T**2:.0%}."

    left, right = st.columns(2)
    with left:
        page.mission(
            "find the length at which at most 15 cells of the mask are open. What share of all cells is that?", few
        )
    with right:
        page.show(
            charts.heat, picture["visible"], x="key", y="query", title="The causal mask", height=200, legend=False
        )
    page.exercise(
        "One token in the middle of a row is replaced. Which outputs of a decoder with a causal mask move?",
        {
            "its own and those after it": "An output reads what stands at its own place or before it.",
            "those before it": "These are just the ones that cannot see it.",
            "all of them": "That happens without the mask.",
        },
        right="its own and those after it",
    )
    page.exercise(
        "The training loss of a language model is below the entropy of its source. What may be the reason?",
        {
            "it saw the answers, or learned its rows by heart": "With fresh rows for every batch only the first is left.",
            "it is a very good model": "On new rows no model that sees only the past is below the entropy, on average.",
            "its learning rate is too low": "Then it would still be above.",
        },
        right="it saw the answers, or learned its rows by heart",
    )
    page.exercise(
        "Where do queries, keys and values of the second sublayer come from?",
        {
            "Q from the decoder, K and V from the encoder": "The decoder asks, the encoder's memory answers.",
            "all from the decoder": "That is the first sublayer.",
            "Q from the encoder, K and V from the decoder": "Then the source would ask what has been written.",
        },
        right="Q from the decoder, K and V from the encoder",
    )


page.lesson(__doc__, Config, what_may_be_seen, three_sublayers, trained, where_they_look, it_writes, practice)
