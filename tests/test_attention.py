"""One head of attention: the five steps, by hand and as torch computes them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parity import assert_agree, gap, gradients, noise
from torch.nn import functional as F

from seqcore.models.attention import INITIAL, SCALES, Attention, attend, causal, padding

sizes = st.fixed_dictionaries({k: st.integers(1, 6) for k in ("batch", "query", "key", "d_k", "d_v")})


def own(seed=1):
    return torch.Generator().manual_seed(seed)


def inputs(size, dtype=torch.float64):
    Q = noise(size["batch"], size["query"], size["d_k"], dtype=dtype)
    K = noise(size["batch"], size["key"], size["d_k"], dtype=dtype, seed=1)
    V = noise(size["batch"], size["key"], size["d_v"], dtype=dtype, seed=2)
    return Q, K, V


def some_mask(size):
    """Truths with some rows that may see nothing."""
    return torch.rand(size["batch"], size["query"], size["key"], generator=own(3)) > 0.5


def test_scores_0_and_1_give_weights_1_and_e_over_1_plus_e():
    Q, K, V = torch.tensor([[1.0]]), torch.tensor([[0.0], [1.0]]), torch.tensor([[10.0], [20.0]])
    read, weights, scores = attend(Q, K, V)
    assert scores.tolist() == [[0.0, 1.0]]
    assert weights[0].tolist() == pytest.approx([1 / (1 + math.e), math.e / (1 + math.e)])
    assert weights[0].tolist() == pytest.approx([0.268941, 0.731059], abs=1e-6)
    assert read.item() == pytest.approx((10 + 20 * math.e) / (1 + math.e))


def test_scores_are_divided_by_the_root_of_d_k():
    Q, K = torch.tensor([[1.0, 1, 1, 1]]), torch.tensor([[0.0, 0, 0, 0], [1, 1, 0, 0]])
    _, weights, scores = attend(Q, K, torch.eye(2))
    assert scores.tolist() == [[0.0, 2.0]]
    assert weights[0, 1].item() == pytest.approx(math.e / (1 + math.e))  # 2 / √4 = 1
    assert attend(Q, K, torch.eye(2), scale=1.0).weights[0, 1].item() == pytest.approx(math.e**2 / (1 + math.e**2))


def test_what_is_masked_is_taken_away_before_the_softmax():
    Q, K = torch.tensor([[1.0]]), torch.tensor([[0.0], [1.0], [50.0]])
    weights = attend(Q, K, torch.eye(3), torch.tensor([[True, True, False]])).weights
    assert weights[0].tolist() == pytest.approx([1 / (1 + math.e), math.e / (1 + math.e), 0.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(size=sizes, masked=st.booleans(), scale=st.sampled_from([None, 1.0, 0.1]))
def test_attend_and_torch_agree_in_values_and_every_gradient(size, masked, scale, dtype):
    Q, K, V = inputs(size, dtype)
    mask = some_mask(size) if masked else None
    theirs = F.scaled_dot_product_attention(Q, K, V, mask, scale=scale)
    assert_agree(attend(Q, K, V, mask, scale).read, theirs, [Q, K, V])


@given(size=sizes)
def test_weights_are_shares_of_what_may_be_seen(size):
    mask = some_mask(size)
    weights = attend(*inputs(size), mask).weights
    assert not weights[~mask].any()
    assert gap(weights.sum(-1), mask.any(-1).double()) <= 1e-12


def test_a_query_that_may_see_nothing_reads_zeros_and_passes_no_gradient_on():
    Q, K, V = inputs(dict(batch=1, query=2, key=3, d_k=4, d_v=2))
    mask = torch.tensor([[True, True, False], [False, False, False]])
    read, weights, _ = attend(Q, K, V, mask)
    assert not read[0, 1].any()
    assert not weights[0, 1].any()
    dQ, dK, dV = gradients(read, [Q, K, V])
    assert dQ.isfinite().all()
    assert dK.isfinite().all()
    assert dV.isfinite().all()
    assert not dQ[0, 1].any()
    assert not dK[0, 2].any()
    assert dQ[0, 0].any()


def test_order_of_the_keys_does_not_matter_when_the_values_go_along():
    Q, K, V = inputs(dict(batch=2, query=3, key=5, d_k=4, d_v=2))
    order = torch.tensor([3, 0, 4, 1, 2])
    plain, mixed = attend(Q, K, V), attend(Q, K[:, order], V[:, order])
    assert gap(mixed.read, plain.read) <= 1e-12
    assert gap(mixed.weights, plain.weights[..., order]) <= 1e-12


def test_a_mask_of_numbers_is_refused():
    with pytest.raises(ValueError, match=r"mask has numbers of type torch.float32; it must be of truths"):
        attend(torch.ones(1, 2), torch.ones(3, 2), torch.ones(3, 2), torch.zeros(1, 3))


def test_queries_and_keys_of_different_length_are_refused():
    with pytest.raises(ValueError, match="queries have d_k = 2, keys 4"):
        attend(torch.ones(1, 2), torch.ones(3, 4), torch.ones(3, 2))


def test_causal_mask_lets_every_step_see_itself_and_the_past():
    assert causal(3).tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert causal(1, past=2).tolist() == [[True, True, True]]
    assert torch.equal(causal(2, past=3), causal(5)[3:])


def test_padding_mask_ends_at_the_length_of_the_row():
    assert padding(torch.tensor([2, 0, 3]), 3).tolist() == [
        [[True, True, False]],
        [[False, False, False]],
        [[True, True, True]],
    ]
    with pytest.raises(ValueError, match=r"lengths = \[2, 4\] are not all between 0 and time = 3"):
        padding(torch.tensor([2, 4]), 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [*SCALES, 0.3])
@given(size=sizes, masked=st.booleans())
def test_fast_head_and_its_five_steps_agree_in_values_and_every_gradient(size, masked, scale, dtype):
    model = Attention(4, size["d_k"], size["d_v"], content=3, scale=scale, generator=own()).to(dtype)
    x = noise(size["batch"], size["query"], 4, dtype=dtype)
    memory, content = (noise(size["batch"], size["key"], n, dtype=dtype, seed=n) for n in (4, 3))
    mask = some_mask(size) if masked else None
    of = [x, memory, content, *model.parameters()]
    assert_agree(model(x, memory, content, mask), model.trace(x, memory, content, mask)[0], of)


def test_the_five_steps_are_the_five_formulas():
    model = Attention(3, 2, 4, scale="none", generator=own()).double()
    x = noise(2, 5, 3)
    z, steps = model.trace(x, mask=causal(5))
    assert gap(steps.q, x @ model.W_q.T) == gap(steps.k, x @ model.W_k.T) == gap(steps.v, x @ model.W_v.T) == 0
    assert gap(steps.scores, torch.einsum("bqd,bkd->bqk", steps.q, steps.k)) <= 1e-12
    assert torch.equal(steps.scaled, steps.scores)
    assert gap(steps.weights, steps.scaled.masked_fill(~causal(5), -math.inf).softmax(-1)) <= 1e-12
    assert gap(z, steps.weights @ steps.v) <= 1e-12


def test_scales_are_the_root_nothing_and_the_whole():
    assert {name: scale(16) for name, scale in SCALES.items()} == {"sqrt": 1 / 4, "none": 1, "linear": 1 / 16}


@pytest.mark.parametrize(("initial", "variance"), [("unit", 1), ("linear", 1 / 3), ("xavier", 2 * 64 / (64 + 256))])
def test_initial_weights_give_queries_of_the_variance_they_promise(initial, variance):
    model = Attention(64, 256, initial=initial, generator=own())
    x = torch.randn(200, 1, 64, generator=own(2))
    assert model.trace(x)[1].q.var().item() == pytest.approx(variance, rel=0.05)


def test_unscaled_scores_of_unit_queries_and_keys_have_variance_d_k():
    model = Attention(64, 100, scale="none", generator=own())
    steps = model.trace(torch.randn(40, 16, 64, generator=own(2)))[1]
    others = ~torch.eye(16, dtype=torch.bool)  # a query is not independent of its own key
    assert steps.scores[:, others].std().item() == pytest.approx(10, rel=0.1)


def test_equal_generators_give_equal_weights_for_all_scales_and_initials():
    for initial in INITIAL:
        one, other = (Attention(3, 4, scale=scale, initial=initial, generator=own()) for scale in ("sqrt", "none"))
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))


def test_unknown_names_and_sizes_are_named_with_their_limits():
    with pytest.raises(ValueError, match="scale = 'log' is not a number, nor one of sqrt, none, linear"):
        Attention(3, 4, scale="log")
    with pytest.raises(ValueError, match="initial = 'zero' is not one of unit, linear, xavier"):
        Attention(3, 4, initial="zero")
    with pytest.raises(ValueError, match="d_k = 0 is less than 1"):
        Attention(3, 0)
