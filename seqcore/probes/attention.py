"""How sharp attention is, and what sharpness does to its gradient.

    s = q Kᵀ · scale                        (..., key)      variance of s: d_k · scale² where q, k ~ N(0, 1)
    p = softmax(s)                          (..., key)
    H = -Σ_i p_i ln p_i                     (...)           from 0 (one key) to ln n (all alike)
    J = ∂p/∂s = diag(p) - p pᵀ              (..., key, key)
    ‖J‖_F² = Σ_i p_i² (1 - p_i)² + Σ_{i≠j} p_i² p_j²
    dL/ds = J w,  dL/dq = scale · Kᵀ J w    where w = dL/dp

A softmax that has chosen one key has J = 0: no gradient passes, whatever the loss. Without a scale the
scores spread like √d_k, which brings that about before training begins (Vaswani et al. 2017, section
3.2.1 and its footnote). All functions take weights p (..., key) from anywhere: a trail, a twin, a test.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


def entropy(p: Tensor) -> Tensor:
    """H in nats, (...): from 0 for all weight on one key to ln n for n equal weights."""
    return torch.special.entr(p).sum(-1)


def relative_entropy(p: Tensor) -> Tensor:
    """H / ln n, (...): from 0 to 1, whatever the number of keys. Raises ValueError for fewer than 2 keys."""
    keys = p.shape[-1]
    if keys < 2:
        raise ValueError(f"keys = {keys} is less than 2: the entropy has no range")
    return entropy(p) / math.log(keys)


def largest(p: Tensor) -> Tensor:
    """The largest weight, (...)."""
    return p.amax(-1)


def jacobian(p: Tensor) -> Tensor:
    """J (..., key, key): how much the weight of the first key moves for the score of the second one."""
    return torch.diag_embed(p) - p[..., :, None] * p[..., None, :]


def jacobian_norm(p: Tensor) -> Tensor:
    """‖J‖_F (...) of float64, from 0 to 1/2 (two keys alike), without building J.

    In float64 because the second sum is a difference: Σ_{i≠j} p_i² p_j² = Σ_i p_i² (Σ_j p_j² - p_i²).
    """
    p = p.double()
    square = p.square()
    own = square * (1 - p).square()
    others = square * (square.sum(-1, keepdim=True) - square)
    return (own + others).sum(-1).clamp_min(0).sqrt()


def query_gradient(p: Tensor, K: Tensor, w: Tensor, scale: float) -> Tensor:
    """dL/dq (..., d_k) for weights p (..., key), keys K (..., key, d_k) and w = dL/dp (..., key)."""
    ds = p * (w - (p * w).sum(-1, keepdim=True))
    return scale * (ds[..., None, :] @ K).squeeze(-2)


class Sharpness(NamedTuple):
    """One row a query, before any training.

    scores    (rows, keys)
    weights   (rows, keys)
    entropy   (rows,) relative, 0 to 1
    largest   (rows,)
    jacobian  (rows,) ‖J‖_F; look at the median, for the mean is carried by the few rows that are not yet decided
    gradient  (rows,) ‖dL/dq‖ for w ~ N(0, 1); the same holds, and more: those few rows grow like √d_k
    """

    scores: Tensor
    weights: Tensor
    entropy: Tensor
    largest: Tensor
    jacobian: Tensor
    gradient: Tensor


class Drawn(NamedTuple):
    """Independent entries ~ N(0, 1), for each row a query and keys of its own.

    q  (rows, 1, d_k)
    K  (rows, keys, d_k)
    """

    q: Tensor
    K: Tensor

    @property
    def scores(self) -> Tensor:
        """q Kᵀ (rows, keys), unscaled: of variance d_k."""
        return (self.q @ self.K.mT).squeeze(1)


def draw(d_k: int, generator: torch.Generator, keys: int = 16, rows: int = 500) -> Drawn:
    """What the argument for √d_k assumes. Takes rows · keys · d_k numbers of memory.

    Raises ValueError for d_k or rows < 1, or keys < 2.
    """
    for name, value, low in (("d_k", d_k, 1), ("keys", keys, 2), ("rows", rows, 1)):
        if value < low:
            raise ValueError(f"{name} = {value} is less than {low}")
    q = torch.randn(rows, 1, d_k, generator=generator)
    return Drawn(q, torch.randn(rows, keys, d_k, generator=generator))


def sample(d_k: int, scale: float, generator: torch.Generator, keys: int = 16, rows: int = 500) -> Sharpness:
    """Queries and keys as in `draw`: what a score, a weight and a gradient look like.

    The variance of a score is d_k · scale². Raises what `draw` raises.
    """
    drawn = draw(d_k, generator, keys, rows)
    K = drawn.K
    w = torch.randn(rows, keys, generator=generator)
    scores = drawn.scores * scale
    p = scores.softmax(-1)
    gradient = torch.linalg.vector_norm(query_gradient(p, K, w, scale), dim=-1)
    return Sharpness(scores, p, relative_entropy(p), largest(p), jacobian_norm(p), gradient)


class Alignment(NamedTuple):
    """found: the share of queries whose largest weight is on the right key; mass: their mean weight on it."""

    found: float
    mass: float


def alignment(p: Tensor, right: Tensor) -> Alignment:
    """How well weights p (..., query, key) look where they should: right (..., query) names a key for each query.

    Queries with right = -1 have no right place, and do not count. `right` may lack leading axes of p that
    stand before the batch; give p of one head, or the mean over heads.
    Raises ValueError where a key is outside p, or no query has a right place.
    """
    if (right >= p.shape[-1]).any() or (right < -1).any():
        raise ValueError(f"right = {int(right.min())} ... {int(right.max())} is outside -1 ... {p.shape[-1] - 1}")
    right = right.expand(p.shape[:-1])
    counted = right >= 0
    if not counted.any():
        raise ValueError("no query has a right place: right is -1 everywhere")
    on_it = p.gather(-1, right.clamp_min(0)[..., None]).squeeze(-1)
    found = (p.argmax(-1) == right)[counted].float().mean()
    return Alignment(float(found), float(on_it[counted].mean()))
