"""Positions: a bag without them, stripes with them, and which kinds reach beyond the rows they were trained on."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from seqcore.experiments import last
from seqcore.experiments.positions import BACK, TASKS, Config, before, run
from seqcore.symbols import symbol


def ended(final, arm, name="right"):
    """The last value of an arm, for every seed."""
    return final[name].pick(arm=arm).values[:, -1]


def test_reading_backwards_moves_nothing_without_positions():
    facts = before(Config(text="the cat sat on the mat")).facts
    assert facts["none"] <= 1e-4
    assert facts["sinusoidal"] >= 1
    assert facts["learned"] >= 1
    assert facts["rotary"] >= 0.01, "an untrained encoder hardly uses its scores"


def test_products_of_places_depend_on_their_distance_and_a_step_is_one_rotation():
    first = before(Config())
    assert first.facts["drift"] <= 1e-12
    assert first.facts["rotary_drift"] <= 1e-12
    assert first.facts["turn"] <= 1e-12
    assert first.facts["shortest"] == pytest.approx(2 * np.pi)
    assert first.facts["agreement"] <= 1e-5
    looks = first["stripes"].at(line=1).values.argmax(axis=1)
    assert looks[BACK:].tolist() == list(range(len(looks) - BACK))


@pytest.mark.slow
def test_reversing_needs_places_and_without_them_the_exact_ceiling_holds():
    final = last(run(Config(seed=200)))
    assert final.facts["ceiling"] == pytest.approx(0.2858, abs=1e-4)
    assert (ended(final, "none") <= 0.33).all(), final["right"].values[..., -1]
    for arm in ("sinusoidal", "learned"):
        assert (ended(final, arm) >= 0.95).all(), final["right"].values[..., -1]
    assert (ended(final, "rotary") <= 0.6).all(), "one layer of rotary scores knows distances, not places"


@pytest.mark.slow
def test_only_rotary_positions_name_the_previous_token_beyond_the_trained_length():
    final = last(
        run(Config(task="previous token", length=16, mixed=True, width=64, heads=1, steps=300, seeds=1, seed=200))
    )
    beyond = final["longer"]
    assert beyond.ticks["length"] == (16, 20, 32, 64)
    assert (beyond.pick(arm="rotary", length=32).values >= 0.95).all(), beyond.values
    assert (beyond.pick(arm="learned", length=32).values <= 0.3).all(), beyond.values
    assert (beyond.pick(arm="sinusoidal", length=32).values <= 0.6).all(), beyond.values


@pytest.mark.slow
def test_a_majority_needs_no_positions():
    final = last(run(Config(task="majority", steps=100, seeds=1)))
    assert final.facts["ceiling"] == 1.0
    assert (ended(final, "none") >= 0.95).all()


def test_the_previous_token_has_its_own_ceiling():
    assert next(run(Config(task="previous token", seeds=1))).facts["ceiling"] == pytest.approx(0.2749, abs=1e-4)


def test_two_threads_that_train_at_once_see_equal_numbers():
    config = Config(length=4, width=16, steps=50, seeds=1)
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: list(run(config)), range(2))
    assert one == other
    assert before(config) == before(config)
    assert one[0].step == 0
    assert one[-1].step == 50


@pytest.mark.parametrize("text", ["", "alone", "a " * 17])
def test_too_few_or_too_many_words_are_named_with_the_limit(text):
    with pytest.raises(ValueError, match=r"text = .* words, not 2 to 16"):
        Config(text=text)


def test_halves_of_an_odd_length_are_refused():
    with pytest.raises(ValueError, match="length = 7 is odd"):
        Config(task="which half", length=7)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("end", [0, -1])
def test_both_corners_of_the_config_begin_and_every_signal_has_words(end, task):
    corner = {name: knob.corners[end] for name, knob in Config.knobs().items()}
    config = Config(**(corner | {"task": task, "seeds": 1, "text": "to be or not to be"}))
    for moment in (before(config), next(run(config))):
        assert all(symbol(name).sentence for name in moment.signals)
        assert all(np.isfinite(signal.values).all() for signal in moment.signals.values())
