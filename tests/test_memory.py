"""Probes of memory: states that hold the past are read exactly, states that do not give chance."""

import math

import pytest
import torch
from parity import noise

from seqcore.models.latent import Latent, Readout
from seqcore.models.rnn import RNN
from seqcore.probes.memory import remembered, saliency


def drawn_from(seed):
    return torch.Generator().manual_seed(seed)


def symbols(rows, time, kinds=4, seed=0):
    return torch.randint(kinds, (rows, time), generator=drawn_from(seed))


def shift_register(x, kinds, depth):
    """States that hold the last `depth` symbols one-hot and nothing else, seen through a random rotation."""
    e = torch.nn.functional.one_hot(x, kinds).double()
    past = [torch.cat([torch.zeros_like(e[:, :lag]), e[:, : e.shape[1] - lag]], dim=1) for lag in range(depth)]
    h = torch.cat(past, dim=-1)
    rotation = torch.linalg.qr(torch.randn(h.shape[-1], h.shape[-1], generator=drawn_from(1)).double()).Q
    return h @ rotation


def test_a_shift_register_remembers_exactly_as_far_as_it_is_long():
    x = symbols(200, 20)
    memory = remembered(shift_register(x, 4, depth=3), x, lags=range(6))
    assert memory.held_out[:3].tolist() == [1, 1, 1]
    assert memory.train[:3].tolist() == [1, 1, 1]
    assert (memory.held_out[3:] - 1 / 4).abs().max() <= 0.05
    assert (memory.chance - 1 / 4).abs().max() <= 0.05


def test_chance_is_the_most_frequent_symbol_of_the_rows_that_were_fitted():
    x = torch.tensor([[0, 0, 0, 1], [1, 1, 1, 0]])
    memory = remembered(torch.zeros(2, 4, 3), x, lags=[0])
    assert memory.chance.tolist() == [1 / 4]
    # a state that never moves is worth exactly as much
    assert memory.held_out.tolist() == [1 / 4]
    assert memory.train.tolist() == [3 / 4]


def test_numbers_are_scored_by_the_variance_explained():
    x = noise(100, 30).detach()
    # h_t = x_t + x_{t-1} tells each of two independent numbers up to half of its variance
    h = (x + torch.cat([torch.zeros(100, 1).double(), x[:, :-1]], dim=1))[..., None]
    memory = remembered(h, x, lags=[0, 1, 2])
    assert memory.held_out.tolist() == pytest.approx([0.5, 0.5, 0], abs=0.05)
    assert memory.chance.tolist() == [0, 0, 0]


def test_many_units_and_few_rows_learn_by_heart_what_is_not_there():
    x = symbols(20, 10, kinds=2)
    memory = remembered(noise(20, 10, 90), x, lags=[0])
    assert memory.train.item() >= 0.9
    assert memory.held_out.item() <= 0.7


@pytest.mark.parametrize("seed", range(4))
def test_a_network_that_shrinks_its_state_faster_remembers_less_far(seed):
    x = noise(200, 30, seed=seed).detach()
    cell = RNN(1, 16, generator=drawn_from(seed)).double()
    scores = {}
    for shrink in (0.3, 0.6):
        with torch.no_grad():
            cell.W_h.copy_(shrink * torch.linalg.qr(noise(16, 16, seed=seed)).Q)
        scores[shrink] = remembered(cell(0.1 * x[..., None]), x, lags=range(11)).held_out
    assert scores[0.3][2] > 0.95
    assert scores[0.6][5] > 0.9 > 0.2 > scores[0.3][5]
    assert scores[0.6][10] < 0.3


def test_wrong_lags_and_rows_are_refused_by_name():
    h, x = torch.zeros(4, 5, 2), torch.zeros(4, 5)
    for lags in ([5], [-1], []):
        with pytest.raises(ValueError, match=r"are not all from 0 to 4"):
            remembered(h, x, lags)
    with pytest.raises(ValueError, match="batch = 1 is less than 2"):
        remembered(h[:1], x[:1], [0])


def test_saliency_of_a_linear_answer_is_the_length_of_its_weights():
    w = torch.tensor([[3.0, 4.0], [0.0, 0.0], [5.0, 12.0]])
    assert saliency(lambda x: (x * w).sum((1, 2)), torch.zeros(2, 3, 2)).tolist() == [[5, 0, 13]] * 2


def test_saliency_of_a_network_with_one_unit_is_the_chain_rule():
    model = Readout(RNN(1, 1, generator=drawn_from(0)), 1, drawn_from(1)).double()
    x = noise(2, 4, 1)
    _, trail = model.trace(x)
    seen = saliency(lambda x: model(x)[:, -1, 0], x)
    factor = model.W_y.item()
    for t in reversed(range(4)):
        factor *= 1 - trail[t].h[0].item() ** 2
        assert seen[0, t].item() == pytest.approx(abs(factor * model.cell.W_x.item()))
        factor *= model.cell.W_h.item()


def test_an_answer_listens_to_symbols_before_it_and_to_none_after():
    generator = drawn_from(0)
    model = Latent(RNN(3, 4, generator=generator), 5, 3, generator)
    seen = saliency(lambda e: model.respond(e)[:, 2, 1], model.features(symbols(2, 6, 5)))
    assert seen.shape == (2, 6)
    assert (seen[:, :3] > 0).all()
    assert (seen[:, 3:] == 0).all()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert math.isfinite(float(seen.sum()))
