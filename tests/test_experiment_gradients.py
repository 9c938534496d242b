"""The gradients page's training: clipping rescues, divergence is an event, and equal configs give equal numbers."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from seqcore.experiments import last
from seqcore.experiments.gradients import Config, run, through_gates

RESCUE = Config(activation="relu", weights="identity", gain=1.05, length=50, steps=600, seeds=4, seed=400)


@pytest.mark.slow
def test_clipping_rescues_an_exploding_relu_network():
    final = last(run(RESCUE))
    loss = final["loss"]
    ended = {arm: loss.pick(arm=arm).values[:, -10:].mean(axis=1) for arm in loss.ticks["arm"]}
    assert (ended["clipped at 1"] <= 0.1).all(), ended
    assert (ended["no clipping"] >= 0.12).all(), ended
    assert final.facts["baseline"] == pytest.approx(1 / 6)


@pytest.mark.slow
def test_with_sgd_the_unclipped_arm_diverges_at_step_1_and_the_clipped_one_never():
    moments = list(run(RESCUE.but(optimiser="SGD", rate=0.03, steps=300)))
    final = moments[-1]
    assert final.facts["event"] == "no clipping: diverged at step 1 (4 of 4 seeds)"
    assert final.step == 300, "the other arm goes on"
    assert np.isnan(final["loss"].pick(arm="no clipping").values[:, -1]).all()
    assert np.isfinite(final["loss"].pick(arm="clipped at 1").values).all()
    lost = [moment["gradient"].pick(arm="no clipping").values for moment in moments]
    assert np.isfinite(lost[-1]).all(), "the last good curve stays"


def test_a_run_in_which_everything_diverges_ends_by_itself():
    moments = list(run(RESCUE.but(clip=0.0, optimiser="SGD", rate=0.1, steps=300, seeds=2)))
    assert moments[-1]["gradient"].ticks["arm"] == ("no clipping",)
    assert "diverged at step" in moments[-1].facts["event"]
    assert moments[-1].step < 300


def test_four_threads_that_train_at_once_see_equal_numbers():
    config = Config(length=20, hidden=8, steps=60, seeds=2)
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: list(run(config)), range(4)))
    assert all(moments == runs[0] for moments in runs[1:])
    assert runs[0] != list(run(config.but(seed=1)))


def test_the_first_moment_is_before_training_and_moments_only_grow():
    moments = list(run(Config(length=10, hidden=4, steps=50, seeds=2)))
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
    assert next(moments).step == 0


def test_gates_vanish_like_the_plain_network_until_their_bias_opens_them():
    config = Config(hidden=64, seed=901)
    shut, opened = through_gates(config.gates), through_gates(config.but(bias=3.0).gates)
    slopes, after = shut.facts["slopes"], opened.facts["slopes"]
    assert -0.23 <= slopes["LSTM"][0] <= -0.16
    assert -0.23 <= slopes["GRU"][0] <= -0.16
    assert slopes["LSTM"][0] == pytest.approx(slopes["LSTM"][1], abs=0.015)
    assert -0.01 <= after["LSTM"][0] <= 0.03
    assert -0.021 <= after["GRU"][0] <= -0.014
    assert after["RNN"] == slopes["RNN"], "a cell without gates has no bias to turn"
    assert shut["gated"].values.shape == (3, 100)
    assert shut["gated"].pick(arm="LSTM").values[-1] < 1e-15 < 1e-2 < opened["gated"].pick(arm="LSTM").values[-1]


def test_only_what_the_gates_picture_shows_makes_it_anew():
    assert Config(gain=2.0, steps=50).gates == Config().gates
    assert Config(bias=1.0).gates != Config().gates
