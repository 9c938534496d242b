"""The recall tasks: every answer recomputed by hand, every baseline met by drawing."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from seqcore.tasks.recall import TASKS, Adding, Brackets, CopyMemory, FirstToken, Latch, Needle, TemporalOrder

ALL = {**TASKS, "needle": Needle}
SHORTEST = {"copy": 1, "needle": 3}


def drawn(task, size=200, seed=0):
    return task.batch(size, torch.Generator().manual_seed(seed))


def names(task, x):
    """A row of one-hot or plain symbols as the list of their names."""
    return [task.vocabulary[k] for k in (x if x.dim() == 1 else x.argmax(-1)).tolist()]


def innermost(row):
    """A stack in plain Python: the bracket that must be closed next, after every step."""
    stack, answers = [], []
    for bracket in row:
        if bracket in "([{<":
            stack.append(bracket)
        else:
            assert stack.pop() + bracket in Brackets.pairs
        answers.append(stack[-1])
    return answers


@pytest.mark.parametrize("length", [2, 3, 7, 40])
def test_first_token_and_latch_ask_for_the_first_symbol(length):
    for task in (FirstToken(length), Latch(length, symbols=3)):
        x, y, lengths = drawn(task)
        assert x.shape == (200, length, task.inputs)
        assert y.shape == (200, 1)
        assert lengths is None
        for row, answer in zip(x, y, strict=True):
            assert names(task, row)[0] == task.vocabulary[answer]


def test_a_latch_tells_its_cue_from_the_noise_and_first_token_does_not():
    latch, first = (drawn(task)[0].argmax(-1) for task in (Latch(30), FirstToken(30)))
    assert latch[:, 0].max() < 4 <= latch[:, 1:].min()
    assert set(first[:, 0].tolist()) == set(first[:, 1:].flatten().tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("length", [2, 3, 9, 50])
def test_adding_sums_one_marked_value_of_each_half(length):
    x, y, _ = drawn(Adding(length))
    assert x.shape == (200, length, 2)
    for row, answer in zip(x.tolist(), y, strict=True):
        marked = [t for t, (_, mark) in enumerate(row) if mark]
        assert len(marked) == 2
        assert marked[0] < length // 2 <= marked[1]
        assert answer.item() == pytest.approx(sum(row[t][0] for t in marked))


@pytest.mark.parametrize("length", [2, 3, 10, 60])
def test_temporal_order_names_the_two_special_symbols_in_their_order(length):
    task = TemporalOrder(length)
    x, y, _ = drawn(task)
    for row, answer in zip(x, y, strict=True):
        row = names(task, row)
        special = [t for t, name in enumerate(row) if name in "XY"]
        assert len(special) == 2
        assert length // 10 <= special[0] <= 2 * length // 10 < 5 * length // 10 <= special[1] <= 6 * length // 10
        assert "".join(row[t] for t in special) == ("XX", "XY", "YX", "YY")[answer]


@pytest.mark.parametrize(("length", "n"), [(1, 1), (1, 3), (20, 3)])
def test_copy_memory_repeats_its_symbols_after_the_signal(length, n):
    task = CopyMemory(length, symbols_to_copy=n)
    x, y, _ = drawn(task)
    assert y.shape == (200, length + 2 * n)
    for row, answers in zip(x, y, strict=True):
        row, answers = names(task, row), names(task, answers)
        assert row[n:] == ["blank"] * (length - 1) + ["signal"] + ["blank"] * n
        assert answers == ["blank"] * (length + n) + row[:n]


def test_copy_memory_scores_only_the_symbols():
    task = CopyMemory(5, symbols_to_copy=2)
    batch = drawn(task)
    right = torch.nn.functional.one_hot(batch.y, 5).float()
    assert task.score(right, batch) == 1
    right[:, -1] = 0
    right[:, -1, 4] = 1
    assert task.score(right, batch) == 0.5


@pytest.mark.parametrize("length", [3, 4, 8, 50])
def test_needle_asks_for_the_symbol_after_the_marker(length):
    task = Needle(length)
    x, y, _ = drawn(task)
    assert x.shape == (200, length)
    for row, answer in zip(x, y, strict=True):
        row = names(task, row)
        assert row.index("marker") < max(1, length // 4)
        assert row.count("marker") == row.count("question") == 1
        assert row[-1] == "question"
        assert row[row.index("marker") + 1] == task.vocabulary[answer]
        assert sum(name.startswith("noise") for name in row) == length - 3


@pytest.mark.parametrize("kinds", [2, 3, 4])
@pytest.mark.parametrize("length", [2, 3, 30])
def test_brackets_asks_for_the_innermost_open_one(length, kinds):
    task = Brackets(length, kinds)
    x, y, _ = drawn(task)
    for row, answers in zip(x, y, strict=True):
        assert innermost(names(task, row)) == [task.vocabulary[k] for k in answers]


def test_brackets_open_and_close_about_equally_often_once_two_are_open():
    task = Brackets(50)
    x, _, _ = drawn(task, 400)
    closing = x.argmax(-1) >= 2
    depth = torch.where(closing, -1, 1).cumsum(1)
    assert (depth >= 1).all()
    free = depth[:, :-1] >= 2
    share = closing[:, 1:][free].float().mean()
    assert abs(share - 0.5) < 4 * 0.5 / math.sqrt(free.sum())


@pytest.mark.parametrize("name", ALL)
def test_the_best_answer_without_looking_costs_the_baseline(name):
    """Monte Carlo: at each time step the frequencies (the mean) of one large draw, charged to another."""
    task = ALL[name](12)
    y, fresh = drawn(task, 20_000).y, drawn(task, 20_000, seed=1).y
    if task.unit == "squared error":
        cost = ((fresh - y.mean(0)) ** 2).mean()
    else:
        seen = torch.nn.functional.one_hot(y, task.outputs).double().mean(0)
        cost = -seen.clamp_min(1e-9).log().expand(len(fresh), -1, -1).gather(2, fresh[..., None]).mean()
    assert cost.item() == pytest.approx(task.baseline, rel=0.02)


@pytest.mark.parametrize("name", ALL)
def test_a_task_says_what_its_batches_are(name):
    task = ALL[name](12)
    x, y, _ = drawn(task)
    assert len(task.vocabulary) == task.inputs
    assert (x.shape[2] if x.dim() == 3 else task.inputs) == task.inputs
    assert y.shape == (200, torch.arange(x.shape[1])[task.at].numel())
    outputs = torch.zeros(*y.shape, task.outputs)
    assert task.loss(outputs, task.batch(200, torch.Generator().manual_seed(0))).dim() == 0
    if task.unit == "nats":
        assert y.min() >= 0
        assert y.max() == task.outputs - 1


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_draws_the_same_batch_whoever_else_is_drawing(name):
    task = ALL[name](12)
    alone = drawn(task)
    with ThreadPoolExecutor(4) as pool:
        for x, y, _ in pool.map(lambda _: drawn(task), range(16)):
            assert torch.equal(x, alone.x)
            assert torch.equal(y, alone.y)
    assert not torch.equal(drawn(task, seed=1).x, alone.x)


@pytest.mark.parametrize("name", ALL)
def test_a_length_that_is_too_short_is_named_with_its_limit(name):
    shortest = SHORTEST.get(name, 2)
    ALL[name](shortest)
    with pytest.raises(ValueError, match=f"length = {shortest - 1} is less than {shortest}"):
        ALL[name](shortest - 1)


def test_alphabets_that_are_too_small_or_too_large_are_named_with_their_limit():
    with pytest.raises(ValueError, match="symbols = 1 is less than 2"):
        FirstToken(5, symbols=1)
    with pytest.raises(ValueError, match="symbols = 1 is less than 2"):
        Latch(5, symbols=1)
    with pytest.raises(ValueError, match="alphabet = 1 is less than 2"):
        CopyMemory(5, alphabet=1)
    with pytest.raises(ValueError, match="symbols_to_copy = 0 is less than 1"):
        CopyMemory(5, symbols_to_copy=0)
    with pytest.raises(ValueError, match="values = 1 is less than 2"):
        Needle(5, values=1)
    with pytest.raises(ValueError, match="kinds = 5 is more than 4"):
        Brackets(5, kinds=5)
