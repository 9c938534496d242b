"""The recurrent network page: the state carries the past, and a text model that remembers beats one that cannot."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seqcore.experiments import last
from seqcore.experiments.rnn import Config, echoes, inside, own_text, run, source, step

SMALL = Config(length=8, hidden=6, embedding=3, steps=50, seeds=2)


@pytest.fixture(scope="module")
def trained():
    return list(run(Config(seed=100)))


def test_the_first_character_echoes_in_every_later_state_and_fades():
    echo = echoes(Config())["echo"].sel(arm="RNN").values
    assert (echo > 0).all(), "all states change"
    assert (echo[:, 1] > 0.4).all()
    assert (echo[:, 20] < 1e-3).all(), "torch's default weights forget"


def test_without_recurrent_weights_the_echo_ends_after_one_step():
    echo = echoes(Config())["echo"].sel(arm="no memory").values
    assert (echo[:, 0] == 1).all()
    assert (echo[:, 1:] == 0).all()


@pytest.mark.slow
def test_the_network_reaches_perplexity_5_on_text_it_has_not_seen(trained):
    perplexity = trained[-1]["perplexity"].sel(arm="RNN").values
    assert (perplexity.min(axis=1) <= 5.0).all()
    assert trained[-1].facts["best"] <= 4.8


@pytest.mark.slow
def test_then_it_learns_by_heart_and_the_held_out_loss_rises_again(trained):
    facts = trained[-1].facts
    assert 60 <= facts["best_step"] <= 250
    assert facts["now"] >= facts["best"] + 0.5
    assert facts["training"] <= 2.2


@pytest.mark.slow
def test_a_network_whose_memory_is_cut_does_no_better_than_pairs_of_characters(trained):
    # counting pairs gives 7.48 on this text
    assert 7.0 <= trained[-1].facts["cut"] <= 8.0


@pytest.mark.slow
def test_samples_become_words(trained):
    assert trained[0].facts["words"] <= 0.1
    assert trained[-1].facts["words"] >= 0.5
    assert trained[-1].facts["words"] >= 2 * trained[-1].facts["cut_words"]


@pytest.mark.slow
def test_training_makes_the_echo_longer(trained):
    echo = trained[-1]["echo"]
    now, untrained = (np.median(echo.sel(arm=arm).values[:, 6]) for arm in ("RNN", "untrained"))
    assert now >= 3 * untrained


def test_cutting_the_memory_is_the_only_difference_at_the_start():
    first = next(iter(run(SMALL)))
    assert first["perplexity"].values.shape == (2, 2, 1)
    assert first.facts["baseline"] == pytest.approx(2.79, abs=0.01)
    assert first["cell_weights"] == inside(SMALL)["cell_weights"]
    echo = first["echo"]
    assert np.array_equal(echo.sel(arm="RNN").values, echo.sel(arm="untrained").values)


@pytest.mark.parametrize(("time", "unit"), [(0, 0), (3, 5), (7, 2)])
def test_the_terms_of_a_unit_add_up_to_its_state(time, unit):
    moment = inside(SMALL)
    taken = step(moment, time, unit)
    terms, facts = taken["terms"], taken.facts
    weight, value, product = terms.values
    assert terms.ticks["term"] == (*("x0", "x1", "x2"), "b_x", *(f"h{k}" for k in range(6)), "b_h")
    assert np.allclose(product, weight * value)
    assert facts["a"] == pytest.approx(product.sum())
    assert facts["a"] == pytest.approx(sum(facts[part] for part in ("read", "b_x", "remembered", "b_h")))
    assert facts["h"] == pytest.approx(moment["states"].values[time, unit], abs=1e-6)
    assert time > 0 or facts["remembered"] == 0


@pytest.mark.parametrize("changes", [{"hidden": 2, "embedding": 2}, {"hidden": 128, "embedding": 32}])
def test_the_lines_on_the_page_compute_the_states_that_are_drawn(changes):
    moment = inside(Config().but(length=4, **changes))
    e, states = (torch.tensor(moment[name].values) for name in ("e", "states"))
    E, H = e.shape[1], states.shape[1]
    W_x, b_x, W_h, b_h = torch.tensor(moment["cell_weights"].values).split([E, 1, H, 1], dim=1)
    cell = SimpleNamespace(W_x=W_x, b_x=b_x[:, 0], W_h=W_h, b_h=b_h[:, 0])
    names = {"self": cell, "x": e[None], "h": states[None, 1], "t": 2, "φ": torch.tanh, "nudge": None}
    exec(source(), names)
    assert torch.allclose(names["h"][0], states[2], atol=1e-6)
    assert float(names["a"][0, 1]) == pytest.approx(step(moment, 2, 1).facts["a"], abs=1e-6)


@pytest.mark.parametrize("changes", [{"length": 4, "hidden": 2, "embedding": 2}, {"length": 64, "hidden": 128}])
def test_the_picture_has_a_column_for_every_character_and_a_guess_after_each(changes):
    config = Config().but(**changes)
    picture = inside(config)
    assert picture["next"].values.sum(axis=1) == pytest.approx(np.ones(config.length), abs=1e-5)
    assert picture["h"].values.shape == (min(config.hidden, 32), config.length)
    assert picture.facts["agreement"] < 1e-5


def test_ours_and_torchs_states_agree():
    assert inside(Config()).facts["agreement"] < 1e-5


@pytest.mark.parametrize(
    ("sentence", "begins"),
    [
        ("the miller met her on the bridge", "the miller met her on the bridge "),
        ("The DOG, 42 times!", "the dog, times "),  # the story has no digits, no capitals and no "!"
        ("dog " * 16, "dog " * 16),
    ],
)
def test_the_untrained_network_reads_what_the_text_has_letters_for_of_the_sentence(sentence, begins):
    picture = inside(Config(sentence=sentence, length=64))
    held_out = Config(length=64, sentence="42").task.held_out.x[0]
    assert picture.facts["piece"].startswith(begins)
    assert len(picture.facts["piece"]) == 65
    rest = picture.facts["piece"][len(begins) :]
    assert rest in Config().task.decode(held_out.tolist())
    assert "".join(picture["h"].ticks["time"]).replace("\N{OPEN BOX}", " ").startswith(begins[:64])


def test_of_a_sentence_without_any_letter_of_the_text_nothing_is_read():
    without = inside(Config(sentence="4243"))
    assert without.facts["piece"] == next(iter(run(Config()))).facts["piece"]
    assert without.facts["piece"] != inside(Config()).facts["piece"]


@pytest.mark.parametrize("sentence", ["", "abba", "the miller"])
def test_a_text_without_spaces_and_shorter_than_the_window_still_fills_it(sentence):
    config = Config(sentence=sentence, text="ab" * 40)
    piece = inside(config).facts["piece"]
    assert len(piece) == config.length + 1
    assert set(piece) == {"a", "b"}
    assert piece.startswith(sentence if sentence == "abba" else "")


def test_another_sentence_is_not_another_training():
    assert "sentence" in echoes.uses
    assert "sentence" not in run.uses
    one, other = (next(iter(run(SMALL.but(sentence=sentence)))) for sentence in ("dog bites man", "the river"))
    assert one["echo"] == other["echo"]
    assert one["h"] == other["h"]


def test_a_readers_text_is_read_with_its_own_alphabet():
    config = SMALL.but(text="Ein Boot fährt über den Fluß,\nund noch ein Boot fährt über den Fluß. Über den Fluß!")
    moment = last(run(config))
    assert "ß" in moment["next"].ticks["symbol"]
    assert "\n" not in moment["next"].ticks["symbol"]
    assert moment.facts["piece"] in " ".join(config.text.split())


@pytest.mark.parametrize(("text", "complaint"), [("too short", "50"), ("word " * 11, "characters, not more than")])
def test_a_text_that_is_too_short_says_so(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        Config(text=text, length=64)


def test_a_file_that_does_not_fit_the_address_says_so():
    assert own_text(b"a text \n" * 20) == ("a text " * 20).strip()
    with pytest.raises(ValueError, match="5,000"):
        own_text(b"word " * 2_000)
