"""The layer probes: gradients of small torch stacks, worked out by hand or by torch's own backward pass."""

import math

import numpy as np
import pytest
import torch
from parity import gap, noise
from torch import nn

from seqcore.models.encoder import Around
from seqcore.probes.layers import by_block, by_position, decades, rms, through


def scalars(*weights):
    """Blocks h_b = w_b h_{b-1}: dL/dw_b is the input times all the other weights."""
    blocks = [nn.Linear(1, 1, bias=False, dtype=torch.float64) for _ in weights]
    for block, weight in zip(blocks, weights, strict=True):
        nn.init.constant_(block.weight, weight)
    return nn.Sequential(*blocks)


def test_three_blocks_of_one_weight_by_hand():
    stack = scalars(2, 3, 5)
    norms = by_block(stack(torch.full((1, 1), 7.0, dtype=torch.float64)).sum(), stack)
    assert norms.tolist() == pytest.approx([3 * 5 * 7, 2 * 5 * 7, 2 * 3 * 7])
    assert decades(norms) == pytest.approx(math.log10(15 / 6))


def test_blocks_agree_with_torchs_backward_pass_and_leave_no_trace():
    generator = torch.Generator().manual_seed(0)
    layers = [nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, dtype=torch.float64) for _ in range(3)]
    stack = nn.Sequential(*layers)
    for weight in stack.parameters():
        nn.init.normal_(weight, generator=generator)
    loss = (stack(noise(2, 3, 4)) ** 2).mean()
    norms = by_block(loss, stack)
    assert all(weight.grad is None for weight in stack.parameters())
    loss.backward()
    expected = [math.sqrt(sum(float(p.grad.square().sum()) for p in block.parameters())) for block in stack]
    assert norms.tolist() == pytest.approx(expected)


class Block(nn.Module):
    """tanh(W h + b), W about a tenth of orthogonal: the bias keeps h alive, the gradient shrinks tenfold."""

    def __init__(self, residual, generator):
        super().__init__()
        self.W = nn.Parameter(0.1 * torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q)
        self.b = nn.Parameter(0.5 * torch.randn(8, generator=generator))
        self.residual = residual

    def forward(self, h):
        return torch.tanh(h @ self.W.T + self.b) + (h if self.residual else 0)


@pytest.mark.parametrize(("residual", "low", "high"), [(False, -9, -7), (True, -0.5, 0.5)])
def test_residual_connections_hand_the_gradient_to_the_first_of_eight_blocks(residual, low, high):
    """Seven layers lie between the first block and the last, each worth a decade without a shortcut."""
    generator = torch.Generator().manual_seed(0)
    stack = nn.Sequential(*(Block(residual, generator) for _ in range(8)))
    x = torch.randn(32, 8, generator=generator)
    assert low < decades(by_block(stack(x).square().mean(), stack)) < high


def test_weights_that_the_loss_does_not_reach_count_as_zero():
    used, unused = nn.Linear(2, 1), nn.Linear(2, 1)
    norms = by_block(used(torch.ones(1, 2)).sum(), [unused, used])
    assert norms[0] == 0
    assert norms[1] == pytest.approx(math.sqrt(3))
    assert decades(norms) == -math.inf
    assert math.isnan(decades(torch.zeros(2)))


def test_gradients_too_small_to_square_still_have_a_norm():
    stack = scalars(1e-30, 1.0).float()
    norms = by_block(stack(torch.ones(1, 1)).sum(), stack)
    assert norms.tolist() == pytest.approx([1, 1e-30])
    assert decades(norms) == pytest.approx(30, abs=1e-4)


def test_a_block_without_weights_is_named():
    layer = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="block 1 of 2 has no weights"):
        by_block(layer(torch.ones(1, 2)).sum(), [layer, nn.ReLU()])


def test_each_position_gets_its_own_weight_by_hand():
    x = torch.zeros(5, 3, 2)
    weights = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 1.0]])
    norms = by_position(lambda x: (x * weights).sum((1, 2)), x, torch.mean)
    assert norms.tolist() == pytest.approx([5 / 5, 0, 1 / 5])
    assert not x.requires_grad


def test_a_recurrent_network_forgets_its_first_inputs_and_attention_does_not():
    generator = torch.Generator().manual_seed(0)
    recurrent = nn.RNN(4, 4, batch_first=True, dtype=torch.float64)
    for weight in recurrent.parameters():
        nn.init.uniform_(weight, -0.5, 0.5, generator=generator)

    def attention(x):
        p = (x[:, -1:] @ x.mT / 2).softmax(-1)
        return p @ x

    x = noise(16, 30, 4)
    forgets = by_position(lambda x: recurrent(x)[0], x, lambda y: y[:, -1].sum())
    keeps = by_position(attention, x, lambda y: y.sum())
    assert forgets.shape == keeps.shape == (30,)
    assert forgets[0] < 1e-4 * forgets[-1]
    assert keeps[:-1].min() > 0.1 * keeps[:-1].max()


def test_a_later_input_changes_nothing_before_it():
    recurrent = nn.RNN(2, 3, batch_first=True, dtype=torch.float64)
    norms = by_position(lambda x: recurrent(x)[0], noise(2, 6, 2), lambda y: y[:, 3].sum())
    assert (norms[:4] > 0).all()
    assert not norms[4:].any()


def test_positions_agree_with_torchs_backward_pass():
    model = nn.GRU(2, 3, batch_first=True, dtype=torch.float64)
    x = noise(4, 5, 2)
    model(x)[0].square().mean().backward()
    norms = by_position(lambda x: model(x)[0], x.detach(), lambda y: y.square().mean())
    assert gap(norms, x.grad.norm(dim=-1).mean(0)) <= 1e-12


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_the_parts_of_a_sublayer_lead_to_what_it_returns(norm, residual):
    around, x = Around(4, norm, residual).double(), noise(2, 3, 4)
    before, f_x, joined, after = through(around, torch.tanh, x)
    normal = torch.nn.functional.layer_norm(x, (4,))
    assert torch.equal(before, normal if norm == "pre" else x)
    assert torch.equal(f_x, before.tanh())
    assert torch.equal(joined, x + f_x if residual else f_x)
    assert torch.equal(after, around(x, torch.tanh))


def test_a_root_mean_square_by_hand():
    assert rms(np.array([[3.0, 4.0], [0.0, 0.0], [1e-30, 1e-30]], "float32")) == pytest.approx(
        [math.sqrt(12.5), 0, 1e-30]
    )
