"""The decoder's experiment: what its mask lets through, and what becomes of one without."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from seqcore.experiments import last
from seqcore.experiments.decoder import ARMS, Config, before, run, write
from seqcore.symbols import AXES, SYMBOLS

SMALL = Config(length=6, width=16, steps=100, seeds=1)
REVERSE = Config(task="reverse", length=8, width=64, rate=0.003, seeds=1)
TASKS = ["Markov source", "reverse"]
CORNERS = [
    dict(length=4, symbols=2, order=1, sharpness=0.0, width=16, heads=1, layers=1, seeds=1),
    dict(length=32, symbols=8, order=2, sharpness=4.0, width=64, heads=4, layers=3, seeds=1, rate=0.1),
]


@pytest.fixture(scope="module")
def learned():
    return last(run(Config(seeds=2)))


@pytest.mark.parametrize("task", TASKS)
def test_with_the_mask_not_one_bit_moves_before_the_change_and_without_it_all_outputs_move(task):
    first = before(Config(task=task, heads=2, layers=2))
    masked, open_ = (np.isfinite(first["moved"].pick(arm=arm).values) for arm in ARMS)
    assert np.array_equal(masked, np.tril(np.ones_like(masked)))
    assert np.array_equal(masked, first["visible"].values)
    assert open_.all()
    assert first.facts["leak"] == 0 < 0.001 < first.facts["leak_open"]


@pytest.mark.parametrize("task", TASKS)
def test_our_layer_is_the_one_of_torch_and_kept_keys_change_nothing(task):
    facts = before(Config(task=task, heads=4)).facts
    assert facts["agreement"] < 1e-5
    assert facts["cache"] < 1e-5


@pytest.mark.slow
def test_below_the_floor_there_is_one_explanation(learned):
    floor, baseline = learned.facts["floor"], learned.facts["baseline"]
    masked, open_ = (learned["trained"].pick(arm=arm).values[:, -1] for arm in ARMS)
    honest_masked, honest_open = (learned["honest"].pick(arm=arm).values[:, -1] for arm in ARMS)
    assert open_.max() < floor / 4, "it saw the answers"
    assert honest_open.min() > 2 * baseline, "and knows less than nothing without them"
    assert abs(honest_masked - floor).max() < 0.1
    np.testing.assert_allclose(masked, honest_masked, atol=1e-5)


@pytest.mark.slow
def test_without_a_mask_the_last_layer_looks_at_the_answer(learned):
    weights = learned["weights"].at(head=0)
    one_ahead = {arm: np.diagonal(weights.pick(arm=arm).values, 1).mean() for arm in ARMS}
    assert one_ahead["causal mask"] == 0
    assert one_ahead["no mask"] > 0.4


@pytest.mark.slow
def test_without_a_mask_coin_tosses_seem_foretold():
    final = last(run(Config(sharpness=0.0, seeds=1, steps=250)))
    assert final.facts["floor"] == pytest.approx(np.log(4))
    masked, open_ = final["trained"].values[:, 0, -1]
    assert masked > 0.97 * final.facts["floor"]
    assert open_ < 0.25 * final.facts["floor"]


@pytest.mark.slow
def test_a_tiny_loss_and_not_one_answer_right():
    final = last(run(REVERSE))
    trained, right = final["trained"].values[:, 0, -1], final["right"].values[:, 0, -1]
    assert trained.max() <= 0.02
    assert right[0] >= 0.97
    assert right[1] <= 0.05
    told = write(final, "causal mask").facts
    assert told["text"] == told["wanted"] == told["prompt"][::-1]


def test_it_writes_the_likeliest_symbols_or_draws_them_and_kept_keys_change_nothing():
    moment = last(run(SMALL))
    greedy = write(moment, "causal mask")
    symbols = greedy["taken"].pick(line="causal mask").values.argmax(-1)
    assert greedy.facts["text"] == "".join(map(str, symbols))
    assert greedy.facts["cache"] < 1e-5
    assert greedy["taken"].values.sum(-1) == pytest.approx(1)
    assert write(moment, "no mask").facts["cache"] is None, "there is nothing to keep"
    drawn = {write(moment, "causal mask", 1.0, draw).facts["text"] for draw in range(5)}
    assert len(drawn) > 1
    assert write(moment, "causal mask", 0.01, 3).facts["text"] == greedy.facts["text"], "cold draws are the likeliest"


def test_the_truth_beside_it_is_the_source_itself():
    moment = next(run(SMALL))
    told = write(moment, "causal mask", 1.0, 1)
    truth = told["taken"].pick(line="truth").values
    again = write(moment, "no mask", 1.0, 1)
    row, other = (each.facts["prompt"] + each.facts["text"] for each in (told, again))
    contexts = {row[t : t + 2]: truth[t] for t in range(4)}
    for t in range(4):
        if other[t : t + 2] in contexts:
            np.testing.assert_allclose(again["taken"].pick(line="truth").values[t], contexts[other[t : t + 2]])


@pytest.mark.parametrize("task", TASKS)
def test_equal_configs_give_equal_moments_whoever_else_is_training(task):
    config = SMALL.but(task=task, steps=100)
    with ThreadPoolExecutor(2) as pool:
        one, *others = pool.map(lambda config: list(run(config)), [config] * 2)
    assert all(other == one for other in others)
    assert before(config) == before(config)
    assert write(one[-1], "no mask", 1.0, 2) == write(one[-1], "no mask", 1.0, 2)


@pytest.mark.parametrize("task", TASKS)
def test_every_signal_and_axis_is_in_the_glossary_and_the_first_moment_is_untrained(task):
    config = SMALL.but(task=task)
    first = next(run(config))
    assert first.step == first.facts["measured"] == 0
    for moment in (before(config), first, write(first, "no mask")):
        for signal in moment.signals.values():
            assert signal.name in SYMBOLS
            assert set(signal.axes) <= set(AXES)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("corner", CORNERS)
def test_every_corner_of_the_knobs_can_be_drawn(task, corner):
    config = Config(task=task, **corner)
    assert before(config).facts["leak"] == 0
    first = next(run(config))
    assert np.isfinite(first["loss"].values).all()
    assert write(first, "no mask", 3.0, 99).facts["text"] is not None


def test_heads_that_are_no_choice_are_named_with_the_ones_there_are():
    with pytest.raises(ValueError, match="heads = 3 is not one of 1, 2, 4"):
        Config(heads=3)
