"""The translation's experiment: where the answer stands, where attention learns to look, and what padding does."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from seqcore.experiments import last
from seqcore.experiments.translation import (
    EXTRA,
    FULL,
    HELD_OUT,
    TASKS,
    Config,
    examples,
    known,
    pairs,
    restore,
    run,
    translate,
    untrained,
)
from seqcore.runs import RUN_BYTES
from seqcore.tasks.translation import PAD, Reverse, shifted

SMALL = Config(length=4, shorter=1, width=32, steps=100, seeds=1)
SHORT = Config(length=5, shorter=2, seeds=1)
CORNERS = [
    dict(length=4, shorter=6, width=32, heads=1, encoder_layers=0, batch=16, seeds=1, beside="nothing else"),
    dict(
        length=10,
        shorter=0,
        width=64,
        heads=4,
        encoder_layers=2,
        decoder_layers=2,
        positions="learned",
        batch=64,
        seeds=1,
    ),
]


def trained_to_the_end(config):
    training = run(config)
    last(training)
    assert training.nbytes < RUN_BYTES / 4, "the whole training, with its weights"
    return training


@pytest.fixture(scope="module")
def reversing():
    return trained_to_the_end(Config(seeds=1)).last


@pytest.fixture(scope="module")
def padding():
    return trained_to_the_end(SHORT.but(beside="no padding mask")).last


def test_of_two_coins_one_place_tells_all_and_the_other_nothing():
    x = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    y = torch.tensor([[1, 7, 0], [1, 7, 1], [0, 7, 1], [0, 7, 0]])
    np.testing.assert_allclose(known(x, y), [[1, 0], [0, 0], [0, 0]], atol=1e-12)


def test_the_pairs_themselves_say_where_a_reversed_digit_stands():
    share = pairs(Config())["known"].values
    mirrored = np.fliplr(np.eye(8, dtype=bool))
    assert share[:8][mirrored].min() > 0.999
    assert share[:8][~mirrored].max() < 0.05
    assert not share[8].any(), "the end always comes at the same place"
    mixed = pairs(Config(shorter=4))["known"].values
    assert mixed[:8].max() < 0.6, "with mixed lengths no single place knows"


@pytest.mark.parametrize("task", TASKS)
def test_our_layers_are_those_of_torch(task):
    assert untrained(Config(task=task, heads=4)).facts["agreement"] < 1e-5


@pytest.mark.slow
def test_it_learns_to_reverse_and_looks_where_each_digit_stands(reversing):
    assert reversing["right"].sel(arm=FULL, line="whole answers").values[0, -1] >= 0.97
    assert reversing["aligned"].sel(arm=FULL, line="found").values[0] >= 0.9
    assert reversing["aligned"].sel(arm=FULL, line="mass").values[0] >= 0.7
    assert reversing["right"].sel(arm="no positions", line="whole answers").values[0, -1] <= 0.05
    assert reversing["loss"].sel(arm="no positions").values[0, -1] > 100 * reversing["loss"].sel(arm=FULL).values[0, -1]


@pytest.mark.slow
def test_a_row_set_by_hand_changes_its_symbol_and_no_other(reversing):
    for row, place in [(1, 0), (4, 7), (7, 2)]:
        told = translate(reversing, FULL, "31415926", row=row, place=place).facts
        assert told["written"] == told["wanted"] == "62951413"
        edited = list(told["written"])
        edited[row] = "31415926"[place]
        assert told["rewritten"] == "".join(edited)


@pytest.mark.slow
def test_the_moment_carries_the_model_that_it_measured(reversing):
    model = restore(reversing, FULL)
    task = Reverse()
    batch = task.held_out(HELD_OUT, torch.Generator().manual_seed(10_000))
    with torch.no_grad():
        cost = float(task.loss(model(batch.x, shifted(batch.y), batch.lengths), batch))
    assert cost == pytest.approx(reversing["cost"].sel(arm=FULL, line="true prefix").values[0, -1], rel=0.05)


@pytest.mark.slow
def test_more_padding_changes_nothing_with_a_mask_and_ruins_what_was_learned_without(padding):
    masked, open_ = (padding["survives"].sel(arm=arm).values for arm in (FULL, "no padding mask"))
    assert masked.min() >= 0.95
    assert open_[EXTRA.index(0)] >= 0.95, "in training it is as good"
    assert open_[EXTRA.index(4)] <= 0.6
    batch = Reverse(5, 3).held_out(HELD_OUT, torch.Generator().manual_seed(1))
    model, given = restore(padding, FULL), shifted(batch.y)
    with torch.no_grad():
        wide = model(F.pad(batch.x, (0, 16), value=PAD), given, batch.lengths)
        assert (wide - model(batch.x, given, batch.lengths)).abs().max() <= 1e-3


@pytest.mark.slow
def test_sorting_needs_no_positions_and_reversing_does():
    final = last(run(SHORT.but(task="sort")))
    with_, without = final["right"].sel(line="whole answers").values[:, 0, -1]
    assert with_ >= 0.9
    assert without >= 0.6


def test_whole_answers_are_the_same_with_the_true_prefix_and_with_its_own():
    moment = last(run(SMALL))
    model = restore(moment, FULL)
    batch = Reverse(4, 3).held_out(HELD_OUT, torch.Generator().manual_seed(10_000))
    with torch.no_grad():
        guesses = model(batch.x, shifted(batch.y), batch.lengths).argmax(-1)
    taught = ((guesses == batch.y) | (batch.y == PAD)).all(1).float().mean()
    free = moment["right"].sel(arm=FULL, line="whole answers").values[0, -1]
    assert float(taught) == pytest.approx(free, abs=1 / HELD_OUT), "up to what half precision rounds"


def test_the_maps_of_a_text_add_up_to_one_until_the_end():
    moment = next(iter(run(SMALL)))
    weights = translate(moment, FULL, "123")["weights"]
    rows = weights.values[~np.isnan(weights.values).any(1)]
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)
    assert weights.ticks["input"] == ("1", "2", "3", "·")
    assert not rows[:, 3].any(), "padding is not read"
    edited = translate(moment, FULL, "123", row=0, place=2, extra=2)["edited"]
    assert edited.values[0].tolist() == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        ("12a", "unknown characters 'a'"),
        ("12345", "the text has 5 characters; the limit is 4"),
    ],
)
def test_a_text_that_cannot_be_read_is_told_why(text, message):
    moment = next(iter(run(SMALL)))
    with pytest.raises(ValueError, match=message):
        translate(moment, FULL, text)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_arms_begin_with_the_same_weights_wherever_both_have_them(positions):
    moment = next(iter(run(SMALL.but(positions=positions))))
    ours, theirs = (dict(restore(moment, arm).named_parameters()) for arm in moment.config.arms)
    assert theirs.keys() <= ours.keys()
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())


def test_a_run_keeps_the_weights_of_its_newest_moment_only():
    trained = run(SMALL)
    last(trained)
    assert ["parameters" in trained.at(step) for step in trained.steps] == [False] * (len(trained.steps) - 1) + [True]
    with pytest.raises(ValueError, match="step = 0 has no weights any more"):
        translate(trained.at(0), FULL, "123")


def test_every_task_gives_an_example_whose_answer_is_written_with_its_own_characters():
    told = examples(Config()).facts["examples"]
    assert list(told) == list(TASKS)
    for task, (source, target) in told.items():
        sources, targets = pairs(Config(task=task, length=10)).facts["characters"]
        assert set(source) <= set(sources)
        assert set(target) <= set(targets)
    assert pairs(Config(task="numbers")).facts["characters"][1] == "0123456789"


@pytest.mark.parametrize("task", ["reverse", "dates"])
@pytest.mark.parametrize("corner", CORNERS)
def test_at_every_corner_of_the_knobs_the_last_head_reads_the_sample(task, corner):
    config = Config(task=task, **corner)
    first = next(iter(run(config)))
    weights = translate(first, FULL, config.sample, head=config.heads - 1)["weights"]
    assert np.nansum(weights.values, axis=1)[0] == pytest.approx(1, abs=1e-5)


def test_strings_keep_two_digits_however_short_they_may_be():
    assert Config(length=5, shorter=6).shortest == 2
    assert Config(length=8).shortest == 8
