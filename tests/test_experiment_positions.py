"""Positions: a bag without them, stripes with them, and which kinds reach beyond the rows they were trained on."""

import numpy as np
import pytest

from seqcore.experiments import last
from seqcore.experiments.positions import BACK, Config, bag, products, run, table, turn


def ended(final, arm, name="right"):
    """The last value of an arm, for every seed."""
    return final[name].sel(arm=arm).values[:, -1]


def test_reading_backwards_moves_nothing_without_positions():
    facts = bag(Config(text="the cat sat on the mat")).facts
    assert facts["none"] <= 1e-4
    assert facts["sinusoidal"] >= 1
    assert facts["learned"] >= 1
    assert facts["rotary"] >= 0.01, "an untrained encoder hardly uses its scores"


def test_products_of_places_depend_on_their_distance_and_a_step_is_one_rotation():
    first = products(Config())
    assert first.facts["drift"] <= 1e-12
    assert first.facts["rotary_drift"] <= 1e-12
    assert turn(Config()).facts["turn"] <= 1e-12
    assert table(Config()).facts["shortest"] == pytest.approx(2 * np.pi)
    assert bag(Config()).facts["agreement"] <= 1e-5
    looks = first["stripes"].isel(line=1).values.argmax(axis=1)
    assert looks[BACK:].tolist() == list(range(len(looks) - BACK))


@pytest.mark.slow
def test_reversing_needs_places_and_without_them_the_exact_ceiling_holds():
    final = last(run(Config(seed=200)))
    assert final.facts["ceiling"] == pytest.approx(0.2858, abs=1e-4)
    assert (ended(final, "none") <= 0.33).all(), final["right"].values[..., -1]
    assert final.facts["bag"] == pytest.approx(ended(final, "none").mean())
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
    assert (beyond.sel(arm="rotary", length=32).values >= 0.95).all(), beyond.values
    assert (beyond.sel(arm="learned", length=32).values <= 0.3).all(), beyond.values
    assert (beyond.sel(arm="sinusoidal", length=32).values <= 0.6).all(), beyond.values


@pytest.mark.slow
def test_a_majority_needs_no_positions():
    final = last(run(Config(task="majority", steps=100, seeds=1)))
    assert final.facts["ceiling"] == 1.0
    assert (ended(final, "none") >= 0.95).all()


def test_the_previous_token_has_its_own_ceiling():
    assert next(iter(run(Config(task="previous token", seeds=1)))).facts["ceiling"] == pytest.approx(0.2749, abs=1e-4)


@pytest.mark.parametrize("text", ["", "alone", "a " * 17])
def test_too_few_or_too_many_words_are_named_with_the_limit(text):
    with pytest.raises(ValueError, match=r"text = .* words, not 2 to 16"):
        Config(text=text)


def test_halves_of_an_odd_length_are_refused():
    with pytest.raises(ValueError, match="length = 7 is odd"):
        Config(task="which half", length=7)
