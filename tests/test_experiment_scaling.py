"""The scaling page: √d_k before training, who learns with which scaling, and what is not true about it."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from seqcore.engine import stream
from seqcore.experiments import last, scaling
from seqcore.experiments.scaling import ALIKE, ARMS, FAR, FIRST_STEPS, SIZES, STARTS, WIDE, Config, at, run
from seqcore.models.attention import INITIAL
from seqcore.probes import attention as probe
from seqcore.runs import Cancelled, cancelled_if
from seqcore.symbols import AXES, SYMBOLS
from seqcore.training import OPTIMISERS, Trainer

NONE, ROOT, LINEAR = ARMS
PICTURES = (
    scaling.few_queries,
    scaling.product_by_product,
    scaling.nudged,
    scaling.sharpness,
    scaling.every_score,
    scaling.starts,
    scaling.untrained,
    scaling.first_step,
    scaling.who_gets_it,
)
FRESH = Config(seed=300, seeds=8)


@pytest.fixture(scope="module")
def sharp():
    return scaling.sharpness(Config())


@pytest.fixture(scope="module")
def first():
    return scaling.first_step(Config())


@pytest.fixture(scope="module")
def trained():
    return last(run(Config()))


def median(picture, name, arm, d_k):
    return at(picture[name], d_k)[arm]


def ended(final):
    """arm -> (seed,) mean loss of the last five moments' batches."""
    return {arm: final["loss"].sel(arm=arm).values[:, -5:].mean(axis=1) for arm in ARMS}


# --- scores and their softmax ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("d_k", SIZES)
def test_unscaled_scores_spread_like_the_root_of_d_k_and_scaled_ones_like_1(sharp, d_k):
    assert 0.93 <= median(sharp, "spread", NONE, d_k) / math.sqrt(d_k) <= 1.07
    assert 0.93 <= median(sharp, "spread", ROOT, d_k) <= 1.07
    assert 0.93 <= median(sharp, "spread", LINEAR, d_k) * math.sqrt(d_k) <= 1.07
    assert sharp["rule"].sel(arm="√d_k", d_k=d_k).values == pytest.approx(math.sqrt(d_k))


def test_the_median_softmax_dies_without_scaling_and_lives_with_it(sharp):
    assert median(sharp, "jacobian", NONE, 1024) <= 0.01
    assert all(median(sharp, "jacobian", ROOT, d_k) >= 0.25 for d_k in SIZES)
    assert median(sharp, "jacobian", NONE, 16) > median(sharp, "jacobian", NONE, 1), "it rises before it falls"


def test_unscaled_weights_sit_on_one_key_and_those_over_d_k_on_all_alike(sharp):
    assert median(sharp, "largest", NONE, 256) >= 0.85
    assert median(sharp, "entropy", NONE, 256) <= 0.15
    assert median(sharp, "entropy", LINEAR, 256) >= 0.99
    assert all(0.8 <= median(sharp, "entropy", ROOT, d_k) <= 0.9 for d_k in SIZES)


def test_numbers_that_are_drawn_once_for_all_sizes_are_those_that_would_be_drawn_for_each(sharp):
    for d_k, rows in ((2, 1000), (64, 488), (1024, 50)):
        scores = probe.draw(d_k, stream(0, "weights"), 16, rows).scores
        assert sharp["spread"].sel(arm=NONE, d_k=d_k, seed=0).values == pytest.approx(float(scores.std()), rel=1e-6)


@pytest.mark.parametrize("seed", [0, 300, 301, 302])
def test_a_query_gives_its_weight_to_one_key_without_scaling_and_shares_it_with_scaling(seed):
    weights = scaling.few_queries(Config(seed=seed))["weights"]
    assert weights.values.sum(-1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(weights.sel(arm=NONE, d_k=1).values, weights.sel(arm=ROOT, d_k=1).values)
    largest = {arm: weights.sel(arm=arm, d_k=1024).values.max(-1) for arm in (NONE, ROOT)}
    assert np.median(largest[NONE]) >= 0.85
    assert np.median(largest[ROOT]) <= 0.45


def test_the_first_query_of_the_page_shows_the_claim_untouched():
    weights = scaling.few_queries(Config())["weights"].sel(query=1, d_k=256)
    assert weights.sel(arm=NONE).values.max() >= 0.95
    assert weights.sel(arm=ROOT).values.max() <= 0.3


@pytest.mark.parametrize("d_k", [1, 16, 1024])
def test_the_scores_of_a_few_queries_are_sums_of_products_that_stay_near_the_root(d_k):
    config = Config(d_k=d_k, seed=300)
    picture = scaling.product_by_product(config)
    walk, root = picture["walk"], picture["root"]
    drawn = probe.draw(1024, stream(300, "weights"), 16, scaling.QUERIES)
    products = (drawn.q * drawn.K)[:, : walk.values.shape[1], :d_k]
    assert walk.values[..., -1] == pytest.approx(products.sum(-1).numpy(), abs=1e-4)
    assert (walk.values[..., 0] == 0).all()
    assert walk.ticks["added"][-1] == d_k
    assert root.values[0, -1] == pytest.approx(math.sqrt(d_k))
    if d_k == 1024:
        # √Σ of the squares of all sums, over that of their standard deviations
        assert 0.7 <= np.sqrt((walk.values**2).sum() / (walk.values[..., 0].size * (root.values[0] ** 2).sum())) <= 1.3


CORNERS = [
    dict(d_k=1, keys=2),
    dict(d_k=1024, keys=32),
    dict(d_k=4, initial="nn.Linear default"),
    dict(d_k=1024, initial="Xavier", seed=300),
]


@pytest.mark.parametrize("changes", [{}, *CORNERS])
def test_a_score_followed_in_digits_leads_to_the_bars_of_its_key(changes):
    config = Config(**changes)
    weights = scaling.few_queries(config)["weights"].sel(d_k=config.d_k)
    for query, key in ((1, 1), (scaling.QUERIES, config.keys)):
        facts = scaling.one_score(config, query, key).facts
        assert len(facts["q"]) == len(facts["k"]) == config.d_k
        assert math.fsum(a * b for a, b in zip(facts["q"], facts["k"])) == pytest.approx(facts["score"], abs=1e-6)
        assert facts["scaled"] == pytest.approx(facts["score"] / math.sqrt(config.d_k), abs=1e-6)
        for arm, score in ((NONE, facts["score"]), (ROOT, facts["scaled"])):
            assert facts["exponential"][arm] == pytest.approx(math.exp(score))
            share = facts["exponential"][arm] / facts["total"][arm]
            assert facts["weight"][arm] == pytest.approx(share, abs=1e-6)
            assert facts["weight"][arm] == pytest.approx(weights.sel(arm=arm, query=query, key=key).values, abs=1e-6)


@pytest.mark.parametrize(("query", "key"), [(0, 1), (1, 0), (scaling.QUERIES + 1, 1), (1, 17)])
def test_a_query_or_a_key_that_there_is_not_is_named(query, key):
    with pytest.raises(IndexError, match=f"query = {query} and key = {key} are not"):
        scaling.one_score(Config(), query, key)


def test_the_lines_on_the_page_compute_the_weights_that_are_drawn():
    config = Config(d_k=64)
    drawn = probe.draw(1024, stream(config.seed, "weights"), config.keys, scaling.QUERIES)
    for arm, scale in ((NONE, 1), (ROOT, 1 / 8)):
        names = {"q": drawn.q[..., :64].double(), "k": drawn.K[..., :64].double(), "scale": scale, "mask": None}
        exec(scaling.source(), names)
        expected = scaling.few_queries(config)["weights"].sel(arm=arm, d_k=64).values
        assert np.allclose(names["weights"].squeeze(1), expected, atol=1e-6)
        assert float(names["scores"][0, 0, 7]) == pytest.approx(
            scaling.one_score(config, 1, 8).facts["score"], abs=1e-6
        )


def test_the_jacobian_of_a_query_is_the_derivative_of_its_weights():
    config = Config(d_k=16, keys=5, seed=300)
    weights = scaling.few_queries(config)["weights"].sel(d_k=16)
    picture = scaling.nudged(config)
    for arm in (NONE, ROOT):
        p = weights.sel(arm=arm, query=2).values
        J = picture["softmax"].sel(arm=arm, query=2).values
        assert pytest.approx(np.diag(p) - np.outer(p, p), abs=1e-9) == J
        assert pytest.approx(0, abs=1e-9) == J.sum(0)
        assert np.linalg.norm(J) == pytest.approx(picture.facts["jacobian"][arm][1])


# --- the model before its first step ---------------------------------------------------------------------------------


@pytest.mark.parametrize("start", STARTS)
def test_initial_weights_have_the_variance_that_is_told_of_them(start):
    name, variance = STARTS[start]
    for d_k in (32, 512):
        W = INITIAL[name](d_k, 32, torch.Generator().manual_seed(0)).detach()
        assert float(W.square().sum(1).mean()) == pytest.approx(variance(32, d_k), rel=0.1)


def test_only_one_initialisation_gives_queries_of_the_spread_that_the_argument_assumes():
    spread = {start: scaling.untrained(Config(d_k=512, initial=start)).facts["query_spread"] for start in STARTS}
    assert 0.9 <= spread["N(0, 1/d_model)"] <= 1.1
    assert spread["nn.Linear default"] == pytest.approx(3**-0.5, abs=0.06)
    assert spread["Xavier"] == pytest.approx((64 / 544) ** 0.5, abs=0.04)


def test_the_scores_of_the_model_spread_as_the_variance_of_its_start_says():
    picture = scaling.starts(FRESH)
    ratio = np.median(picture["by_start"].values, axis=1) / picture["by_start_theory"].values
    assert (abs(ratio[:, SIZES.index(16) :] - 1) <= 0.1).all(), ratio
    assert (abs(ratio - 1) <= 0.25).all(), "a model with few entries has few weights to be typical with"
    xavier = picture["by_start_theory"].sel(start="Xavier").values
    assert xavier.argmax() == SIZES.index(32), "it is widest where d_k = d_model, and shrinks beyond"


def test_ours_is_torchs_scaled_dot_product_attention():
    assert scaling.untrained(Config(seed=300)).facts["agreement"] <= 1e-5


def test_the_first_gradient_of_the_weights_is_larger_without_scaling_not_smaller(first):
    for d_k in (64, 256):
        assert median(first, "start", NONE, d_k) >= 3 * median(first, "start", ROOT, d_k)
        assert median(first, "start", LINEAR, d_k) <= 0.3 * median(first, "start", ROOT, d_k)
    assert scaling.largest_of(at(first["start"], 256)) == NONE


@pytest.mark.parametrize("d_k", [1, 256])
def test_the_first_gradient_and_the_first_step_are_those_of_the_trained_model(first, d_k):
    config = Config(d_k=d_k)
    task = scaling._task(config, 0)
    batch, other = task.batch(scaling.BATCH, stream(0, "batches")), task.batch(scaling.TESTED, stream(0, "probe"))
    assert set(FIRST_STEPS) == set(OPTIMISERS)
    for arm, scale in ARMS.items():
        for optimiser, (rate, _) in FIRST_STEPS.items():
            model = scaling._model(config, task, d_k, scale, 0)
            trainer = Trainer(model, lambda m, b: task.loss(m(b.x), b), rate, optimiser)
            with torch.no_grad():
                before = model.trace(other.x)[1].scaled
            trainer.step(batch)
            gradient = float(model.head.W_q.grad.norm())
            with torch.no_grad():
                moved = float((model.trace(other.x)[1].scaled - before).square().mean().sqrt())
            assert first["start"].sel(arm=arm, d_k=d_k, seed=0).values == pytest.approx(gradient, rel=1e-4)
            found = first["one_step"].sel(optimiser=optimiser, arm=arm, d_k=d_k, seed=0).values
            assert found == pytest.approx(moved, rel=0.01), (arm, optimiser)


@pytest.mark.parametrize("seed", [0, 300, 500])
def test_a_step_of_sgd_is_as_far_at_every_d_k_with_the_root_and_one_of_adam_with_1_over_d_k(seed):
    slopes = scaling.first_step(Config(seed=seed, seeds=8)).facts["slopes"]
    sgd, adam = slopes["SGD"], slopes["Adam"]
    assert abs(sgd[ROOT]) <= 0.15, sgd
    assert sgd[LINEAR] == pytest.approx(-1, abs=0.15)
    assert sgd[NONE] >= 0.5, sgd
    assert abs(adam[LINEAR]) <= 0.15, adam
    assert adam[ROOT] == pytest.approx(0.5, abs=0.15)
    assert adam[NONE] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("seed", [0, 300])
def test_without_scaling_few_queries_hold_the_gradient_and_most_have_none(seed):
    for d_k, least in ((256, 0.7), (1024, 0.9)):
        picture = scaling.who_gets_it(Config(d_k=d_k, seed=seed))
        held, norms = picture.facts["held"], picture["per_query"]
        assert held[NONE] >= least, held
        assert held[ROOT] <= 0.45, held
        assert held[LINEAR] <= 0.45, held
        middle = {arm: float(np.median(norms.sel(arm=arm).values)) for arm in ARMS}
        most = {arm: float(norms.sel(arm=arm).values[:, 0].mean()) for arm in ARMS}
        assert middle[NONE] <= 0.5 * middle[ROOT], middle
        assert most[NONE] >= 5 * most[ROOT], most


def test_the_gradient_of_a_query_is_the_formula_of_the_page():
    config = Config(d_k=16, keys=4, seed=300, seeds=1)
    task = scaling._task(config, 300)
    batch = task.batch(scaling.CROWD, stream(300, "probe"))
    norms = scaling.who_gets_it(config)["per_query"]
    for arm, scale in ARMS.items():
        model = scaling._model(config, task, 16, scale, 300)
        output, steps = model.trace(batch.x)
        (at_weights,) = torch.autograd.grad(len(batch.x) * task.loss(output, batch), [steps.weights])
        found = probe.query_gradient(steps.weights[:, 0], steps.k, at_weights[:, 0], model.head.scale).norm(dim=-1)
        expected = found.sort(descending=True).values.detach().numpy()
        assert norms.sel(arm=arm, seed=300).values == pytest.approx(expected, rel=1e-3, abs=1e-7)


# --- what readers are asked ------------------------------------------------------------------------------------------


def test_the_verdicts_follow_the_numbers_and_turn_with_d_k(sharp, first):
    def far(d_k):
        return scaling.how_far(median(sharp, "jacobian", NONE, d_k), median(sharp, "jacobian", ROOT, d_k))

    assert [scaling.how_far(ratio, 1) for ratio in (2, 1.04, 0.96, 0.5, 0.11, 0.09, 0)] == [
        FAR[i] for i in (0, 1, 1, 2, 2, 3, 3)
    ]
    assert [far(d_k) for d_k in (1, 16, 64, 256, 1024)] == [FAR[i] for i in (1, 0, 2, 3, 3)]
    assert scaling.largest_of({"a": 1, "b": 1.04}) == ALIKE
    assert scaling.largest_of({"a": 1, "b": 1.06}) == "b"
    assert scaling.largest_of(at(first["start"], 1)) == ALIKE


@pytest.mark.parametrize("seed", [0, 300])
def test_the_mission_is_not_reached_untouched_but_by_two_other_starts(seed):
    def reached(**knobs):
        config = Config(seed=seed, **knobs)
        return scaling.survives(scaling.sharpness(config), config)

    assert not any(reached(d_k=d_k) for d_k in SIZES if d_k >= WIDE)
    assert not reached(d_k=16)
    assert reached(d_k=64, initial="nn.Linear default")
    assert reached(d_k=512, initial="Xavier")
    assert not reached(d_k=1024, initial="nn.Linear default")


# --- training --------------------------------------------------------------------------------------------------------


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
@pytest.mark.parametrize("d_k", [16, 1024])
def test_one_learning_rate_serves_the_root_at_small_and_at_large_d_k(d_k):
    final = last(run(Config(d_k=d_k, seeds=2, seed=300)))
    assert (ended(final)[ROOT] <= 0.05).all()
    assert final.facts["answered"][ROOT] == 1


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


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize(("rate", "arm"), [(0.3, NONE), (5.0, LINEAR)])
def test_with_a_rate_that_fits_the_other_two_scalings_learn_at_256(rate, arm):
    for seed in (0, 300):
        final = last(run(Config(rate=rate, seed=seed)))
        assert final.facts["answered"][arm] >= 0.9, final.facts["answered"]
        assert np.median(ended(final)[arm]) <= 0.25, ended(final)


@pytest.mark.slow
def test_with_the_start_of_nn_linear_the_unscaled_model_learns_with_some_seeds_only():
    loss = ended(last(run(Config(d_k=64, initial="nn.Linear default", seeds=6))))[NONE]
    assert loss.min() <= 0.05 < 0.4 <= loss.max(), loss


@pytest.mark.slow
def test_after_training_the_root_looks_at_the_right_key_and_the_others_do_not(trained):
    on_it = {arm: float(np.trace(trained["weights"].sel(arm=arm).values)) / 16 for arm in ARMS}
    assert on_it[ROOT] >= 0.95
    assert on_it[NONE] <= 0.9
    assert on_it[LINEAR] <= 0.3
    assert (trained["right"].sel(arm=ROOT).values[:, -1] >= 0.95).all()
    answered = trained.facts["answered"]
    assert answered[ROOT] == 1
    assert max(answered[NONE], answered[LINEAR]) <= 0.9, "as the exercise says"


# --- the contract ----------------------------------------------------------------------------------------------------


def test_four_threads_that_train_at_once_see_equal_numbers():
    config = Config(d_k=4, keys=4, steps=50, seeds=2)
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: list(run(config)), range(4)))
    assert all(moments == runs[0] for moments in runs[1:])
    assert runs[0] != list(run(config.but(seed=1)))
    assert [runs[0][0].step, runs[0][-1].step] == [0, 50]
    assert all(picture(config) == picture(config) for picture in PICTURES)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.__name__)
def test_a_learning_rate_changes_no_picture(picture):
    assert not {"rate", "optimiser", "steps"} & set(picture.uses)
    assert picture(Config(rate=0.3, steps=50)) == picture(Config())


def test_a_long_picture_is_given_up_between_two_sizes():
    for picture in (scaling.sharpness, scaling.starts, scaling.first_step, scaling.who_gets_it):
        with cancelled_if(lambda: True), pytest.raises(Cancelled):
            picture(Config())


@pytest.mark.parametrize("end", [0, -1])
def test_both_corners_can_be_drawn_and_everything_drawn_is_in_the_glossary(end):
    config = Config(**{name: knob.corners[end] for name, knob in Config.knobs().items()})
    for moment in (*(picture(config) for picture in PICTURES), next(iter(run(config)))):
        for name, signal in moment.signals.items():
            assert name in SYMBOLS
            assert set(signal.axes) <= set(AXES)
            assert np.isfinite(signal.values).all(), name
