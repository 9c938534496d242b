"""The order tasks: answers recomputed row by row, ceilings against enumeration and against drawing."""

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from seqcore.tasks.order import (
    TASKS,
    Copy,
    FirstTokenEverywhere,
    MajorityHalf,
    PreviousToken,
    Reverse,
    Sort,
    likeliest_share,
)

ANSWERS = {
    "reverse": lambda row: row[::-1],
    "previous": lambda row: [row[max(t - 1, 0)] for t in range(len(row))],
    "first": lambda row: [row[0]] * len(row),
    "sort": sorted,
    "copy": list,
    "whole": lambda row: [int(2 * sum(row) > len(row))] * len(row),
    "half": lambda row: [int(sum(row[: len(row) // 2]) > sum(row[len(row) // 2 :]))] * len(row),
}


def drawn(task, size=200, seed=0):
    return task.batch(size, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("length", [2, 4, 10])
@pytest.mark.parametrize("name", TASKS)
def test_every_answer_is_the_one_a_reader_would_give(name, length):
    x, y, lengths = drawn(TASKS[name](length))
    assert x.shape == y.shape == (200, length)
    assert lengths is None
    for row, answers in zip(x.tolist(), y.tolist(), strict=True):
        assert answers == ANSWERS[name](row)


def test_halves_never_tie():
    x, _, _ = drawn(MajorityHalf(2))
    assert (x[:, 0] != x[:, 1]).all()


@pytest.mark.parametrize("name", TASKS)
def test_every_length_of_the_range_is_drawn_equally_often(name):
    generator = torch.Generator().manual_seed(0)
    task = TASKS[name](16, shortest=2)
    seen = Counter(task.batch(1, generator).x.shape[1] for _ in range(1500))
    expected = range(2, 17, 2) if name == "half" else range(2, 17)
    assert sorted(seen) == list(expected)
    assert min(seen.values()) > 0.6 * 1500 / len(expected)


@pytest.mark.parametrize("name", TASKS)
def test_the_best_answer_without_looking_costs_the_baseline(name):
    """Monte Carlo: at each place the frequencies of one large draw, charged to another."""
    task = TASKS[name](10)
    y, fresh = drawn(task, 20_000).y, drawn(task, 20_000, seed=1).y
    share = F.one_hot(y, task.outputs).double().mean(0).clamp_min(1e-9)
    cost = -share.log().expand(len(fresh), -1, -1).gather(2, fresh[..., None]).mean()
    assert cost.item() == pytest.approx(task.baseline, rel=0.01)


def best_without_positions(task, symbols, length):
    """By enumeration of every row: the best guess for each (own token, multiset), and how often it is right."""
    votes = {}
    for row in product(range(symbols), repeat=length):
        answers = task._answers(torch.tensor([row]))[0].tolist()
        for own, answer in zip(row, answers, strict=True):
            votes.setdefault((own, tuple(sorted(row))), Counter())[answer] += 1
    return sum(max(each.values()) for each in votes.values()) / (length * symbols**length)


@pytest.mark.parametrize("kind", [Reverse, PreviousToken, FirstTokenEverywhere, Sort, Copy])
@pytest.mark.parametrize(("symbols", "length"), [(2, 2), (2, 3), (2, 4), (2, 5), (3, 2), (3, 3), (3, 4), (4, 3)])
def test_the_ceiling_is_the_best_guess_from_own_token_and_multiset(kind, symbols, length):
    task = kind(length, symbols=symbols)
    assert task.ceiling == pytest.approx(best_without_positions(task, symbols, length))


def test_the_ceiling_of_reversing_ten_digits_is_near_29_percent():
    """Monte Carlo, 100,000 rows: the standard error is about .0003."""
    x = drawn(Reverse(10), 100_000).x
    others = F.one_hot(x[:, 1:], 10).sum(1).amax(1).float() / 9
    error = others.std().item() / math.sqrt(len(others))
    assert abs(others.mean().item() - Reverse(10).ceiling) < 4 * error
    assert Reverse(10).ceiling == pytest.approx(0.286, abs=0.001)


def test_the_ceiling_of_many_lengths_is_their_mean():
    ceilings = [Sort(length).ceiling for length in (4, 5, 6)]
    assert Sort(6, shortest=4).ceiling == pytest.approx(sum(ceilings) / 3)


def test_the_smaller_of_two_bits_is_zero_three_times_in_four():
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert Sort(2, symbols=2).baseline == pytest.approx(entropy)


def test_the_share_of_the_commonest_symbol_by_hand():
    assert likeliest_share(1, 7) == pytest.approx(1)
    assert likeliest_share(2, 2) == pytest.approx((2 + 1) / 2 / 2)
    # three tokens of two symbols: all equal in 2 of 8 cases, else two to one
    assert likeliest_share(3, 2) == pytest.approx((2 * 3 + 6 * 2) / 8 / 3)


def test_the_share_of_the_commonest_symbol_stays_exact_when_rows_are_long():
    assert 1 / 10 < likeliest_share(200, 10) < likeliest_share(64, 10) < likeliest_share(10, 10)


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_draws_the_same_batch_whoever_else_is_drawing(name):
    task = TASKS[name](10, shortest=4)
    alone = drawn(task)
    with ThreadPoolExecutor(4) as pool:
        for x, y, _ in pool.map(lambda _: drawn(task), range(16)):
            assert torch.equal(x, alone.x)
            assert torch.equal(y, alone.y)
    assert not torch.equal(drawn(task, seed=4).x, alone.x)


@pytest.mark.parametrize("name", TASKS)
def test_wrong_lengths_are_named_with_their_limit(name):
    with pytest.raises(ValueError, match="length = 1 is less than 2"):
        TASKS[name](1)
    with pytest.raises(ValueError, match="shortest = 1 is less than 2"):
        TASKS[name](8, shortest=1)
    with pytest.raises(ValueError, match="shortest = 10 is more than length = 8"):
        TASKS[name](8, shortest=10)


def test_halves_of_an_odd_number_are_refused():
    with pytest.raises(ValueError, match="length = 7 is odd"):
        MajorityHalf(7)
    with pytest.raises(ValueError, match="shortest = 3 is odd"):
        MajorityHalf(8, shortest=3)
    with pytest.raises(ValueError, match="symbols = 1 is less than 2"):
        Reverse(5, symbols=1)
