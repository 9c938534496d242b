"""Gated recurrent unit (Cho et al. 2014): two gates decide what to keep of one hidden state.

    r_t = σ(W_xr x_t + b_xr + W_hr h_{t-1} + b_hr)             reset     (batch, hidden)
    z_t = σ(W_xz x_t + b_xz + W_hz h_{t-1} + b_hz)             update    (batch, hidden)
    n_t = tanh(W_xn x_t + b_xn + r_t ⊙ (W_hn h_{t-1} + b_hn))  new       (batch, hidden), convention "torch"
    n_t = tanh(W_xn x_t + b_xn + W_hn (r_t ⊙ h_{t-1}) + b_hn)  new       (batch, hidden), convention "paper"
    h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}                                (batch, hidden)

W_x (3 hidden, inputs), W_h (3 hidden, hidden), b_x and b_h (3 hidden), stacked r, z, n, as in torch.

Two things differ from text to text.

Where r acts. Before the product, as in "paper": Cho et al. 2014 (EMNLP, and arXiv 1406.1078 v3, eq. 5 to 8),
Chung et al. 2014 (arXiv 1412.3555, section 3.2), Bahdanau et al. 2015, d2l. After it, as in "torch": arXiv
1406.1078 v1, torch, cuDNN and Keras. After it, W_h h_{t-1} is one product for all gates, which is faster.

What z means. Here z = 1 keeps the old state, as in Cho et al. eq. 7, torch and d2l. In Chung et al. and
Bahdanau et al. z = 1 lets the new one in: h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ n_t. That is the same family of
functions, with the weights and biases of z negated, so it is no option here. The papers write fewer biases
than the two of every gate here, which are torch's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqcore import kernels
from seqcore.models.rnn import share, uniform, until

# name -> what the past gives to the candidate, from h_{t-1}, r_t, W_hn and b_hn
CONVENTIONS = {
    "torch": lambda h, r, W, b: r * (h @ W.T + b),
    "paper": lambda h, r, W, b: (r * h) @ W.T + b,
}


class State(NamedTuple):
    """One time step, each (batch, hidden): the state h, and the gates r and z and candidate n that made it."""

    h: Tensor
    r: Tensor
    z: Tensor
    n: Tensor


class GRU(nn.Module):
    """inputs features in, `hidden` units. x: (batch, time, inputs) -> y: (batch, time, hidden).

    update_bias  added to the update gate's part of b_x after it is drawn: above 0 the unit remembers at first
    convention   "torch" or "paper", see above; only the first has a fast kernel and a twin
    generator    where the initial weights come from: U(-1/√hidden, 1/√hidden), as torch.nn.GRU
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        update_bias: float = 0.0,
        convention: str = "torch",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if convention not in CONVENTIONS:
            raise ValueError(f"convention = {convention!r} is not one of {', '.join(CONVENTIONS)}")
        self.convention = convention
        self.W_x = uniform((3 * hidden, inputs), hidden, generator)
        self.W_h = uniform((3 * hidden, hidden), hidden, generator)
        self.b_x = uniform((3 * hidden,), hidden, generator)
        self.b_h = uniform((3 * hidden,), hidden, generator)
        with torch.no_grad():
            self.b_x[hidden : 2 * hidden] += update_bias

    def forward(
        self, x: Tensor, h: Tensor | None = None, lengths: Tensor | None = None, nudge: Tensor | None = None
    ) -> Tensor:
        """All hidden states at once: by the fast kernel, or in the convention "paper" by `trace`.

        h        (batch, hidden) the state before the first step; zeros if not given
        lengths  (batch,) of whole numbers: outputs after a row's length are zero, as are their gradients
        nudge    zeros (batch, time, hidden), added to every h_t: its gradient is dL/dh_t, for no second pass
        """
        if self.convention != "torch":
            return self.trace(x, h, lengths, nudge)[0]
        h = x.new_zeros(len(x), self.W_h.shape[1]) if h is None else h
        y = kernels.GRU.apply(x, h, self.W_x, self.W_h, self.b_x, self.b_h, nudge)
        return y if lengths is None else y * until(lengths, y)

    def trace(
        self, x: Tensor, h: Tensor | None = None, lengths: Tensor | None = None, nudge: Tensor | None = None
    ) -> tuple[Tensor, list[State]]:
        """The same, one equation at a time. The trail has one `State` a time step."""
        recall = CONVENTIONS[self.convention]
        h = x.new_zeros(len(x), self.W_h.shape[1]) if h is None else h
        W_xr, W_xz, W_xn = self.W_x.chunk(3)
        W_hr, W_hz, W_hn = self.W_h.chunk(3)
        b_xr, b_xz, b_xn = self.b_x.chunk(3)
        b_hr, b_hz, b_hn = self.b_h.chunk(3)
        trail = []
        for t in range(x.shape[1]):
            r = torch.sigmoid(x[:, t] @ W_xr.T + b_xr + h @ W_hr.T + b_hr)
            z = torch.sigmoid(x[:, t] @ W_xz.T + b_xz + h @ W_hz.T + b_hz)
            n = torch.tanh(x[:, t] @ W_xn.T + b_xn + recall(h, r, W_hn, b_hn))
            h = (1 - z) * n + z * h
            h = h if nudge is None else h + nudge[:, t]
            trail.append(State(h, r, z, n))
        y = torch.stack([state.h for state in trail], dim=1)
        return (y if lengths is None else y * until(lengths, y)), trail

    def twin(self) -> nn.GRU:
        """torch.nn.GRU with these weights. Raises ValueError for the convention torch does not have."""
        if self.convention != "torch":
            raise ValueError(f"torch.nn.GRU has no convention {self.convention!r}, only torch")
        hidden, inputs = self.W_h.shape[1], self.W_x.shape[1]
        twin = nn.GRU(inputs, hidden, batch_first=True).to(self.W_h)
        return share(twin, weight_ih_l0=self.W_x, weight_hh_l0=self.W_h, bias_ih_l0=self.b_x, bias_hh_l0=self.b_h)
