"""The scaling page: √d_k before training, who learns with which scaling, and what is not true about it."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from seqcore.experiments import last
from seqcore.experiments.scaling import ARMS, LADDER, STARTS, Config, before, run
from seqcore.models.attention import INITIAL
from seqcore.symbols import AXES, SYMBOLS

NONE, ROOT, LINEAR = ARMS


@pytest.fixture(scope="module")
def first():
    return before(Config())


def median(picture, name, arm, d_k):
    return float(np.median(picture[name].pick(arm=arm, d_k=d_k).values))


@pytest.fixture(scope="module")
def trained():
    return last(run(Config()))


def ended(final):
    """arm -> (seed,) mean loss of the last five moments' batches."""
    return {arm: final["loss"].pick(arm=arm).values[:, -5:].mean(axis=1) for arm in ARMS}


@pytest.mark.parametrize("d_k", LADDER)
def test_unscaled_scores_spread_like_the_root_of_d_k_and_scaled_ones_like_1(first, d_k):
    assert 0.93 <= median(first, "spread", NONE, d_k) / math.sqrt(d_k) <= 1.07
    assert 0.93 <= median(first, "spread", ROOT, d_k) <= 1.07
    assert 0.93 <= median(first, "spread", LINEAR, d_k) * math.sqrt(d_k) <= 1.07
    assert first["rule"].pick(arm="√d_k", d_k=d_k).values == pytest.approx(math.sqrt(d_k))


def test_the_median_softmax_dies_without_scaling_and_lives_with_it(first):
    assert median(first, "jacobian", NONE, 1024) <= 0.01
    assert all(median(first, "jacobian", ROOT, d_k) >= 0.25 for d_k in LADDER)
    assert median(first, "jacobian", NONE, 16) > median(first, "jacobian", NONE, 1), "it rises before it falls"


def test_unscaled_weights_sit_on_one_key_and_those_over_d_k_on_all_alike(first):
    assert median(first, "largest", NONE, 256) >= 0.85
    assert median(first, "entropy", NONE, 256) <= 0.15
    assert median(first, "entropy", LINEAR, 256) >= 0.99
    assert all(0.8 <= median(first, "entropy", ROOT, d_k) <= 0.9 for d_k in LADDER)


def test_the_first_gradient_of_the_weights_is_larger_without_scaling_not_smaller(first):
    for d_k in (64, 256):
        assert median(first, "start", NONE, d_k) >= 3 * median(first, "start", ROOT, d_k)
        assert median(first, "start", LINEAR, d_k) <= 0.3 * median(first, "start", ROOT, d_k)
    assert first.facts["start"][NONE] == pytest.approx(median(first, "start", NONE, 256))


def test_each_row_of_weights_sums_to_1_under_every_scaling(first):
    assert first["weights"].values.sum(-1) == pytest.approx(1, abs=1e-5)
    assert first.facts["agreement"] <= 1e-5


@pytest.mark.parametrize("start", STARTS)
def test_initial_weights_have_the_variance_that_is_told_of_them(start):
    name, variance = STARTS[start]
    for d_k in (32, 512):
        W = INITIAL[name](d_k, 32, torch.Generator().manual_seed(0)).detach()
        assert float(W.square().sum(1).mean()) == pytest.approx(variance(32, d_k), rel=0.1)


def test_only_one_initialisation_gives_queries_of_the_spread_that_the_argument_assumes():
    spread = {start: before(Config(d_k=512, initial=start, seeds=1)).facts["query_spread"] for start in STARTS}
    assert 0.9 <= spread["N(0, 1/d_model)"] <= 1.1
    assert spread["nn.Linear default"] == pytest.approx(3**-0.5, abs=0.06)
    assert spread["Xavier"] == pytest.approx((64 / 544) ** 0.5, abs=0.04)


def test_with_d_k_of_1_the_three_scalings_are_one_and_the_same():
    loss = last(run(Config(d_k=1, keys=4, steps=50, seeds=1)))["loss"].values
    assert np.array_equal(loss[0], loss[1])
    assert np.array_equal(loss[0], loss[2])


@pytest.mark.slow
def test_with_sgd_only_the_root_learns_at_256(trained):
    loss = ended(trained)
    assert (loss[ROOT] <= 0.05).all(), loss
    assert (loss[NONE] >= 0.4).all(), loss
    assert (loss[LINEAR] >= 1.3).all(), loss


@pytest.mark.slow
def test_adam_rescues_the_division_by_d_k_but_not_the_unscaled_softmax():
    loss = ended(last(run(Config(d_k=1024, optimiser="Adam", rate=0.01, seeds=2))))
    assert (loss[ROOT] <= 0.02).all(), loss
    assert (loss[LINEAR] <= 0.02).all(), loss
    assert (loss[NONE] >= 0.3).all(), loss


@pytest.mark.slow
def test_one_learning_rate_does_not_suit_everything_not_even_the_root():
    gentle, hasty = (ended(last(run(Config(d_k=16, rate=rate, seeds=2)))) for rate in (1.0, 3.0))
    assert (gentle[ROOT] <= 0.05).all(), gentle
    assert (gentle[NONE] >= 0.4).all(), gentle
    assert (hasty[ROOT] >= 0.5).all(), hasty


@pytest.mark.slow
def test_after_training_the_root_looks_at_the_right_key_and_the_others_do_not(trained):
    on_it = {arm: float(np.trace(trained["weights"].pick(arm=arm).values)) / 16 for arm in ARMS}
    assert on_it[ROOT] >= 0.95
    assert on_it[NONE] <= 0.9
    assert on_it[LINEAR] <= 0.3
    assert (trained["right"].pick(arm=ROOT).values[:, -1] >= 0.95).all()


def test_four_threads_that_train_at_once_see_equal_numbers():
    config = Config(d_k=4, keys=4, steps=50, seeds=2)
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: list(run(config)), range(4)))
    assert all(moments == runs[0] for moments in runs[1:])
    assert runs[0] != list(run(config.but(seed=1)))
    assert [runs[0][0].step, runs[0][-1].step] == [0, 50]
    assert before(config) == before(config)


@pytest.mark.parametrize("end", [0, -1])
def test_both_corners_can_be_drawn_and_everything_drawn_is_in_the_glossary(end):
    config = Config(**{name: knob.corners[end] for name, knob in Config.knobs().items()})
    for moment in (before(config), next(run(config))):
        for name, signal in moment.signals.items():
            assert name in SYMBOLS
            assert set(signal.axes) <= set(AXES)
            assert np.isfinite(signal.values).all(), name
