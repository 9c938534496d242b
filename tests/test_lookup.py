"""The lookup tasks: every answer found by reading the batch as a person would, every limit met by numbers."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from parity import noise
from torch.nn import functional as F

from seqcore.tasks.lookup import (
    EVEN_MIXTURE_LOSS,
    ONE_READ_LOSS,
    ONE_READ_SCORE,
    KeyValue,
    PreviousAndNext,
    Subtract,
    TwoKeys,
    both_right,
)


def key_value(**sizes):
    return KeyValue(torch.Generator().manual_seed(9), **sizes)


ALL = {"key value": key_value, "two keys": TwoKeys, "subtract": Subtract, "neighbours": lambda: PreviousAndNext(12)}


def drawn(task, size=100, seed=0):
    return task.batch(size, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sizes", [{}, dict(keys=1, pairs=1), dict(keys=16, pairs=16, width=3, values=2)])
def test_key_value_asks_for_the_value_beside_the_key(sizes):
    task = key_value(**sizes)
    x, y, _ = drawn(task)
    assert x.shape == (100, task.pairs + 1, task.inputs)
    queries, keys, values = task.parts(x)
    assert queries.shape == (100, 1, task.width)
    for query, memory, value, answer in zip(queries, keys, values, y, strict=True):
        assert len({tuple(key) for key in memory.tolist()}) == task.pairs
        found = [pair for pair, key in enumerate(memory) if torch.equal(key, query[0])]
        assert [value[pair].argmax() for pair in found] == [answer]
    assert not x[:, -1, task.width :].any()


def test_the_keys_of_a_task_never_change_and_are_standard_normal():
    task = key_value()
    seen = {tuple(key) for batch in (drawn(task), drawn(task, seed=1)) for key in task.parts(batch.x).keys[0].tolist()}
    assert seen <= {tuple(key) for key in task.table.tolist()}
    assert task.table.std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("sizes", [{}, dict(keys=2, pairs=2, questions=1)])
@pytest.mark.parametrize("kind", [TwoKeys, Subtract])
def test_two_keys_are_looked_up_in_their_order(kind, sizes):
    task = kind(**sizes)
    x, y, _ = drawn(task, 20)
    assert x.shape == (20, task.pairs + task.questions, task.inputs)
    queries, keys, values = task.parts(x)
    for row in range(20):
        place = {key.argmax().item(): pair for pair, key in enumerate(keys[row])}
        assert len(place) == task.pairs
        for query, answer in zip(queries[row], y[row], strict=True):
            first, second = (key.argmax().item() for key in query.unflatten(0, (2, task.keys)))
            assert first != second
            a, b = values[row, place[first]], values[row, place[second]]
            expected = a - b if kind is Subtract else torch.stack([a.argmax(), b.argmax()])
            assert torch.equal(expected, answer)


def test_a_pair_shows_no_second_key_and_a_question_no_value():
    task = TwoKeys()
    x = drawn(task).x
    assert not x[:, : task.pairs, task.keys : 2 * task.keys].any()
    assert not x[:, task.pairs :, 2 * task.keys :].any()
    assert x[:, task.at].shape[1] == task.questions


def test_previous_and_next_are_the_neighbours():
    x, y, _ = drawn(PreviousAndNext(12))
    for row, answers in zip(x.tolist(), y.tolist(), strict=True):
        assert answers == [[row[t - 1], row[t + 1]] for t in range(1, 11)]
    assert drawn(PreviousAndNext(3)).y.shape == (100, 1, 2)


@pytest.mark.parametrize("name", ALL)
def test_the_best_answer_without_looking_costs_the_baseline(name):
    task = ALL[name]()
    y = drawn(task, 3000).y
    if task.unit == "squared error":
        assert y.mean().item() == pytest.approx(0, abs=0.03)
        assert y.var().item() == pytest.approx(task.baseline, rel=0.03)
    else:
        share = F.one_hot(y, task.outputs).double().flatten(0, -2).mean(0)
        assert -(share * share.log()).sum().item() == pytest.approx(task.baseline, rel=0.01)


@pytest.mark.parametrize("name", ALL)
def test_a_task_says_what_its_batches_are(name):
    task = ALL[name]()
    batch = drawn(task)
    assert len(task.vocabulary) == task.inputs
    assert batch.x.dim() == 2 or batch.x.shape[-1] == task.inputs
    assert batch.y.shape[1] == batch.x[:, task.at].shape[1]
    if task.unit == "nats":
        right = 100 * F.one_hot(batch.y, task.outputs).float()
        assert task.score(right, batch) == 1
    else:
        right = batch.y[..., None]
    assert task.loss(right, batch).item() == pytest.approx(task.floor, abs=1e-6)


@pytest.mark.parametrize("task", [TwoKeys(), PreviousAndNext(12)])
def test_reading_one_of_two_and_guessing_the_other_scores_one_in_sixteen(task):
    batch = drawn(task, 4000)
    outputs = 100 * F.one_hot(batch.y, 16).float()
    outputs[..., 1, :] = 0
    outputs[..., 1, 3] = 1e-6
    assert task.score(outputs, batch) == pytest.approx(ONE_READ_SCORE, abs=0.01)
    assert task.loss(outputs, batch).item() == pytest.approx(ONE_READ_LOSS, abs=1e-3)
    assert pytest.approx(math.log(16) / 2) == ONE_READ_LOSS


def test_an_even_mixture_of_two_values_costs_less_than_one_read():
    task = TwoKeys()
    batch = drawn(task, 4000)
    mixture = F.one_hot(batch.y, 16).float().mean(-2, keepdim=True)
    outputs = (60 * mixture).expand(-1, -1, 2, -1)
    assert task.loss(outputs, batch).item() == pytest.approx(EVEN_MIXTURE_LOSS, abs=0.01)
    assert EVEN_MIXTURE_LOSS < ONE_READ_LOSS / 2


def test_no_single_head_subtracts_better_than_half_the_variance():
    """Every set of weights, the best multiplier for each: the least error is the floor, reached by one read."""
    p = torch.cat([torch.eye(8, dtype=torch.float64), (3 * noise(2000, 8).detach()).softmax(-1)])
    m = torch.linspace(-3, 3, 601, dtype=torch.float64)[:, None]
    error = (1 - m * p[:, 0]) ** 2 + (1 + m * p[:, 1]) ** 2 + m**2 * (p[:, 2:] ** 2).sum(1)
    assert error.min().item() == pytest.approx(Subtract.one_head_floor)
    assert Subtract.one_head_floor == Subtract.baseline / 2


def test_reading_one_of_two_leaves_half_the_variance_in_real_batches():
    task = Subtract()
    batch = drawn(task, 2000)
    queries, keys, values = task.parts(batch.x)
    first = queries[..., : task.keys] @ keys.mT @ values
    assert task.loss(first[..., None], batch).item() == pytest.approx(task.one_head_floor, rel=0.05)


def test_both_must_be_right():
    y = torch.tensor([[[0, 1], [1, 1]]])
    outputs = F.one_hot(torch.tensor([[[0, 1], [1, 0]]]), 2).float()
    assert both_right(outputs, y) == 0.5


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_draws_the_same_batch_whoever_else_is_drawing(name):
    task = ALL[name]()
    alone = drawn(task)
    with ThreadPoolExecutor(4) as pool:
        for x, y, _ in pool.map(lambda _: drawn(task), range(16)):
            assert torch.equal(x, alone.x)
            assert torch.equal(y, alone.y)
    assert not torch.equal(drawn(task, seed=1).x, alone.x)


def test_wrong_sizes_are_named_with_their_limit():
    with pytest.raises(ValueError, match="pairs = 65 is more than keys = 64"):
        key_value(pairs=65)
    with pytest.raises(ValueError, match="pairs = 0 is less than 1"):
        key_value(pairs=0)
    with pytest.raises(ValueError, match="values = 1 is less than 2"):
        key_value(values=1)
    with pytest.raises(ValueError, match="pairs = 1 is less than 2"):
        TwoKeys(pairs=1)
    with pytest.raises(ValueError, match="questions = 0 is less than 1"):
        Subtract(questions=0)
    with pytest.raises(ValueError, match="length = 2 is less than 3"):
        PreviousAndNext(2)
