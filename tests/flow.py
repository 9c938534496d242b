"""How a gradient divides between the two states an LSTM carries, from the equations: what probes are compared with."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from seqcore.models.lstm import LSTM
from seqcore.probes.gradients import norm


class Flow(NamedTuple):
    """Gradient norms by time, (batch, time) float64.

    h  ‖dL/dh_t‖: h_t moves and c_t does not
    c  ‖dL/dc_t‖: c_t moves, and h_t = o_t ⊙ tanh(c_t) with it
    """

    h: Tensor
    c: Tensor


def flow(model: LSTM, x: Tensor, loss: Callable[[Tensor], Tensor]) -> Flow:
    """How the gradient of a loss divides between the two states an LSTM carries; one backward pass.

    x: (batch, time, inputs); loss: maps the outputs (batch, time, hidden), in float64, to a scalar that sums over rows.
    """
    y, trail = copy.deepcopy(model).double().trace(x.double())
    states = [state.h for state in trail] + [state.c for state in trail]
    by_h, by_c = torch.stack(torch.autograd.grad(loss(y), states), dim=1).chunk(2, dim=1)
    return Flow(norm(by_h), norm(by_c))
