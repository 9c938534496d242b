"""The recurrences with hand-written backward passes: the whole sequence in one node of the graph.

What makes them fast (one thread, small matrices):

- the input product for all times is one matrix product before the loop, the weight gradients one after it;
- the loop works in place, on views that were cut beforehand, so that a step allocates nothing;
- everything elementwise that need not wait for the loop is done for all times at once;
- the loop runs in inference mode: autograd, whose work is done here by hand, keeps no books about it.

Time comes first inside, so that a step is one block of memory; batch comes first outside. A buffer of
states has time + 1 rooms: room t belongs to h_t, room 0 to the state before the first step.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# name -> (φ(a), φ'(a) written in terms of h = φ(a))
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "tanh": (torch.tanh, lambda h: 1 - h * h),
    "relu": (torch.relu, lambda h: (h > 0).to(h)),
    "sigmoid": (torch.sigmoid, lambda h: h * (1 - h)),
    "identity": (lambda a: a, torch.ones_like),
}
_IN_PLACE = {"tanh": torch.tanh_, "relu": torch.relu_, "sigmoid": torch.sigmoid_, "identity": lambda a: a}


class RNN(torch.autograd.Function):
    """h_t = φ(W_x x_t + b_x + W_h h_{t-1} + b_h) for all t; see `seqcore.models.rnn`.

    x (batch, time, inputs), h (batch, hidden) -> (batch, time, hidden). `nudge` must be zeros and is
    not added; its gradient is dL/dh_t, which the backward pass has anyway.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h: Tensor,
        W_x: Tensor,
        W_h: Tensor,
        b_x: Tensor,
        b_h: Tensor,
        nudge: Tensor | None,
        activation: str,
    ) -> Tensor:
        (B, T, _), H = x.shape, h.shape[1]
        x = x.transpose(0, 1).flatten(0, 1)
        states = h.new_empty(T + 1, B, H)
        states[0] = h
        torch.addmm(b_x + b_h, x, W_x.T, out=states[1:].view(T * B, H))
        with torch.inference_mode():
            rooms, φ_, W_hT = states.unbind(0), _IN_PLACE[activation], W_h.T.contiguous()
            for h_before, a_t in pairwise(rooms):
                φ_(a_t.addmm_(h_before, W_hT))
        ctx.save_for_backward(x, states, W_x, W_h)
        ctx.activation = activation
        return states[1:].transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, states, W_x, W_h = ctx.saved_tensors
        B, T, H = dy.shape
        slope = ACTIVATIONS[ctx.activation][1](states)
        # room t holds dL/dh_t until its step is done, and dL/da_t after it; room 0 ends as dL/dh_0
        rooms = _rooms(dy)
        with torch.inference_mode():
            d, slope_ = rooms.unbind(0), slope.unbind(0)
            for t in range(T, 0, -1):
                d[t - 1].addmm_(d[t].mul_(slope_[t]), W_h)
        da = rooms[1:].view(T * B, H)
        db = da.sum(0)
        dx = (da @ W_x).view(T, B, -1).transpose(0, 1) if ctx.needs_input_grad[0] else None
        dnudge = None
        if ctx.needs_input_grad[6]:
            dnudge = dy.clone()
            dnudge[:, :-1] += (rooms[2:] @ W_h).transpose(0, 1)
        return dx, rooms[0], _outer(da, x), da.T @ states[:-1].view(T * B, H), db, db, dnudge, None


class GRU(torch.autograd.Function):
    """h_t = (1 - z_t) n_t + z_t h_{t-1} for all t, reset after the product; see `seqcore.models.gru`.

    x (batch, time, inputs), h (batch, hidden) -> (batch, time, hidden); weights stacked r, z, n.
    `nudge` is what it is in `RNN`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h: Tensor,
        W_x: Tensor,
        W_h: Tensor,
        b_x: Tensor,
        b_h: Tensor,
        nudge: Tensor | None,
    ) -> Tensor:
        (B, T, _), H = x.shape, h.shape[1]
        x = x.transpose(0, 1).flatten(0, 1)
        states = h.new_empty(T + 1, B, H)
        states[0] = h
        # r | z | m, where m_t = W_hn h_{t-1} + b_hn is what r_t scales: no input reaches m
        W = torch.cat([W_x[: 2 * H], torch.zeros_like(W_x[2 * H :])])
        b = torch.cat([b_x[: 2 * H] + b_h[: 2 * H], b_h[2 * H :]])
        gates = torch.addmm(b, x, W.T).view(T, B, 3 * H)
        n = torch.addmm(b_x[2 * H :], x, W_x[2 * H :].T).view(T, B, H)
        with torch.inference_mode():
            rooms, W_hT = states.unbind(0), W_h.T.contiguous()
            cuts = (gates, gates[:, :, : 2 * H], *gates.chunk(3, dim=2), n)
            for h_before, h_t, all_t, rz_t, r_t, z_t, m_t, n_t in zip(rooms, rooms[1:], *(c.unbind(0) for c in cuts)):
                all_t.addmm_(h_before, W_hT)
                rz_t.sigmoid_()
                n_t.addcmul_(r_t, m_t).tanh_()
                torch.lerp(n_t, h_before, z_t, out=h_t)
        ctx.save_for_backward(x, states, gates, n, W_x, W_h)
        return states[1:].transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, states, gates, n, W_x, W_h = ctx.saved_tensors
        B, T, H = dy.shape
        r, z, m = gates.chunk(3, dim=2)
        # dh_t times these is the gradient before the tanh of n, before the σ of r and z, and at m
        slope_n = (1 - z).mul_(1 - n * n)
        slopes = torch.empty_like(gates)
        slope_r, slope_z, slope_m = slopes.chunk(3, dim=2)
        torch.mul(slope_n, r, out=slope_m)
        torch.mul(slope_m, m, out=slope_r).mul_(1 - r)
        torch.sub(states[:-1], n, out=slope_z).mul_(z).mul_(1 - z)
        # room t collects all of dL/dh_t: from the loss at t, through z and through the three products
        rooms = _rooms(dy)
        with torch.inference_mode():
            dh, dh_wide, z_ = rooms.unbind(0), rooms.unsqueeze(2).unbind(0), z.unbind(0)
            d, d_wide = slopes.unbind(0), slopes.view(T, B, 3, H).unbind(0)
            for t in range(T, 0, -1):
                d_wide[t - 1].mul_(dh_wide[t])
                dh[t - 1].addcmul_(dh[t], z_[t - 1]).addmm_(d[t - 1], W_h)
        dm, dn = slopes.view(T * B, 3 * H), slope_n.mul_(rooms[1:]).view(T * B, H)
        drz = dm[:, : 2 * H]
        db_h = dm.sum(0)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = (drz @ W_x[: 2 * H]).addmm_(dn, W_x[2 * H :]).view(T, B, -1).transpose(0, 1)
        dW_x = torch.cat([_outer(drz, x), _outer(dn, x)])
        dW_h = dm.T @ states[:-1].view(T * B, H)
        dnudge = rooms[1:].transpose(0, 1) if ctx.needs_input_grad[6] else None
        return dx, rooms[0], dW_x, dW_h, torch.cat([db_h[: 2 * H], dn.sum(0)]), db_h, dnudge


def _rooms(dy: Tensor) -> Tensor:
    """(time + 1, batch, hidden): dL/dh_t as far as the loss at t alone knows it; none for the state before."""
    B, T, H = dy.shape
    rooms = dy.new_empty(T + 1, B, H)
    rooms[0] = 0
    rooms[1:] = dy.transpose(0, 1)
    return rooms


def _outer(d: Tensor, x: Tensor) -> Tensor:
    """dᵀ x, summed over batch and time. Taken as (xᵀ d)ᵀ: with few inputs that is four times faster."""
    return (x.T @ d).T
