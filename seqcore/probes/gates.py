"""What gates do to memory: the path through the cell, how long a unit remembers, and how fast gradients must fade.

    total_t  = ‖∂(u·c_T)/∂c_t‖                  through every path                       (batch, time)
    direct_t = ‖u ⊙ f_{t+1} ⊙ … ⊙ f_T‖          along the cell alone                     (batch, time)
    half     = ln ½ / ln f                      steps until half of a cell is left       (hidden)
    J        = diag(f) + diag(i) W_hg diag(o)   dc_t/dc_{t-1} of an LSTM near zero       (hidden, hidden)
    J        = diag(z) + diag((1 - z) r) W_hn   dh_t/dh_{t-1} of a GRU near zero         (hidden, hidden)
    slope    = log₁₀ max|λ(J)|                  decades a step

With equal gates the last three are log₁₀ max|f + i o λ(W_hg)| and log₁₀ max|z + (1 - z) r λ(W_hn)|. The direct
path is the constant error carousel of Hochreiter & Schmidhuber 1997, section 3.2, with a forget gate in it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seqcore.models.gru import GRU
from seqcore.models.lstm import LSTM
from seqcore.probes.gradients import norm


class Highway(NamedTuple):
    """How far the last cell state moves with earlier ones: (batch, time) float64 by time; the last column is 1.

    total   through every path: along the cell, and through the gates and candidates of later steps
    direct  along the cell alone, as if gates and candidates did not listen to h
    """

    total: Tensor
    direct: Tensor


def highway(model: LSTM, x: Tensor) -> Highway:
    """The gradient of u·c_T by time, beside what the forget gates alone let through; one backward pass.

    u is the unit vector that counts all cells alike. x: (batch, time, inputs). Rows differ by decades: average
    their logarithms.
    """
    _, trail = copy.deepcopy(model).double().trace(x.double())
    last = trail[-1].c
    u = torch.full_like(last, last.shape[1] ** -0.5)
    total = torch.autograd.grad((u * last).sum(), [state.c for state in trail])
    # seen from the end: 1, f_T, f_T f_{T-1}, ...
    factors = [torch.ones_like(u), *(state.f.detach() for state in reversed(trail[1:]))]
    direct = u[:, None] * torch.stack(factors, dim=1).cumprod(1).flip(1)
    return Highway(norm(torch.stack(total, dim=1)), norm(direct))


def half_life(f: Tensor) -> Tensor:
    """Steps until a cell that nothing is written to has lost half of itself: (..., hidden) -> (hidden,).

    f holds forget gates (or update gates of a GRU), any number of them a unit: their geometric mean counts, since
    what is left is their product. 0.5 gives 1 step, 1 gives infinity, 0 gives 0.
    Raises ValueError for a gate outside 0 to 1.
    """
    outside = f[(f < 0) | (f > 1)]
    if len(outside):
        raise ValueError(f"f = {outside[0]:.3g} is not from 0 to 1")
    return math.log(2) / f.reshape(-1, f.shape[-1]).log().mean(0).abs()


def linear_slope(model: LSTM | GRU) -> float:
    """Decades that a gradient loses (below 0) or gains a step while states and inputs are near zero.

    Gates are at their biases; biases of the candidate are left out. Good to about 0.01 for a GRU, and for an LSTM whose
    forget bias is 2 or less; from 3 on the cell leaves the neighbourhood of zero, and this is 0.02 to 0.04 too high.
    """
    with torch.no_grad():
        J = JACOBIANS[type(model)](model)
        return float(torch.linalg.eigvals(J).abs().max().log10())


def _lstm_jacobian(model: LSTM) -> Tensor:
    i, f, _, o = torch.sigmoid(model.b_x + model.b_h).chunk(4)
    W_hg = model.W_h.chunk(4)[2]
    return torch.diag(f) + i[:, None] * W_hg * o


def _gru_jacobian(model: GRU) -> Tensor:
    r, z, _ = torch.sigmoid(model.b_x + model.b_h).chunk(3)
    W_hn = model.W_h.chunk(3)[2]
    through = {"torch": r[:, None] * W_hn, "paper": W_hn * r}[model.convention]
    return torch.diag(z) + (1 - z)[:, None] * through


JACOBIANS: dict[type, Callable[..., Tensor]] = {LSTM: _lstm_jacobian, GRU: _gru_jacobian}


def lstm_step(inside: Mapping[str, Sequence[float]], time: int) -> dict[str, float]:
    """What one unit of an LSTM does at one time step, counted from 0.

    inside  f, i, g, o, c and h of the unit, each (time,)
    Returns them at that step; c_before and h_before; kept = f c_before, written = i g.
    """
    now = {name: float(values[time]) for name, values in inside.items()}
    before = {name: float(inside[name][time - 1]) if time else 0.0 for name in "ch"}
    return {
        **now,
        "c_before": before["c"],
        "h_before": before["h"],
        "kept": now["f"] * before["c"],
        "written": now["i"] * now["g"],
    }
