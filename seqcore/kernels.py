"""The recurrences with hand-written backward passes: the whole sequence in one node of the graph.

What makes them fast (one thread, small matrices): the input product for all times is one matrix
product before the loop; the loop works in place on views that were cut beforehand; all elementwise
factors of the backward pass are computed for all times at once; weight gradients are one matrix
product after the loop. Time comes first inside, batch comes first outside.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# name -> (φ(a), φ'(a) written in terms of h = φ(a))
ACTIVATIONS = {
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
    def forward(ctx, x, h, W_x, W_h, b_x, b_h, nudge, activation) -> Tensor:
        B, T, inputs = x.shape
        H = h.shape[1]
        x = x.transpose(0, 1).reshape(T * B, inputs)
        states = x.new_empty(T + 1, B, H)
        states[0] = h
        torch.addmm(b_x + b_h, x, W_x.T, out=states[1:].view(T * B, H))
        step, φ_, W_hT = states.unbind(0), _IN_PLACE[activation], W_h.T
        for t in range(T):
            φ_(step[t + 1].addmm_(step[t], W_hT))
        ctx.save_for_backward(x, states, W_x, W_h)
        ctx.activation = activation
        return states[1:].transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, states, W_x, W_h = ctx.saved_tensors
        T, B, H = dy.shape[1], dy.shape[0], dy.shape[2]
        dy = dy.transpose(0, 1)
        slope = ACTIVATIONS[ctx.activation][1](states[1:])
        # dL/da_t from the loss at t alone; the loop adds what comes from later times
        da = torch.mul(dy, slope, out=torch.empty_like(slope))
        da_t, slope_t = da.unbind(0), slope.unbind(0)
        for t in range(T - 2, -1, -1):
            da_t[t].addcmul_(da_t[t + 1] @ W_h, slope_t[t])
        flat = da.view(T * B, H)
        db = flat.sum(0)
        nudge = None
        if ctx.needs_input_grad[6]:
            nudge = dy.clone()
            nudge[:-1] += da[1:] @ W_h
            nudge = nudge.transpose(0, 1)
        dx = (flat @ W_x).view(T, B, -1).transpose(0, 1) if ctx.needs_input_grad[0] else None
        dh = da_t[0] @ W_h if ctx.needs_input_grad[1] else None
        return dx, dh, flat.T @ x, flat.T @ states[:-1].reshape(T * B, H), db, db, nudge, None
