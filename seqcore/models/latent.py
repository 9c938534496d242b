"""Latent autoregressive model: the past is summed up in a state, and the state says what comes next.

    h_t = g(h_{t-1}, e(x_t))        (batch, hidden)       g: any recurrent cell
    y_t = W_y h_t + b_y             (batch, outputs)      for symbols, the logits of P(x_{t+1} | h_t)

However long the past, the state keeps its size. With float features e(x) = x and the head answers a
task (`Readout`); with symbols e(x) is a row of an embedding table, or a one-hot row, and the head
gives the next symbol (`Latent`): the language model of Mikolov et al. (2010), for any cell.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore.models.autoregressive import affine, draw, embedding_table


class Readout(nn.Module):
    """A cell and a linear head. x: (batch, time, features) -> y: (batch, answers, outputs).

    cell       any recurrent module with `forward` and `trace`, as `seqcore.models.rnn.RNN`
    outputs    numbers in an answer
    generator  where the head's initial weights come from: the default of torch.nn.Linear
    """

    def __init__(self, cell: nn.Module, outputs: int, generator: torch.Generator | None = None):
        super().__init__()
        if outputs < 1:
            raise ValueError(f"outputs = {outputs} is less than 1")
        # Any: the cells differ in what they can be asked, and nn.Module promises nothing
        self.cell: Any = cell
        # every cell's recurrent weights are (gates · hidden, hidden)
        self.W_y, self.b_y = affine(cell.get_parameter("W_h").shape[1], outputs, generator)

    def forward(
        self, x: Tensor, at: slice = slice(None), nudge: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """The answers at the time steps `at`; `nudge` and `lengths` are the cell's."""
        return self.respond(self.features(x), at, nudge, lengths)

    def respond(
        self, e: Tensor, at: slice = slice(None), nudge: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """The answers to features (batch, time, features), with respect to which symbols can be differentiated too."""
        # not every cell's kernel can be nudged, but every cell's equations can
        h = self.cell(e, lengths=lengths) if nudge is None else self.cell.trace(e, nudge=nudge, lengths=lengths)[0]
        return F.linear(h[:, at], self.W_y, self.b_y)

    def trace(
        self, x: Tensor, at: slice = slice(None), nudge: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, list[Any]]:
        """The same, one equation at a time, with the cell's trail: one of its states a time step."""
        h, trail = self.cell.trace(self.features(x), nudge=nudge, lengths=lengths)
        return h[:, at] @ self.W_y.T + self.b_y, trail

    def features(self, x: Tensor) -> Tensor:
        """e(x), what the cell reads: (batch, time, features)."""
        return x


class Latent(Readout):
    """P(x_{t+1} | h_t) over symbols. x: (batch, time) -> logits y: (batch, time, vocabulary).

    cell        any recurrent module whose inputs are `embedding`, or `vocabulary` where embedding = 0
    vocabulary  how many symbols there are
    embedding   the length of a symbol's vector, drawn from N(0, 1); 0 for one-hot rows, which are not trained
    generator   where the initial weights come from, the embedding first

    Raises ValueError for vocabulary < 1, embedding < 0, or a cell that reads another number of features.
    """

    def __init__(self, cell: nn.Module, vocabulary: int, embedding: int, generator: torch.Generator | None = None):
        if vocabulary < 1:
            raise ValueError(f"vocabulary = {vocabulary} is less than 1")
        if embedding < 0:
            raise ValueError(f"embedding = {embedding} is less than 0")
        reads, width = cell.get_parameter("W_x").shape[1], embedding or vocabulary
        if reads != width:
            raise ValueError(f"the cell reads {reads} features, but a symbol has {width}")
        E = embedding_table(vocabulary, embedding, generator) if embedding else None
        super().__init__(cell, vocabulary, generator)
        self.vocabulary, self.E = vocabulary, E

    def features(self, x: Tensor) -> Tensor:
        """(batch, time) symbols -> (batch, time, embedding), or one-hot (batch, time, vocabulary)."""
        return F.one_hot(x, self.vocabulary).to(self.W_y) if self.E is None else F.embedding(x, self.E)

    @torch.no_grad()
    def sample(self, x: Tensor, steps: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Free running: `steps` symbols after x, each drawn and fed back. x (batch, time >= 1) -> (batch, steps).

        One step of the cell a symbol, however long the text: the state is all that is carried along.
        Teacher forcing is `model(x)`, which reads the true symbols.
        Raises ValueError for steps < 1, no symbol to begin with, or a negative temperature.
        """
        if steps < 1:
            raise ValueError(f"steps = {steps} is less than 1")
        if not x.shape[1]:
            raise ValueError("time = 0 is less than 1: the first symbol has to be given")
        drawn: list[Tensor] = []
        state: dict[str, Tensor] = {}
        for _ in range(steps):
            h, trail = self.cell.trace(self.features(x), **state)
            x = draw(F.linear(h[:, -1:], self.W_y, self.b_y), generator, temperature)
            drawn.append(x)
            state = carried(trail[-1])
        return torch.cat(drawn, dim=1)


def carried(state: Any) -> dict[str, Tensor]:
    """What a cell takes from one step to the next, by the name its `trace` gives it: h, and c where there is one."""
    return {name: getattr(state, name) for name in ("h", "c") if name in state._fields}
