"""The gate tasks: a running sum and a remembered value, recomputed in plain Python."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from seqcore.tasks.gates import MARKED, STRIDE, Hold, Reset

LENGTHS = [2, 3, 40]
BOTH = [Reset, Hold]


def drawn(task, size=200, seed=0):
    return task.batch(size, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("length", LENGTHS)
def test_reset_sums_since_the_mark(length):
    x, y, lengths = drawn(Reset(length))
    assert x.shape == (200, length, 2)
    assert y.shape == (200, length)
    assert lengths is None
    assert set(x[..., 0].flatten().tolist()) == {-1, 0, 1}
    for row, answers in zip(x.tolist(), y.tolist(), strict=True):
        total = 0
        for (value, mark), answer in zip(row, answers, strict=True):
            total = 0 if mark else total + value
            assert answer == pytest.approx(STRIDE * total)


@pytest.mark.parametrize("length", LENGTHS)
def test_hold_keeps_the_marked_value(length):
    x, y, _ = drawn(Hold(length))
    assert x[..., 0].abs().max() <= 1
    for row, answers in zip(x.tolist(), y.tolist(), strict=True):
        for (value, mark), answer in zip(row, answers, strict=True):
            kept = value if mark else kept  # noqa: F821 - the first step is always marked
            assert answer == kept


@pytest.mark.parametrize("task", BOTH)
def test_the_first_step_is_marked_and_a_tenth_of_the_others(task):
    mark = drawn(task(41), 2000).x[..., 1]
    assert mark[:, 0].all()
    assert mark[:, 1:].mean().item() == pytest.approx(MARKED, abs=0.005)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("task", BOTH)
def test_the_baseline_is_the_variance_of_the_answers(task, length):
    y = drawn(task(length), 20_000).y
    assert y.mean(0).abs().max() < 0.02
    assert (y**2).mean().item() == pytest.approx(task(length).baseline, rel=0.03)


@pytest.mark.parametrize("task", BOTH)
def test_the_same_seed_draws_the_same_batch_whoever_else_is_drawing(task):
    alone = drawn(task(20))
    with ThreadPoolExecutor(4) as pool:
        for x, y, _ in pool.map(lambda _: drawn(task(20)), range(16)):
            assert torch.equal(x, alone.x)
            assert torch.equal(y, alone.y)
    assert not torch.equal(drawn(task(20), seed=1).x, alone.x)


@pytest.mark.parametrize("task", BOTH)
def test_a_length_that_is_too_short_is_named_with_its_limit(task):
    with pytest.raises(ValueError, match="length = 1 is less than 2"):
        task(1)
