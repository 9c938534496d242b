"""Several heads: one product cut into pieces, equal to torch's, and to single heads side by side."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parity import assert_agree, gap, gradients, noise

from seqcore.experiments import heads
from seqcore.experiments.heads import by_einsum
from seqcore.models.attention import attend, causal
from seqcore.models.heads import MultiHeadAttention
from view import blocks_heads

sizes = st.fixed_dictionaries(
    {"batch": st.integers(1, 3), "query": st.integers(1, 5), "key": st.integers(1, 5)}
    | {"heads": st.integers(1, 4), "d": st.integers(1, 3)}
)
MASKS = {
    "none": lambda B, q, k: None,
    "shared": lambda B, q, k: torch.ones(q, k, dtype=torch.bool).tril(),
    "per row": lambda B, q, k: torch.rand(B, q, k, generator=own(3)) > 0.4,
}


def own(seed=1):
    return torch.Generator().manual_seed(seed)


def like_twin(model, twin):
    """Our weights, joined and named as the twin's, for gradients."""
    ours = [[model.W_q, model.W_k, model.W_v], [model.b_q, model.b_k, model.b_v], [model.W_o], [model.b_o]]
    return ours, [twin.in_proj_weight, twin.in_proj_bias, twin.out_proj.weight, twin.out_proj.bias]


def assert_twins(y, model, theirs, twin, x):
    """Values, and gradients of x and of every weight."""
    ours, twins = like_twin(model, twin)
    flat = gradients(y, [x, *(weight for group in ours for weight in group)])
    joined = [flat[0]]
    for group in ours:
        joined.append(torch.cat(flat[1 : 1 + len(group)]))
        flat = flat[len(group) :]
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-10}[y.dtype]
    assert gap(y, theirs) <= tolerance
    for mine, other in zip(joined, gradients(theirs, [x, *twins]), strict=True):
        assert gap(mine, other) <= tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mask", MASKS)
@given(size=sizes)
def test_fast_and_traced_attention_agree_in_values_and_every_gradient(size, mask, dtype):
    model = MultiHeadAttention(size["heads"] * size["d"], size["heads"], generator=own()).to(dtype)
    x = noise(size["batch"], size["query"], model.heads * size["d"], dtype=dtype)
    allowed = MASKS[mask](size["batch"], size["query"], size["query"])
    of = [x, *model.parameters()]
    assert_agree(model(x, mask=allowed), model.trace(x, mask=allowed)[0], of)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(size=sizes, masked=st.booleans())
def test_self_attention_and_torch_agree_in_values_and_every_gradient(size, masked, dtype):
    width = size["heads"] * size["d"]
    model = MultiHeadAttention(width, size["heads"], generator=own()).to(dtype)
    twin = model.twin()
    x = noise(size["batch"], size["query"], width, dtype=dtype)
    mask = causal(size["query"]) if masked else None
    theirs, _ = twin(x, x, x, attn_mask=None if mask is None else ~mask, need_weights=False)
    assert_twins(model(x, mask=mask), model, theirs, twin, x)


@given(size=sizes, features=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_attention_on_a_memory_and_torch_agree_in_values_weights_and_gradients(size, features):
    width, (memory, content) = size["heads"] * size["d"], features
    model = MultiHeadAttention(width, size["heads"], memory=memory, content=content, generator=own()).double()
    x = noise(size["batch"], size["query"], width)
    m, c = noise(size["batch"], size["key"], memory, seed=1), noise(size["batch"], size["key"], content, seed=2)
    theirs, weights = model.twin()(x, m, c, average_attn_weights=False)
    assert_agree(model(x, m, c), theirs, [x, m, c])
    traced, steps = model.trace(x, m, c)
    assert_agree(traced, model(x, m, c), [x, m, c, *model.parameters()])
    assert gap(steps.weights, weights) <= 1e-10


def test_every_head_is_an_attention_of_its_own():
    model = MultiHeadAttention(6, 2, d_k=3, d_v=5, generator=own()).double()
    x = noise(2, 4, 6)
    y, steps = model.trace(x)
    read = []
    for head in range(2):
        q, k = (x @ W[3 * head : 3 * head + 3].T + b[3 * head : 3 * head + 3] for W, b in model_pairs(model))
        v = x @ model.W_v[5 * head : 5 * head + 5].T + model.b_v[5 * head : 5 * head + 5]
        alone = attend(q, k, v)
        assert gap(steps.weights[:, head], alone.weights) <= 1e-12
        read.append(alone.read)
    assert gap(y, torch.cat(read, -1) @ model.W_o.T + model.b_o) <= 1e-12


def model_pairs(model):
    return [(model.W_q, model.b_q), (model.W_k, model.b_k)]


def test_heads_cost_the_same_however_many_they_are():
    counts = {sum(p.numel() for p in MultiHeadAttention(12, heads).parameters()) for heads in (1, 2, 3, 4, 6, 12)}
    assert counts == {4 * 12 * 12 + 4 * 12}


@given(size=sizes, d=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_any_sizes_agree_with_einsum_in_values_and_every_gradient(size, d):
    (d_k, d_v), h = d, size["heads"]
    model = MultiHeadAttention(5, h, d_k=d_k, d_v=d_v, generator=own()).double()
    x = noise(size["batch"], size["query"], 5)
    of = [x, *model.parameters()]
    assert_agree(model(x), by_einsum(model, x), of)
    assert_agree(model.trace(x)[0], by_einsum(model, x), of)
    assert model(x).shape == x.shape
    assert sum(p.numel() for p in model.parameters()) == 2 * h * d_k * 6 + h * d_v * 6 + 5 * h * d_v + 5


def test_heads_can_be_switched_off_one_by_one():
    model = MultiHeadAttention(6, 3, generator=own()).double()
    x = noise(2, 4, 6)
    on = torch.tensor([True, False, True])
    y, steps = model.trace(x, heads_on=on)
    left = torch.cat([steps.z[:, 0], torch.zeros_like(steps.z[:, 1]), steps.z[:, 2]], -1)
    assert gap(y, left @ model.W_o.T + model.b_o) <= 1e-12
    assert gap(model(x, heads_on=on), y) <= 1e-12
    assert gap(model(x, heads_on=torch.zeros(3)), model.b_o.expand(2, 4, 6)) <= 1e-12


def test_without_positions_the_order_of_x_does_not_matter():
    model, x, order = MultiHeadAttention(6, 2, generator=own()).double(), noise(2, 5, 6), torch.tensor([4, 1, 0, 3, 2])
    assert gap(model(x[:, order]), model(x)[:, order]) <= 1e-12
    turned = MultiHeadAttention(6, 1, positions="rotary", generator=own()).double()
    assert gap(turned(x[:, order]), turned(x)[:, order]) > 1e-3


def test_rotary_heads_score_offsets_wherever_they_stand():
    model = MultiHeadAttention(4, 1, positions="rotary", generator=own()).double()
    steps = model.trace(noise(1, 1, 4).expand(1, 6, 4))[1]
    for offset in range(-5, 6):
        diagonal = steps.scores[0, 0].diagonal(offset)
        assert gap(diagonal, diagonal[:1].expand_as(diagonal)) <= 1e-12


@pytest.mark.parametrize("positions", ["none", "rotary"])
def test_keys_and_values_of_the_past_can_be_used_again(positions):
    model, x = MultiHeadAttention(8, 2, positions=positions, generator=own()).double(), noise(2, 5, 8)
    whole, _ = model.trace(x, mask=causal(5))
    first, past = model.trace(x[:, :2], mask=causal(2))
    rest, steps = model.trace(x[:, 2:], mask=causal(3, past=2), past=past)
    assert gap(torch.cat([first, rest], 1), whole) <= 1e-12
    assert steps.k.shape == (2, 2, 5, 4)
    assert past.k.shape == (2, 2, 2, 4)


def test_weights_can_be_read_anew():
    model, x = MultiHeadAttention(4, 2, generator=own()).double(), noise(1, 3, 4)
    y, steps = model.trace(x, reread=lambda weights: torch.eye(3).double().expand_as(weights))
    assert gap(steps.z, steps.v) <= 1e-12
    assert gap(y, steps.v.transpose(1, 2).flatten(2) @ model.W_o.T + model.b_o) <= 1e-12


def test_a_query_that_may_see_nothing_gives_the_bias_and_finite_gradients():
    model, x = MultiHeadAttention(4, 2, generator=own()).double(), noise(2, 3, 4)
    mask = torch.tensor([[True, True, True], [False, False, False], [True, False, False]])
    for y in (model(x, mask=mask), model.trace(x, mask=mask)[0]):
        assert gap(y[:, 1], model.b_o.expand(2, 4)) <= 1e-12
        assert all(g.isfinite().all() for g in gradients(y, [x, *model.parameters()]))


def test_impossible_heads_are_named_with_their_limits():
    with pytest.raises(ValueError, match="width = 10 is not a multiple of heads = 3"):
        MultiHeadAttention(10, 3)
    with pytest.raises(ValueError, match="d_k = 0 is less than 1"):
        MultiHeadAttention(10, 2, d_k=0)
    with pytest.raises(ValueError, match=r"heads_on has shape \(3,\); there are 2 heads"):
        MultiHeadAttention(4, 2)(torch.zeros(1, 1, 4), heads_on=torch.ones(3))
    with pytest.raises(ValueError, match="heads = 0 is less than 1"):
        MultiHeadAttention(10, 0)
    with pytest.raises(ValueError, match="d_k = 3 is odd, and rotary positions turn pairs"):
        MultiHeadAttention(6, 2, positions="rotary")
    with pytest.raises(ValueError, match="positions = 'alibi' is not one of"):
        MultiHeadAttention(6, 2, positions="alibi")


def test_twins_torch_lacks_are_refused():
    with pytest.raises(ValueError, match="heads · d_k = heads · d_v = width = 6, not 8 and 6"):
        MultiHeadAttention(6, 2, d_k=4).twin()
    with pytest.raises(ValueError, match="no rotary positions"):
        MultiHeadAttention(4, 2, positions="rotary").twin()


# --- their drawing ---


def boxes(drawing: str) -> list[tuple[float, float]]:
    """(width, height) of every matrix of the drawing, in order."""
    tree = ElementTree.fromstring(drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))[0]
    return [(float(r.get("width")), float(r.get("height"))) for r in tree.iter("{http://www.w3.org/2000/svg}rect")]


CORNERS = [
    heads.Config(**dict(zip(("heads", "width", "d_k", "d_v", "length"), values)))
    for values in itertools.product((1, 2, 8), (8, 64), (0, 64), (0, 1, 64), (4, 20))
]


@pytest.mark.parametrize("config", CORNERS, ids=lambda c: f"{c.heads} {c.width} {c.d_k} {c.d_v} {c.length}")
def test_all_matrices_stand_inside_the_drawing_at_one_scale(config):
    facts = heads.sizes(config).facts
    drawing, h = blocks_heads.matrices(heads.sizes(config)), facts["heads"]
    of_heads = [facts[name] for name in ("Q", "K", "V", "weights", "z") for _ in range(h)]
    T, d = facts["x"]
    shapes = [(T, d), *of_heads, *[(T, config.value_size), (config.value_size, d)] * h, (T, d)]
    drawn = boxes(drawing)
    scale = drawn[0][0] / d
    assert len(drawn) == len(shapes)
    for (wide, tall), (rows, columns) in zip(drawn, shapes):
        assert (wide, tall) == pytest.approx((columns * scale, rows * scale), abs=0.02 + 0.02 * max(rows, columns) / d)
    assert f'viewBox="0 0 {blocks_heads.WIDE} {blocks_heads.TALL}"' in drawing
    for tag, x, y, *rest in re.findall(
        r'<(rect|text) x="([-\d.]+)" y="([-\d.]+)"(?: width="([\d.]+)" height="([\d.]+)")?', drawing
    ):
        wide, tall = (float(size or 0) for size in rest)
        assert float(x) >= 0, tag
        assert float(x) + wide <= blocks_heads.WIDE, tag
        assert float(y) >= 0, tag
        assert float(y) + tall <= blocks_heads.TALL, tag
    for size in re.findall(r'font-size="([\d.]+)"', drawing):
        assert float(size) * 340 / blocks_heads.WIDE >= 11
    for name in ("x", "Q", "V", "weights", "joined", "W_o"):
        assert f">{facts[name][0]} × {facts[name][1]}</text>" in drawing
        assert f"{facts[name][0]} by {facts[name][1]}" in drawing


def test_rows_of_the_drawing_do_not_touch():
    for config in CORNERS:
        drawing, h = blocks_heads.matrices(heads.sizes(config)), config.heads
        found = re.findall(r'<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', drawing)
        rows = [tuple(map(float, found[k])) for k in (0, *range(1, 1 + 5 * h, h))]
        for (y, tall), (below, _) in itertools.pairwise(rows):
            assert y + tall + 4 <= below
