"""The relation task: a letter's other copy, its digit, and what equal weights can reach at most."""

import itertools
import math
from collections import Counter

import pytest
import torch

from seqcore.models.attention import Attention
from seqcore.tasks.relation import LETTERS, Partner, equal_weights


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def task():
    return Partner(seeded(), length=10, width=6)


def test_each_answer_is_the_digit_of_the_same_letter_in_the_other_case(task):
    batch = task.batch(50, seeded(1))
    assert batch.x.shape == (50, 10, task.inputs) == (50, 10, 6 + 1 + 4)
    for row, answers in zip(batch.x, batch.y.tolist()):
        names = task.names(row)
        assert len(set(names)) == 10
        for name, answer in zip(names, answers):
            assert f"{name[0].swapcase()}{answer}" in names


def test_the_partner_of_the_partner_is_the_token_itself_and_it_holds_the_answer(task):
    batch = task.batch(20, seeded(1))
    partner = task.partner(batch.x)
    assert torch.equal(partner.gather(1, partner), torch.arange(10).expand(20, 10))
    digit = batch.x[..., 7:].argmax(-1)
    assert torch.equal(digit.gather(1, partner), batch.y)


def test_places_letters_and_digits_are_drawn_alike(task):
    batch = task.batch(4000, seeded(2))
    away = (task.partner(batch.x) - torch.arange(10)) % 10
    assert (away != 0).all()
    assert torch.bincount(away.flatten())[1:] / away.numel() == pytest.approx([1 / 9] * 9, abs=0.01)
    assert torch.bincount(batch.y.flatten()) / batch.y.numel() == pytest.approx([1 / 4] * 4, abs=0.01)
    letters = Counter(name[0] for row in batch.x[:1000] for name in task.names(row))
    assert set(letters) == {*LETTERS, *LETTERS.lower()}
    assert max(letters.values()) < 1.3 * min(letters.values())


@pytest.mark.parametrize(("length", "digits"), [(2, 2), (4, 3), (6, 2), (6, 4)])
def test_the_limits_of_equal_weights_are_those_of_all_rows_one_by_one(length, digits):
    rows = list(itertools.product(range(digits), repeat=length))
    shares = [[count / length for count in Counter(row).values()] for row in rows]
    found = equal_weights(length, digits)
    assert found.score == pytest.approx(sum(max(each) for each in shares) / len(rows))
    assert found.loss == pytest.approx(-sum(p * math.log(p) for each in shares for p in each) / len(rows))


def test_no_one_answer_a_row_beats_the_limits_of_equal_weights(task):
    """The best of all answers, chosen for each row with its right answers known."""
    batch = task.batch(4000, seeded(3))
    y = batch.y
    share = torch.nn.functional.one_hot(y, 4).float().mean(1)
    favourite = share.argmax(1, keepdim=True).expand_as(y)
    assert (favourite == y).float().mean() == pytest.approx(task.ceiling(batch))
    assert task.ceiling(batch) == pytest.approx(task.equal.score, abs=0.01)
    assert torch.special.entr(share).sum(1).mean() == pytest.approx(task.equal.loss, abs=0.01)
    assert 1 / 4 < task.equal.score < 0.6
    assert 0.5 < task.equal.loss < task.baseline == math.log(4)


def test_one_head_with_weights_set_by_hand_answers_everything():
    """W_q turns the sign of the case and W_k does not: the existence proof of the module's docstring."""
    task = Partner(seeded(), length=12, width=8)
    head = Attention(task.inputs, task.width + 1, task.outputs)
    with torch.no_grad():
        for W in (head.W_q, head.W_k, head.W_v):
            W.zero_()
        # Letters of one length, or a long one would be found by all: the nearest is the largest product then.
        task.table /= task.table.norm(dim=1, keepdim=True)
        batch = task.batch(200, seeded(4))
        head.W_q[:9, :9] = torch.diag(torch.tensor([1.0] * 8 + [-1.0])) * 100
        head.W_k[:9, :9] = torch.eye(9)
        head.W_v[:, 9:] = torch.eye(4)
        assert task.score(head(batch.x), batch) == 1


@pytest.mark.parametrize(
    ("sizes", "named"),
    [({"length": 7}, "length"), ({"length": 26}, "length"), ({"width": 0}, "width"), ({"digits": 1}, "digits")],
)
def test_sizes_that_make_no_task_are_refused_by_name(sizes, named):
    with pytest.raises(ValueError, match=f"{named} = "):
        Partner(seeded(), **sizes)
