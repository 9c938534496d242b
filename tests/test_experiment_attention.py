"""The attention page: five true matrices, their arithmetic in digits, and a head that learns where to look."""

import math

import numpy as np
import pytest
import torch

from seqcore.experiments import last
from seqcore.experiments.attention import Config, arithmetic, by_hand, five_steps, plane, related, run, source
from seqcore.models.attention import causal, softmax_over, truths
from seqcore.tasks.relation import equal_weights

CATS = Config(sentence="the cat saw the dog")


@pytest.fixture(scope="module")
def first():
    return five_steps(CATS)


@pytest.fixture(scope="module")
def trained():
    return last(run(Config()))


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_the_five_steps_follow_from_each_other(first):
    q, k, v, scores, scaled, weights, z = (
        first[name].values for name in ("q", "k", "v", "scores", "scaled", "weights", "z")
    )
    assert q == pytest.approx(first["x"].values @ first["W_q"].values.T, abs=1e-6)
    assert scores == pytest.approx(q @ k.T, abs=1e-6)
    assert scaled == pytest.approx(scores / 2, abs=1e-6), "√d_k = √4"
    assert weights == pytest.approx(softmax(scaled), abs=1e-6)
    assert z == pytest.approx(weights @ v, abs=1e-6)
    assert first.facts["agreement"] <= 1e-5


def test_a_word_that_comes_twice_reads_the_same_at_both_places_unless_there_is_a_mask(first):
    assert np.array_equal(first["weights"].values[0], first["weights"].values[3])
    assert np.array_equal(first["z"].values[0], first["z"].values[3])
    assert first.facts["twice"] == ("1 the", "4 the")
    assert first.facts["apart"] == 0
    assert five_steps(Config(sentence="one two")).facts["twice"] is None
    masked = five_steps(CATS.but(masked=True))
    assert not np.allclose(masked["z"].values[0], masked["z"].values[3])


def test_under_the_mask_nobody_reads_what_comes_later_and_rows_still_sum_to_1():
    weights = five_steps(CATS.but(masked=True))["weights"].values
    assert np.array_equal(np.isnan(weights), np.triu(np.ones((5, 5), dtype=bool), 1))
    assert np.nansum(weights, axis=1) == pytest.approx(1, abs=1e-6)
    assert weights[0, 0] == 1


def test_one_word_repeated_gets_equal_weights():
    assert five_steps(Config(sentence="tick tick tick tick"))["weights"].values == pytest.approx(0.25)


@pytest.mark.parametrize("masked", [False, True])
def test_the_digits_are_those_of_the_matrices(masked):
    picture = five_steps(CATS.but(masked=masked, d_k=6, d_v=3))
    told = arithmetic(picture, query=2, key=1, entry=2)
    assert told.query.total == picture["q"].values[2, 0]
    assert told.score.total == picture["scores"].values[2, 1]
    assert told.weight.total == picture["weights"].values[2, 1]
    assert told.read.total == picture["z"].values[2, 2]
    seen = 3 if masked else 5
    assert told.query.terms.count(")(") == 8, "one product for each entry of x"
    assert told.score.terms.count(")(") == 6, "one product an entry"
    assert told.weight.terms.count("e^") == 1 + seen
    assert told.read.terms.count(")(") == seen
    q, k = picture["q"].values[2], picture["k"].values[1]
    assert f"({q[0]:.2f})({k[0]:.2f})" in told.score.terms
    assert f"{math.exp(picture['scaled'].values[2, 1]):.2f}" in told.weight.terms


@pytest.mark.parametrize("masked", [False, True])
def test_the_lines_on_the_page_compute_the_weights_that_are_drawn(masked):
    picture = five_steps(CATS.but(masked=masked))
    q, k = (torch.tensor(picture[name].values) for name in ("q", "k"))
    mask = causal(len(q)) if masked else None
    names = {
        "scores": q @ k.T,
        "scale": q.shape[1] ** -0.5,
        "mask": mask,
        "softmax_over": softmax_over,
        "truths": truths,
    }
    exec(source(), names)
    assert np.allclose(names["weights"], np.nan_to_num(picture["weights"].values), atol=1e-6)


def test_there_is_no_arithmetic_for_what_the_mask_hides():
    with pytest.raises(ValueError, match="query 0 may not see key 1"):
        arithmetic(five_steps(CATS.but(masked=True)), query=0, key=1, entry=0)


@pytest.mark.parametrize("text", ["", "alone", "a b c d e f g h i j k l m"])
def test_a_sentence_of_too_few_or_too_many_words_is_refused_with_the_limits(text):
    with pytest.raises(ValueError, match=f"must have 2 to 12 words, not {len(text.split())}"):
        Config(sentence=text)


def test_long_words_are_cut_at_the_axes_and_tokens_stay_different():
    picture = five_steps(Config(sentence="Donaudampfschiff und Donaudampfschiff"))
    assert picture["weights"].ticks["key"] == ("donaudam…", "und", "donaudam…")
    assert picture.facts["tokens"] == ("1 donaudam…", "2 und", "3 donaudam…")


def test_where_values_are_narrower_than_queries_there_is_nothing_to_draw():
    entries = five_steps(Config(d_k=4, d_v=2))["qkv"]
    assert np.isnan(entries.sel(matrix="v").values[:, 2:]).all()
    assert np.isfinite(entries.sel(matrix="q").values).all()


def test_a_seed_has_its_own_keys_and_learns_the_same_whoever_is_trained_beside_it():
    both = last(run(Config(steps=50, seeds=2)))["loss"]
    alone = last(run(Config(steps=50, seeds=1, seed=1)))["loss"]
    assert np.array_equal(both.sel(seed=1).values, alone.sel(seed=1).values)
    assert not np.array_equal(both.sel(seed=0).values, both.sel(seed=1).values)


@pytest.mark.slow
def test_a_head_that_attends_learns_to_look_up_and_equal_weights_do_not(trained):
    loss = {arm: trained["loss"].sel(arm=arm).values[:, -5:].mean(1) for arm in ("attention", "equal weights")}
    assert (loss["attention"] <= 0.02).all(), loss
    assert (loss["equal weights"] >= 1.2).all(), loss
    assert trained.facts["baseline"] == pytest.approx(math.log(6))


@pytest.mark.slow
def test_after_training_every_query_has_one_bright_cell_and_reads_its_value(trained):
    weights = trained["weights"].sel(arm="attention").values
    assert np.diag(weights).min() >= 0.8
    assert trained.facts["right"] == pytest.approx(np.diag(weights).mean())
    assert trained.facts["column"] < 0.2
    assert trained["weights"].sel(arm="equal weights").values == pytest.approx(1 / 6)
    v, z = trained["mixed"].values
    assert np.abs(v - z).max() <= 0.2 * np.abs(v).max()


@pytest.mark.slow
def test_one_number_a_key_is_too_few_to_tell_six_letters_apart():
    loss = last(run(Config(d_k=1)))["loss"].sel(arm="attention").values[:, -5:]
    assert loss.mean() >= 0.6


def test_the_favourite_key_is_the_one_with_the_largest_weight(first):
    weights = first["weights"].values
    assert first.facts["favourites"][2] == "5 dog"
    assert first.facts["largest"] == pytest.approx(weights.max(1))
    entropy = -(weights * np.log(weights)).sum(1)
    assert first.facts["effective"] == pytest.approx(np.exp(entropy), rel=1e-5)
    assert five_steps(CATS.but(masked=True)).facts["effective"][0] == pytest.approx(1), (
        "the first word sees only itself"
    )


# --- a relation inside one sequence ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("length", [8, 16])
def test_self_attention_learns_the_relation_and_equal_weights_stay_below_their_ceiling(length):
    """On seeds that were not used to choose any setting."""
    trained = last(related(Config(length=length, seeds=8, seed=200)))
    right = trained["right"]
    assert (right.sel(arm="attention").values[:, -1] >= 0.95).all(), right.values[0, :, -1]
    assert (right.sel(arm="equal weights").values <= trained.facts["ceiling"] + 1e-6).all(), "at no step of any seed"
    assert trained.facts["ceiling"] == pytest.approx(equal_weights(length, 4).score, abs=0.02)
    # Fresh batches scatter around the mean of all rows, which is the limit.
    loss = trained["loss"].values[..., -1].mean(1)
    assert loss[0] <= 0.1
    assert trained.facts["even"] - 0.01 <= loss[1] <= trained.facts["even"] + 0.1


@pytest.mark.slow
def test_a_trained_token_reads_from_the_other_copy_of_its_letter():
    trained = last(related(Config()))
    weights = trained["weights"]
    names = weights.ticks["query"]
    for name, row in zip(names, weights.values):
        assert names[row.argmax()][0] == name[0].swapcase()
    assert trained.facts["found"] >= 0.9


@pytest.mark.slow
def test_too_few_numbers_a_key_are_not_enough_for_the_relation_but_one_a_value_is():
    right = {
        name: last(related(Config(**{name: 1})))["right"].sel(arm="attention").values[:, -1] for name in ("d_k", "d_v")
    }
    assert (right["d_k"] <= 0.75).all(), right
    assert (right["d_v"] >= 0.95).all(), right


def test_both_arms_of_the_relation_begin_with_the_same_weights_and_bounds_are_in_order():
    first = next(iter(related(Config(seeds=2))))
    assert first.step == 0
    assert first.facts["chance"] == 1 / 4 < first.facts["ceiling"] < 1
    assert first.facts["even"] < first.facts["baseline"] == pytest.approx(math.log(4))
    assert first["weights"].values.sum(1) == pytest.approx(1, abs=1e-5)
    # At the start both read some mean through the same matrices, so their losses are near each other, and not the same.
    attention, equal = first["loss"].values[..., 0]
    assert attention == pytest.approx(equal, abs=0.1)
    assert not np.array_equal(attention, equal)


# --- a query by hand -------------------------------------------------------------------------------------------------


def test_a_query_by_hand_gets_the_softmax_of_its_products_with_the_keys():
    picture = plane(CATS)
    keys = picture["k"].values
    moment = by_hand(picture, 0.5, -1.2)
    assert keys.shape == (5, 2)
    assert keys == pytest.approx(five_steps(CATS.but(d_k=2))["k"].values)
    scaled = keys @ [0.5, -1.2] / math.sqrt(2)
    assert moment["scaled"].values == pytest.approx(scaled, abs=1e-6)
    assert moment["weights"].values == pytest.approx(softmax(scaled), abs=1e-6)
    assert moment.facts["favourite"] == scaled.argmax()
    assert moment.facts["size"] == pytest.approx(1.3)


def test_a_longer_query_gives_more_weight_to_the_same_key_and_none_gives_equal_weights():
    picture = plane(CATS)
    one, two, none = (by_hand(picture, 0.7 * size, 0.7 * size) for size in (1, 2, 0))
    assert one.facts["favourite"] == two.facts["favourite"]
    assert two["weights"].values.max() > one["weights"].values.max()
    assert none["weights"].values == pytest.approx(1 / 5)
    assert none.facts["effective"] == pytest.approx(5)
