"""The latent page's claims: a state answers after every wait, a window only what it sees, with as many weights."""

import numpy as np
import pytest
import torch

from seqcore.experiments import last
from seqcore.experiments.latent import WAIT, Config, least, matched, run, untrained
from seqcore.models.autoregressive import Autoregressive
from seqcore.models.latent import Readout
from seqcore.models.rnn import RNN
from seqcore.tasks.series import Series, sine, split
from seqcore.training import Trainer

FRESH = Config(seed=100, seeds=2)


def test_without_training_no_window_is_as_good_as_a_state():
    first = least(FRESH)
    assert not first["least"].sel(line="best state").values.any()
    windows = first["least"].sel(line="best window").values
    assert (np.diff(windows) <= 0).all()
    assert windows[first["least"].ticks["tau"].index(8)] >= 0.6
    assert windows[0] == pytest.approx(first.facts["baseline"])


def test_an_untrained_state_fades_and_a_window_ends_in_a_cliff():
    first = untrained(FRESH)
    assert first.facts["agreement"] <= 1e-5
    state, window = (first["remembered"].isel(line=line).values for line in (0, 1))
    assert (window[:, :8] == 1).all()
    assert (window[:, 8:] <= 0.4).all()
    assert (state[:, :2] >= 0.95).all()
    assert (state[:, 10:] <= 0.4).all()


@pytest.mark.slow
def test_a_state_answers_after_every_wait_and_remembers_only_what_will_be_asked():
    final = last(run(FRESH))
    answers, loss = final["answers"], final["loss"]
    far = np.array(answers.ticks["distance"]) >= 8
    assert (answers.sel(arm="RNN").values >= 0.9).all()
    assert (answers.sel(arm="AR(8)").values[:, ~far] >= 0.9).all()
    assert (answers.sel(arm="AR(8)").values[:, far].mean(1) <= 0.35).all(), "chance is 0.25"
    ends = {arm: loss.sel(arm=arm).values[:, -5:].mean(1) for arm in loss.ticks["arm"]}
    assert (ends["RNN"] <= 0.15).all(), ends
    assert (ends["AR(8)"] >= final.facts["least AR(8)"] - 0.1).all(), ends
    assert (ends["AR(32)"] >= 0.2).all(), "sees nearly every letter, but has to learn each place by itself"
    state = final["remembered"].sel(line="RNN").values
    assert (state[:, WAIT] >= 0.9).all(), "the letter"
    assert (state[:, 4:WAIT] <= 0.45).all(), "the noise; chance is 0.25"


@pytest.mark.slow
def test_where_every_letter_is_in_sight_a_window_does_as_well():
    final = last(run(Config(gap=2, tau=16, seed=100, seeds=1)))
    loss = {arm: final["loss"].sel(arm=arm).values[:, -5:].mean() for arm in ("RNN", "AR(16)")}
    assert max(loss.values()) <= 0.05, loss


def errors_on_the_sine(seed):
    """Held-out errors of an RNN that learned a noisy sine, and of the AR(16) fitted to it."""
    generator = torch.Generator().manual_seed(seed)
    values = sine(1000, generator)
    task = Series(values, 64, 8)
    rnn = Readout(RNN(1, 16, generator=generator), 1, generator)
    trainer = Trainer(rnn, lambda model, batch: task.loss(model(batch.x, task.at), batch), 0.01, clip=1.0)
    for _ in range(300):
        trainer.step(task.batch(16, generator))
    window, held_out = Autoregressive(16).double().fit(split(values)[0]), Series(values, 16, 16).held_out
    with torch.no_grad():
        state = task.loss(rnn(task.held_out.x, task.at), task.held_out)
        return state.item(), task.loss(window(held_out.x.double()), held_out).item()


@pytest.mark.slow
def test_on_the_noisy_sine_an_rnn_does_not_beat_a_window_of_sixteen():
    ratios = [state / window for state, window in map(errors_on_the_sine, (100, 101, 102))]
    assert np.median(ratios) >= 0.98, ratios


@pytest.mark.parametrize("hidden", [16, 24, 64])
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_all_arms_have_equally_many_weights_within_a_few_percent(hidden, cell):
    facts = untrained(Config(hidden=hidden, cell=cell, seeds=1)).facts
    weights = [number for name, number in facts.items() if name.startswith("weights")]
    assert len(weights) == 3
    assert max(weights) <= 1.06 * min(weights), weights


def test_the_number_of_weights_that_is_matched_is_that_of_the_model():
    hidden, embedding = matched(8, 14, 1278)
    model = Autoregressive(8, hidden, 14, embedding)
    assert abs(sum(weight.numel() for weight in model.parameters()) - 1278) <= 0.05 * 1278
