"""How far back an answer reaches, for any recurrent cell.

    g_t     = dL/dh_t                    (batch, hidden)     L: the loss of a row's last answer
    reach_k = ‖g_{T-k}‖ / ‖g_T‖          (batch, time)       of the gradient at the last state, how much arrives earlier

Divided by its start, the curve does not depend on how wrong the answer is: only on how the gradient is passed on.
In an LSTM h_t moves and c_t does not; what c carries on is reached through the gates of the next step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from seqcore.models.latent import Readout
from seqcore.models.lstm import LSTM
from seqcore.probes.gradients import norm
from seqcore.tasks import Batch, Task


def by_lag(cell: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """‖dL/dh_t‖ by lag, (batch, time) float64; one backward pass. Index 0 is the last state.

    cell  RNN, LSTM or GRU; x (batch, time, inputs)
    loss  maps the states (batch, time, hidden), in float64, to a scalar that sums over rows
    """
    cell, x = copy.deepcopy(cell).double(), x.double()
    hidden = cell.get_parameter("W_h").shape[1]
    nudge = x.new_zeros(*x.shape[:2], hidden, requires_grad=True)
    # torch's LSTM kernel cannot be nudged, its equations can
    y = cell.trace(x, nudge=nudge)[0] if isinstance(cell, LSTM) else cell(x, nudge=nudge)
    (g,) = torch.autograd.grad(loss(y), nudge)
    return norm(g).flip(1)


def reach(network: Readout, task: Task, batch: Batch) -> Tensor:
    """The curve of every row's last answer by lag, 1 at lag 0: (batch, time) float64. Average its logarithms."""
    W_y, b_y = network.W_y.detach().double(), network.b_y.detach().double()
    y_last = batch.y[:, -1:].double() if batch.y.is_floating_point() else batch.y[:, -1:]
    norms = by_lag(network.cell, batch.x, lambda y: task.loss(y[:, -1:] @ W_y.T + b_y, Batch(batch.x, y_last)))
    return norms / norms[:, :1]


def mean_reach(network: Readout, task: Task, batch: Batch) -> np.ndarray:
    """The geometric mean of `reach` over the rows, by lag: (time,)."""
    return 10.0 ** reach(network, task, batch).log10().mean(0).numpy()
