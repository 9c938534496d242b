"""The GRU beside the LSTM: what its gate keeps, what it learns, and that the digits on screen are the model's."""

import numpy as np
import pytest
import torch
from parity import gap, noise

from seqcore.experiments import last
from seqcore.experiments.gru import PLAIN, Config, clock, digits, inside, leaks, parts, run, sizes
from seqcore.models.gru import GRU

SMALL = Config(length=10, hidden=4, steps=50, seeds=2)


@pytest.mark.slow
def test_a_bias_of_two_learns_the_latch_and_no_bias_stays_at_chance():
    final = last(run(Config(steps=400, seeds=1, seed=100, forget_bias=6.0)))
    score = final.facts["score"]
    assert score["GRU"] >= 0.95
    assert score["LSTM"] >= 0.95
    assert score[PLAIN] <= 0.4
    lives, heard = final["half_life"], final["reach"]
    assert heard.sel(arm="GRU").values[0, -1] > 1e-2, "the answer hears the first step"
    assert lives.sel(arm="GRU").values.max() > 60, "a few units keep a cue longer than the sequence"
    assert np.median(lives.sel(arm="GRU").values) < 15, "most units do not"
    assert np.median(lives.sel(arm="LSTM").values) > 60, "the LSTM opens nearly all"
    assert heard.sel(arm=PLAIN).values[0, -1] < 1e-6


def test_an_untrained_memory_leaks_as_its_bias_says():
    first = leaks(Config(seeds=2))
    for arm, expected in first.facts["expected"].items():
        assert first.facts["half_life"][arm] == pytest.approx(expected, rel=0.1)
        assert first["kept"].sel(arm=arm).values == pytest.approx(
            np.broadcast_to(first["expected"].sel(arm=arm).values, (2, 31)), abs=0.05
        )
    assert first.facts["expected"]["GRU"] == pytest.approx(5.46, abs=0.01)


def test_every_gate_and_every_candidate_is_a_block_as_large_as_an_rnn():
    weights = sizes(Config()).facts["weights"]
    assert weights["GRU"] * 4 == weights["LSTM"] * 3 == weights["RNN"] * 12
    assert inside(Config()).facts["agreement"] <= 1e-5


def test_the_clock_measures_every_cell():
    took = clock(SMALL)["milliseconds"]
    assert took.ticks["arm"] == ("RNN", "GRU", "LSTM")
    assert (took.values > 0).all()


def test_a_bias_of_zero_leaves_one_gru():
    assert leaks(SMALL.but(update_bias=0.0))["kept"].ticks["arm"] == ("GRU", "LSTM")
    first = next(iter(run(SMALL.but(update_bias=0.0))))
    assert first["update"].ticks["arm"] == ("GRU",)


@pytest.mark.parametrize("convention", ["torch", "paper"])
def test_gates_for_all_times_at_once_are_the_trace(convention):
    cell = GRU(2, 5, 1.0, convention, torch.Generator().manual_seed(1)).double()
    x = noise(3, 7, 2).detach()
    seen, (_, trail) = parts(cell, x), cell.trace(x)
    for name in ("h", "r", "z", "n"):
        assert gap(getattr(seen, name), torch.stack([getattr(state, name) for state in trail], dim=1)) <= 1e-12


def test_the_two_conventions_are_different_functions_and_only_one_has_a_twin():
    torch_, paper = inside(SMALL), inside(SMALL.but(convention="paper"))
    assert torch_.facts["conventions"] == pytest.approx(paper.facts["conventions"])
    assert torch_.facts["conventions"] > 1e-3
    assert paper.facts["agreement"] is None


@pytest.mark.parametrize("convention", ["torch", "paper"])
def test_the_digits_of_one_update_add_up(convention):
    moment = inside(SMALL.but(convention=convention))
    where = dict(time=3, unit=1)
    own = {name: moment[name].sel(arm="GRU") for name in ("update", "reset", "candidate", "h")}
    r, z, n, h = (float(own[name].isel(**where).values) for name in ("reset", "update", "candidate", "h"))
    old = float(own["h"].isel(time=2, unit=1).values)
    (x_r, h_r), (x_z, h_z), (x_n, h_n) = moment["sums"].sel(arm="GRU").isel(**where).values.tolist()
    assert r == pytest.approx(1 / (1 + np.exp(-x_r - h_r)), abs=1e-6)
    assert z == pytest.approx(1 / (1 + np.exp(-x_z - h_z)), abs=1e-6)
    assert n == pytest.approx(np.tanh(x_n + (r * h_n if convention == "torch" else h_n)), abs=1e-6)
    assert h == pytest.approx((1 - z) * n + z * old, abs=1e-6)
    written = digits(moment, "GRU", 3, 1)
    assert all(f"{number:.3f}" in written for number in (r, z, n, h, old))
    assert r"\cdot(0.000) =" in digits(moment, "GRU", 0, 1), "before the first step the state is zero"


def test_training_begins_with_the_cells_of_the_picture():
    first, picture = next(iter(run(SMALL))), inside(SMALL)
    assert all(first[name] == picture[name] for name in ("update", "reset", "candidate", "h", "sums"))


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize("task", ["latch", "first token", "temporal order"])
def test_every_task_runs_to_its_end(task):
    moments = list(run(SMALL.but(task=task)))
    assert [moments[0].step, moments[-1].step] == [0, 50]
    assert moments[-1].facts["baseline"] == pytest.approx(np.log(4))
    assert set(moments[-1].facts["score"]) == {PLAIN, "GRU", "LSTM"}
