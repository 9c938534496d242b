"""The table on the start page: one task, one floor, and models that reach it or cannot."""

import numpy as np
import pytest
import torch

from seqcore.experiments import last
from seqcore.experiments.leaderboard import MODELS, SYMBOLS, Config, Table, run
from seqcore.tasks import Batch


def test_counting_is_adding_up():
    table = Table(1, SYMBOLS)
    batch = Batch(torch.tensor([[0, 1, 0]]), torch.tensor([[1, 0, 1]]))
    assert table.loss(batch) == pytest.approx(np.log(SYMBOLS)), "knowing nothing, all symbols are equally likely"
    table.step(batch)
    # after 0 came 1 twice: (2 + ½) / (2 + 6·½), after 1 came 0 once: (1 + ½) / (1 + 6·½)
    assert table.loss(batch) == pytest.approx(-(2 * np.log(2.5 / 5) + np.log(1.5 / 4)) / 3)


def test_a_context_is_read_oldest_symbol_first_as_the_source_does():
    table = Table(2, SYMBOLS)
    contexts, symbols = table.places(Batch(torch.tensor([[3, 4, 5]]), torch.tensor([[5, 2]])))
    assert contexts.tolist() == [3 * SYMBOLS + 4, 4 * SYMBOLS + 5]
    assert symbols.tolist() == [5, 2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [400, 401])
def test_models_that_look_far_enough_come_near_the_floor_and_the_markov_chain_cannot(seed):
    final = last(run(Config(seed=seed, steps=200)))
    excess = {name: final["excess"].sel(arm=name).values[0, -1] for name in MODELS}
    assert excess["Markov chain"] > 0.2
    assert excess["counts"] < 0.01
    for name in ("window", "RNN", "LSTM", "GRU", "attention"):
        assert excess[name] < 0.15, f"{name}: {excess[name]:.3f}"
        assert excess[name] < 0.5 * excess["Markov chain"]
    assert final.facts["floor"] < final.facts["baseline"]
    assert all(seconds > 0 for seconds in final.facts["seconds"].values())
    assert final.facts["parameters"]["counts"] == SYMBOLS**2 * (SYMBOLS - 1)


def test_two_runs_are_equal_but_for_the_seconds_and_belong_to_one_reader_each():
    config = Config(steps=50, hidden=8)
    mine, other = run(config), run(config)
    assert mine.personal
    assert dict(last(mine).signals) == dict(last(other).signals)
