"""Backward passes written by hand against the definition of a derivative; and they train."""

import pytest
import torch
from parity import noise
from torch import nn

from seqcore.models.gru import GRU
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN
from seqcore.probes.check import gradient_check, mismatches

MODELS = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}


def model_of(name, inputs, hidden, dtype=torch.float64, **options):
    return MODELS[name](inputs, hidden, generator=torch.Generator().manual_seed(1), **options).to(dtype)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RNN", {"activation": "tanh"}),
        ("RNN", {"activation": "relu"}),
        ("RNN", {"activation": "sigmoid"}),
        ("RNN", {"activation": "identity"}),
        ("LSTM", {}),
        ("GRU", {"convention": "torch"}),
        ("GRU", {"convention": "paper"}),
    ],
)
@pytest.mark.parametrize(("batch", "time", "hidden"), [(2, 4, 3), (1, 3, 1), (3, 1, 2)])
def test_every_backward_pass_agrees_with_finite_differences(name, options, batch, time, hidden):
    model = model_of(name, 2, hidden, **options)
    names = [each for each, _ in model.named_parameters()]

    def function(x, h, *weights):
        return torch.func.functional_call(model, dict(zip(names, weights)), (x, h))

    x, h = noise(batch, time, 2), noise(batch, hidden, seed=1)
    assert torch.autograd.gradcheck(function, (x, h, *model.parameters()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MODELS)
def test_one_weight_three_ways(name, dtype):
    model = model_of(name, 2, 4, dtype)
    before = [weight.clone() for weight in model.parameters()]
    x = noise(3, 6, 2, dtype=dtype).detach()
    for parameter, index in [("W_x", (1, 0)), ("W_h", (3, 2)), ("b_x", (0,)), ("b_h", (2,))]:
        check = gradient_check(model, x, lambda y: y[:, -1].square().sum(), parameter, index)
        assert check.kernel == pytest.approx(check.autograd, rel=1e-10)
        assert check.difference == pytest.approx(check.autograd, rel=1e-6, abs=1e-9)
        assert check.autograd != 0
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters()))


def test_derivative_of_one_identity_unit_is_the_power_rule():
    # h_T = w^(T-1) x_1 for W_x = 1 and an input at the first step only, so dh_T/dw = (T-1) w^(T-2)
    model = RNN(1, 1, "identity").double()
    with torch.no_grad():
        for name, value in {"W_x": 1.0, "W_h": 0.9, "b_x": 0.0, "b_h": 0.0}.items():
            model.get_parameter(name).fill_(value)
    x = torch.tensor([[[1.0], [0.0], [0.0], [0.0]]])
    check = gradient_check(model, x, lambda y: y[0, -1, 0], "W_h", (0, 0))
    assert check[:3] == pytest.approx((3 * 0.9**2,) * 3, abs=1e-9)
    assert (check.above, check.below) == pytest.approx(((0.9 + 1e-5) ** 3, (0.9 - 1e-5) ** 3), abs=1e-12)


def test_larger_steps_make_the_difference_worse_as_their_square():
    model, x = model_of("RNN", 2, 4), noise(3, 6, 2).detach()

    def error(eps):
        check = gradient_check(model, x, lambda y: y[:, -1].square().sum(), "W_h", (0, 1), eps)
        return abs(check.difference - check.autograd)

    assert error(1e-1) / error(1e-2) == pytest.approx(100, rel=0.1)


def test_a_nudge_can_be_too_large_and_too_small_and_the_mismatch_says_so():
    model, x = model_of("RNN", 2, 4), noise(3, 6, 2).detach()
    found = mismatches(model, x, lambda y: y[:, -1].square().sum(), "W_h", (0, 1), [1e-1, 1e-5, 1e-12])
    check = gradient_check(model, x, lambda y: y[:, -1].square().sum(), "W_h", (0, 1), 1e-5)
    assert found[1] == check.mismatch == abs(check.difference - check.kernel) / abs(check.kernel)
    assert found[1] < 1e-8
    assert found[0] > 1e4 * found[1]
    assert found[2] > 1e2 * found[1]


def test_unknown_parameters_and_indices_outside_are_refused():
    model, x = model_of("GRU", 2, 3), noise(1, 2, 2).detach()
    with pytest.raises(ValueError, match="name = 'W_q' is not one of W_x, W_h, b_x, b_h"):
        gradient_check(model, x, torch.sum, "W_q", (0, 0))
    for index in [(9, 0), (-1, 0), (0,)]:
        with pytest.raises(ValueError, match=r"is not in W_h, whose shape is \(9, 3\)"):
            gradient_check(model, x, torch.sum, "W_h", index)


@pytest.mark.parametrize("name", MODELS)
def test_every_cell_with_a_linear_readout_learns_one_batch_by_heart(name):
    generator = torch.Generator().manual_seed(5)
    model = MODELS[name](3, 16, generator=generator)
    readout = nn.Linear(16, 1)
    nn.init.normal_(readout.weight, std=0.1, generator=generator)
    nn.init.zeros_(readout.bias)
    x, target = torch.randn(8, 10, 3, generator=generator), torch.randn(8, 1, generator=generator)
    optimiser = torch.optim.Adam([*model.parameters(), *readout.parameters()], 2e-2)
    for _ in range(200):
        optimiser.zero_grad()
        loss = (readout(model(x)[:, -1]) - target).square().mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 1e-3
