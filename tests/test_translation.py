"""The translation tasks: answers solved anew, and no held-out item ever seen in training."""

import datetime
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from seqcore.tasks.translation import (
    END,
    MONTHS,
    PAD,
    START,
    TASKS,
    Dates,
    Reverse,
    Sort,
    SpelledNumbers,
    exact_match,
    is_held_out,
    shifted,
    spelled,
)

ALL = {name: TASKS[name]() for name in TASKS} | {"reverse 4-8": Reverse(8, shortest=4), "sort 4-8": Sort(8, shortest=4)}
WORDS = {spelled(number): number for number in range(20)} | {spelled(number): number for number in range(20, 100, 10)}


def drawn(task, size=300, seed=0):
    return task.batch(size, torch.Generator().manual_seed(seed))


def texts(task, batch):
    return [(task.decode(x), task.decode(y)) for x, y in zip(batch.x, batch.y, strict=True)]


def read_number(text):
    """Words to a number, another way than by spelling all numbers."""
    hundreds, _, rest = text.rpartition(" hundred")
    rest = rest.removeprefix(" and ")
    return 100 * WORDS.get(hundreds, 0) + sum(WORDS[word] for word in rest.split("-") if word)


def read_date(text):
    words = text.replace(",", "").split()
    month, day = (words[0], words[1]) if words[0].isalpha() else (words[1], words[0])
    number = 1 + next(k for k, name in enumerate(MONTHS) if name.startswith(month))
    return datetime.date(int(words[2]), number, int(day)).isoformat()


ANSWERS = {
    "reverse": lambda source: source[::-1],
    "sort": lambda source: "".join(sorted(source)),
    "numbers": lambda source: str(read_number(source)),
    "dates": read_date,
}


@pytest.mark.parametrize("name", ALL)
def test_every_answer_is_the_one_a_reader_would_give(name):
    task = ALL[name]
    for draw in (task.batch, task.held_out):
        for source, target in texts(task, draw(200, torch.Generator().manual_seed(0))):
            assert target == ANSWERS[name.split()[0]](source)


@pytest.mark.parametrize("name", ALL)
def test_rows_are_padded_and_targets_end(name):
    task = ALL[name]
    x, y, lengths = drawn(task)
    assert x.shape == (300, task.source_length)
    assert y.shape == (300, task.target_length)
    assert torch.equal((x != PAD).sum(1), lengths)
    for row, answers, length in zip(x.tolist(), y.tolist(), lengths, strict=True):
        assert PAD not in row[:length]
        assert answers.count(END) == 1
        assert not any(answers[answers.index(END) + 1 :])
    assert START not in x
    assert START not in y


@pytest.mark.parametrize("name", ALL)
def test_held_out_answers_are_never_trained_on(name):
    task = ALL[name]
    training, test = drawn(task, 3000), task.held_out(1000, torch.Generator().manual_seed(1))
    for _, target in texts(task, training):
        assert sum(map(int, target.replace("-", ""))) % 10 != 0
    for _, target in texts(task, test):
        assert sum(map(int, target.replace("-", ""))) % 10 == 0


def test_a_tenth_of_the_numbers_and_dates_is_held_out():
    numbers, dates = ALL["numbers"], ALL["dates"]
    assert len(numbers.test) == 99
    assert set(numbers.test) | set(numbers.training) == set(range(1, 1000))
    assert len(dates.training) + len(dates.test) == (datetime.date(2050, 1, 1) - datetime.date(1950, 1, 1)).days
    assert len(dates.test) / len(dates.training) == pytest.approx(1 / 9, rel=0.01)


def test_every_word_and_character_of_the_tests_is_met_in_training():
    numbers = ALL["numbers"]
    words = {word for number in numbers.training for word in spelled(number).replace("-", " ").split()}
    assert words == {word for number in range(1, 1000) for word in spelled(number).replace("-", " ").split()}
    for task in ALL.values():
        batch = drawn(task, 3000)
        seen = set(batch.x.unique().tolist()) | set(batch.y.unique().tolist())
        assert seen | {PAD} == set(range(task.inputs)) - {START}


def test_strings_of_training_and_test_are_equally_likely():
    """All 100 strings of two digits: ten are held out, and either side is drawn evenly."""
    task = Reverse(2)
    training = Counter(source for source, _ in texts(task, drawn(task, 9000)))
    test = Counter(source for source, _ in texts(task, task.held_out(1000, torch.Generator().manual_seed(0))))
    assert len(training) == 90
    assert len(test) == 10
    assert not set(training) & set(test)
    assert min(training.values()) > 55
    assert max(training.values()) < 150
    assert min(test.values()) > 60


def test_every_length_is_drawn_equally_often():
    lengths = Counter(drawn(ALL["reverse 4-8"], 5000).lengths.tolist())
    assert sorted(lengths) == [4, 5, 6, 7, 8]
    assert min(lengths.values()) > 900


def entropy(counts):
    total = sum(counts)
    return -sum(n / total * math.log(n / total) for n in counts)


@pytest.mark.parametrize("kind", [Reverse, Sort])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_baseline_is_the_entropy_of_all_answers_a_symbol(kind, n):
    """By enumeration of all strings of n digits."""
    strings = ("".join(row) for row in product("0123456789", repeat=n))
    answers = Counter(kind(n)._answer(string) for string in strings if not is_held_out(string))
    assert kind(n).baseline == pytest.approx(entropy(answers.values()) / (n + 1))


def test_the_baseline_of_two_lengths_also_pays_for_the_length():
    strings = ["".join(row) for n in (2, 3) for row in product("0123456789", repeat=n)]
    share = {string: 1 / 2 / 9 / 10 ** (len(string) - 1) for string in strings if not is_held_out(string)}
    nats = -sum(p * math.log(p) for p in share.values())
    assert Reverse(3, shortest=2).baseline == pytest.approx(nats / 3.5)


def test_the_baseline_of_listed_items_is_their_entropy_a_symbol():
    assert ALL["dates"].baseline == pytest.approx(math.log(len(ALL["dates"].training)) / 11)
    answers = [str(number) for number in range(1, 1000) if not is_held_out(str(number))]
    symbols = sum(len(answer) + 1 for answer in answers) / len(answers)
    assert ALL["numbers"].baseline == pytest.approx(math.log(len(answers)) / symbols)


def test_the_decoder_is_given_start_and_then_its_own_answers():
    y = torch.tensor([[5, 6, END, PAD], [7, END, PAD, PAD]])
    assert shifted(y).tolist() == [[START, 5, 6, END], [START, 7, END, PAD]]


def test_padding_costs_nothing_and_scores_nothing():
    task = ALL["reverse 4-8"]
    batch = drawn(task)
    right = 100 * F.one_hot(batch.y, task.outputs).float()
    wrong_padding = right.masked_fill((batch.y == PAD)[..., None], 0)
    wrong_padding[..., 5] += 50 * (batch.y == PAD)
    assert task.loss(wrong_padding, batch).item() == pytest.approx(0, abs=1e-6)
    assert task.score(wrong_padding, batch) == 1
    assert task.loss(torch.zeros_like(right), batch).item() == pytest.approx(math.log(13))


def test_a_match_is_exact_from_the_first_symbol_to_the_end():
    y = torch.tensor([[5, 6, END, PAD], [7, END, PAD, PAD]])
    assert exact_match(y, y) == 1
    assert exact_match(torch.tensor([[5, 6, END, 9], [7, END, 8, 8]]), y) == 1
    assert exact_match(torch.tensor([[5, 6, 9, PAD], [7, END, PAD, PAD]]), y) == 0.5
    assert exact_match(torch.tensor([[5, 6], [7, END]]), y) == 0.5
    assert exact_match(torch.tensor([[5, 6, END, PAD, 3, 3], [5, END, PAD, PAD, 3, 3]]), y) == 0.5
    assert exact_match(torch.empty(2, 0).long(), y) == 0


@pytest.mark.parametrize("length", [2, 8])
def test_aligned_names_the_place_each_answer_comes_from(length):
    task = Reverse(length, shortest=2)
    batch = drawn(task)
    for x, y, places in zip(batch.x, batch.y, task.aligned(batch), strict=True):
        copied = [x[place].item() if place >= 0 else None for place in places]
        due = [symbol.item() if symbol > END else None for symbol in y]
        assert copied == due


def test_numbers_are_spelled_as_people_do():
    expected = {
        0: "zero",
        13: "thirteen",
        40: "forty",
        99: "ninety-nine",
        100: "one hundred",
        312: "three hundred and twelve",
        999: "nine hundred and ninety-nine",
    }
    assert {number: spelled(number) for number in expected} == expected
    assert len({spelled(number) for number in range(1000)}) == 1000
    with pytest.raises(ValueError, match="number = 1000 is not from 0 to 999"):
        spelled(1000)


def test_a_date_is_written_in_three_ways():
    ways = Dates()._ways(datetime.date(1998, 3, 7))
    assert ways == ("7 mar 1998", "mar 7, 1998", "7 march 1998")


@pytest.mark.parametrize("name", ALL)
def test_what_is_decoded_can_be_encoded(name):
    task = ALL[name]
    batch = drawn(task, 50)
    for row, (source, _) in enumerate(texts(task, batch)):
        own = task.encode(f"  {source.upper()} ")
        assert torch.equal(own.x[0], batch.x[row])
        assert own.lengths == batch.lengths[row]


def test_the_longest_sources_fit():
    assert SpelledNumbers().encode(spelled(777)).x.shape == (1, 31)
    assert Dates().encode("27 september 1998").x.shape == (1, 17)


def test_a_readers_text_is_refused_with_its_reason():
    dates, digits = ALL["dates"], ALL["reverse"]
    with pytest.raises(ValueError, match=r"unknown characters '\.' '/' 'x'; known are ' ,-0123456789abc"):
        dates.encode("7/3/1998 .x")
    with pytest.raises(ValueError, match="the text has 9 characters; the limit is 8"):
        digits.encode("123456789")
    with pytest.raises(ValueError, match="the text is empty"):
        digits.encode("   ")
    with pytest.raises(ValueError, match="length = 1 is less than 2"):
        Reverse(1)
    with pytest.raises(ValueError, match="shortest = 1 is less than 2"):
        Sort(4, shortest=1)
    with pytest.raises(ValueError, match="shortest = 5 is more than length = 4"):
        Sort(4, shortest=5)


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_draws_the_same_batch_whoever_else_is_drawing(name):
    task = ALL[name]
    alone = drawn(task, 40)
    with ThreadPoolExecutor(4) as pool:
        for x, y, lengths in pool.map(lambda _: drawn(task, 40), range(16)):
            assert torch.equal(x, alone.x)
            assert torch.equal(y, alone.y)
            assert torch.equal(lengths, alone.lengths)
    assert not torch.equal(drawn(task, 40, seed=1).x, alone.x)
