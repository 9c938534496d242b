"""The attention probes: formulas against built matrices, and the table of what scaling does before training."""

import math

import pytest
import torch
from parity import gap, noise

from seqcore.models.attention import SCALES
from seqcore.probes.attention import (
    alignment,
    draw,
    entropy,
    jacobian,
    jacobian_norm,
    largest,
    query_gradient,
    relative_entropy,
    sample,
)

ONE_HOT = torch.tensor([0.0, 1.0, 0.0, 0.0])
EVEN = torch.full((4,), 0.25)


def sharpness(d_k, scaling, rows=2000, seed=0):
    return sample(d_k, SCALES[scaling](d_k), torch.Generator().manual_seed(seed), rows=rows)


def test_the_entropy_runs_from_one_key_to_all():
    assert entropy(ONE_HOT).item() == 0
    assert entropy(EVEN).item() == pytest.approx(math.log(4))
    assert entropy(torch.tensor([0.5, 0.25, 0.25])).item() == pytest.approx(1.5 * math.log(2))
    assert relative_entropy(torch.stack([ONE_HOT, EVEN])).tolist() == pytest.approx([0, 1])
    with pytest.raises(ValueError, match="keys = 1 is less than 2"):
        relative_entropy(torch.ones(3, 1))


def test_the_largest_weight_is_the_largest():
    assert largest(torch.stack([ONE_HOT, EVEN])).tolist() == [1, 0.25]


@pytest.mark.parametrize("sharp", [0.1, 1, 10, 40])
def test_the_jacobian_norm_is_that_of_the_built_matrix(sharp):
    p = (sharp * noise(3, 5, 7).detach()).softmax(-1)
    assert gap(jacobian_norm(p), torch.linalg.matrix_norm(jacobian(p))) <= 1e-7


def test_the_jacobian_norm_is_zero_for_one_key_and_largest_between_two():
    assert jacobian_norm(ONE_HOT).item() == 0
    # diag(1/2, 1/2) - 1/4: four entries of size 1/4
    assert jacobian_norm(torch.tensor([0.5, 0.5, 0.0])).item() == pytest.approx(0.5)
    # n equal weights: n entries (1/n)(1 - 1/n) and n(n-1) entries 1/n²
    assert jacobian_norm(EVEN).item() == pytest.approx(math.sqrt(4 * (3 / 16) ** 2 + 12 / 16**2))
    assert jacobian_norm((4 * noise(20_000, 4).detach()).softmax(-1)).max() <= 0.5


def test_the_built_matrix_is_the_derivative_of_softmax():
    s = noise(6)
    J = torch.autograd.functional.jacobian(lambda s: s.softmax(-1), s)
    assert gap(jacobian(s.softmax(-1)), J) <= 1e-12
    assert jacobian_norm(s.softmax(-1)).item() == pytest.approx(torch.linalg.matrix_norm(J).item())


@pytest.mark.parametrize("scaling", SCALES)
def test_the_gradient_at_the_query_is_autograds(scaling):
    scale = SCALES[scaling](5)
    q, K, w = noise(3, 5), noise(3, 4, 5, seed=1).detach(), noise(3, 4, seed=2).detach()
    p = ((q[:, None] @ K.mT).squeeze(1) * scale).softmax(-1)
    (expected,) = torch.autograd.grad((p * w).sum(), q)
    assert gap(query_gradient(p.detach(), K, w, scale), expected) <= 1e-12


@pytest.mark.parametrize("d_k", [1, 4, 16, 64, 256])
def test_scores_spread_like_the_root_of_the_features(d_k):
    rows = 8000 if d_k < 16 else 1500
    assert 0.93 <= sharpness(d_k, "none", rows).scores.std().item() / math.sqrt(d_k) <= 1.07
    assert 0.93 <= sharpness(d_k, "sqrt", rows).scores.std().item() <= 1.07


def test_without_a_scale_the_gradient_of_wide_queries_is_gone():
    none, sqrt, divided = (sharpness(1024, scaling, rows=300) for scaling in ("none", "sqrt", "linear"))
    assert none.jacobian.median() <= 0.01
    assert sqrt.jacobian.median() >= 0.25
    assert none.gradient.median() < sqrt.gradient.median() / 100
    assert none.largest.mean() > 0.9
    assert none.entropy.mean() < 0.06
    # divided by d_k the weights are all alike: the opposite failure
    assert divided.entropy.mean() > 0.999
    assert divided.gradient.median() < sqrt.gradient.median() / 20


# d_k -> entropy, largest weight, median ‖J‖, median ‖dL/dq‖: measured with 4,000 rows
UNSCALED = {1: (0.88, 0.21, 0.271, 0.158), 16: (0.33, 0.68, 0.331, 0.73), 64: (0.15, 0.85, 0.106, 0.44)}
SCALED = {1: (0.88, 0.21, 0.271, 0.158), 16: (0.85, 0.24, 0.301, 0.26), 64: (0.85, 0.25, 0.304, 0.27)}


@pytest.mark.parametrize(("scaling", "table"), [("none", UNSCALED), ("sqrt", SCALED)])
@pytest.mark.parametrize("d_k", [1, 16, 64])
def test_the_table_of_sharpness_before_training(scaling, table, d_k):
    measured = sharpness(d_k, scaling, rows=4000)
    mean_entropy, mean_largest, jacobian, gradient = table[d_k]
    assert measured.entropy.mean().item() == pytest.approx(mean_entropy, abs=0.02)
    assert measured.largest.mean().item() == pytest.approx(mean_largest, abs=0.02)
    assert measured.jacobian.median().item() == pytest.approx(jacobian, abs=0.03)
    assert measured.gradient.median().item() == pytest.approx(gradient, rel=0.12)


def test_the_mean_hides_what_the_median_shows():
    none, sqrt = sharpness(256, "none", rows=1000), sharpness(256, "sqrt", rows=1000)
    assert none.gradient.mean() > sqrt.gradient.mean()
    assert none.gradient.median() < sqrt.gradient.median() / 2


def test_a_sample_has_one_row_a_query_and_repeats_with_its_seed():
    measured = sample(3, 1.0, torch.Generator().manual_seed(5), keys=4, rows=6)
    assert [tuple(each.shape) for each in measured] == [(6, 4), (6, 4), (6,), (6,), (6,), (6,)]
    again = sample(3, 1.0, torch.Generator().manual_seed(5), keys=4, rows=6)
    assert all(torch.equal(a, b) for a, b in zip(measured, again, strict=True))


def test_the_scores_of_a_draw_are_dot_products_and_those_of_a_sample_the_same_ones():
    drawn = draw(3, torch.Generator().manual_seed(5), keys=4, rows=6)
    assert (drawn.q.shape, drawn.K.shape) == ((6, 1, 3), (6, 4, 3))
    assert gap(drawn.scores, torch.einsum("rod,rkd->rk", drawn.q, drawn.K)) <= 1e-6
    assert torch.equal(drawn.scores * 0.5, sample(3, 0.5, torch.Generator().manual_seed(5), keys=4, rows=6).scores)


def test_a_sample_of_wrong_size_is_refused():
    generator = torch.Generator()
    with pytest.raises(ValueError, match="d_k = 0 is less than 1"):
        sample(0, 1.0, generator)
    with pytest.raises(ValueError, match="keys = 1 is less than 2"):
        sample(4, 1.0, generator, keys=1)
    with pytest.raises(ValueError, match="rows = 0 is less than 1"):
        sample(4, 1.0, generator, rows=0)


def test_alignment_counts_the_queries_that_have_a_right_place():
    p = torch.tensor([[[0.1, 0.9], [0.6, 0.4], [0.5, 0.5]], [[0.2, 0.8], [0.3, 0.7], [0.5, 0.5]]])
    right = torch.tensor([[1, 0, -1], [0, 1, -1]])
    found, mass = alignment(p, right)
    assert found == pytest.approx(3 / 4)
    assert mass == pytest.approx((0.9 + 0.6 + 0.2 + 0.7) / 4)


def test_alignment_of_many_heads_takes_one_right_place_for_all():
    p = noise(4, 2, 3, 5).detach().softmax(-1)
    right = torch.tensor([[0, 1, -1], [2, 4, 3]])
    masses = [alignment(head, right).mass for head in p]
    assert alignment(p, right).mass == pytest.approx(sum(masses) / 4)


def test_alignment_without_a_right_place_is_refused():
    p = torch.full((1, 2, 3), 1 / 3)
    with pytest.raises(ValueError, match="no query has a right place"):
        alignment(p, torch.tensor([[-1, -1]]))
    with pytest.raises(ValueError, match=r"right = 0 ... 3 is outside -1 ... 2"):
        alignment(p, torch.tensor([[0, 3]]))
