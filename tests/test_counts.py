"""Counting: small texts by hand, the sample text by its known table, chains by brute force."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seqcore.models.counts import CountModel, Counts, MarkovChain, chain, entropy
from seqcore.tasks.story import STORY
from seqcore.tasks.text import split

TRAIN, HELD_OUT = split(STORY)
ALPHABET = "".join(sorted(set(STORY)))


@pytest.fixture(scope="module")
def story():
    return Counts([TRAIN], ALPHABET, longest=8)


def drawn_from(seed):
    return torch.Generator().manual_seed(seed)


def test_abab_counted_by_hand():
    counts = Counts(["abab"], "ab", longest=2)
    rows = {"": [2, 2], "a": [0, 2], "b": [1, 0], "ab": [1, 0], "ba": [0, 1]}
    assert {context: counts.after(counts.find(context)).tolist() for context in rows} == rows
    # neither occurs in the text
    assert [counts.find(context) for context in ("aa", "bb")] == [None, None]
    model = CountModel(counts, order=1)
    assert model.next("b").tolist() == [1, 0]
    assert model.given("abab").tolist() == [1 / 2, 1, 1, 1]
    assert chain(model.given("abab")) == pytest.approx((1 / 2, -math.log(2), 2**0.25))


def test_collapse_by_hand():
    # followed by something: "" three times, a twice, aa once; b and ab end the text
    collapse = Counts(["aab"], "ab", longest=2).collapse(["abba"])
    assert collapse.distinct.tolist() == [1, 1, 1]
    assert collapse.once.tolist() == [0, 0, 1]
    # asked: "" for a b b a, then a for b, b for b, b for a, then ab for b, bb for a
    assert collapse.unseen.tolist() == pytest.approx([0, 2 / 3, 1])
    assert collapse.impossible.tolist() == pytest.approx([0, 2 / 3, 1])


def test_additive_smoothing_by_hand():
    model = CountModel(Counts(["abab"], "ab", longest=1), order=1, smoothing=0.5)
    assert model.next("a").tolist() == [0.5 / 3, 2.5 / 3]
    assert model.next("b").tolist() == [1.5 / 2, 0.5 / 2]
    assert model.given("aab").tolist() == pytest.approx([2.5 / 5, 0.5 / 3, 2.5 / 3])


def test_an_unseen_context_is_uniform_or_shortened_by_hand():
    counts = Counts(["aab"], "abc", longest=2)
    uniform, shorter = (CountModel(counts, order=2, unseen=unseen) for unseen in ("uniform", "shorter"))
    assert uniform.next("ba").tolist() == [1 / 3] * 3
    assert shorter.next("ba").tolist() == [1 / 2, 1 / 2, 0]
    # b was never followed by anything: only the empty context is left
    assert shorter.next("ab").tolist() == [2 / 3, 1 / 3, 0]
    assert shorter.given("bab").tolist() == [1 / 3, 2 / 3, 1 / 2]


def test_a_symbol_never_seen_makes_a_sentence_impossible():
    given = CountModel(Counts(["abab"], "ab", longest=1), order=1).given("abb")
    assert given.tolist() == [0.5, 1, 0]
    assert chain(given) == (0, -math.inf, math.inf)


def test_the_product_of_a_long_sentence_underflows_and_the_sum_does_not():
    product, log_sum, perplexity = chain(np.full(2000, 0.5))
    assert product == 0
    assert log_sum == pytest.approx(2000 * math.log(0.5))
    assert perplexity == pytest.approx(2)


def test_symbols_may_be_words():
    words = [("the", "mill", "and", "the", "river"), ("the", "mill")]
    model = CountModel(Counts(words, ("the", "mill", "and", "river"), longest=1), order=1)
    assert model.next(("the",)).tolist() == [0, 2 / 3, 0, 1 / 3]


def test_whole_histories_begin_at_the_start_of_a_sentence():
    sentences = ["ab.", "aa.", "ab."]
    model = CountModel(Counts(sentences, "ab.", longest=None), order=None)
    assert model.next("").tolist() == [1, 0, 0]
    assert model.next("a").tolist() == [1 / 3, 2 / 3, 0]
    assert model.next("b").tolist() == [1 / 3] * 3
    assert model.given("ab.").tolist() == pytest.approx([1, 2 / 3, 1])
    collapse = model.counts.collapse(["abb", "b"])
    assert collapse.distinct.tolist() == [1, 1, 2]
    assert collapse.once.tolist() == [0, 0, 1 / 2]
    assert collapse.unseen.tolist() == [0, 0, 0]
    assert collapse.impossible.tolist() == [1 / 2, 0, 1]


def test_of_the_whole_history_of_a_text_every_context_is_new():
    counts = Counts([TRAIN], ALPHABET, longest=None)
    collapse = counts.collapse([HELD_OUT])
    assert collapse.distinct.tolist() == [1] * len(TRAIN)
    assert collapse.distinct[1:].sum() == 2558
    assert (collapse.once == 1).all()
    assert collapse.unseen[20] == 1
    model = CountModel(counts, order=None)
    assert (model.given(TRAIN) == 1).all()
    assert model.given(HELD_OUT)[20:] == pytest.approx(1 / 27)


@pytest.mark.parametrize(
    ("order", "train", "held_out"),
    [
        (0, 16.29, 16.47),
        (1, 6.95, 7.48),
        (2, 3.54, 5.42),
        (3, 2.74, 5.37),
        (4, 2.69, 6.27),
        (5, 2.82, 7.81),
        (6, 2.86, 9.30),
        (8, 3.01, 11.80),
    ],
)
def test_perplexity_of_the_story_falls_and_rises_with_the_order(story, order, train, held_out):
    model = CountModel(story, order, smoothing=0.1)
    assert chain(model.given(TRAIN)[order:]).perplexity == pytest.approx(train, abs=0.005)
    assert chain(model.given(HELD_OUT)[order:]).perplexity == pytest.approx(held_out, abs=0.005)


def test_contexts_of_the_story_thin_out_with_their_length(story):
    collapse = story.collapse([HELD_OUT])
    lengths = [0, 1, 2, 3, 4, 5, 6, 8]
    assert collapse.distinct[lengths].tolist() == [1, 27, 238, 667, 1068, 1366, 1592, 1970]
    percent = {name: (100 * getattr(collapse, name)[lengths]).round().tolist() for name in collapse._fields[1:]}
    assert percent["once"] == [0, 4, 17, 38, 57, 68, 74, 83]
    assert percent["unseen"] == [0, 0, 2, 11, 23, 34, 44, 58]
    assert percent["impossible"] == [0, 2, 12, 23, 34, 44, 52, 63]


def test_backing_off_to_shorter_contexts_beats_uniform_on_the_story(story):
    for order in range(2, 9):
        uniform, shorter = (
            chain(CountModel(story, order, 0.1, unseen).given(HELD_OUT)).perplexity for unseen in ("uniform", "shorter")
        )
        assert shorter < uniform


@given(st.lists(st.text("abc", max_size=8), max_size=5), st.sampled_from([0, 1, 3, None]), st.sampled_from([0.0, 0.3]))
def test_every_context_has_a_distribution_and_the_chain_rule_sums_to_one(sentences, order, smoothing):
    model = CountModel(Counts(sentences, "abc", order), order, smoothing)
    sequences = ["".join(letters) for letters in itertools.product("abc", repeat=3)]
    assert sum(chain(model.given(s)).product for s in sequences) == pytest.approx(1)
    for s in sequences:
        one_by_one = [model.next(s[:t])["abc".index(s[t])] for t in range(3)]
        assert model.given(s).tolist() == one_by_one


def test_wrong_counts_and_models_are_refused_by_name():
    counts = Counts(["abab"], "ab", longest=2)
    whole = Counts(["abab"], "ab", longest=None)
    for make, message in [
        (lambda: Counts(["abc"], "ab", 1), "'c' is not one of the 2 symbols"),
        (lambda: Counts([""], "", 1), "vocabulary has 0 symbols"),
        (lambda: Counts(["ab"], "aab", 1), "vocabulary has 3 symbols, 2 of them different"),
        (lambda: Counts(["ab"], "ab", -1), "longest = -1 is less than 0"),
        (lambda: CountModel(counts, 3), "order = 3 is not from 0 to 2"),
        (lambda: CountModel(counts, None), "order = None does not fit counts of contexts up to 2"),
        (lambda: CountModel(whole, 2), "order = 2 does not fit"),
        (lambda: CountModel(counts, 1, smoothing=-1), "smoothing = -1"),
        (lambda: CountModel(counts, 1, unseen="guess"), "unseen = 'guess' is not one of uniform, shorter"),
        (lambda: CountModel(whole, None, unseen="shorter"), "cannot be shortened"),
        (lambda: CountModel(counts, 1).given("abc"), "'c' is not one of"),
        (lambda: chain(np.array([])), "nothing to multiply"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()


# Chains


def rows(P):
    return P / P.sum(1, keepdims=True)


def sparse_chains(zeros):
    """Random chains of 1 to 6 symbols, some of whose transitions are impossible."""
    entries = st.sampled_from([0.0, 0.0, 0.2, 1.0, 3.0] if zeros else [0.05, 0.2, 1.0, 3.0])
    square = st.integers(1, 6).flatmap(lambda V: arrays.arrays(np.float64, (V, V), elements=entries))
    return square.map(lambda P: rows(np.where(P.sum(1, keepdims=True) > 0, P, np.eye(len(P)))))


def long_average(P, n=4096):
    """lim 1/n Σ P^k by doubling: S_2n = (S_n + P^n S_n) / 2."""
    S, power = np.eye(len(P)), P.copy()
    for _ in range(int(math.log2(n)) + 30):
        S, power = (S + power @ S) / 2, rows(power @ power)
    return S


def test_two_state_chain_by_hand():
    chain_ = MarkovChain([[0.9, 0.1], [0.5, 0.5]])
    assert chain_.stationary().tolist() == pytest.approx([5 / 6, 1 / 6])
    assert chain_.powers(2)[2].tolist() == [pytest.approx([0.86, 0.14]), pytest.approx([0.7, 0.3])]
    rate = 5 / 6 * -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) + 1 / 6 * math.log(2)
    assert chain_.entropy_rate() == pytest.approx(rate)
    assert chain_.given([0, 0, 1]).tolist() == pytest.approx([5 / 6, 0.9, 0.1])
    assert (chain_.closed, chain_.periodic) == (1, False)


@given(sparse_chains(zeros=True))
def test_the_stationary_distribution_stays_and_is_the_long_average(P):
    chain_ = MarkovChain(P)
    π = chain_.stationary()
    assert π.sum() == pytest.approx(1)
    assert (π >= 0).all()
    assert np.abs(π @ P - π).max() <= 1e-12
    assert np.abs(π - long_average(P).mean(0)).max() <= 1e-6


@given(sparse_chains(zeros=False))
def test_powers_of_a_chain_without_zeros_forget_where_they_began(P):
    chain_ = MarkovChain(P)
    powers = chain_.powers(400)
    assert np.abs(powers[3] - P @ P @ P).max() <= 1e-12
    assert np.abs(powers[-1] - chain_.stationary()).max() <= 1e-6
    assert (chain_.closed, chain_.periodic) == (1, False)


@given(sparse_chains(zeros=True))
def test_entropy_rate_is_what_one_more_symbol_adds_by_enumeration(P):
    chain_ = MarkovChain(P)

    def total(T):
        sequences = itertools.product(range(len(P)), repeat=T)
        return float(entropy(np.array([chain(chain_.given(s)).product for s in sequences])))

    assert chain_.entropy_rate() == pytest.approx(total(3) - total(2), abs=1e-9)


def test_a_periodic_chain_swings_for_ever_and_still_has_one_stationary_distribution():
    chain_ = MarkovChain([[0, 1], [1, 0]])
    assert chain_.periodic
    assert chain_.closed == 1
    assert chain_.stationary().tolist() == pytest.approx([1 / 2, 1 / 2])
    assert chain_.powers(101)[101].tolist() == [[0, 1], [1, 0]]


def test_a_reducible_chain_ends_where_it_is_absorbed():
    # from the middle one in four to the left: (1 + 1/4 + 0) / 3 of all walks end there
    chain_ = MarkovChain([[1, 0, 0], [0.25, 0, 0.75], [0, 0, 1]])
    assert chain_.closed == 2
    assert not chain_.periodic
    assert chain_.stationary().tolist() == pytest.approx([1.25 / 3, 0, 1.75 / 3])


def test_the_chain_of_the_story_has_the_rows_of_its_first_order_model(story):
    model = CountModel(story, 1)
    chain_ = MarkovChain.of(model)
    assert chain_.P[ALPHABET.index("t")].tolist() == model.next("t").tolist()
    # the text begins and ends somewhere, so its letters are stationary but for 1 / 2 559
    frequencies = np.array([TRAIN.count(letter) for letter in ALPHABET]) / len(TRAIN)
    assert np.abs(chain_.stationary() - frequencies).max() <= 1e-3


def test_walks_follow_the_chain_and_their_generator():
    chain_ = MarkovChain([[0.9, 0.1, 0], [0, 0.5, 0.5], [1, 0, 0]])
    walk = chain_.sample(20_000, drawn_from(0))
    seen = np.zeros((3, 3))
    np.add.at(seen, (walk[:-1], walk[1:]), 1)
    assert (seen[chain_.P == 0] == 0).all()
    assert np.abs(rows(seen) - chain_.P).max() <= 0.02
    assert np.abs(np.bincount(walk) / len(walk) - chain_.stationary()).max() <= 0.02
    assert chain_.sample(5, drawn_from(1), start=2)[:2].tolist() == [2, 0]
    with ThreadPoolExecutor(4) as pool:
        walks = list(pool.map(lambda _: chain_.sample(300, drawn_from(3)).tolist(), range(8)))
    assert walks == walks[:1] * 8


def test_wrong_chains_are_refused_by_name():
    fair = MarkovChain([[0.5, 0.5], [0.5, 0.5]])
    for make, message in [
        (lambda: MarkovChain([[0.5, 0.5]]), r"shape \(1, 2\), not that of a square matrix"),
        (lambda: MarkovChain([[0.5, 0.6], [0, 1]]), "sums from 1.0 to 1.1"),
        (lambda: MarkovChain([[1.5, -0.5], [0, 1]]), "no distributions"),
        (lambda: MarkovChain([[math.nan, 1], [0, 1]]), "no distributions"),
        (lambda: MarkovChain.of(CountModel(Counts(["ab"], "ab", 2), 2)), "order = 2 is not 1"),
        (lambda: fair.powers(-1), "n = -1 is less than 0"),
        (lambda: fair.sample(0, drawn_from(0)), "length = 0 is less than 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
