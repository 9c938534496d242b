"""RNN, LSTM and GRU on long memories: who solves what, how far back each hears, and that equal configs give equal runs."""

import numpy as np
import pytest
import torch
from flow import flow
from parity import gap, noise

from seqcore.experiments import last
from seqcore.experiments.race import GATES, Config, by_bias, clock, run, untrained
from seqcore.models.gru import GRU
from seqcore.models.latent import Readout
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN
from seqcore.probes.gradients import descend
from seqcore.probes.reach import by_lag, reach
from seqcore.tasks.recall import Adding

SMALL = Config(length=10, hidden=4, steps=50, seeds=2)


@pytest.mark.live
@pytest.mark.slow
def test_adding_is_solved_by_the_gru_then_by_the_lstm_and_never_by_the_rnn():
    moments = list(run(Config(seeds=1, seed=100, steps=1200)))
    loss = moments[-1]["loss"]
    early = np.searchsorted(loss.ticks["step"], 400)
    ended = {arm: loss.sel(arm=arm).values[0, -10:].mean() for arm in GATES}
    assert loss.sel(arm="GRU").values[0, early] <= 0.03
    assert ended["LSTM"] <= 0.05
    assert ended["RNN"] >= 0.13
    facts = moments[-1].facts
    assert facts["solved"]["GRU"] < facts["solved"]["LSTM"]
    assert facts["solved"]["RNN"] is None
    assert facts["reached"] == {"RNN": 0, "LSTM": 1, "GRU": 1}
    far = {arm: moments[-1]["far"].sel(arm=arm).values[0] for arm in GATES}
    assert far["GRU"][-1] > 1e-3 > 1e-6 > far["GRU"][0], "the road opens while the GRU learns"
    assert far["LSTM"][-1] > 1e-4 > 1e-8 > far["LSTM"][0], "the road opens while the LSTM learns"


@pytest.mark.slow
def test_open_gates_latch_and_gates_at_one_half_stay_at_chance():
    latch = Config(task="latch", length=60, rate=0.003, steps=400, seeds=1, seed=100)
    half, opened = last(run(latch)), last(run(latch.but(forget_bias=6.0, update_bias=2.0)))
    assert max(half.facts["score"].values()) <= 0.4
    assert opened.facts["score"]["RNN"] <= 0.4
    assert min(opened.facts["score"]["LSTM"], opened.facts["score"]["GRU"]) >= 0.95


def test_untrained_cells_all_lose_the_gradient_and_a_bias_gives_it_back():
    first = untrained(Config())
    assert (first["reach"].values[..., -1] < 1e-8).all(), "ten decades in 50 steps, in every cell"
    assert (first["reach"].values[..., 0] == 1).all()
    far = {arm: by_bias(Config())["far"].sel(arm=arm).values for arm in GATES}
    assert (np.diff(far["LSTM"]) > 0).all()
    assert (np.diff(far["GRU"]) > 0).all()
    assert far["LSTM"][4] > 0.05
    assert far["GRU"][4] > 0.05
    assert np.ptp(far["RNN"]) == 0, "a cell without gates has no bias to turn"


@pytest.mark.parametrize("bias", [0, 3])
def test_a_bias_that_enters_as_an_input_is_the_bias(bias):
    swept = by_bias(SMALL)["far"]
    rows = untrained(SMALL.but(forget_bias=float(bias), update_bias=float(bias)))
    for arm in ("LSTM", "GRU"):
        # the sweep takes half of the rows, so the two agree in size only
        own = rows["reach"].sel(arm=arm).values[0, -1]
        assert swept.sel(arm=arm, bias=bias).values == pytest.approx(own, rel=0.5)


def test_reach_agrees_with_the_probes_of_one_cell():
    x, generator = noise(3, 6, 2).detach(), torch.Generator().manual_seed(1)

    def loss(y):
        return y[:, -1].square().sum()

    plain, gated = RNN(2, 4, generator=generator).double(), LSTM(2, 4, generator=generator).double()
    assert gap(by_lag(plain, x, loss), descend(plain, x, loss).norms[:, :-1]) <= 1e-12
    assert gap(by_lag(gated, x, loss), flow(gated, x, loss).h.flip(1)) <= 1e-12


def test_reach_does_not_depend_on_how_wrong_the_answer_is():
    task, generator = Adding(8), torch.Generator().manual_seed(2)
    network = Readout(GRU(2, 4, generator=generator), 1, generator)
    batch = task.batch(3, generator)
    further = batch._replace(y=batch.y + 5)
    assert gap(reach(network, task, batch), reach(network, task, further)) <= 1e-9


def test_equal_parameters_means_equal_within_three_percent_at_the_usual_size():
    weights = untrained(Config(sizes="equal parameters", seeds=1)).facts["parameters"]
    assert max(weights.values()) <= 1.03 * min(weights.values()), weights
    plain = untrained(Config(seeds=1)).facts["parameters"]
    assert plain["LSTM"] > plain["GRU"] > plain["RNN"]


def test_the_clock_measures_every_cell():
    took = clock(SMALL)["milliseconds"]
    assert took.ticks["arm"] == tuple(GATES)
    assert (took.values > 0).all()


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize("task", ["adding", "first token", "latch", "temporal order", "copy"])
def test_every_task_runs_to_its_end(task):
    config = SMALL.but(task=task)
    moments = list(run(config))
    assert [moments[0].step, moments[-1].step] == [0, 50]
    assert moments[0]["reach"].values.shape[-1] == untrained(config).facts["far"] + 1
    assert np.array_equal(moments[-1]["far"].values[..., -1], moments[-1]["reach"].values[..., -1])
    for name, step in moments[-1].facts["solved"].items():
        assert (step is None) == (moments[-1].facts["reached"][name] == 0)
