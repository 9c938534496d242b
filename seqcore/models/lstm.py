"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

    i_t = σ(W_xi x_t + b_xi + W_hi h_{t-1} + b_hi)      input gate    (batch, hidden)
    f_t = σ(W_xf x_t + b_xf + W_hf h_{t-1} + b_hf)      forget gate   (batch, hidden)
    g_t = tanh(W_xg x_t + b_xg + W_hg h_{t-1} + b_hg)   candidate     (batch, hidden)
    o_t = σ(W_xo x_t + b_xo + W_ho h_{t-1} + b_ho)      output gate   (batch, hidden)
    c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t                     cell          (batch, hidden)
    h_t = o_t ⊙ tanh(c_t)                               hidden state  (batch, hidden)

W_x (4 hidden, inputs), W_h (4 hidden, hidden), b_x and b_h (4 hidden), stacked i, f, g, o, as in torch.
No peepholes. The paper of 1997 has no forget gate: f = 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqcore.models.rnn import share, uniform, until


class State(NamedTuple):
    """One time step, each (batch, hidden): state h, cell c, and the gates i, f, o and candidate g that made them."""

    h: Tensor
    c: Tensor
    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor


class LSTM(nn.Module):
    """inputs features in, `hidden` units. x: (batch, time, inputs) -> y: (batch, time, hidden).

    forget_bias  added to the forget gate's part of b_x after it is drawn: above 0 the cell remembers at first
                 (Gers et al. 2000; Jozefowicz et al. 2015 recommend 1)
    generator    where the initial weights come from: U(-1/√hidden, 1/√hidden), as torch.nn.LSTM
    """

    def __init__(self, inputs: int, hidden: int, forget_bias: float = 0.0, generator: torch.Generator | None = None):
        super().__init__()
        self.W_x = uniform((4 * hidden, inputs), hidden, generator)
        self.W_h = uniform((4 * hidden, hidden), hidden, generator)
        self.b_x = uniform((4 * hidden,), hidden, generator)
        self.b_h = uniform((4 * hidden,), hidden, generator)
        with torch.no_grad():
            self.b_x[hidden : 2 * hidden] += forget_bias

    def forward(
        self, x: Tensor, h: Tensor | None = None, c: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """All hidden states at once, by torch's own kernel: here it is oneDNN's, and close to what the machine can do.

        h, c     (batch, hidden) the state before the first step; zeros if not given
        lengths  (batch,) of whole numbers: outputs after a row's length are zero, as are their gradients
        """
        state = [each.unsqueeze(0) for each in self._start(x, h, c)]
        weights: list[Tensor] = [self.W_x, self.W_h, self.b_x, self.b_h]
        y, _, _ = torch.lstm(x, state, weights, True, 1, 0.0, self.training, False, True)
        return y if lengths is None else y * until(lengths, y)

    def trace(
        self,
        x: Tensor,
        h: Tensor | None = None,
        c: Tensor | None = None,
        lengths: Tensor | None = None,
        nudge: Tensor | None = None,
    ) -> tuple[Tensor, list[State]]:
        """The same, one equation at a time. The trail has one `State` a time step.

        nudge  zeros (batch, time, hidden), added to every h_t: its gradient is dL/dh_t
        """
        h, c = self._start(x, h, c)
        W_xi, W_xf, W_xg, W_xo = self.W_x.chunk(4)
        W_hi, W_hf, W_hg, W_ho = self.W_h.chunk(4)
        b_i, b_f, b_g, b_o = (self.b_x + self.b_h).chunk(4)
        trail = []
        for t in range(x.shape[1]):
            i = torch.sigmoid(x[:, t] @ W_xi.T + h @ W_hi.T + b_i)
            f = torch.sigmoid(x[:, t] @ W_xf.T + h @ W_hf.T + b_f)
            g = torch.tanh(x[:, t] @ W_xg.T + h @ W_hg.T + b_g)
            o = torch.sigmoid(x[:, t] @ W_xo.T + h @ W_ho.T + b_o)
            c = f * c + i * g
            h = o * torch.tanh(c)
            h = h if nudge is None else h + nudge[:, t]
            trail.append(State(h, c, i, f, g, o))
        y = torch.stack([state.h for state in trail], dim=1)
        return (y if lengths is None else y * until(lengths, y)), trail

    @torch.no_grad()
    def gates(self, x: Tensor, h: Tensor | None = None, c: Tensor | None = None) -> State:
        """What `trace` shows, for looking only: each (batch, time, hidden), without gradients, several times faster.

        Once the fast kernel has told every h_{t-1}, all gates are one matrix product; only c_t needs a loop.
        """
        h, c = self._start(x, h, c)
        y = self(x, h, c)
        before = torch.cat([h.unsqueeze(1), y[:, :-1]], dim=1)
        a_i, a_f, a_g, a_o = (x @ self.W_x.T + before @ self.W_h.T + (self.b_x + self.b_h)).chunk(4, dim=-1)
        i, f, g, o = a_i.sigmoid(), a_f.sigmoid(), a_g.tanh(), a_o.sigmoid()
        cells = []
        for f_t, written in zip(f.unbind(1), (i * g).unbind(1)):
            c = torch.addcmul(written, f_t, c)
            cells.append(c)
        return State(y, torch.stack(cells, dim=1), i, f, g, o)

    def twin(self) -> nn.LSTM:
        """torch.nn.LSTM with these weights."""
        hidden, inputs = self.W_h.shape[1], self.W_x.shape[1]
        twin = nn.LSTM(inputs, hidden, batch_first=True).to(self.W_h)
        return share(twin, weight_ih_l0=self.W_x, weight_hh_l0=self.W_h, bias_ih_l0=self.b_x, bias_hh_l0=self.b_h)

    def _start(self, x: Tensor, h: Tensor | None, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """The state before the first step: what is given, zeros for what is not."""
        zeros = x.new_zeros(len(x), self.W_h.shape[1])
        return (zeros if h is None else h), (zeros if c is None else c)
