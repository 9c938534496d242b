"""Drawings of transformer layers: every number in them is one of the record, and what a layer lacks is not drawn."""

import re
from collections import Counter

import pytest
from apps import PAGES, address_of, scenes_of
from test_cell import SVG, parsed, words

from seqcore.experiments import decoder, encoder
from view import blocks, strokes

ARMS = list(encoder.ARMS)
SMALL, LARGE = encoder.Config(), encoder.Config(layers=8, heads=8, width=64, feedforward=256, length=16)
TWO = {
    "reverse": decoder.Config(task="reverse", length=8, width=64, heads=4, layers=2),
    "Markov source": decoder.Config(),
}


@pytest.fixture(scope="module")
def fresh():
    return encoder.stages(SMALL)


def decoded(task, layer=1, position=4):
    return decoder.step(decoder.stages(TWO[task]), layer, position)


def every(fresh):
    """One drawing of each kind, at both ends of the knobs."""
    large = encoder.stages(LARGE)
    found = [encoder.step(moment, arm, layer, 2) for moment, layer in ((fresh, 1), (large, 8)) for arm in ARMS]
    return [*map(blocks.encoder, found)], [blocks.decoder(decoded(task)) for task in TWO]


@pytest.mark.parametrize("arm", ARMS)
def test_an_encoder_layer_shows_the_parts_it_has_and_no_others(fresh, arm):
    norm, residual = encoder.ARMS[arm]
    seen = words(blocks.encoder(encoder.step(fresh, arm, 1, 3)))
    assert seen.count("LayerNorm") == (0 if norm == "none" else 2)
    assert seen.count("+") == (2 if residual else 0)
    assert {"self-attention", "feed-forward", "2 heads, d_k = 16", "32 → 64 → 32"} <= set(seen)
    assert {"x: 8 × 32", "m: 8 × 32", "y: 8 × 32"} <= set(seen)


def numbers(drawing):
    """The roots of mean squares, from the bottom to the top."""
    found = [text for text in parsed(drawing).iter(f"{SVG}text") if re.fullmatch(r"\d+\.\d\d", text.text)]
    return [text.text for text in sorted(found, key=lambda text: -float(text.get("y")))]


@pytest.mark.parametrize("arm", ARMS)
def test_the_numbers_of_an_encoder_layer_stand_in_the_order_of_its_parts(fresh, arm):
    norm, residual = encoder.ARMS[arm]
    step = encoder.step(fresh, arm, 2, 5)
    order = {"pre": ["before", "f", "sum"], "post": ["f", "sum", "after"], "none": ["f", "sum"]}[norm]
    names = [f"{sub} {part}" for sub in encoder.SUBLAYERS for part in order if residual or part != "sum"]
    told = [f"{step.facts['rms'][name]:.2f}" for name in ("x", *names)]
    drawing = blocks.encoder(step)
    assert numbers(drawing) == told
    label = parsed(drawing).get("aria-label")
    assert re.findall(r"\d+\.\d\d", label) == told


def test_pre_norm_and_post_norm_stand_in_another_order(fresh):
    def upward(arm):
        found = parsed(blocks.encoder(encoder.step(fresh, arm, 1, 1))).iter(f"{SVG}text")
        parts = [text for text in found if text.text in ("LayerNorm", "+", "self-attention", "feed-forward")]
        return [text.text for text in sorted(parts, key=lambda text: -float(text.get("y")))]

    assert upward("residual + pre-norm") == ["LayerNorm", "self-attention", "+", "LayerNorm", "feed-forward", "+"]
    assert upward("residual + post-norm") == ["self-attention", "+", "LayerNorm", "feed-forward", "+", "LayerNorm"]


def test_the_equations_are_those_of_the_arm(fresh):
    full = {arm: blocks.encoder_in_full(encoder.step(fresh, arm, 1, 1)) for arm in ARMS}
    assert r"m &= x + \mathrm{Attention}(\mathrm{LN}(x))" in full["residual + pre-norm"]
    assert r"y &= \mathrm{LN}(m + \mathrm{FFN}(m))" in full["residual + post-norm"]
    assert r"y &= m + \mathrm{FFN}(m)" in full["residual only"]
    assert r"m &= \mathrm{LN}(\mathrm{Attention}(x))" in full["norm only"]
    assert r"m &= \mathrm{Attention}(x)" in full["nothing"]


def test_a_decoder_layer_has_three_sublayers_and_reads_keys_and_values_of_the_encoder():
    step = decoded("reverse", layer=2)
    seen, v = words(blocks.decoder(step)), step.facts
    assert {"masked self-attention", "cross-attention", "feed-forward", "encoder", "K", "V", "Q"} <= set(seen)
    assert seen.count("LayerNorm") == seen.count("+") == 3
    assert {f"x: {v['T']} × 64", f"{v['S']} × 64", f"{v['memory']:.2f}"} <= set(seen)
    own = [f"{v['rms'][name]:.2f}" for name in v["rms"] if not name.endswith("after")]
    assert sorted(numbers(blocks.decoder(step))) == sorted([*own, f"{v['memory']:.2f}"])


def test_the_units_of_the_feed_forward_network_are_those_of_the_decoder(monkeypatch):
    def wider(self, causal, generator):
        c = self.config
        return decoder.Decoder(
            c.symbols, c.width, c.heads, 48, c.layers, cross=False, causal=causal, generator=generator
        )

    assert "32 → 64 → 32" in words(blocks.decoder(decoded("Markov source")))
    monkeypatch.setattr(decoder.Continuing, "model", wider)
    assert "32 → 48 → 32" in words(blocks.decoder(decoded("Markov source")))


def test_without_an_encoder_there_is_no_cross_attention():
    step = decoded("Markov source")
    seen = words(blocks.decoder(step))
    assert not {"cross-attention", "encoder", "K", "V", "Q"} & set(seen)
    assert seen.count("LayerNorm") == 2
    assert "no cross-attention" in parsed(blocks.decoder(step)).get("aria-label")


def test_a_drawing_keeps_its_size_fits_a_phone_and_nothing_stands_outside(fresh):
    for same in every(fresh):
        sizes = {parsed(drawing).get("viewBox") for drawing in same}
        assert len(sizes) == 1
        for drawing in same:
            svg = parsed(drawing)
            wide, high = map(float, svg.get("viewBox").split()[2:])
            assert "\n" not in drawing
            assert svg.get("role") in ("img", "group")
            assert len(svg.get("aria-label")) > 100
            assert min(float(text.get("font-size")) for text in svg.iter(f"{SVG}text")) * 340 / wide >= 11
            for box in svg.iter(f"{SVG}rect"):
                x, y, w, h = (float(box.get(name)) for name in ("x", "y", "width", "height"))
                assert min(x, y) >= 0
                assert x + w <= wide
                assert y + h <= high


def test_a_bar_is_as_long_as_its_share_of_the_largest(fresh):
    step = encoder.step(fresh, "nothing", 4, 1)
    bars = [
        float(bar.get("width")) for bar in parsed(blocks.encoder(step)).iter(f"{SVG}rect") if bar.get("height") == "10"
    ]
    rms = [step.facts["rms"][name] for name in ("x", "attention f", "feed-forward f")]
    longest = blocks.WIDE - 4 - blocks.ENCODER.bar
    assert bars == pytest.approx([longest * each / max(step.facts["rms"].values()) for each in rms], abs=0.06)


# part -> words that the title or the sentence of its scene has, and no other scene of that page
ABOUT = {
    "norm": "LayerNorm",
    "added": "at any depth",
    "self-attention": "each word reads",
    "masked self-attention": "causal mask",
    "cross-attention": "keys and values from the encoder",
    "feed-forward": "feed-forward",
    "encoder": "let the sublayer work",
}


@pytest.mark.parametrize("key", blocks.LINKS)
def test_a_part_leads_to_the_scene_about_it(key):
    page, number, _ = blocks.LINKS[key]
    path = next(path for path in PAGES if address_of(path) == page)
    about = [f"{title}: {sentence}" for title, sentence, _ in scenes_of(path)]
    assert [place for place, words in enumerate(about, 1) if ABOUT[key] in words] == [number]


def led(drawing):
    """Where the parts of a drawing lead, and how often; the bars beside its numbers are no parts."""
    svg = parsed(drawing)
    linked = [part for part in svg.iter(f"{SVG}g") if part.get("data-go")]
    inside = {id(shape) for part in linked for kind in ("rect", "circle") for shape in part.iter(f"{SVG}{kind}")}
    shapes = [shape for kind in ("rect", "circle") for shape in svg.iter(f"{SVG}{kind}")]
    assert all(id(shape) in inside for shape in shapes if shape.get("height") != "10"), "a part leads nowhere"
    return Counter(part.get("data-go") for part in linked)


@pytest.mark.parametrize("arm", ARMS)
def test_every_part_of_an_encoder_layer_is_one_link(fresh, arm):
    norm, residual = encoder.ARMS[arm]
    norms, sums = 0 if norm == "none" else 2, 2 if residual else 0
    wanted = {"encoder?scene=4": norms, "encoder?scene=2": sums, "attention?scene=1": 1, "encoder?scene=1": 1}
    assert led(blocks.encoder(encoder.step(fresh, arm, 1, 3))) == Counter(wanted)


@pytest.mark.parametrize("task", TWO)
def test_every_part_of_a_decoder_layer_is_one_link(task):
    sublayers = 3 if task == "reverse" else 2
    wanted = {"encoder?scene=4": sublayers, "encoder?scene=2": sublayers, "decoder?scene=1": 1, "encoder?scene=1": 1}
    if task == "reverse":
        wanted |= {"translation?scene=2": 1, "encoder?scene=3": 1}
    assert led(blocks.decoder(decoded(task))) == Counter(wanted)


@pytest.mark.parametrize("entry", [1, 17, 32])
def test_layer_normalisation_in_full_adds_up(fresh, entry):
    digits = encoder.normalise(fresh, 2, "feed-forward", 3)
    v, latex = digits.facts, blocks.norm_in_full(digits, entry).replace("−", "-")
    mean, variance = (float(re.search(rf"{name} .*?= ([-+\d.]+)", latex)[1]) for name in (r"\\mu &=", r"\\sigma\^2 &="))
    sums = r"\\frac\{([-+\d.]+) ([-+\d.]+)\}\{\\sqrt\{([\d.]+) \+ \\varepsilon\}\} = ([-+\d.]+)"
    top, shift, bottom, got = map(float, re.search(sums, latex).groups())
    assert -shift == mean == pytest.approx(v["mean"], abs=0.0006)
    assert (top - mean) / bottom**0.5 == pytest.approx(got, abs=0.003)
    assert variance == bottom == pytest.approx(v["variance"], abs=0.0006)
    rows = blocks.norm_rows(digits, entry)
    assert len(rows) == 1 + blocks.ROWS
    assert rows[0] == ("i", "x", "x̂", "γ", "β", "y")
    bold = [[cell.strip("*").replace("−", "-") for cell in row] for row in rows if row[0].startswith("**")]
    wanted = [v[name][entry - 1] for name in ("vector", "normalised", "gamma", "beta", "y")]
    assert [list(map(float, row)) for row in bold] == [pytest.approx([entry, *wanted], abs=0.006)]


def test_words_with_line_breaks_stay_in_one_line():
    drawn = strokes.svg(
        [strokes.text(0, 0, "a\n\nb"), strokes.look([], "key", "a\n\nb"), strokes.link([], "rnn", "a\n\nb")],
        9,
        9,
        "a\n\nb",
    )
    assert "\n" not in drawn
    assert drawn.count("a b") == 4
