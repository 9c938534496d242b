"""Recurrent network (Elman 1990): one hidden state, rewritten at every step by the same weights.

    a_t = W_x x_t + b_x + W_h h_{t-1} + b_h      (batch, hidden)
    h_t = φ(a_t)                                 (batch, hidden)

W_x (hidden, inputs), W_h (hidden, hidden), b_x and b_h (hidden). Two biases, as in torch, so that
every weight has its twin. φ is tanh, relu, sigmoid or identity.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from seqcore import kernels

Twin = TypeVar("Twin", bound=nn.Module)


class State(NamedTuple):
    """One time step: a (batch, hidden) before the activation, h (batch, hidden) after it."""

    a: Tensor
    h: Tensor


class RNN(nn.Module):
    """inputs features in, `hidden` units. x: (batch, time, inputs) -> y: (batch, time, hidden).

    activation  "tanh", "relu", "sigmoid" or "identity"; the last two have no torch twin
    generator   where the initial weights come from: U(-1/√hidden, 1/√hidden), as torch.nn.RNN
    """

    def __init__(self, inputs: int, hidden: int, activation: str = "tanh", generator: torch.Generator | None = None):
        super().__init__()
        if activation not in kernels.ACTIVATIONS:
            raise ValueError(f"activation = {activation!r} is not one of {', '.join(kernels.ACTIVATIONS)}")
        self.activation = activation
        self.W_x = uniform((hidden, inputs), hidden, generator)
        self.W_h = uniform((hidden, hidden), hidden, generator)
        self.b_x = uniform((hidden,), hidden, generator)
        self.b_h = uniform((hidden,), hidden, generator)

    def forward(
        self, x: Tensor, h: Tensor | None = None, lengths: Tensor | None = None, nudge: Tensor | None = None
    ) -> Tensor:
        """All hidden states at once, by the fast kernel.

        h        (batch, hidden) the state before the first step; zeros if not given
        lengths  (batch,) of whole numbers: outputs after a row's length are zero, as are their gradients
        nudge    zeros (batch, time, hidden), added to every h_t: its gradient is dL/dh_t, for no second pass
        """
        h = x.new_zeros(len(x), len(self.b_h)) if h is None else h
        y = kernels.RNN.apply(x, h, self.W_x, self.W_h, self.b_x, self.b_h, nudge, self.activation)
        return y if lengths is None else y * until(lengths, y)

    def trace(
        self, x: Tensor, h: Tensor | None = None, lengths: Tensor | None = None, nudge: Tensor | None = None
    ) -> tuple[Tensor, list[State]]:
        """The same, one equation at a time. The trail has one `State` a time step."""
        φ, _ = kernels.ACTIVATIONS[self.activation]
        h = x.new_zeros(len(x), len(self.b_h)) if h is None else h
        trail = []
        for t in range(x.shape[1]):
            a = x[:, t] @ self.W_x.T + self.b_x + h @ self.W_h.T + self.b_h
            h = φ(a) if nudge is None else φ(a) + nudge[:, t]
            trail.append(State(a, h))
        y = torch.stack([state.h for state in trail], dim=1)
        return (y if lengths is None else y * until(lengths, y)), trail

    def twin(self) -> nn.RNN:
        """torch.nn.RNN with these weights. Raises ValueError for an activation torch does not have."""
        if self.activation not in ("tanh", "relu"):
            raise ValueError(f"torch.nn.RNN has no activation {self.activation!r}, only tanh and relu")
        hidden, inputs = self.W_x.shape
        twin = nn.RNN(inputs, hidden, nonlinearity=self.activation, batch_first=True).to(self.W_h)
        return share(twin, weight_ih_l0=self.W_x, weight_hh_l0=self.W_h, bias_ih_l0=self.b_x, bias_hh_l0=self.b_h)


def uniform(shape: tuple[int, ...], hidden: int, generator: torch.Generator | None) -> nn.Parameter:
    """A parameter drawn from U(-1/√hidden, 1/√hidden), torch's default for recurrent cells."""
    bound = hidden**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))


def until(lengths: Tensor, y: Tensor) -> Tensor:
    """(batch, time, 1) in y's type: 1 up to a row's length, 0 after it. y: (batch, time, ...)."""
    return (torch.arange(y.shape[1]) < lengths[:, None]).unsqueeze(-1).to(y)


def share(twin: Twin, **weights: Tensor) -> Twin:
    """Copy weights into a twin's parameters by name."""
    with torch.no_grad():
        for name, weight in weights.items():
            twin.get_parameter(name).copy_(weight)
    return twin
