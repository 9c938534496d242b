"""The Markov source: its floor and baseline are exact, and its draws follow its transitions."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from seqcore.models.counts import entropy
from seqcore.tasks.markov import MarkovSource


def source(symbols=4, order=2, sharpness=1.5, length=12, seed=0):
    return MarkovSource.drawn(symbols, order, sharpness, length, torch.Generator().manual_seed(seed))


def drawn(task, size, seed=1):
    return task.batch(size, torch.Generator().manual_seed(seed))


def oracle(task, batch):
    """The logits of whoever knows the transitions: (batch, answers, symbols)."""
    contexts = batch.x.unfold(1, task.order, 1)
    return torch.from_numpy(task.transitions)[tuple(contexts.unbind(-1))].log()


def test_a_coin_that_remembers_by_hand():
    # two equal: likely to go on (0.9); two different: toss
    task = MarkovSource([[[0.9, 0.1], [0.5, 0.5]], [[0.5, 0.5], [0.1, 0.9]]], length=8)
    # contexts 00 01 10 11: p00 · 0.1 leaves for 01, of which half comes back by 10 -> 00 at the same rate
    assert task.contexts.tolist() == pytest.approx([5 / 12, 1 / 12, 1 / 12, 5 / 12])
    sure, toss = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)), math.log(2)
    assert task.floor == pytest.approx(5 / 6 * sure + 1 / 6 * toss)
    assert task.baseline == pytest.approx(math.log(2))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_floor_is_what_one_more_symbol_adds_by_enumeration(order):
    task = source(symbols=3, order=order)

    def total(T):
        p = []
        for row in itertools.product(range(3), repeat=T):
            start = task.contexts[int("".join(map(str, row[:order])), 3)]
            p.append(start * np.prod([task.transitions[row[t - order : t + 1]] for t in range(order, T)]))
        assert sum(p) == pytest.approx(1)
        return float(entropy(np.array(p)))

    assert task.floor == pytest.approx(total(order + 2) - total(order + 1), abs=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_whoever_knows_the_source_pays_the_floor_and_whoever_knows_nothing_the_baseline(order):
    task = source(order=order)
    batch = drawn(task, 5000)
    assert batch.x.shape == (5000, 12)
    assert batch.y.shape == (5000, 13 - order) == batch.x[:, task.at].shape
    assert torch.equal(batch.x[:, order:], batch.y[:, :-1])
    assert float(task.loss(oracle(task, batch), batch)) == pytest.approx(task.floor, abs=0.02)
    frequencies = torch.bincount(batch.y.flatten()) / batch.y.numel()
    blind = frequencies.log().expand(*batch.y.shape, 4)
    assert float(task.loss(blind, batch)) == pytest.approx(task.baseline, abs=0.02)
    assert task.floor < task.baseline <= math.log(4)


def test_rows_begin_in_a_context_of_the_stationary_distribution():
    task = source()
    x = drawn(task, 20_000).x
    for t in (0, 10):
        seen = torch.bincount(4 * x[:, t] + x[:, t + 1], minlength=16) / len(x)
        assert np.abs(seen.numpy() - task.contexts).max() <= 0.01


def test_an_impossible_symbol_is_never_drawn():
    task = MarkovSource([[0, 1, 0], [0.5, 0, 0.5], [1, 0, 0]], length=20)
    x, y, _ = drawn(task, 500)
    assert (torch.from_numpy(task.transitions)[x, y] > 0).all()


def test_without_sharpness_it_is_pure_noise():
    task = source(sharpness=0)
    assert task.floor == pytest.approx(math.log(4))
    assert task.baseline == pytest.approx(math.log(4))


def test_sources_and_batches_follow_their_generators_in_any_thread():
    assert source(seed=5).floor == source(seed=5).floor != source(seed=6).floor
    task = source()
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: drawn(task, 50), range(8)))
    assert all(torch.equal(batch.y, batches[0].y) for batch in batches)


def test_wrong_sources_are_refused_by_name():
    for make, message in [
        (lambda: MarkovSource([0.5, 0.5], 4), r"shape \(2,\)"),
        (lambda: MarkovSource([[0.5, 0.25, 0.25], [1, 0, 0]], 4), r"shape \(2, 3\)"),
        (lambda: MarkovSource([[0.5, 0.4], [0, 1]], 4), "no distributions"),
        (lambda: source(length=1), "length = 1 is less than 2"),
        (lambda: source(symbols=1), "symbols = 1 is less than 2"),
        (lambda: source(order=0), "order = 0 is less than 1"),
        (lambda: source(symbols=9, order=3), "symbols = 9 and order = 3 make more than 512 contexts"),
        (lambda: MarkovSource(np.full((30, 30, 30), 1 / 30), 4), "900 contexts, more than 512"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
