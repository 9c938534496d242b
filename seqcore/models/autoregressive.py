"""Autoregressive model of order τ: the next one is a function of the last τ, and of nothing before.

    w_t = [e(x_{t-τ+1}) .. e(x_t)]       (batch, τ E)       the window, oldest first
    h_t = max(0, W_w w_t + b_w)          (batch, hidden)    with hidden = 0 the model is linear: h_t = w_t
    y_t = W_y h_t + b_y                  (batch, outputs)   what it says of x_{t+1}

For numbers e(x) = x, E = 1, and y_t is the expected x_{t+1}: with hidden = 0 the AR(τ) of Yule
(1927), which least squares fits exactly. For symbols e(x) is a row of an embedding table, and y_t
are the V logits of the next symbol: the model of Bengio et al. (2003) without its direct connections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class State(NamedTuple):
    """One prediction: its window w (batch, τ E), hidden layer h (batch, hidden or τ E), outputs y (batch, outputs)."""

    w: Tensor
    h: Tensor
    y: Tensor


class Autoregressive(nn.Module):
    """x: (batch, time, 1) numbers -> y: (batch, time - order + 1, 1), or
    x: (batch, time) symbols -> y: (batch, time - order + 1, vocabulary): y[:, 0] follows the first full window.

    order       τ, how many of the last values or symbols a prediction sees
    hidden      units of the hidden layer; 0 for none
    vocabulary  how many symbols there are; 0 for numbers
    embedding   E, the length of a symbol's vector
    generator   where the initial weights come from: the defaults of torch.nn.Linear and torch.nn.Embedding

    Raises ValueError for order < 1, a negative size, embedding < 1, or fewer steps than a window is long.
    """

    def __init__(
        self,
        order: int,
        hidden: int = 0,
        vocabulary: int = 0,
        embedding: int = 8,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        limits = [
            ("order", order, 1),
            ("hidden", hidden, 0),
            ("vocabulary", vocabulary, 0),
            ("embedding", embedding, 1),
        ]
        for name, value, low in limits:
            if value < low:
                raise ValueError(f"{name} = {value} is less than {low}")
        self.order, self.hidden, self.vocabulary = order, hidden, vocabulary
        self.E = embedding_table(vocabulary, embedding, generator) if vocabulary else None
        width = order * (embedding if vocabulary else 1)
        if hidden:
            self.W_w, self.b_w = affine(width, hidden, generator)
        self.W_y, self.b_y = affine(hidden or width, vocabulary or 1, generator)

    def forward(self, x: Tensor) -> Tensor:
        """All predictions at once: each window is a row of one matrix product."""
        self._check(x)
        windows = self._features(x).unfold(1, self.order, 1)
        # unfold puts the window's axis last: (batch, predictions, E, order)
        w = windows.transpose(2, 3).flatten(2)
        h = F.relu(F.linear(w, self.W_w, self.b_w)) if self.hidden else w
        return F.linear(h, self.W_y, self.b_y)

    def trace(self, x: Tensor) -> tuple[Tensor, list[State]]:
        """The same, one window and one equation at a time. The trail has one `State` a prediction."""
        self._check(x)
        e = self._features(x)
        trail = []
        for t in range(self.order - 1, x.shape[1]):
            w = e[:, t - self.order + 1 : t + 1].flatten(1)
            h = (w @ self.W_w.T + self.b_w).clamp(min=0) if self.hidden else w
            trail.append(State(w, h, h @ self.W_y.T + self.b_y))
        return torch.stack([state.y for state in trail], dim=1), trail

    @torch.no_grad()
    def fit(self, x: Tensor) -> Autoregressive:
        """Set the weights of a linear model of numbers to their least-squares values on a series x: (time,).

        Solved in double precision; of several solutions (a series of one sine has many) the smallest.
        Raises ValueError for a model with a hidden layer or symbols, or a series no longer than the order.
        """
        if self.hidden or self.vocabulary:
            raise ValueError("least squares fits linear models of numbers; train this one by gradients")
        w, y = windows(x.double(), self.order)
        ones = w.new_ones(len(w), 1)
        # gelsd: the only driver that also solves what does not have full rank
        solution = torch.linalg.lstsq(torch.cat([w, ones], dim=1), y[:, None], driver="gelsd").solution
        self.W_y.copy_(solution[:-1].T)
        self.b_y.copy_(solution[-1])
        return self

    @torch.no_grad()
    def forecast(self, x: Tensor, steps: int) -> Tensor:
        """Free running: `steps` numbers after x, each predicted from a window that holds the earlier predictions.

        x (batch, time >= order, 1) -> (batch, steps, 1). Its last column is the forecast `steps` ahead.
        Teacher forcing is `model(x)`, which sees the true values. Raises ValueError for steps < 1 or symbols.
        """
        if self.vocabulary:
            raise ValueError("forecast is for numbers; symbols are drawn with sample")
        return self._run(x, steps, lambda y: y)

    @torch.no_grad()
    def sample(self, x: Tensor, steps: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Free running: `steps` symbols after x, each drawn and fed back. x (batch, time >= order) -> (batch, steps).

        Raises ValueError for steps < 1, a negative temperature, or numbers.
        """
        if not self.vocabulary:
            raise ValueError("sample is for symbols; numbers are predicted with forecast")
        return self._run(x, steps, lambda y: draw(y, generator, temperature))

    def _run(self, x: Tensor, steps: int, choose: Callable[[Tensor], Tensor]) -> Tensor:
        if steps < 1:
            raise ValueError(f"steps = {steps} is less than 1")
        for _ in range(steps):
            x = torch.cat([x, choose(self(x[:, -self.order :]))], dim=1)
        return x[:, -steps:]

    def _features(self, x: Tensor) -> Tensor:
        """(batch, time, E)"""
        return x if self.E is None else F.embedding(x, self.E)

    def _check(self, x: Tensor) -> None:
        if x.shape[1] < self.order:
            raise ValueError(f"time = {x.shape[1]} is less than order = {self.order}: there is no full window")


def windows(x: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """All windows of a sequence as a batch, and what follows each: (time,) -> (time - order, order), (time - order,).

    Raises ValueError where nothing follows a full window.
    """
    if len(x) <= order:
        raise ValueError(f"time = {len(x)} is not more than order = {order}: nothing follows a full window")
    return x[:-1].unfold(0, order, 1), x[order:]


def draw(logits: Tensor, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
    """One symbol from softmax(logits / temperature): (..., vocabulary) -> (...); temperature 0 takes the likeliest.

    Raises ValueError for a negative temperature.
    """
    if temperature < 0:
        raise ValueError(f"temperature = {temperature} is less than 0")
    if temperature == 0:
        return logits.argmax(-1)
    # measured from the largest, a logit divided by a tiny temperature may be -inf, which is no harm, but never inf
    P = ((logits - logits.amax(-1, keepdim=True)) / temperature).softmax(-1)
    return torch.multinomial(P.flatten(0, -2), 1, generator=generator).view(P.shape[:-1])


def affine(inputs: int, outputs: int, generator: torch.Generator | None) -> tuple[nn.Parameter, nn.Parameter]:
    """W (outputs, inputs) and b (outputs,), drawn from U(-1/√inputs, 1/√inputs) as by torch.nn.Linear."""
    bound = inputs**-0.5
    W = torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator)
    b = torch.empty(outputs).uniform_(-bound, bound, generator=generator)
    return nn.Parameter(W), nn.Parameter(b)


def embedding_table(vocabulary: int, width: int, generator: torch.Generator | None) -> nn.Parameter:
    """One vector a symbol, (vocabulary, width), drawn from N(0, 1) as by torch.nn.Embedding."""
    return nn.Parameter(torch.empty(vocabulary, width).normal_(generator=generator))
