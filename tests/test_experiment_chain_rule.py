"""The chain rule page: its table, its collapse, its padding, and a state that beats every count."""

from itertools import islice

import numpy as np
import pytest

from seqcore.experiments import last
from seqcore.experiments.chain_rule import Config, factors, orders, own_text, padding, run

SMALL = Config(
    text="the cat sat on the mat, and the rat sat on the cat. " * 4, sentence="the mat sat", hidden=4, embedding=2
)
TINY = SMALL.but(length=8, batch=2, steps=50, seeds=2, order=2)


@pytest.fixture(scope="module")
def story():
    return factors(Config())


@pytest.fixture(scope="module")
def counted():
    return orders(Config())


@pytest.fixture(scope="module")
def padded():
    return padding(Config())


def test_every_step_multiplies_the_sentence_by_its_own_probability(story):
    given, sofar = story["next"].sel(model="order τ").values, story["sofar"].sel(model="order τ").values
    assert sofar == pytest.approx(np.cumprod(given))
    assert story.facts["product"] == pytest.approx(sofar[-1])
    assert story.facts["log_sum"] == pytest.approx(np.log(given).sum())
    assert story.facts["order τ"] == pytest.approx(np.exp(-np.log(given).mean()))
    assert "".join(story["next"].ticks["time"]) == "the␣miller␣met␣her␣on␣the␣bridge"


def test_held_out_perplexity_of_the_counts_is_a_u(counted):
    held_out = counted["perplexity"].sel(line="held-out text").values
    assert 5.2 <= held_out.min() <= 5.6
    assert counted.facts["best_order"] == 3
    assert held_out[8] / held_out.min() >= 1.8
    assert held_out[0] > held_out[1] > held_out[2]


def test_the_whole_past_is_never_seen_twice_and_long_contexts_hardly(counted):
    assert counted.facts["distinct"] == counted.facts["predictions"] == 2558
    assert counted.facts["contexts"] == (1, 27, 238, 667, 1068, 1366, 1592, 1800, 1970)
    shares = {line: counted["collapse"].sel(line=line).values for line in counted["collapse"].ticks["line"]}
    assert shares["seen once"][8] == pytest.approx(0.83, abs=0.01)
    assert shares["unseen"][8] == pytest.approx(0.58, abs=0.01)
    assert shares["impossible"][8] == pytest.approx(0.63, abs=0.01)


def test_the_whole_past_finds_a_new_sentence_least_likely_and_one_it_knows_by_heart_certain(story):
    assert story.facts["order τ"] < story.facts["order 1"] < story.facts["full history"]
    known = factors(Config(sentence="the river ran past the old mill", smoothing=0.0))
    assert (known["next"].sel(model="full history").values == 1).all()


def test_without_smoothing_one_factor_of_zero_makes_a_sentence_impossible():
    first = factors(Config(smoothing=0.0))
    assert first.facts["product"] == 0
    assert first.facts["log_sum"] == -np.inf
    assert (first["next"].sel(model="order τ").values == 0).any()


def test_masked_padding_changes_nothing_and_counted_padding_nearly_everything(padded):
    assert padded.facts["loss_gap"] <= 1e-12
    assert padded.facts["gradient_gap"] <= 1e-12
    assert padded.facts["gradient_counted"] >= 0.1
    counted, masked = (padded["told"].sel(line=line).values for line in ("padding counted", "padding left out"))
    assert masked == pytest.approx(masked[0], rel=1e-12)
    assert (np.diff(counted) < 0).all()
    assert counted[-1] <= masked[-1] / 2


def test_the_picture_of_the_batch_and_its_mask_agree(padded):
    rows = padded.facts["rows"].split("\n")
    assert [[character != "∅" for character in row[1:]] for row in rows] == (padded["mask"].values == 1).tolist()
    assert padded.facts["padded"] == pytest.approx(1 - padded["mask"].values.mean())


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "enough"), [("LSTM", 4.9), ("RNN", 5.0)])
def test_a_state_beats_every_count_and_then_overfits(counted, cell, enough):
    final = last(run(Config(cell=cell, seed=100)))
    network = final["perplexity"].sel(arm=cell).values
    assert (network.min(axis=1) <= enough).all()
    assert final.facts["best"] < counted.facts["best"]
    # the best moment is not the last, and the training loss does not tell
    assert 60 <= final.facts["best_at"] <= 250
    assert (network[:, -1] >= 1.05 * network.min(axis=1)).all()
    loss = final["loss"].sel(arm=cell).values
    assert (loss[:, -1] < loss[:, loss.shape[1] // 2]).all()
    assert (final["perplexity"].sel(arm="window τ").values.min(axis=1) > network.min(axis=1)).all()


def test_the_state_is_shown_what_the_counts_are_shown():
    moments = list(run(TINY))
    assert moments[0].step == 0
    assert moments[-1].step == 50
    assert moments[0]["next"].ticks["model"] == ("full history", "order τ", "order 1", "LSTM")
    instant = factors(TINY)
    for moment in moments:
        assert np.array_equal(moment["next"].values[:3], instant["next"].values)
        assert moment["next"].values[3, 0] == moments[0]["next"].values[3, 0], (
            "nothing comes before the first character"
        )
    assert not np.array_equal(moments[0]["next"].values[3], moments[-1]["next"].values[3])
    best = moments[-1]["best"].values
    assert (np.diff(best, axis=1) <= 0).all()
    assert moments[-1].facts["best"] == best[1, -1]
    assert len(moments[-1].facts["written"]) == 61


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": ""}, "text has length 0, not from 50"),
        ({"text": "a"}, "text has length 1, not from 50"),
        ({"text": "ab" * 30}, "training part of the text has 51 characters"),
        ({"sentence": ""}, "sentence = '' has fewer than 2 of the 27 characters of the text"),
        ({"sentence": "12!a"}, "sentence = '12!a' has fewer than 2 of the 27 characters of the text"),
        ({"order": 9}, "order = 9"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(changes, message):
    with pytest.raises(ValueError, match=message):
        Config(**({"length": 64} | changes))


def test_a_file_in_any_encoding_becomes_a_text_and_a_wrong_one_a_reason():
    text = "die mühle am fluß. " * 5
    assert (
        own_text(text.encode("utf-8"))
        == own_text(text.encode("utf-16"))
        == own_text(text.encode("latin-1"))
        == text.strip()
    )
    for raw, message in [
        (b"", "length 0"),
        (b"too short", "length 9"),
        (bytes(range(32)) * 20, "control characters"),
        (b"a word " * 2_000, "length 13,999, more than 10,000"),
    ]:
        with pytest.raises(ValueError, match=message):
            own_text(raw)


def test_texts_of_one_letter_or_without_spaces_are_read_too():
    for text, sentence in [("a" * 80, "aaa"), ("añ☃" * 40, "☃a")]:
        config = TINY.but(text=text, sentence=sentence)
        assert np.isfinite(factors(config)["next"].values).all()
        assert all(np.isfinite(moment["perplexity"].values).all() for moment in islice(run(config), 5))
