"""The gradients page: both fates, three rules, a derivative by hand, gates, and a training that clipping rescues."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from seqcore.experiments import last
from seqcore.experiments.gradients import (
    RULES,
    WEIGHTS,
    Config,
    by_hand,
    fates,
    journey,
    run,
    split,
    theories,
    through_gates,
)

FRESH = 400  # seeds that no setting was chosen on
RESCUE = Config(task="adding", optimiser="Adam", rate=0.003, seeds=4, seed=FRESH)


# --- before training ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [FRESH, FRESH + 5, FRESH + 10])
def test_both_fates_are_in_the_first_picture_as_it_opens(seed):
    facts = fates(Config(seed=seed)).facts
    once, twice = facts["left"], facts["left_doubled"]
    assert once["sigmoid"] < -55
    assert twice["sigmoid"] < -30, "a slope of at most one quarter vanishes at both gains"
    assert once["relu"] < -8, "half of the units: gain 1 acts like 0.71"
    assert twice["relu"] > 8, "and gain 2 like 1.41"
    assert once["identity"] == pytest.approx(0, abs=1e-9)
    assert twice["identity"] == pytest.approx(100 * math.log10(2))
    assert -4 < once["tanh"] < -1.5
    assert 4 < twice["tanh"] < 9
    moved = {name: twice[name] - once[name] for name in once}
    assert min(moved, key=moved.get) == "tanh"
    assert facts["dies"] == {}


def test_a_sigmoid_vanishes_at_every_gain_of_the_slider():
    for weights in WEIGHTS:
        for gain in (0.1, 1.0, 4.0, 5.0):
            assert fates(Config(weights=weights, gain=gain, seeds=1, seed=FRESH)).facts["left"]["sigmoid"] < -5


def test_relu_keeps_the_gradient_about_at_root_two_and_explodes_with_positive_weights():
    for seed in (FRESH, FRESH + 5, FRESH + 10):
        assert abs(fates(Config(gain=1.41, hidden=128, seed=seed)).facts["left"]["relu"]) < 5
        facts = fates(Config(gain=1.1, weights="identity", seed=seed)).facts
        assert facts["left"]["identity"] == pytest.approx(100 * math.log10(1.1))
        assert 3 < facts["left"]["relu"] < facts["left"]["identity"]


def test_an_orthogonal_w_gives_its_gain_at_every_step_and_saturation_takes_most_of_it_back():
    picture = split(Config(length=50, seed=FRESH))
    given = picture["split_doubled"].sel(line="gain of W").values
    assert np.allclose(given, math.log10(2) * np.arange(51), atol=1e-9)
    assert np.allclose(picture["split"].sel(line="gain of W").values, 0, atol=1e-9)
    assert picture.facts["given_doubled"] == pytest.approx(50 * math.log10(2))
    assert picture.facts["taken_doubled"] < -0.6 * picture.facts["given_doubled"]
    for name in ("split", "split_doubled"):
        taken, given, both = (picture[name].isel(line=line).values for line in range(3))
        assert np.allclose(taken + given, both)
        assert (np.diff(taken) <= 0).all(), "φ' only takes"


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "identity"])
@pytest.mark.parametrize("seed", [FRESH, FRESH + 5])
def test_the_textbook_rule_is_the_furthest_off_and_the_lyapunov_exponent_the_least(activation, seed):
    picture = theories(Config(activation=activation, seed=seed))
    worst = picture.facts["worst"]
    assert picture.facts["furthest"] == "textbook"
    assert worst["textbook"] > 0.12
    assert worst["mean square"] < 0.06
    assert worst["Lyapunov"] < 0.02
    assert picture["rule_error"].values.shape == (len(RULES), len(WEIGHTS))


def test_the_textbook_rule_errs_either_way():
    errors = theories(Config(activation="relu", hidden=64, seeds=5, seed=FRESH))["rule_error"].sel(line="textbook")
    assert errors.sel(matrix="orthogonal").values == pytest.approx(-0.15, abs=0.02)
    assert errors.sel(matrix="Gaussian").values > 0.1
    tanh = theories(Config(hidden=64, seeds=5, seed=FRESH))["rule_error"].sel(line="textbook")
    assert abs(tanh.sel(matrix="orthogonal").values) < 0.01
    assert tanh.sel(matrix="Gaussian").values == pytest.approx(0.26, abs=0.04)


def test_the_curve_of_the_chosen_weights_is_the_one_among_four():
    for weights in WEIGHTS:
        config = Config(weights=weights, length=30, hidden=8, seeds=2, seed=FRESH)
        alone = journey(config)["gradient"]
        assert np.array_equal(theories(config)["gradient"].values, alone.values)
        assert np.array_equal(fates(config)["activations"].sel(activation="tanh").values, alone.values)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "identity"])
@pytest.mark.parametrize("seed", [FRESH, FRESH + 5])
def test_backpropagation_is_what_the_definition_says_and_a_middle_nudge_says_it_best(activation, seed):
    picture = by_hand(Config(activation=activation, seed=seed))
    facts = picture.facts
    assert facts["kernel"] == pytest.approx(facts["autograd"], rel=1e-9)
    assert facts["difference"] == pytest.approx(facts["kernel"], rel=1e-6)
    assert facts["difference"] == (facts["above"] - facts["below"]) / 2e-5
    assert facts["best"] == "middle"
    assert facts["error"] == facts["middle"] == picture["mismatch"].values[4]


@pytest.mark.parametrize("weight", ["W_h", "W_x", "b_h"])
def test_every_kind_of_weight_can_be_checked(weight):
    facts = by_hand(Config(weight=weight, hidden=2, length=5, seed=FRESH)).facts
    assert facts["kernel"] != 0
    assert facts["error"] < 1e-6


def test_a_tenth_of_the_gradient_can_be_brought_through_100_steps_without_gates():
    assert journey(Config(seed=FRESH)).facts["left"] < 0.01
    for settings in ({"scale": 0.01}, {"gain": 1.1}):
        assert 0.1 < journey(Config(seed=FRESH, **settings)).facts["left"] < 10


def test_gates_vanish_like_the_plain_network_until_their_bias_opens_them():
    config = Config(hidden=64, seed=901)
    shut, opened = through_gates(config), through_gates(config.but(bias=3.0))
    slopes, after = shut.facts["slopes"], opened.facts["slopes"]
    assert -0.23 <= slopes["LSTM"][0] <= -0.16
    assert -0.23 <= slopes["GRU"][0] <= -0.16
    assert slopes["LSTM"][0] == pytest.approx(slopes["LSTM"][1], abs=0.015)
    assert -0.01 <= after["LSTM"][0] <= 0.03
    assert -0.021 <= after["GRU"][0] <= -0.014
    assert after["RNN"] == slopes["RNN"], "a cell without gates has no bias to turn"
    assert shut["gated"].values.shape == (3, 100)
    assert shut["gated"].sel(arm="LSTM").values[-1] < 1e-15 < 1e-2 < opened["gated"].sel(arm="LSTM").values[-1]


def test_a_picture_depends_on_the_knobs_it_names_and_on_no_other():
    config = Config(length=10, hidden=4, seeds=1)
    assert through_gates(config.but(gain=2.0, steps=50)) == through_gates(config)
    assert through_gates(config.but(bias=1.0)) != through_gates(config)
    assert fates(config.but(activation="relu", rate=0.1, task_gain=2.0)) == fates(config)
    assert split(config.but(activation="relu")) != split(config)
    assert "length" not in run.uses
    assert "task_length" not in (*fates.uses, *split.uses, *theories.uses, *journey.uses)


# --- training -------------------------------------------------------------------------------------------------------


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("seed", [FRESH, FRESH + 4])
def test_untouched_the_unclipped_network_is_lost_at_step_1_and_its_clipped_twin_learns(seed):
    final = last(run(Config(seed=seed, seeds=4)))
    assert final.facts["event"] == "no clipping: diverged at step 1 (4 of 4 seeds)"
    loss = final["loss"].sel(arm="clipped at 1").values
    assert (loss[:, -10:].mean(axis=1) < 0.1).all(), loss[:, -1]
    assert final.facts["baseline"] == pytest.approx(math.log(4))
    strides = final["stride"]
    assert (strides.sel(arm="no clipping").values[:, 1] > 0.5).all(), "one step of rate times gradient"
    assert (strides.sel(arm="clipped at 1").values[:, 1:] <= 0.02 + 1e-6).all(), "rate times 1 at most"


@pytest.mark.live
@pytest.mark.slow
def test_clipping_rescues_an_exploding_relu_network():
    final = last(run(RESCUE))
    loss = final["loss"]
    ended = {arm: loss.sel(arm=arm).values[:, -10:].mean(axis=1) for arm in loss.ticks["arm"]}
    assert (ended["clipped at 1"] <= 0.1).all(), ended
    assert (ended["no clipping"] >= 0.12).all(), ended
    assert final.facts["baseline"] == pytest.approx(1 / 6)


@pytest.mark.slow
def test_with_adam_no_weights_are_thrown_away_but_one_enormous_gradient_freezes_them():
    final = last(run(RESCUE.but(steps=300)))
    stride, divisor = final["stride"], final["divisor"]
    free, clipped = (stride.sel(arm=arm).values for arm in ("no clipping", "clipped at 1"))
    assert np.allclose(free[:, 1], clipped[:, 1], rtol=0.25), "the first steps are equally long: Adam's are bounded"
    middle = slice(len(free[0]) // 3, None)
    assert (np.median(free[:, middle], axis=1) < 0.15 * np.median(clipped[:, middle], axis=1)).all()
    large, small = (divisor.sel(arm=arm).values[:, -1] for arm in ("no clipping", "clipped at 1"))
    assert (large > 100 * small).all()
    # Every clipped gradient has norm 1 at most, so √v̂ is 1/√n at most.
    assert (small <= 1.001 / math.sqrt(32 * 2 + 32 * 32 + 3 * 32 + 1)).all()


@pytest.mark.slow
def test_with_sgd_the_unclipped_arm_diverges_at_step_1_and_the_clipped_one_never():
    moments = list(run(RESCUE.but(optimiser="SGD", rate=0.03, steps=300)))
    final = moments[-1]
    assert final.facts["event"] == "no clipping: diverged at step 1 (4 of 4 seeds)"
    assert final.step == 300, "the other arm goes on"
    assert np.isnan(final["loss"].sel(arm="no clipping").values[:, -1]).all()
    assert np.isfinite(final["loss"].sel(arm="clipped at 1").values).all()
    lost = [moment["gradient"].sel(arm="no clipping").values for moment in moments]
    assert np.isfinite(lost[-1]).all(), "the last good curve stays"
    assert "divisor" not in final, "SGD divides by nothing"


def test_a_run_in_which_everything_diverges_ends_by_itself():
    moments = list(run(RESCUE.but(clip=0.0, optimiser="SGD", rate=0.1, steps=300, seeds=2)))
    assert moments[-1]["gradient"].ticks["arm"] == ("no clipping",)
    assert "diverged at step" in moments[-1].facts["event"]
    assert moments[-1].step < 300


@pytest.mark.slow
@pytest.mark.live
def test_four_threads_that_train_at_once_see_equal_numbers():
    config = Config(task_length=20, hidden=8, steps=60, seeds=2, optimiser="Adam")
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: list(run(config)), range(4)))
    assert all(moments == runs[0] for moments in runs[1:])
    assert runs[0] != list(run(config.but(seed=1)))


def test_the_first_moment_is_before_training_and_moments_only_grow():
    moments = list(run(Config(task_length=10, hidden=4, steps=50, seeds=2)))
    assert moments[0].step == 0
    assert moments[0]["loss"].values.shape == (2, 2, 1)
    assert [moment.step for moment in moments] == sorted({moment.step for moment in moments})
    assert moments[-1].step == 50
    early, late = moments[3]["loss"].values, moments[-1]["loss"].values
    assert np.array_equal(early, late[..., : early.shape[-1]])


@pytest.mark.parametrize("end", [0, -1])
def test_both_corners_of_the_config_begin(end):
    corner = {name: knob.corners[end] for name, knob in Config.knobs().items()}
    moments = run(Config(**corner))
    assert next(iter(moments)).step == 0
