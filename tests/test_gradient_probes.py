"""Gradients through time: against finite differences, against theory, and at the ends of the number line."""

import math

import numpy as np
import pytest
import torch
from parity import noise

from seqcore.experiments import gradients as experiment
from seqcore.experiments.gradients import Config, fates, split, theories
from seqcore.models.rnn import RNN
from seqcore.probes import gradients as probe

FRESH = 400  # seeds that no setting was chosen on


def network(activation="tanh", hidden=3):
    return RNN(2, hidden, activation, torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "identity"])
def test_the_curve_agrees_with_finite_differences(activation):
    model, x = network(activation), noise(1, 5, 2).detach()
    u = noise(3, seed=2).detach()
    norms = probe.descend(model, x, lambda y: (u * y[:, -1]).sum()).norms[0]

    def last(t, push):
        """u·h_T when h_t is pushed, by running the equations from t on."""
        h = model(x[:, : t + 1])[:, -1] + push
        return (u * (model(x[:, t + 1 :], h=h)[:, -1] if t < 4 else h)).sum()

    for lag in range(5):
        steps = torch.eye(3, dtype=torch.float64) * 1e-6
        slopes = torch.stack([(last(4 - lag, e) - last(4 - lag, -e)) / 2e-6 for e in steps])
        assert norms[lag].item() == pytest.approx(slopes.norm().item(), rel=1e-6, abs=1e-9)


def test_saturation_times_gain_is_exactly_the_gradient():
    descent = probe.descend(network(), noise(4, 20, 2).detach(), probe.last_state(torch.Generator().manual_seed(0)))
    product = (descent.saturation * descent.gain).cumprod(1)
    assert torch.allclose(product, descent.norms[:, 1:] / descent.norms[:, :1], rtol=1e-12)
    assert torch.allclose(descent.norms[:, 0], torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "identity"])
def test_many_networks_at_once_descend_as_each_does_alone(activation):
    models = [RNN(4, 4, activation, torch.Generator().manual_seed(seed)).double() for seed in (FRESH, FRESH + 1)]
    for model in models:
        with torch.no_grad():
            model.W_x.copy_(torch.eye(4))
    x, u = noise(2, 3, 7, 4).detach(), noise(2, 3, 4, seed=2).detach()
    drive = torch.stack([each + model.b_x + model.b_h for each, model in zip(x, models)]).detach()
    together = probe.descend_each(torch.stack([model.W_h.detach() for model in models]), drive, u, activation)
    for net, model in enumerate(models):
        alone = probe.descend(model, x[net], lambda y, u=u[net]: (u * y[:, -1]).sum())
        for mine, theirs in zip(together, alone):
            assert torch.allclose(mine[net], theirs, rtol=1e-12, atol=0, equal_nan=True)


def test_jacobian_is_what_autograd_says_and_its_product_stretches_as_svd_says():
    model, x = network(), noise(1, 6, 2).detach()
    y = model(x)
    J = probe.jacobians(model, y.detach())[0]
    step = torch.autograd.functional.jacobian(lambda h: model(x[:, 5:], h=h)[0, 0], y.detach()[:, 4])[:, 0]
    assert torch.allclose(J[5], step, atol=1e-12)
    whole = torch.linalg.multi_dot([J[5], J[4], J[3]])
    assert torch.allclose(probe.stretches(J.detach(), [0, 3])[1], torch.linalg.svdvals(whole.detach()), rtol=1e-10)
    assert probe.stretches(J.detach(), [0])[0].tolist() == [1, 1, 1]


def test_the_norm_survives_where_squares_do_not():
    for size in (1e-200, 1.0, 1e200):
        g = torch.tensor([[3.0, 4.0]], dtype=torch.float64) * size
        assert probe.norm(g).item() == pytest.approx(5 * size)
    assert probe.norm(torch.zeros(1, 2)).item() == 0
    assert probe.norm(torch.tensor([[3e-30, 4e-30], [3.0, 4.0], [3e30, 4e30]])).tolist() == pytest.approx(
        [5e-30, 5, 5e30]
    )


def test_a_straight_line_has_its_own_slope_and_horizon():
    norms = 10.0 ** (-0.25 * torch.arange(41, dtype=torch.float64))[None]
    rate, fit = probe.slope(norms)
    assert rate == pytest.approx(-0.25)
    assert fit == pytest.approx(1)
    assert probe.horizon(norms) == 9  # 10^-2 is reached at lag 8, and 9 is the first below it
    assert probe.horizon(torch.ones(1, 5, dtype=torch.float64)) is None


def test_lyapunov_of_a_scaled_rotation_is_the_log_of_the_scale():
    W = 0.5 * torch.linalg.qr(noise(4, 4).detach())[0]
    slopes = torch.ones(2, 12, 4, dtype=torch.float64)
    assert probe.lyapunov(W, slopes, torch.Generator().manual_seed(0)) == pytest.approx(math.log10(0.5))
    assert probe.theory(W, slopes, torch.Generator().manual_seed(0)) == pytest.approx([math.log10(0.5)] * 4)
    assert probe.lyapunov(W, torch.zeros_like(slopes), torch.Generator().manual_seed(0)) <= -300


@pytest.mark.parametrize(
    ("activation", "gain", "hidden", "tolerance"),
    [
        ("identity", 0.9, 64, 1e-4),
        ("identity", 1.1, 32, 1e-4),
        ("tanh", 0.9, 64, 1e-3),
        ("tanh", 1.5, 64, 5e-3),
        ("sigmoid", 1.0, 64, 0.01),
        ("relu", 1.0, 128, 0.012),
    ],
)
def test_measured_slopes_follow_the_mean_square_rule_for_orthogonal_weights(activation, gain, hidden, tolerance):
    for seed in range(FRESH, FRESH + 5):
        facts = theories(Config(activation=activation, gain=gain, hidden=hidden, seeds=1, seed=seed)).facts
        assert abs(facts["slope"] - facts["mean_square"]) <= tolerance
    if activation == "identity":
        assert facts["mean_square"] == pytest.approx(math.log10(gain), abs=1e-6)


@pytest.mark.parametrize("weights", ["Gaussian", "torch default"])
def test_for_other_weights_the_lyapunov_exponent_is_right_and_the_textbook_line_is_not(weights):
    facts = theories(Config(weights=weights, hidden=64, seeds=5, seed=FRESH)).facts
    assert abs(facts["slope"] - facts["lyapunov"]) <= 0.02
    assert facts["bound"] - facts["slope"] >= 0.15


def test_tanh_at_gain_three_barely_explodes_because_saturation_eats_the_gain():
    config = Config(gain=3.0, hidden=64, seeds=3, seed=FRESH)
    ends = split(config)["split"].values[:, :, -1].mean(axis=1)
    assert 0.09 <= theories(config).facts["slope"] <= 0.15
    assert ends[1] > 40
    assert ends[0] < -30
    assert ends[0] + ends[1] == pytest.approx(ends[2])


def test_float64_reaches_where_float32_ends_and_beyond_it_the_page_is_told():
    deep = theories(Config(activation="sigmoid", length=200, seeds=1))
    assert deep["gradient"].values[0, -1] < 1e-110
    assert deep.facts["dies"] is None
    dead = theories(Config(activation="sigmoid", length=200, gain=0.1, seeds=1))
    assert 150 < dead.facts["dies"] < 200
    assert 150 < fates(Config(length=200, gain=0.1, seeds=1)).facts["dies"]["sigmoid at gain 0.1"] < 200


@pytest.mark.parametrize("end", [0, -1])
def test_the_corners_of_the_config_are_drawn(end):
    corner = {name: knob.corners[end] for name, knob in Config.knobs().items()}
    gradient = theories(Config(**corner))["gradient"].values
    assert gradient.shape == (corner["seeds"], corner["length"] + 1)
    assert np.isfinite(gradient[:, 0]).all()


def test_probed_lags_are_few_and_reach_both_ends():
    for length in (2, 39, 40, 200):
        lags = experiment.probe_lags(length)
        assert lags[0] == 0
        assert lags[-1] == length
        assert len(lags) <= 40
        assert lags == sorted(set(lags))
