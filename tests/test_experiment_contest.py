"""The contest's experiment: paths, chains and gradients that can be counted, a needle that one look finds, and a clock."""

import numpy as np
import pytest
import torch

from seqcore.experiments import last
from seqcore.experiments.contest import (
    ARMS,
    MAP_KEPT,
    TIMED,
    VALUES,
    Config,
    crossover,
    longest_chain,
    measure,
    path,
    run,
    waiting,
)

SMALL = Config(length=8, width=16, heads=1, steps=50, seeds=1, longest=128)


@pytest.fixture(scope="module")
def first():
    return path(Config(seeds=4))


@pytest.fixture(scope="module")
def clock():
    return last(measure(Config(longest=256)))


def test_the_gradient_of_a_fresh_encoder_reaches_every_token_and_that_of_default_cells_none_far_away(first):
    decades = first.facts["decades"]
    assert abs(decades["encoder"]) < 0.3
    assert decades["RNN"] < -14
    assert decades["LSTM"] < -8
    assert decades["GRU"] < -8
    assert -1.0 < decades["LSTM, forget bias 3"] < 0.0


def test_every_curve_starts_at_one_at_the_neighbour_of_the_question(first):
    arrives = first["arrives"]
    assert arrives.ticks["lag"] == range(1, 50)
    assert np.array_equal(arrives.values[:, :, 0], np.ones((5, 4)))


def test_a_recurrent_chain_grows_with_every_token_and_the_encoders_does_not():
    first = waiting(Config())
    chain = first["chain"]
    for arm in ("RNN", "LSTM", "GRU"):
        short, middle, long = chain.sel(arm=arm).values
        assert middle - short == long - middle > 0, "every token adds the same"
    assert len(set(chain.sel(arm="encoder").values)) == 1
    assert first.facts["slope"] == {"RNN": 4.0, "LSTM": 8.0, "GRU": 9.0, "encoder": 0.0}


def test_more_encoder_layers_make_its_chain_longer_by_the_same_each():
    one, two, three = (waiting(SMALL.but(layers=layers)).facts["chain"]["encoder"] for layers in (1, 2, 3))
    assert three - two == two - one > 0


def test_the_longest_chain_of_a_small_graph_can_be_counted_by_hand():
    a = torch.ones(1, requires_grad=True)
    short = a * 2  # the leaf, then the product
    long = ((a + 1).tanh() + 1).exp()  # the leaf, then four operations
    assert longest_chain(short) == 2
    assert longest_chain(long) == 5
    assert longest_chain(short + long) == 6


def test_our_layers_are_those_of_torch(first):
    assert first.facts["agreement"] < 1e-5


@pytest.mark.slow
def test_one_look_finds_the_needle_and_default_recurrent_cells_only_guess():
    final = last(run(Config(seeds=1)))
    right = {arm: final["right"].sel(arm=arm).values[0, -1] for arm in ARMS}
    assert final.facts["learned"] == pytest.approx(right)
    assert right["encoder"] >= 0.95
    assert max(right[arm] for arm in ("RNN", "LSTM", "GRU")) <= 0.25
    assert right["LSTM, forget bias 3"] > 0.5
    look = final["look"]
    places = [int(tick.split(" at ")[1]) for tick in look.ticks["example"]]
    seen = [look.values[row, place - 1] for row, place in enumerate(places)]
    assert sum(weight > 0.5 for weight in seen) >= VALUES - 2, "all values but the one or two told by elimination"


def test_the_examples_name_every_value_and_the_place_where_it_stands():
    look = next(iter(run(SMALL)))["look"]
    values, places = zip(*(map(int, tick.split(" at ")) for tick in look.ticks["example"]))
    assert sorted(values) == list(range(VALUES))
    assert list(places) == sorted(places)
    assert 2 <= places[0] <= places[-1] <= max(look.ticks["time"])


def test_the_clock_adds_one_measurement_a_moment():
    moments = list(measure(SMALL))
    known = [int(np.isfinite(moment["duration"].values).sum()) for moment in moments]
    assert known == list(range(len(TIMED) * len(SMALL.lengths) + 1))
    assert moments[-1].step == measure(SMALL).total == known[-1]


def test_a_clock_belongs_to_one_reader_and_says_nothing_before_it_has_run():
    assert measure(SMALL).personal
    assert next(iter(measure(SMALL))).facts["crossover"] == {"RNN": None, "LSTM": None, "GRU": None}
    assert SMALL.lengths[-1] == SMALL.longest


def test_memory_grows_with_the_length_and_with_its_square_only_where_the_map_is_kept(clock):
    doubling = {arm: row[-1] / row[-2] for arm, row in zip(TIMED, clock["held"].values)}
    assert all(1.8 < doubling[arm] < 2.1 for arm in TIMED[:4]), doubling
    assert doubling[MAP_KEPT] > 2.5


def test_the_last_times_are_told_once_all_are_measured(clock):
    assert clock.facts["last"] == dict(zip(TIMED, clock["duration"].values[:, -1]))
    assert next(iter(measure(SMALL))).facts["last"] == {}


def test_memory_is_the_same_whenever_it_is_measured(clock):
    assert np.array_equal(last(measure(Config(longest=256)))["held"].values, clock["held"].values)


def test_times_are_positive_and_the_lines_of_theory_pass_through_the_newest(clock):
    duration, theory = clock["duration"], clock["duration_theory"]
    assert (duration.values > 0).all()
    assert theory.sel(arm="∝ T² d").values[-1] == duration.sel(arm="encoder").values[-1]
    assert theory.sel(arm="∝ T d²").values[-1] == duration.sel(arm="LSTM").values[-1]
    np.testing.assert_allclose(theory.values[:, -1] / theory.values[:, -2], [4, 2])


def test_a_crossover_is_found_where_the_ratio_of_costs_passes_one():
    lengths = (16, 32, 64)
    assert crossover(lengths, np.array([0.5, 0.5, 2.0])) == pytest.approx(32 * 2**0.5)
    assert crossover(lengths, np.array([2.0, 3.0, 4.0])) == 0
    assert crossover(lengths, np.array([0.5, 0.6, 0.7])) is None
    assert crossover((), np.array([])) is None


def test_a_length_outside_the_limits_is_named_with_them():
    with pytest.raises(ValueError, match="length = 500 is not a whole number from 6 to 200"):
        Config(length=500)
