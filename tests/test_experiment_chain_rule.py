"""The chain rule page: its table, its collapse, its padding, and a state that beats every count."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest

from seqcore.experiments import last
from seqcore.experiments.chain_rule import Config, before, fit, run
from seqcore.symbols import SYMBOLS

SMALL = Config(
    text="the cat sat on the mat, and the rat sat on the cat. " * 4, sentence="the mat sat", hidden=4, embedding=2
)
TINY = SMALL.but(length=8, batch=2, steps=50, seeds=2, order=2)


@pytest.fixture(scope="module")
def story():
    return before(Config())


def test_every_step_multiplies_the_sentence_by_its_own_probability(story):
    given, sofar = story["next"].pick(model="order τ").values, story["sofar"].pick(model="order τ").values
    assert sofar == pytest.approx(np.cumprod(given))
    assert story.facts["product"] == pytest.approx(sofar[-1])
    assert story.facts["log_sum"] == pytest.approx(np.log(given).sum())
    assert story.facts["order τ"] == pytest.approx(np.exp(-np.log(given).mean()))
    assert "".join(story["next"].ticks["time"]) == "the␣miller␣met␣her␣on␣the␣bridge"


def test_held_out_perplexity_of_the_counts_is_a_u(story):
    held_out = story["perplexity"].pick(line="held-out text").values
    assert 5.2 <= held_out.min() <= 5.6
    assert story.facts["best_order"] == 3
    assert held_out[8] / held_out.min() >= 1.8
    assert held_out[0] > held_out[1] > held_out[2]


def test_the_whole_past_is_never_seen_twice_and_long_contexts_hardly(story):
    assert story.facts["distinct"] == story.facts["predictions"] == 2558
    assert story.facts["contexts"] == (1, 27, 238, 667, 1068, 1366, 1592, 1800, 1970)
    shares = {line: story["collapse"].pick(line=line).values for line in story["collapse"].ticks["line"]}
    assert shares["seen once"][8] == pytest.approx(0.83, abs=0.01)
    assert shares["unseen"][8] == pytest.approx(0.58, abs=0.01)
    assert shares["impossible"][8] == pytest.approx(0.63, abs=0.01)


def test_the_whole_past_finds_a_new_sentence_least_likely_and_one_it_knows_by_heart_certain(story):
    assert story.facts["order τ"] < story.facts["order 1"] < story.facts["full history"]
    known = before(Config(sentence="the river ran past the old mill", smoothing=0.0))
    assert (known["next"].pick(model="full history").values == 1).all()


def test_without_smoothing_one_factor_of_zero_makes_a_sentence_impossible():
    first = before(Config(smoothing=0.0))
    assert first.facts["product"] == 0
    assert first.facts["log_sum"] == -np.inf
    assert (first["next"].pick(model="order τ").values == 0).any()


def test_masked_padding_changes_nothing_and_counted_padding_nearly_everything(story):
    assert story.facts["loss_gap"] <= 1e-12
    assert story.facts["gradient_gap"] <= 1e-12
    assert story.facts["gradient_counted"] >= 0.1
    counted, masked = (story["told"].pick(line=line).values for line in ("padding counted", "padding left out"))
    assert masked == pytest.approx(masked[0], rel=1e-12)
    assert (np.diff(counted) < 0).all()
    assert counted[-1] <= masked[-1] / 2


def test_the_picture_of_the_batch_and_its_mask_agree(story):
    rows = story.facts["rows"].split("\n")
    assert [[character != "∅" for character in row[1:]] for row in rows] == (story["mask"].values == 1).tolist()
    assert story.facts["padded"] == pytest.approx(1 - story["mask"].values.mean())


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "enough"), [("LSTM", 4.9), ("RNN", 5.0)])
def test_a_state_beats_every_count_and_then_overfits(story, cell, enough):
    final = last(run(Config(cell=cell, seed=100)))
    network = final["perplexity"].pick(arm=cell).values
    assert (network.min(axis=1) <= enough).all()
    assert final.facts["best"] < story.facts["best"]
    # the best moment is not the last, and the training loss does not tell
    assert 60 <= final.facts["best_at"] <= 250
    assert (network[:, -1] >= 1.05 * network.min(axis=1)).all()
    loss = final["loss"].pick(arm=cell).values
    assert (loss[:, -1] < loss[:, loss.shape[1] // 2]).all()
    assert (final["perplexity"].pick(arm="window τ").values.min(axis=1) > network.min(axis=1)).all()


def test_the_state_is_shown_what_the_counts_are_shown():
    moments = list(run(TINY))
    assert moments[0].step == 0
    assert moments[-1].step == 50
    assert moments[0]["next"].ticks["model"] == ("full history", "order τ", "order 1", "LSTM")
    instant = before(TINY)
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


def test_four_threads_that_train_at_once_see_equal_numbers():
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: list(islice(run(TINY), 8)), range(4)))
    assert all(moments == runs[0] for moments in runs[1:])
    assert before(TINY) == before(TINY)


@pytest.mark.parametrize("end", [0, -1])
def test_both_corners_of_the_config_begin(end):
    corner = {name: knob.corners[end] for name, knob in Config.knobs().items() if knob.kind != "text"}
    config = Config(**corner)
    for moment in (before(config), next(run(config))):
        assert moment.step == 0
        assert set(moment.signals) <= set(SYMBOLS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": ""}, "text has length 0, not from 50"),
        ({"text": "a"}, "text has length 1, not from 50"),
        ({"text": "ab" * 30}, "training part of the text has 51 characters"),
        ({"sentence": ""}, "sentence = '' has fewer than 2 characters"),
        ({"sentence": "The mill"}, "'T' is not one of the 27 characters of the text"),
        ({"order": 9}, "order = 9"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(changes, message):
    with pytest.raises(ValueError, match=message):
        Config(**({"length": 64} | changes))


def test_a_file_in_any_encoding_becomes_a_text_and_a_wrong_one_a_reason():
    text = "die mühle am fluß. " * 5
    assert fit(text.encode("utf-8")) == fit(text.encode("utf-16")) == fit(text.encode("latin-1")) == text.strip()
    for raw, message in [
        (b"", "length 0"),
        (b"too short", "length 9"),
        (bytes(range(32)) * 20, "control characters"),
        (b"a word " * 2_000, "length 13,999, more than 10,000"),
    ]:
        with pytest.raises(ValueError, match=message):
            fit(raw)


def test_texts_of_one_letter_or_without_spaces_are_read_too():
    for text, sentence in [("a" * 80, "aaa"), ("añ☃" * 40, "☃a")]:
        config = TINY.but(text=text, sentence=sentence)
        assert np.isfinite(before(config)["next"].values).all()
        assert all(np.isfinite(moment["perplexity"].values).all() for moment in islice(run(config), 5))
