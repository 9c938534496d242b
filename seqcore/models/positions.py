"""Positions: attention alone sees a set, so a sequence has to say where its members stand.

    ω_i = 10000^(-2i/width)                              (width/2,)        radians a step
    PE(p, 2i) = sin(p ω_i)   PE(p, 2i+1) = cos(p ω_i)    (time, width)     added to the inputs
    PE(p+k) = R_kᵀ PE(p)                                 (width, width)    R_k turns every pair by k ω_i

Sinusoids are from Vaswani et al. (2017), section 3.5, which also tries a learned table. Rotary positions (Su et al.
2021, section 3.2) add nothing: they turn the pairs of queries and keys by p ω_i, so that a score depends on the
distance of the two alone: (R_p q)·(R_s k) = q·(R_{s-p} k).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

BASE = 10_000.0  # of both papers
LIMIT = 512  # time steps that a learned table can tell apart, unless said otherwise


def frequencies(width: int) -> Tensor:
    """ω_i (width/2,) in radians a step, float64. Raises ValueError for an odd width."""
    if width < 2 or width % 2:
        raise ValueError(f"width = {width} is not an even number from 2 on: positions are pairs of a sine and a cosine")
    return BASE ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)


def wavelengths(width: int) -> Tensor:
    """Steps until pair i is where it was, 2π/ω_i, (width/2,): from 2π to nearly 2π · 10000."""
    return 2 * math.pi / frequencies(width)


def sinusoidal(length: int, width: int, start: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """PE(p) for p = start .. start + length - 1, (length, width). Raises ValueError for an odd width."""
    angles = torch.arange(start, start + length)[:, None] * frequencies(width)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1).to(dtype)


def shift(k: int, width: int) -> Tensor:
    """R_kᵀ (width, width), float64: the rotation with PE(p + k) = R_kᵀ PE(p) for every p."""
    angles = k * frequencies(width)
    c, s = angles.cos(), angles.sin()
    return torch.block_diag(*torch.stack([c, s, -s, c], -1).unflatten(-1, (2, 2)))


def rotate(q: Tensor, start: int = 0) -> Tensor:
    """Queries or keys (..., time, d_k), whose first stands at `start`, with every pair turned by p ω_i."""
    time, d_k = q.shape[-2:]
    angles = torch.arange(start, start + time)[:, None] * frequencies(d_k)
    cosines, sines = angles.cos().to(q), angles.sin().to(q)
    even, odd = q[..., 0::2], q[..., 1::2]
    return torch.stack([even * cosines - odd * sines, even * sines + odd * cosines], -1).flatten(-2)


class Sinusoidal(nn.Module):
    """x: (batch, time, width) -> x + PE, whose first step stands at `start`."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        return x + sinusoidal(x.shape[1], x.shape[2], start, x.dtype)


class Learned(nn.Module):
    """x: (batch, time, width) -> x + P[start : start + time], with a table P (limit, width) that is learned.

    P is drawn from N(0, 1), as torch.nn.Embedding's. Raises ValueError beyond its limit.
    """

    def __init__(self, limit: int, width: int, generator: torch.Generator | None = None):
        super().__init__()
        self.P = nn.Parameter(torch.randn(limit, width, generator=generator))

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        end = start + x.shape[1]
        if end > len(self.P):
            raise ValueError(f"{end} time steps are more than the learned positions' limit = {len(self.P)}")
        return x + self.P[start:end]


class Nothing(nn.Module):
    """x, whatever the start."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        return x


class Scheme(NamedTuple):
    """Where positions come in: `added(limit, width, generator)` makes a module for the inputs, (x, start) -> x;
    `turned(q, start)` is done to queries and keys in every layer.
    """

    added: Callable[[int, int, torch.Generator | None], nn.Module]
    turned: Callable[[Tensor, int], Tensor]


POSITIONS: dict[str, Scheme] = {
    "none": Scheme(lambda limit, width, generator: Nothing(), lambda q, start: q),
    "sinusoidal": Scheme(lambda limit, width, generator: Sinusoidal(), lambda q, start: q),
    "learned": Scheme(Learned, lambda q, start: q),
    "rotary": Scheme(lambda limit, width, generator: Nothing(), rotate),
}


def scheme(name: str) -> Scheme:
    """The entry of POSITIONS. Raises ValueError naming those there are."""
    if name not in POSITIONS:
        raise ValueError(f"positions = {name!r} is not one of {', '.join(POSITIONS)}")
    return POSITIONS[name]
