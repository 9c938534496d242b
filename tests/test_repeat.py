"""Letters asked for after a wait: rows read as they are described, and the least loss of a window is what it says."""

import math

import pytest
import torch

from seqcore.tasks import Batch
from seqcore.tasks.repeat import UNASKED, Repeat


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_question_comes_after_its_cue_and_before_its_answer():
    task = Repeat(60, gap=5, symbols=3, window=4)
    rows = task.rows(50, generator())
    assert rows.x.shape == (50, 63)
    assert rows.y.shape == rows.distance.shape == (50, 60)
    assert "".join(task.vocabulary) == "ABCabcwxyz?."
    for x, y, distance in zip(rows.x, rows.y, rows.distance):
        text = "".join(task.vocabulary[symbol] for symbol in x)
        assert text.startswith("...")
        assert text[3] in "ABC"
        for t, symbol in enumerate(text[3:]):
            assert (symbol == "?") == (y[t] != UNASKED) == (distance[t] > 0)
            if symbol == "?":
                back = int(distance[t])
                assert task.vocabulary[y[t]].upper() == text[3 + t - back]
                assert set(text[3 + t - back + 1 : 3 + t]) <= set("wxyz")
                assert text[3 + t + 1 : 3 + t + 2] in ("", task.vocabulary[y[t]])


def test_on_long_rows_the_least_loss_is_the_formula():
    task = Repeat(3000, gap=12)
    rows = task.rows(100, generator())
    for window in (2, 8, 32):
        assert task.least_on(rows, window) == pytest.approx(task.least(window), rel=0.05)
    assert task.least(1) == task.baseline == math.log(4)
    assert task.least(8) == pytest.approx((12 / 13) ** 7 * math.log(4))


def test_without_noise_a_window_of_two_sees_everything():
    task = Repeat(30, gap=0)
    rows = task.rows(20, generator())
    assert task.least_on(rows, 2) == task.least(2) == 0
    assert set(rows.distance.unique().tolist()) == {0, 1}


def test_the_exam_asks_once_in_each_row_at_the_distance_it_was_told():
    task = Repeat(20, gap=3, window=2)
    rows = task.exam([1, 7, 19], 5, generator())
    assert rows.distance.max(1).values.tolist() == [1] * 5 + [7] * 5 + [19] * 5
    assert ((rows.y != UNASKED).sum(1) == 1).all()


def test_who_waits_is_never_asked():
    x = Repeat(12, gap=3).waiting(40, generator())
    assert (x[:, 0] < 4).all()
    assert ((x[:, 1:] >= 8) & (x[:, 1:] < 12)).all()


def test_loss_and_score_count_questions_only():
    task = Repeat(40, gap=4)
    batch = task.batch(16, generator())
    sure = 50.0 * torch.nn.functional.one_hot(batch.y.clamp(min=0), task.outputs)
    assert task.score(sure, batch) == 1
    assert float(task.loss(sure, batch)) == pytest.approx(0, abs=1e-6)
    blind = torch.zeros(16, 40, task.outputs)
    assert float(task.loss(blind, batch)) == pytest.approx(math.log(task.outputs))
    assert isinstance(batch, Batch)


def test_the_same_generator_gives_the_same_rows():
    task = Repeat(40, gap=4)
    assert torch.equal(task.batch(8, generator(3)).x, task.batch(8, generator(3)).x)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"length": 1}, "length = 1 is less than 2"),
        ({"gap": -1}, "gap = -1 is less than 0"),
        ({"window": 0}, "window = 0 is less than 1"),
        ({"symbols": 1}, "symbols = 1 is less than 2"),
        ({"symbols": 9}, "symbols = 9 is more than 8"),
    ],
)
def test_impossible_sizes_are_named(wrong, told):
    with pytest.raises(ValueError, match=told):
        Repeat(**({"length": 20, "gap": 3} | wrong))
