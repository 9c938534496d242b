"""The drawing of the whole transformer: as many layers as the model has, its numbers, and a way to a scene from each part."""

import re

import pytest
import torch
from apps import PAGES, address_of, scenes_of
from test_cell import SVG, parsed, words

from seqcore.experiments import translation
from seqcore.experiments.translation import Config
from seqcore.tasks.translation import START
from view import stack

CONFIGS = {
    "usual": Config(),
    "deep": Config(task="numbers", heads=4, width=32, encoder_layers=2, decoder_layers=2),
    "no encoder layer": Config(task="dates", heads=2, encoder_layers=0, decoder_layers=2),
}


@pytest.fixture(scope="module", params=CONFIGS)
def whole(request):
    return translation.stack(CONFIGS[request.param])


def drawn(whole, symbol=2):
    step = translation.writing(whole, symbol)
    return step.facts, stack.transformer(step)


def names(drawing):
    return [part.get("aria-label") for part in parsed(drawing).iter(f"{SVG}g") if part.get("data-go")]


def tensors(config, symbol):
    """Every state of the model while it writes a symbol, by the layers' own forward passes; and its probabilities."""
    model, task = translation._model(config, translation.FULL, config.seed), translation._task(config)
    source = task.encode(config.sample).x[:, : len(config.sample)]
    read = {"embedding": model.encoder.embedding(source)}
    y = read["embedding"]
    for number, layer in enumerate(model.encoder.layers, 1):
        read[f"{number} self-attention"] = layer.around_attention(y, layer.attention)
        read[f"{number} feed-forward"] = y = layer(y)
    memory = read["memory"] = model.encoder.last(y)
    tokens = torch.tensor([[START]])
    while tokens.shape[1] < symbol:
        likeliest = model.decoder(tokens, memory)[:, -1].argmax(-1, keepdim=True)
        tokens = torch.cat([tokens, likeliest], 1)
    wrote = {"embedding": model.decoder.embedding(tokens)}
    y, mask = wrote["embedding"], torch.ones(symbol, symbol).tril().bool()
    for number, layer in enumerate(model.decoder.layers, 1):
        mixed = layer.around_attention(y, lambda x, layer=layer: layer.attention(x, mask=mask))
        wrote[f"{number} masked self-attention"] = mixed
        informed = layer.around_cross(mixed, lambda x, layer=layer: layer.cross(x, memory))
        wrote[f"{number} cross-attention"] = informed
        wrote[f"{number} feed-forward"] = y = layer.around_feedforward(informed, layer.feedforward)
    wrote["last norm"] = model.decoder.last(y)
    return read, wrote, model.decoder(tokens, memory)[0, -1].softmax(-1)


@pytest.mark.parametrize("symbol", [1, 3])
@torch.no_grad()
def test_the_numbers_are_those_of_the_model_while_it_writes(whole, symbol):
    v, drawing = drawn(whole, symbol)
    read, wrote, chances = tensors(whole.config, symbol)
    for told, states in ((v["read"], read), (v["wrote"], wrote)):
        assert list(told) == list(states)
        for stage, state in states.items():
            assert told[stage] == pytest.approx(float(state.square().mean().sqrt()), rel=1e-5), stage
    assert v["probability"] == pytest.approx(float(chances.max()), rel=1e-4)
    assert sum(v["weights"]) == pytest.approx(1)
    seen = words(drawing)
    shown = [
        f"{value:.2f}" for states in (v["read"], v["wrote"]) for stage, value in states.items() if stage != "memory"
    ]
    assert sorted(each for each in seen if re.fullmatch(r"\d+\.\d\d", each)) == sorted(shown)
    assert f"memory {v['S']} × {v['d']}: {v['read']['memory']:.2f}" in seen
    assert f"next: {v['next']}, {float(chances.max()):.2f}" in seen
    assert seen.count(f"{v['T']} × {v['d']}") == 1 + (v["S"] == v["T"])


def test_there_are_as_many_layers_as_the_model_has_each_with_its_sublayers_heads_and_sizes(whole):
    config, (_, drawing) = whole.config, drawn(whole)
    seen, (n, m) = words(drawing), (config.encoder_layers, config.decoder_layers)
    assert sorted(each for each in seen if each.startswith("layer ")) == sorted(
        f"layer {number}" for layers in (n, m) for number in range(1, layers + 1)
    )
    assert seen.count("self-attention") == n
    assert seen.count("masked self-attention") == seen.count("cross-attention") == m
    assert seen.count("K") == seen.count("V") == seen.count("Q") == m
    assert seen.count("+") == 2 * n + 3 * m
    assert seen.count("LayerNorm") == 2 * n + 3 * m + 2, "the last of each stack"
    assert seen.count(f"feed-forward, {2 * config.width}") == n + m
    assert seen.count(f"d_k = {config.d_k}") == n + m
    assert seen.count(f"{config.heads} heads" if config.heads > 1 else "1 head") == n + m
    assert f"linear {config.width} → {len(whole['taken'].ticks['symbol'])}" in seen
    assert all(seen.count(symbol) >= config.sample.count(symbol) for symbol in config.sample if symbol != " ")


def test_bars_under_the_source_are_the_weights_of_cross_attention(whole):
    v, drawing = drawn(whole)
    _, high = map(float, parsed(drawing).get("viewBox").split()[2:])
    bars = [bar for bar in parsed(drawing).iter(f"{SVG}rect") if float(bar.get("y")) == high - 26]
    assert [float(bar.get("height")) / 24 for bar in bars] == pytest.approx(
        [weight / max(v["weights"]) for weight in v["weights"]], abs=0.003
    )
    assert v["weights"] == pytest.approx(whole["weights"].values[1].tolist())
    largest = max(v["weights"])
    place = v["weights"].index(largest) + 1
    assert f"{largest:.2f} on place {place}, {v['source'][place - 1]}" in parsed(drawing).get("aria-label")


def test_parts_have_names_of_their_own_and_lead_to_scenes_that_there_are(whole):
    _, drawing = drawn(whole)
    found = names(drawing)
    assert len(found) == len(set(found)), "no two of one name"
    layers = whole.config.encoder_layers, whole.config.decoder_layers
    assert len(found) == (2 + 3 * 2) * layers[0] + (2 + 3 * 3) * layers[1] + 2 + 2 + 1 + 3
    assert set(re.findall(r'data-go="([^"]+)"', drawing)) <= {f"{page}?scene={n}" for page, n in stack.LINKS.values()}


# part -> words that the title or the sentence of its scene has, and no other scene of that page
ABOUT = {
    "embed + positions": "added to each token",
    "LayerNorm": "LayerNorm",
    "sum": "at any depth",
    "self-attention": "each word reads",
    "masked self-attention": "causal mask",
    "cross-attention": "attention on the encoder's memory",
    "feed-forward": "feed-forward",
    "heads": "several heads give each place",
    "d_k": "a sum of d_k products",
    "memory": "let the sublayer work",
    "linear": "symbol by symbol",
    "softmax": "makes every score positive",
    "next": "symbol by symbol",
}


@pytest.mark.parametrize("key", stack.LINKS)
def test_a_part_leads_to_the_scene_about_it(key):
    page, number = stack.LINKS[key]
    path = next(path for path in PAGES if address_of(path) == page)
    about = [f"{title}: {sentence}" for title, sentence, _ in scenes_of(path)]
    assert [place for place, words in enumerate(about, 1) if ABOUT[key] in words] == [number]


def test_a_drawing_fits_a_phone_and_its_height_depends_on_the_layers_alone():
    sizes = {}
    for config in (*CONFIGS.values(), Config(task="dates", width=32, heads=4), Config(length=4)):
        whole = translation.stack(config)
        for symbol in (1, len(whole.facts["written"])):
            svg = parsed(drawn(whole, symbol)[1])
            wide, high = map(float, svg.get("viewBox").split()[2:])
            sizes.setdefault((config.encoder_layers, config.decoder_layers), set()).add((wide, high))
            assert svg.get("role") == "group"
            assert min(float(text.get("font-size")) for text in svg.iter(f"{SVG}text")) * 340 / wide >= 11
            for box in svg.iter(f"{SVG}rect"):
                x, y, w, h = (float(box.get(name)) for name in ("x", "y", "width", "height"))
                assert min(x, y, wide - x - w, high - y - h) >= 0
    assert all(len(each) == 1 for each in sizes.values())
    one, two = sizes[1, 1].pop(), sizes[2, 2].pop()
    assert two[1] - one[1] == stack._layer_height(stack.DECODER)


def test_a_symbol_that_is_not_written_is_an_error(whole):
    with pytest.raises(ValueError, match="output"):
        translation.writing(whole, len(whole.facts["written"]) + 1)
