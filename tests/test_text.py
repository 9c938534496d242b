"""Text as a task: what goes in comes out, nothing leaks, and every unfit file says why it is one."""

import math

import pytest
import torch

from seqcore.tasks import Task
from seqcore.tasks.story import STORY
from seqcore.tasks.text import ALPHABET, LONGEST, OTHER, Phrases, Text, read

SAMPLE = "The quick brown fox jumps over the lazy dog. Ünicode tüü!"


def drawn(task, size=64, seed=0):
    return task.batch(size, torch.Generator().manual_seed(seed))


def test_the_story_has_3011_characters_and_27_symbols():
    assert (len(STORY), len(set(STORY))) == (3011, 27)
    task = Text(STORY, length=32)
    assert (task.inputs, task.outputs, task.train.x.shape[1], task.held_out.x.shape[1]) == (27, 27, 2558, 451)
    # 16.29 is the perplexity of its frequencies
    assert math.exp(task.baseline) == pytest.approx(16.29, abs=0.01)


def test_characters_survive_the_way_to_numbers_and_back():
    task = Text(STORY, length=8)
    assert task.decode(task.encode(STORY).tolist()) == STORY
    assert task.decode(task.encode("abc")) == "abc"
    with pytest.raises(ValueError, match="'ß' is not one of the 27 characters"):
        task.encode("straße")


@pytest.mark.parametrize(("length", "window"), [(1, 1), (32, 1), (8, 8), (32, 5)])
def test_the_answer_is_the_next_character_from_the_first_full_window_on(length, window):
    task = Text(STORY, length, window)
    x, y, _ = drawn(task)
    assert x.shape == (64, length)
    assert y.shape == (64, length - window + 1) == x[:, task.at].shape
    for row, answers in zip(x, y, strict=True):
        read_, said = task.decode(row), task.decode(answers)
        assert read_ + said[-1] in STORY
        assert (read_ + said[-1])[window:] == said
    assert task.held_out.y.shape == task.held_out.x[:, task.at].shape


def test_no_window_reaches_into_the_held_out_part():
    numbered = "".join(chr(0x4E00 + i % ALPHABET) for i in range(100)) + "." * 20
    # 102 characters are for training: the hundred and two dots
    task = Text(numbered, length=10)
    x, y, _ = drawn(task, size=4000)
    assert len({task.decode([*row, answers[-1]]) for row, answers in zip(x.tolist(), y.tolist())}) == 102 - 10
    assert task.decode(task.train.x[0]) == numbered[:101]
    assert task.decode(task.train.y[0]) == numbered[1:102]
    assert task.decode(task.held_out.x[0]) == "." * 17


def test_batches_follow_their_generator():
    task = Text(STORY, length=16)
    assert torch.equal(drawn(task, seed=3).x, drawn(task, seed=3).x)
    assert not torch.equal(drawn(task, seed=3).x, drawn(task, seed=4).x)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_text_is_read_in_any_of_four_encodings(encoding):
    assert read(SAMPLE.encode(encoding)) == SAMPLE


def test_white_space_is_one_space_and_accents_are_composed():
    assert read("  a\r\n\tb\n" + SAMPLE + "  ") == "a b " + SAMPLE
    assert read("e\u0301" + SAMPLE) == "é" + SAMPLE


def test_a_few_control_characters_are_dropped():
    assert read(SAMPLE * 4 + "\x00\x7f") == SAMPLE * 4
    assert read("soft\u00adhyphen\ufeff" + SAMPLE) == "softhyphen" + SAMPLE


def test_the_rarest_characters_of_a_large_alphabet_become_one():
    rare = "".join(chr(0x4E00 + i) for i in range(120))
    text = read(SAMPLE * 60 + rare)
    assert len(set(text)) == ALPHABET
    kept = ALPHABET - 1 - len(set(SAMPLE))
    assert text == SAMPLE * 60 + rare[:kept] + OTHER * (120 - kept)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "text has length 0, not from 50 to 100,000 characters"),
        ("", "text has length 0"),
        (b"a", "text has length 1, not from 50"),
        ("a" + " " * 200 + "b", "text has length 3, not from 50"),
        (b"a" * 10_000_000, "text has length 10,000,000, more than 100,000"),
        (bytes(range(256)) * 4, "22% control characters, more than 1%: is it a text"),
        ("\x00".join(SAMPLE), "control characters"),
        (SAMPLE.encode("utf-16-le"), "control characters"),
        (SAMPLE.encode("utf-32"), "control characters"),
        ("a\ud800" * 50, "50% control characters"),
        ("".join(chr(0x4E00 + i) for i in range(3000)), "3,000 different characters, more than 128, and 96% of it"),
    ],
)
def test_an_unfit_text_is_refused_with_the_limit_it_breaks(raw, message):
    with pytest.raises(ValueError, match=message):
        read(raw)


def test_every_text_that_is_read_is_a_task():
    longest = (STORY * 40)[:LONGEST]
    assert len(longest) == LONGEST
    for text in (SAMPLE, "a" * 50, longest, "".join(chr(0x4E00 + i) for i in range(ALPHABET))):
        task = Text(read(text.encode()), length=4)
        assert drawn(task).x.max() < task.inputs
        assert 0 <= task.baseline <= math.log(task.inputs) + 1e-9


def test_a_text_that_does_not_fit_its_windows_is_refused():
    for make, message in [
        (lambda: Text(SAMPLE, 0), "length = 0 is less than 1"),
        (lambda: Text(SAMPLE, 4, window=0), "window = 0 is less than 1"),
        (lambda: Text(SAMPLE, 4, window=5), "length = 4 is less than 5"),
        (lambda: Text(SAMPLE, 48), "training part of the text has 48 characters, not more than 48"),
        (lambda: Text(SAMPLE, 9, window=9), "held-out part of the text has 9 characters, not more than 9"),
        (lambda: Text("ab", 1), "text has length 2, not from 50"),
        (lambda: Text("".join(map(chr, range(0x4E00, 0x4F00))), 4), "256 different characters, more than 128"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()


def test_phrases_are_padded_after_their_last_character():
    task = Phrases("ab. abc, a; one two three!", longest=6)
    assert task.phrases == ("ab.", "abc,", "a;", "one tw")
    batch = drawn(task)
    for x, y, length in zip(batch.x.tolist(), batch.y.tolist(), batch.lengths.tolist()):
        phrase = task.vocabulary[x[0]] + "".join(task.vocabulary[v] for v in y[:length])
        assert phrase in task.phrases
        assert "".join(task.vocabulary[v] for v in x[:length]) == phrase[:-1]
        assert set(x[length:]) | set(y[length:]) <= {task.pad}
    assert torch.equal(task.mask(batch), batch.x != task.pad)


def test_padding_changes_neither_the_loss_nor_the_score_of_phrases():
    task = Phrases(STORY)
    batch = drawn(task)
    outputs = torch.randn(*batch.y.shape, task.outputs, generator=torch.Generator().manual_seed(0))
    outputs[0, : batch.lengths[0], :].scatter_(1, batch.y[0, : batch.lengths[0], None], 99.0)
    pads = ~task.mask(batch)
    assert pads.any()
    before = task.loss(outputs, batch), task.score(outputs, batch)
    assert Task.loss(task, outputs, batch) != before[0]
    outputs[pads] = 7.0
    outputs[..., task.pad][pads] = 1000.0
    assert (task.loss(outputs, batch), task.score(outputs, batch)) == before
    right, asked = float(task.mask(batch)[0].sum()), float(task.mask(batch).sum())
    assert right / asked <= before[1] < 1
    # and who counts the padding is flattered by it
    assert Task.loss(task, outputs, batch) < before[0]


def test_a_text_without_phrases_is_refused():
    with pytest.raises(ValueError, match="no phrase of at least 2 characters"):
        Phrases("a")
    with pytest.raises(ValueError, match="longest = 1 is less than 2"):
        Phrases(STORY, longest=1)
