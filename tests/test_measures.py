"""Small measures that several experiments share: a twin's distance, a clock, the lowest point of a curve, mean reach."""

import math

import numpy as np
import pytest
import torch

from seqcore.models import GRU, RNN, EncoderLayer, Readout
from seqcore.probes.agreement import agreement, gap
from seqcore.probes.clock import milliseconds
from seqcore.probes.held_out import lowest
from seqcore.probes.reach import mean_reach, reach
from seqcore.record import Signal
from seqcore.tasks.recall import Adding


def test_a_gap_is_the_largest_difference_of_either_sign():
    assert gap(torch.tensor([1.0, 2.0]), torch.tensor([1.5, -1.0])) == 3.0


@pytest.mark.parametrize("model", [RNN(4, 4), GRU(4, 4), EncoderLayer(4, 2, 8)], ids=lambda m: type(m).__name__)
def test_a_model_agrees_with_its_twin_whether_that_returns_states_or_not(model):
    assert agreement(model, torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))) < 1e-5


def test_a_model_that_torch_does_not_have_has_nothing_to_agree_with():
    assert agreement(RNN(2, 3, "sigmoid"), torch.zeros(1, 2, 2)) is None
    assert agreement(GRU(2, 3, convention="paper"), torch.zeros(1, 2, 2)) is None


def test_the_clock_does_not_count_the_first_call():
    calls = []

    def work():
        calls.append(sum(range(300_000 if not calls else 3_000)))

    slow_first = milliseconds(work, repeats=3)
    assert len(calls) == 4
    assert 0 < slow_first < milliseconds(lambda: sum(range(300_000)))


def test_the_lowest_point_is_that_of_the_median_seed_and_no_number_counts_as_infinite():
    curve = Signal("perplexity", ("seed", "step"), [[9, 4, 1], [9, 5, 7], [9, 6, math.nan]], {"step": (0, 10, 20)})
    assert lowest(curve) == (5.0, 10)
    assert lowest(Signal("loss", ("seed", "step"), np.full((2, 3), math.nan))) == (math.inf, 0)


def test_mean_reach_is_the_geometric_mean_over_rows():
    task, generator = Adding(8), torch.Generator().manual_seed(2)
    network, batch = Readout(GRU(2, 4, generator=generator), 1, generator), task.batch(3, generator)
    rows = reach(network, task, batch).numpy()
    assert mean_reach(network, task, batch) == pytest.approx(rows.prod(axis=0) ** (1 / 3))
