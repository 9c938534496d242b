"""Positions: a bag without them, stripes with them, and which kinds reach beyond the rows they were trained on."""

import math
import textwrap

import numpy as np
import pytest
import torch

from seqcore.experiments import last
from seqcore.experiments.positions import (
    BACK,
    PLACES,
    Config,
    bag,
    one_entry,
    one_turn,
    products,
    run,
    source,
    table,
    turn,
)


def ended(final, arm, name="right"):
    """The last value of an arm, for every seed."""
    return final[name].sel(arm=arm).values[:, -1]


def test_reading_backwards_moves_nothing_without_positions():
    facts = bag(Config(sentence="the cat sat on the mat")).facts
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


def computed_by(lines, parameters, **names):
    """The function whose body these lines are."""
    names["torch"] = torch
    exec(f"def computed({parameters}):\n" + textwrap.indent(lines, "    "), names)
    return names["computed"]


@pytest.mark.parametrize("width", [16, 32, 64])
@pytest.mark.parametrize("place", [0, 5, PLACES - 1])
def test_one_entry_in_digits_is_its_cell_of_the_table(width, place):
    config = Config(width=width)
    for entry in (0, 1, 6, width - 1):
        facts = one_entry(config, place, entry).facts
        omega = 10_000 ** (-2 * (entry // 2) / width)
        assert facts["omega"] == pytest.approx(omega, rel=1e-12)
        assert facts["angle"] == pytest.approx(place * omega, abs=1e-9)
        wave = math.cos if entry % 2 else math.sin
        assert facts["value"] == pytest.approx(wave(facts["angle"]), abs=1e-9)
        assert facts["value"] == pytest.approx(table(config)["PE"].values[place, entry], abs=1e-12)


@pytest.mark.parametrize("width", [16, 64])
@pytest.mark.parametrize(("k", "place", "pair"), [(1, 0, 0), (4, 5, 3), (16, PLACES - 1, 7)])
def test_one_pair_in_digits_is_a_block_of_the_rotation_and_lands_on_its_place(width, k, place, pair):
    config, rows = Config(width=width), slice(2 * pair, 2 * pair + 2)
    facts = one_turn(config, k, place, pair).facts
    c, s = math.cos(facts["angle"]), math.sin(facts["angle"])
    assert np.allclose(facts["block"], [[c, s], [-s, c]], atol=1e-12)
    assert np.array_equal(facts["block"], turn(config)["rotation"].sel(k=k).values[rows, rows])
    after = [one_entry(config, place + k, entry).facts["value"] for entry in range(rows.start, rows.stop)]
    assert np.allclose(np.ravel(facts["after"]), after, atol=1e-9)
    assert np.allclose(np.array(facts["block"]) @ facts["before"], facts["after"], atol=1e-12)


def test_the_lines_on_the_page_compute_the_table_and_the_rotation():
    lines, config = source(), Config()
    frequencies = computed_by(lines["omega"], "width", BASE=10_000.0)
    sinusoidal = computed_by(lines["PE"], "start, length, width, dtype", frequencies=frequencies)
    shift = computed_by(lines["rotation"], "k, width", frequencies=frequencies)
    assert np.array_equal(sinusoidal(0, PLACES, config.width, torch.float64), table(config)["PE"].values)
    assert np.array_equal(shift(4, config.width), turn(config)["rotation"].sel(k=4).values)


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
    with pytest.raises(ValueError, match=r"sentence = .* words, not 2 to 16"):
        Config(sentence=text)


def test_halves_of_an_odd_length_are_refused():
    with pytest.raises(ValueError, match="length = 7 is odd"):
        Config(task="which half", length=7)
