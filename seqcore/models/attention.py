"""Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1): what a query reads is a mixture of values,
mixed by how well their keys match it.

    q = x W_qᵀ    k = memory W_kᵀ    v = content W_vᵀ     (batch, query, d_k), (batch, key, d_k), (batch, key, d_v)
    scores  = q kᵀ                                        (batch, query, key)
    scaled  = scores · scale                              (batch, query, key)     scale = 1/√d_k
    weights = softmax(scaled), over the keys              (batch, query, key)
    z       = weights v                                   (batch, query, d_v)

Queries, keys and values are all made from x where x attends to itself. A mask is True where a query
may see a key; what it may not see is taken away before the softmax, so that the rest still sums to one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore.models.rnn import uniform

# name -> scale(d_k). Scores of keys and queries with unit variance have variance d_k (section 3.2.1, footnote 4);
# "sqrt" brings it back to one for every d_k, "linear" makes it vanish, "none" lets it grow.
SCALES: dict[str, Callable[[int], float]] = {
    "sqrt": lambda d_k: d_k**-0.5,
    "none": lambda d_k: 1.0,
    "linear": lambda d_k: 1 / d_k,
}

# name -> W(outputs, inputs, generator). For inputs of unit variance only "unit" gives queries and keys of unit
# variance, which the argument for 1/√d_k assumes; torch.nn.Linear's default gives 1/3, Glorot's 2d/(d + d_k).
INITIAL: dict[str, Callable[[int, int, torch.Generator | None], nn.Parameter]] = {
    "unit": lambda outputs, inputs, generator: nn.Parameter(
        torch.randn(outputs, inputs, generator=generator) * inputs**-0.5
    ),
    "linear": lambda outputs, inputs, generator: uniform((outputs, inputs), inputs, generator),
    "xavier": lambda outputs, inputs, generator: nn.Parameter(
        nn.init.xavier_uniform_(torch.empty(outputs, inputs), generator=generator)
    ),
}


class Attended(NamedTuple):
    """read (..., query, d_v), weights (..., query, key), and scores (..., query, key) before scale and mask."""

    read: Tensor
    weights: Tensor
    scores: Tensor


class Steps(NamedTuple):
    """The five steps. Leading axes are (batch,), or (batch, head) where there are heads.

    q (..., query, d_k), k (..., key, d_k), v (..., key, d_v); scores, scaled (before the mask) and weights
    (..., query, key); z (..., query, d_v), called `read` in `Attended`.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    scores: Tensor
    scaled: Tensor
    weights: Tensor
    z: Tensor


def attend(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None, scale: float | None = None) -> Attended:
    """Read V (..., key, d_v) by matching Q (..., query, d_k) with K (..., key, d_k).

    mask   truths that broadcast to (..., query, key): True where the query may see the key.
           A query that may see nothing reads zeros and passes no gradient on
    scale  the number scores are multiplied by; 1/√d_k if not given

    Raises ValueError for a mask that is not of truths, or a d_k that differs between Q and K.
    """
    steps = five_steps(Q, K, V, mask, Q.shape[-1] ** -0.5 if scale is None else scale)
    return Attended(steps.z, steps.weights, steps.scores)


def five_steps(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Steps:
    """The equations above from the scores on; shapes as in `attend`, and everything on the way is kept."""
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"queries have d_k = {q.shape[-1]}, keys {k.shape[-1]}")
    scores = q @ k.mT
    scaled = scores * scale
    weights = scaled.softmax(-1) if mask is None else softmax_over(truths(mask), scaled)
    z = weights @ v
    return Steps(q, k, v, scores, scaled, weights, z)


def softmax_over(mask: Tensor, scaled: Tensor) -> Tensor:
    """The softmax of what may be seen: exactly zero elsewhere, and in a row that may see nothing."""
    # The lowest number and not -∞: a row of -∞ has the softmax 0/0.
    lowest = torch.finfo(scaled.dtype).min
    return scaled.masked_fill(~mask, lowest).softmax(-1) * mask


def truths(mask: Tensor) -> Tensor:
    """The mask. Raises ValueError if it is not of truths: in torch, numbers would mean something to add."""
    if mask.dtype != torch.bool:
        raise ValueError(f"mask has numbers of type {mask.dtype}; it must be of truths, True where a key may be seen")
    return mask


def causal(length: int, past: int = 0) -> Tensor:
    """(length, past + length) truths: query i, which stands at time past + i, may see the times up to its own."""
    return torch.ones(length, past + length, dtype=torch.bool).tril(past)


def padding(lengths: Tensor, time: int) -> Tensor:
    """(batch, 1, time) truths: all queries of a row may see the keys up to its length.

    lengths: (batch,) whole numbers. Raises ValueError for a length beyond `time`.
    """
    if len(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= time:
        raise ValueError(f"lengths = {lengths.tolist()} are not all between 0 and time = {time}")
    return (torch.arange(time) < lengths[:, None])[:, None]


class Attention(nn.Module):
    """One head. x: (batch, query, width) -> z: (batch, query, d_v).

    width      features of x, and of the memory that keys are made from
    d_k, d_v   length of queries and keys, and of values; d_v = d_k if not given
    content    features of what values are made from; width if not given
    scale      a name in SCALES, or a number
    initial    a name in INITIAL: how W_q and W_k are drawn. W_v is drawn as in torch.nn.Linear
    generator  where the initial weights come from

    Raises ValueError for an unknown name, or a size below 1. There are no biases and no output matrix, so there is
    no torch.nn twin; forward is torch's scaled_dot_product_attention.
    """

    def __init__(
        self,
        width: int,
        d_k: int,
        d_v: int | None = None,
        content: int | None = None,
        scale: str | float = "sqrt",
        initial: str = "unit",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        d_v, content = d_k if d_v is None else d_v, width if content is None else content
        for name, size in [("width", width), ("d_k", d_k), ("d_v", d_v), ("content", content)]:
            if size < 1:
                raise ValueError(f"{name} = {size} is less than 1")
        if isinstance(scale, str) and scale not in SCALES:
            raise ValueError(f"scale = {scale!r} is not a number, nor one of {', '.join(SCALES)}")
        if initial not in INITIAL:
            raise ValueError(f"initial = {initial!r} is not one of {', '.join(INITIAL)}")
        self.scale = SCALES[scale](d_k) if isinstance(scale, str) else float(scale)
        self.W_q = INITIAL[initial](d_k, width, generator)
        self.W_k = INITIAL[initial](d_k, width, generator)
        self.W_v = uniform((d_v, content), content, generator)

    def forward(
        self, x: Tensor, memory: Tensor | None = None, content: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """What every query reads.

        memory   (batch, key, width) what keys are made from; x if not given
        content  (batch, key, content) what values are made from; the memory if not given
        mask     truths that broadcast to (batch, query, key): True where the query may see the key
        """
        mask = None if mask is None else truths(mask)
        return F.scaled_dot_product_attention(*self._project(x, memory, content), mask, scale=self.scale)

    def trace(
        self, x: Tensor, memory: Tensor | None = None, content: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Steps]:
        """The same, one step at a time."""
        steps = five_steps(*self._project(x, memory, content), mask, self.scale)
        return steps.z, steps

    def _project(self, x: Tensor, memory: Tensor | None, content: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        memory = x if memory is None else memory
        content = memory if content is None else content
        return x @ self.W_q.T, memory @ self.W_k.T, content @ self.W_v.T
