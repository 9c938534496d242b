"""The GRU beside the LSTM: what its gate keeps, what it learns, and that the digits on screen are the model's."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from parity import gap, noise

from seqcore.experiments import last
from seqcore.experiments.gru import PLAIN, Config, before, digits, parts, run
from seqcore.models.gru import GRU
from seqcore.symbols import SYMBOLS

SMALL = Config(length=10, hidden=4, steps=50, seeds=2)


@pytest.mark.slow
def test_a_bias_of_two_learns_the_latch_and_no_bias_stays_at_chance():
    final = last(run(Config(steps=400, seeds=1, seed=100, forget_bias=6.0)))
    score = final.facts["score"]
    assert score["GRU"] >= 0.95
    assert score["LSTM"] >= 0.95
    assert score[PLAIN] <= 0.4
    lives, heard = final["half_life"], final["reach"]
    assert heard.pick(arm="GRU").values[0, -1] > 1e-2, "the answer hears the first step"
    assert lives.pick(arm="GRU").values.max() > 60, "a few units keep a cue longer than the sequence"
    assert np.median(lives.pick(arm="GRU").values) < 15, "most units do not"
    assert np.median(lives.pick(arm="LSTM").values) > 60, "the LSTM opens nearly all"
    assert heard.pick(arm=PLAIN).values[0, -1] < 1e-6


def test_an_untrained_memory_leaks_as_its_bias_says():
    first = before(Config(seeds=2))
    for arm, expected in first.facts["expected"].items():
        assert first.facts["half_life"][arm] == pytest.approx(expected, rel=0.1)
        assert first["kept"].pick(arm=arm).values == pytest.approx(
            np.broadcast_to(first["expected"].pick(arm=arm).values, (2, 31)), abs=0.05
        )
    assert first.facts["expected"]["GRU"] == pytest.approx(5.46, abs=0.01)
    weights = first.facts["weights"]
    assert weights["GRU"] * 4 == weights["LSTM"] * 3 == weights["RNN"] * 12
    assert first.facts["agreement"] <= 1e-5


def test_a_bias_of_zero_leaves_one_gru():
    first = before(SMALL.but(update_bias=0.0))
    assert first["kept"].ticks["arm"] == ("GRU", "LSTM")
    assert next(run(SMALL.but(update_bias=0.0)))["update"].ticks["arm"] == ("GRU",)


@pytest.mark.parametrize("convention", ["torch", "paper"])
def test_gates_for_all_times_at_once_are_the_trace(convention):
    cell = GRU(2, 5, 1.0, convention, torch.Generator().manual_seed(1)).double()
    x = noise(3, 7, 2).detach()
    seen, (_, trail) = parts(cell, x), cell.trace(x)
    for name in ("h", "r", "z", "n"):
        assert gap(getattr(seen, name), torch.stack([getattr(state, name) for state in trail], dim=1)) <= 1e-12


def test_the_two_conventions_are_different_functions_and_only_one_has_a_twin():
    torch_, paper = before(SMALL), before(SMALL.but(convention="paper"))
    assert torch_.facts["conventions"] == pytest.approx(paper.facts["conventions"])
    assert torch_.facts["conventions"] > 1e-3
    assert paper.facts["agreement"] is None


@pytest.mark.parametrize("convention", ["torch", "paper"])
def test_the_digits_of_one_update_add_up(convention):
    moment = next(run(SMALL.but(convention=convention)))
    where = dict(time=3, unit=1)
    own = {name: moment[name].pick(arm="GRU") for name in ("update", "reset", "candidate", "h")}
    r, z, n, h = (float(own[name].at(**where).values) for name in ("reset", "update", "candidate", "h"))
    old = float(own["h"].at(time=2, unit=1).values)
    (x_r, h_r), (x_z, h_z), (x_n, h_n) = moment["sums"].pick(arm="GRU").at(**where).values.tolist()
    assert r == pytest.approx(1 / (1 + np.exp(-x_r - h_r)), abs=1e-6)
    assert z == pytest.approx(1 / (1 + np.exp(-x_z - h_z)), abs=1e-6)
    assert n == pytest.approx(np.tanh(x_n + (r * h_n if convention == "torch" else h_n)), abs=1e-6)
    assert h == pytest.approx((1 - z) * n + z * old, abs=1e-6)
    written = digits(moment, "GRU", 3, 1)
    assert all(f"{number:.3f}" in written for number in (r, z, n, h, old))
    assert r"\cdot(0.000) =" in digits(moment, "GRU", 0, 1), "before the first step the state is zero"


def test_four_threads_that_train_at_once_see_equal_numbers():
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: list(run(SMALL)), range(4)))
    assert all(moments == runs[0] for moments in runs[1:])
    assert runs[0] != list(run(SMALL.but(seed=1)))


@pytest.mark.parametrize("task", ["latch", "first token", "temporal order"])
def test_every_task_runs_with_names_from_the_glossary(task):
    config = SMALL.but(task=task)
    moments = list(run(config))
    assert [moments[0].step, moments[-1].step] == [0, 50]
    assert {name for moment in (before(config), *moments) for name in moment.signals} <= set(SYMBOLS)
    assert moments[-1].facts["baseline"] == pytest.approx(np.log(4))


@pytest.mark.parametrize("end", [0, -1])
def test_both_corners_of_the_config_begin(end):
    corner = Config(**{name: knob.corners[end] for name, knob in Config.knobs().items()})
    assert np.isfinite(before(corner)["size"].values).all()
    assert next(run(corner)).step == 0
