"""Gradients through time of a recurrent network, and what they are made of.

    g_t     = dL/dh_t                                    (batch, hidden)
    v_t     = φ'(a_t) ⊙ g_t                              saturation: what the activation lets through
    g_{t-1} = v_t W_h                                    gain: what the weights make of it
    J_t     = diag(φ'(a_t)) W_h                          (batch, hidden, hidden), dh_t/dh_{t-1}

So log ‖g_0‖ is a sum over the steps of log(‖v_t‖/‖g_t‖) and log(‖g_{t-1}‖/‖v_t‖), exactly.
After Bengio, Simard & Frasconi 1994 and Pascanu, Mikolov & Bengio 2013.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from seqcore.kernels import ACTIVATIONS
from seqcore.models.rnn import RNN


class Descent(NamedTuple):
    """The gradient on its way back; index 0 of `norms` is the last state, index k the state k steps before it.

    norms       (batch, time + 1) ‖dL/dh_t‖ by lag
    saturation  (batch, time) ‖v_t‖/‖g_t‖ by lag
    gain        (batch, time) ‖g_{t-1}‖/‖v_t‖ by lag
    slopes      (batch, time, hidden) φ'(a_t) by time
    """

    norms: Tensor
    saturation: Tensor
    gain: Tensor
    slopes: Tensor


def descend(model: RNN, x: Tensor, loss: Callable[[Tensor], Tensor]) -> Descent:
    """Every dL/dh_t from one backward pass, split into saturation and gain.

    x: (batch, time, inputs); loss: maps the states (batch, time, hidden) to a scalar that sums over the batch.
    """
    B, T, H = len(x), x.shape[1], len(model.b_h)
    h = x.new_zeros(B, H, requires_grad=True)
    nudge = x.new_zeros(B, T, H, requires_grad=True)
    y = model(x, h, nudge=nudge)
    g_0, g = torch.autograd.grad(loss(y), (h, nudge))
    with torch.no_grad():
        g = torch.cat([g_0[:, None], g], dim=1)  # (batch, time + 1, hidden), by time
        slopes = ACTIVATIONS[model.activation][1](y)
        back, through = norm(g), norm(slopes * g[:, 1:])
        return Descent(back.flip(1), (through / back[:, 1:]).flip(1), (back[:, :-1] / through).flip(1), slopes)


def descend_each(W_h: Tensor, x: Tensor, u: Tensor, activation: str) -> Descent:
    """The descent of u·h_T in many networks at once, by the three equations above and without autograd.

    W_h  (net, hidden, hidden)
    x    (net, batch, time, hidden) what is added to a_t; the state before the first step is zero
    u    (net, batch, hidden) dL/dh_T

    Every field has the axis "net" in front. Two products a step for all networks together: three times as fast as one
    backward pass for each.
    """
    φ, slope = ACTIVATIONS[activation]
    W_hT, drive = W_h.mT.contiguous(), x.permute(2, 0, 1, 3).contiguous()  # time first: a step is one block of memory
    with torch.no_grad():
        states, h = torch.empty_like(drive), torch.zeros_like(drive[0])
        for x_t, h_t in zip(drive.unbind(0), states.unbind(0)):
            h = h_t.copy_(φ(torch.baddbmm(x_t, h, W_hT, out=h_t)))
        slopes = slope(states)
        g = u.new_empty(len(drive) + 1, *u.shape)
        g[-1] = u
        steps = zip(reversed(slopes.unbind(0)), reversed(g[1:].unbind(0)), reversed(g[:-1].unbind(0)))
        for slope_t, g_t, g_before in steps:
            torch.bmm(slope_t * g_t, W_h, out=g_before)
        back, through = (norm(each).permute(1, 2, 0) for each in (g, slopes * g[1:]))
        by_time = slopes.permute(1, 2, 0, 3)
        return Descent(back.flip(2), (through / back[..., 1:]).flip(2), (back[..., :-1] / through).flip(2), by_time)


def last_state(generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """The loss Σ u·h_T with a random unit vector u a row: then ‖dL/dh_T‖ = 1, whatever the network."""

    def loss(y: Tensor) -> Tensor:
        u = torch.randn(y[:, -1].shape, generator=generator, dtype=torch.float64).to(y)
        return (u / norm(u)[:, None] * y[:, -1]).sum()

    return loss


def norm(g: Tensor) -> Tensor:
    """Euclidean norm over the last axis, also of numbers whose squares are too small or too large for their type."""
    size, limits = torch.linalg.vector_norm(g, dim=-1), torch.finfo(g.dtype)
    doubtful = ~((size > limits.tiny**0.45) & (size < limits.max**0.45))
    if not doubtful.any():
        return size
    largest = g.abs().amax(-1, keepdim=True)
    scaled = g / torch.where(largest > 0, largest, 1)
    return torch.where(doubtful, torch.linalg.vector_norm(scaled, dim=-1) * largest.squeeze(-1), size)


def slope(norms: Tensor) -> tuple[float, float]:
    """Decades a step of the mean log curve of norms (batch, lags), and R² of that straight line.

    Fitted between 20 % and 90 % of the way back, where neither end shows; NaN where fewer than two norms are positive.
    """
    curve = norms.log10().mean(0)
    lags = torch.arange(len(curve), dtype=curve.dtype)
    first, last = int(0.2 * (len(curve) - 1)), max(int(0.9 * (len(curve) - 1)), 1)
    window = slice(first, last + 1)
    curve, lags = curve[window], lags[window]
    finite = curve.isfinite()
    if finite.sum() < 2:
        return float("nan"), float("nan")
    curve, lags = curve[finite], lags[finite]
    dx, dy = lags - lags.mean(), curve - curve.mean()
    rate = (dx * dy).sum() / dx.square().sum()
    spread = dy.square().sum()
    unexplained = (dy - rate * dx).square().sum()
    return float(rate), float(1 - unexplained / spread) if spread > 0 else 1.0


class Theory(NamedTuple):
    """Decades a step that the gradient should lose or gain, by four rules.

    bound        log10(σ_max · mean φ'): the textbook line, up to a factor of two a step too high for a random W;
                 strictly a bound only with the largest φ' in place of the mean
    radius       log10(ρ · mean φ'): spectral radius instead of largest singular value
    mean_square  ½ log10(‖W‖²_F / H · mean φ'²): exact on average for orthogonal W
    lyapunov     the largest Lyapunov exponent: the growth of one direction carried forward; right for every W
    """

    bound: float
    radius: float
    mean_square: float
    lyapunov: float


def theory(W_h: Tensor, slopes: Tensor, generator: torch.Generator) -> Theory:
    """The four rules for weights (hidden, hidden) and φ'(a_t) (batch, time, hidden), the first quarter left out."""
    W_h = W_h.detach()
    settled = slopes[:, slopes.shape[1] // 4 :]
    mean, square = settled.mean(), settled.square().mean()
    sigma = torch.linalg.matrix_norm(W_h, 2)
    radius = torch.linalg.eigvals(W_h).abs().max()
    frobenius = W_h.square().sum() / len(W_h)
    return Theory(
        bound=float((sigma * mean).log10()),
        radius=float((radius * mean).log10()),
        mean_square=float((frobenius * square).log10() / 2),
        lyapunov=lyapunov(W_h, slopes, generator),
    )


def lyapunov(W_h: Tensor, slopes: Tensor, generator: torch.Generator) -> float:
    """Largest Lyapunov exponent in decades a step: mean log10 growth of a vector under J_t, after the first quarter.

    -inf where the vector dies, as in a ReLU network without a living unit.
    """
    B, T, H = slopes.shape
    v = torch.randn(B, H, generator=generator, dtype=torch.float64).to(slopes)
    v = v / norm(v)[:, None]
    growth = []
    for slope_t in slopes.unbind(1):
        v = (v @ W_h.T).mul_(slope_t)
        length = torch.linalg.vector_norm(v, dim=1, keepdim=True)
        v = v / length.clamp_min(1e-300)
        growth.append(length)
    return float(torch.stack(growth[T // 4 :]).log10().mean())


def jacobians(model: RNN, y: Tensor) -> Tensor:
    """J_t = diag(φ'(a_t)) W_h for every step: states (batch, time, hidden) -> (batch, time, hidden, hidden)."""
    return ACTIVATIONS[model.activation][1](y)[..., None] * model.W_h


def stretches(J: Tensor, lags: list[int]) -> Tensor:
    """Singular values of dh_T/dh_{T-lag}, largest first: J (time, hidden, hidden) -> (lags, hidden).

    The product is rescaled at every step, so that only the values more than 15 decades below the largest are noise.
    """
    T, H, _ = J.shape
    wanted, products, scales = set(lags), {}, {}
    product, scale = torch.eye(H, dtype=J.dtype), 0.0
    for lag in range(T + 1):
        if lag in wanted:
            products[lag], scales[lag] = product, scale
        if lag < T:
            product = product @ J[T - 1 - lag]
            size = product.abs().max()
            if size > 0:
                product, scale = product / size, scale + float(size.log10())
    values = torch.linalg.svdvals(torch.stack([products[lag] for lag in lags]))
    return values * 10.0 ** torch.tensor([[scales[lag]] for lag in lags], dtype=J.dtype)


def horizon(norms: Tensor, share: float = 0.01) -> int | None:
    """The first lag at which the mean log curve of norms (batch, lags) is below a share of its start; None if never."""
    curve = norms.log10().mean(0)
    below = torch.nonzero(~(curve >= curve[0] + torch.log10(torch.tensor(share, dtype=curve.dtype))))
    return int(below[0]) if len(below) else None
