"""The Markov page: the order that predicts a known source, what more data mend, and the chain of a text."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from seqcore.experiments import last
from seqcore.experiments.markov import Config, factors, orders, own_text, run, table, walk
from seqcore.knobs import SENTENCE
from seqcore.tasks.markov import MarkovSource

SMALL = Config(text="the cat sat on the mat. " * 4, learned=50, steps=500, seeds=2)


def middle(signal):
    """The median over seeds."""
    return np.median(signal.values, axis=signal.axes.index("seed"))


@pytest.fixture(scope="module")
def first():
    return orders(Config())


@pytest.fixture(scope="module")
def text():
    return table(Config())


@pytest.fixture(scope="module")
def walked():
    return walk(Config())


@pytest.fixture(scope="module")
def final():
    return last(run(Config(seed=100)))


@pytest.mark.parametrize(("order", "learned"), [(1, 500), (2, 500), (3, 2000)])
@pytest.mark.parametrize("seed", [0, 100])
def test_the_true_order_predicts_new_symbols_best(order, learned, seed):
    moment = orders(Config(order=order, learned=learned, seed=seed))
    loss, floor, baseline = middle(moment["orders"])[1], moment.facts["floor"], moment.facts["baseline"]
    assert moment.facts["best_order"] == order
    # near the floor there, and most of the way back up at order 8
    assert loss[order] - floor <= 0.25 * (baseline - floor)
    assert loss[8] - floor >= 0.4 * (baseline - floor)
    assert (np.diff(loss[order:7]) > 0).all()


def test_on_symbols_it_has_counted_every_further_symbol_of_context_seems_to_help(first):
    counted = middle(first["orders"])[0]
    assert (np.diff(counted) < 0).all()
    assert counted[8] < first.facts["floor"] / 2


@pytest.mark.slow
@pytest.mark.live
def test_no_loss_on_new_symbols_is_below_the_floor(first, final):
    for loss, floor in [
        (first["orders"].sel(line="new symbols").values, first.facts["floor"]),
        (final["orders"].values, final.facts["floor"]),
    ]:
        assert loss.min() >= floor


def test_data_mend_too_long_contexts_and_never_too_short_ones(final):
    floor, baseline = final.facts["floor"], final.facts["baseline"]
    left = (middle(final["orders"]) - floor) / (baseline - floor)
    assert final.facts["best_order"] == 2
    assert left[2] <= 0.03
    assert left[1] >= 0.2
    assert left[3] <= 0.1
    assert left[3] < left[4] < left[6] < left[8]
    steps = final["ladder"].ticks["step"]
    ladder = (final["ladder"].values - floor) / (baseline - floor)
    middle_way = int(np.searchsorted(steps, 500))
    # from 500 symbols to 3,000
    assert ladder[8, middle_way] - ladder[8, -1] >= 0.15


def test_of_pure_noise_nothing_can_be_learned():
    moment = orders(Config(sharpness=0.0))
    assert moment.facts["floor"] == pytest.approx(moment.facts["baseline"]) == pytest.approx(np.log(4))
    assert middle(moment["orders"])[1].min() >= np.log(4) - 1e-9


def test_backing_off_makes_high_orders_less_harmful(first):
    shorter = orders(Config(unseen="shorter"))
    assert middle(shorter["orders"])[1, 8] < middle(first["orders"])[1, 8]


def test_a_text_is_the_product_of_the_table_entries_it_walks_through(text):
    taken, P, stays = factors(Config()), text["P"], text["stays"]
    letters = taken["next"].ticks["time"]
    entries = [P.sel(this=this, next=following).values.item() for this, following in pairwise(letters)]
    assert taken["next"].values == pytest.approx([stays.sel(to=letters[0]).values.item(), *entries])
    assert (
        taken["sofar"].values[-1]
        == pytest.approx(taken.facts["product"])
        == pytest.approx(np.exp(taken.facts["log_sum"]))
    )
    assert taken.facts["sentence"] == SENTENCE
    assert taken.facts["never"] == ""


def test_a_pair_that_the_text_never_had_makes_the_product_zero():
    facts = factors(Config(sentence="The xylophone")).facts
    assert facts["sentence"] == "the xylophone"
    assert (facts["never"], facts["product"]) == ("␣x", 0.0)


def test_a_text_without_the_letters_of_the_sentence_is_read_from_its_beginning():
    assert set(factors(Config(text="xz" * 40, sentence="abc")).facts["sentence"]) == set("xz")
    assert factors(Config(text="ab" * 40, sentence="Bad")).facts["sentence"] == "ba"


def test_the_text_is_forgotten_at_the_pace_of_the_second_eigenvalue(text):
    forgetting = text["forgetting"].values
    assert text.facts["closed"] == 1
    assert not text.facts["periodic"]
    assert forgetting[12:] / forgetting[11:-1] == pytest.approx(text.facts["pace"], rel=0.15)
    assert text["settling"].values[:, :, -1] == pytest.approx(
        np.broadcast_to(text["stays"].values, text["settling"].values.shape[:2]), abs=1e-4
    )
    assert text["P"].values.sum(axis=1) == pytest.approx(1)
    assert text.facts["rate"] < text.facts["unigram"]


def test_a_text_that_swings_never_settles():
    config = Config(text="ab" * 40)
    moment = table(config)
    assert moment.facts["periodic"]
    assert moment["forgetting"].values == pytest.approx(0.5)
    assert moment.facts["rate"] == pytest.approx(0)
    assert walk(config).facts["walk"] in ("ab" * 50, "ba" * 50)


def test_every_step_of_the_walk_is_drawn_from_the_row_of_the_letter_before(walked, text):
    steps, P = walked.facts["walk"], text["P"]
    assert len(steps) == len(walked["taken"].ticks["time"]) + 1
    for t in (0, 40, 98):
        assert np.array_equal(walked["taken"].isel(time=t).values, P.sel(this=steps[t]).values)
        assert P.sel(this=steps[t], next=steps[t + 1]).values > 0


def test_order_8_copies_the_text_and_order_0_does_not(walked):
    copied = [walked.facts[f"order {order}"][10:30] in Config().text for order in (0, 1, 8)]
    assert copied == [False, False, True]


def test_only_the_most_frequent_letters_of_a_large_alphabet_are_drawn():
    letters = "".join(chr(ord("а") + i) for i in range(60))
    moment = table(SMALL.but(text=letters * 2))
    assert moment["P"].values.shape == (40, 40)
    assert moment.facts["hidden"] == 20


def test_a_run_begins_with_nothing_counted_and_ends_with_the_last_symbol():
    moments = list(run(SMALL))
    assert [moments[0].step, moments[-1].step] == [0, 500]
    assert moments[0]["orders"].values.std(axis=1) == pytest.approx(0), "all orders guess alike"
    assert moments[-1]["loss"].axes == ("arm", "seed", "step")
    assert moments[-1]["ladder"].values.shape == (9, len(SMALL.chunks))


@pytest.mark.parametrize("text", ["", "a", "short"])
def test_a_text_too_short_is_refused_with_a_reason(text):
    with pytest.raises(ValueError, match=f"text has length {len(text)}, not from 50"):
        Config(text=text)


def test_one_letter_and_a_letter_that_leads_nowhere_are_texts_too():
    for text in ("a" * 60, "a" * 59 + "b"):
        moment = table(SMALL.but(text=text))
        assert np.isfinite(moment["P"].values).all()
        assert moment["P"].values.sum(axis=1) == pytest.approx(1)


def test_a_file_in_any_encoding_becomes_a_text_and_a_wrong_one_a_reason():
    text = "die mühle am fluß. " * 5
    assert (
        own_text(text.encode("utf-8"))
        == own_text(text.encode("utf-16"))
        == own_text(text.encode("latin-1"))
        == text.strip()
    )
    with pytest.raises(ValueError, match="more than 10,000"):
        own_text(b"a word " * 2_000)


def test_the_source_is_the_one_its_knobs_describe(first):
    source = MarkovSource.drawn(4, 2, 2.0, 10, torch.Generator().manual_seed(0))
    assert (first.facts["floor"], first.facts["baseline"]) == (source.floor, source.baseline)
