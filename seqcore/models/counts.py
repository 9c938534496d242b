"""Predicting by counting: how often was what followed by what?

    P(x_1 .. x_T) = Π_t P(x_t | x_1 .. x_{t-1})                     the chain rule: always true
    P(x_t | c) = (n(c, x_t) + α) / (n(c) + α V)                     estimated by counting

n(c, x) counts how often x followed the context c, n(c) = Σ_x n(c, x), V is the size of the
vocabulary and α the additive smoothing. The models differ only in what they call a context:

    c = x_1 .. x_{t-1}              the whole history: nothing is lost, and nothing is seen twice
    c = x_{t-τ} .. x_{t-1}          the last τ symbols: a Markov model of order τ
    c = x_{t-1}                     a Markov chain, which is a matrix: P (symbol, next)

See Jurafsky & Martin, Speech and Language Processing, chapter 3; for chains Norris, Markov Chains, chapter 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

# Singular values of I - P up to this size count as zero: rounding leaves about 1e-16.
ZERO = 1e-12


class Collapse(NamedTuple):
    """What becomes of counting as histories grow; every array is (lengths,), from length 0 on.

    distinct    contexts of that length that were seen
    once        the share of them that were seen a single time
    unseen      the share of held-out contexts that were never seen
    impossible  the share of held-out symbols that never followed their context: n(c, x) = 0

    Shares of nothing are NaN.
    """

    distinct: np.ndarray
    once: np.ndarray
    unseen: np.ndarray
    impossible: np.ndarray


class Chained(NamedTuple):
    """A sequence's conditional probabilities put together: Π P, Σ ln P in nats, exp(-mean ln P).

    The product underflows to 0 where the sum does not; one impossible symbol makes them 0, -inf and inf.
    """

    product: float
    log_sum: float
    perplexity: float


def chain(probabilities: np.ndarray) -> Chained:
    """The chain rule for one sequence. probabilities: (time,) P(x_t | context), at least one."""
    if not len(probabilities):
        raise ValueError("probabilities = [] has nothing to multiply; at least one is needed")
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        logs = np.log(probabilities)
        return Chained(float(np.prod(probabilities)), float(logs.sum()), float(np.exp(-logs.mean())))


class Counts:
    """How often each context was followed by each symbol, for all contexts of up to `longest` symbols.

    sequences   texts, or tuples of anything that can be a dictionary key: each starts a history of its own
    vocabulary  all symbols there are, in the order of every probability vector
    longest     τ, the longest context; None counts whole histories, from the start of a sequence only

    The counts form a tree: a context is the node that its symbols lead to from the root, so that its
    length is the node's depth and a context grows by one lookup. Whole histories are the paths from
    the starts of the sequences; contexts of τ symbols are the paths of all windows of τ + 1.

    Raises ValueError for an empty vocabulary or one with a symbol twice, a symbol outside it, or longest < 0.
    """

    def __init__(self, sequences: Iterable[Sequence], vocabulary: Sequence, longest: int | None):
        if longest is not None and longest < 0:
            raise ValueError(f"longest = {longest} is less than 0")
        self.vocabulary, self.longest = tuple(vocabulary), longest
        self.index = {symbol: v for v, symbol in enumerate(self.vocabulary)}
        if not self.index or len(self.index) < len(self.vocabulary):
            raise ValueError(f"vocabulary has {len(self.vocabulary)} symbols, {len(self.index)} of them different")
        # by node and symbol; nothing follows None, so that a walk may go on from what was never seen
        self._child: dict[tuple[int | None, object], int] = {}
        # by node; the root, node 0, is the empty context
        self._seen, self._followed, self._depth = [0], [0], [0]
        for sequence in sequences:
            self.check(sequence)
            for path in self._paths(sequence):
                self._count(path)

    def _paths(self, sequence: Sequence) -> Iterator[Sequence]:
        """The whole sequence once, or from every place the window of `longest` + 1 symbols, shorter at the end."""
        if self.longest is None:
            yield sequence
        else:
            yield from (sequence[t : t + self.longest + 1] for t in range(len(sequence)))

    def _count(self, path: Sequence) -> None:
        node = 0
        for symbol in path:
            self._followed[node] += 1
            depth = self._depth[node] + 1
            node = self._child.setdefault((node, symbol), len(self._seen))
            if node == len(self._seen):
                self._seen.append(0)
                self._followed.append(0)
                self._depth.append(depth)
            self._seen[node] += 1

    def check(self, symbols: Iterable) -> None:
        """Raise ValueError naming a symbol that is not in the vocabulary, if there is one."""
        for symbol in symbols:
            if symbol not in self.index:
                raise ValueError(f"{symbol!r} is not one of the {len(self.index)} symbols of the vocabulary")

    def walk(self, sequence: Iterable) -> Iterator[int | None]:
        """Before each symbol, the node of all symbols so far; None once nothing was seen to follow them."""
        node: int | None = 0
        for symbol in sequence:
            yield self._if_followed(node)
            node = self._child.get((node, symbol))

    def find(self, context: Iterable) -> int | None:
        """The node of a context that was followed by something at least once, else None."""
        node: int | None = 0
        for symbol in context:
            node = self._child.get((node, symbol))
        return self._if_followed(node)

    def _if_followed(self, node: int | None) -> int | None:
        return node if node is not None and self._followed[node] else None

    def after(self, node: int) -> np.ndarray:
        """n(c, x) for every symbol x: (vocabulary,) whole numbers."""
        children = (self._child.get((node, symbol)) for symbol in self.vocabulary)
        return np.array([0 if child is None else self._seen[child] for child in children])

    def pair(self, node: int, symbol: object) -> tuple[int, int]:
        """n(c, x) of one symbol, and n(c)."""
        child = self._child.get((node, symbol))
        return 0 if child is None else self._seen[child], self._followed[node]

    def collapse(self, held_out: Iterable[Sequence]) -> Collapse:
        """How the counts thin out with the length of the context, here and on sequences never counted."""
        followed, depth = np.array(self._followed), np.array(self._depth)
        lengths = int(depth[followed > 0].max(initial=0)) + 1
        distinct = np.bincount(depth[followed > 0], minlength=lengths)[:lengths]
        once = np.bincount(depth[followed == 1], minlength=lengths)[:lengths]
        asked, known, possible = np.zeros((3, lengths))
        for sequence in held_out:
            for path in self._paths(sequence):
                for k, node, symbol in zip(range(lengths), self.walk(path), path):
                    asked[k] += 1
                    known[k] += node is not None
                    possible[k] += node is not None and self.pair(node, symbol)[0] > 0
        with np.errstate(invalid="ignore"):
            return Collapse(distinct, once / distinct, 1 - known / asked, 1 - possible / asked)


@dataclass(frozen=True)
class CountModel:
    """P(x | c) from counts: a distribution over the vocabulary after any history.

    counts     what was seen
    order      τ, how much of the history counts; at most `counts.longest`, and None for whole histories
    smoothing  α >= 0, added to every count
    unseen     what to say after a context never seen: "uniform" gives every symbol 1/V; "shorter" drops
               its oldest symbols until the rest was seen (back-off), which whole histories do not allow

    Raises ValueError naming what does not fit.
    """

    counts: Counts
    order: int | None
    smoothing: float = 0.0
    unseen: str = "uniform"

    def __post_init__(self):
        longest = self.counts.longest
        if self.order is None or longest is None:
            if self.order != longest:
                raise ValueError(f"order = {self.order} does not fit counts of contexts up to {longest}")
        elif not 0 <= self.order <= longest:
            raise ValueError(f"order = {self.order} is not from 0 to {longest}, the longest context counted")
        if not 0 <= self.smoothing < math.inf:
            raise ValueError(f"smoothing = {self.smoothing} is not a number of at least 0")
        if self.unseen not in ("uniform", "shorter"):
            raise ValueError(f"unseen = {self.unseen!r} is not one of uniform, shorter")
        if self.unseen == "shorter" and self.order is None:
            raise ValueError("unseen = 'shorter' needs an order: a whole history cannot be shortened")

    def next(self, history: Sequence) -> np.ndarray:
        """P(· | history): (vocabulary,), summing to one. A history shorter than τ is its own context."""
        self.counts.check(history)
        start = 0 if self.order is None else max(0, len(history) - self.order)
        node, V = self._known(history[start:]), len(self.counts.vocabulary)
        if node is None:
            return np.full(V, 1 / V)
        n = self.counts.after(node)
        return (n + self.smoothing) / (n.sum() + self.smoothing * V)

    def given(self, sequence: Sequence) -> np.ndarray:
        """P(x_t | x_1 .. x_{t-1}) of every symbol of a sequence: (time,). `chain` multiplies them."""
        self.counts.check(sequence)
        return np.array([self._one(node, symbol) for node, symbol in zip(self._contexts(sequence), sequence)])

    def _one(self, node: int | None, symbol: object) -> float:
        V = len(self.counts.vocabulary)
        if node is None:
            return 1 / V
        n, total = self.counts.pair(node, symbol)
        return (n + self.smoothing) / (total + self.smoothing * V)

    def _contexts(self, sequence: Sequence) -> Iterator[int | None]:
        """The node of every symbol's context, or None where nothing that was counted can stand for it."""
        if self.order is None:
            yield from self.counts.walk(sequence)
        else:
            yield from (self._known(sequence[max(0, t - self.order) : t]) for t in range(len(sequence)))

    def _known(self, context: Sequence) -> int | None:
        node = self.counts.find(context)
        while node is None and self.unseen == "shorter" and len(context):
            context = context[1:]
            node = self.counts.find(context)
        return node


@dataclass(frozen=True, eq=False)
class MarkovChain:
    """A first-order chain: P[i, j] = P(x_{t+1} = j | x_t = i), (symbol, next), every row summing to one.

        p_{t+1} = p_t P          a distribution over the symbols, one step later
        π = π P                  the one that stays: the stationary distribution
        H = Σ_i π_i Σ_j -P_ij ln P_ij      what each further symbol costs at least: the entropy rate, in nats

    Raises ValueError for a matrix that is not square, or rows that are no distributions.
    """

    P: np.ndarray

    def __post_init__(self):
        P = np.array(self.P, dtype=np.float64)
        if P.ndim != 2 or P.shape[0] != P.shape[1] or not len(P):
            raise ValueError(f"P has the shape {P.shape}, not that of a square matrix")
        if not (np.isfinite(P).all() and (P >= 0).all() and np.allclose(P.sum(1), 1, atol=1e-9, rtol=0)):
            raise ValueError(f"P has rows that are no distributions: sums from {P.sum(1).min()} to {P.sum(1).max()}")
        P.flags.writeable = False
        object.__setattr__(self, "P", P)

    @classmethod
    def of(cls, model: CountModel) -> MarkovChain:
        """The chain that a first-order model of counts is: one row for each symbol of its vocabulary."""
        if model.order != 1:
            raise ValueError(f"order = {model.order} is not 1: only a first-order model is one matrix over symbols")
        return cls(np.stack([model.next([symbol]) for symbol in model.counts.vocabulary]))

    @property
    def closed(self) -> int:
        """How many closed classes there are: sets of symbols never left again. With more than one, the chain
        is reducible, and where a walk ends up depends on where it began."""
        return self._null_spaces()[0].shape[1]

    @property
    def periodic(self) -> bool:
        """Whether Pⁿ keeps swinging instead of settling: P then has an eigenvalue on the unit circle other than 1."""
        on_circle = np.abs(np.abs(np.linalg.eigvals(self.P)) - 1) < 1e-9
        return int(on_circle.sum()) > self.closed

    def stationary(self) -> np.ndarray:
        """π (symbol,): the share of time that an endless walk from a symbol drawn uniformly spends in each.

        π P = π always. It is the mean row of lim 1/n Σ_k P^k, which exists for every chain: in a
        periodic one Pⁿ itself has no limit, but π is still the only solution; in a reducible one the
        closed classes share π by the chance of ending up in them. The limit is the projection onto
        the null space of I - P along its range, R (Lᵀ R)⁻¹ Lᵀ from the left and right null vectors.
        """
        L, R = self._null_spaces()
        limit = R @ np.linalg.solve(L.T @ R, L.T)
        π = limit.mean(0).clip(0)
        return π / π.sum()

    def _null_spaces(self) -> tuple[np.ndarray, np.ndarray]:
        """Left and right null vectors of I - P, in columns: one of each for every closed class."""
        U, σ, Vh = np.linalg.svd(np.eye(len(self.P)) - self.P)
        # rows that sum to one leave at least one, whatever rounding says
        nulls = max(1, int((σ <= ZERO * len(σ)).sum()))
        return U[:, -nulls:], Vh[-nulls:].T

    def powers(self, n: int) -> np.ndarray:
        """P⁰ .. Pⁿ: (n + 1, symbol, symbol). Row i of P^k is the distribution k steps after symbol i."""
        if n < 0:
            raise ValueError(f"n = {n} is less than 0")
        powers = [np.eye(len(self.P))]
        for _ in range(n):
            powers.append(powers[-1] @ self.P)
        return np.stack(powers)

    def entropy_rate(self) -> float:
        """H in nats a symbol."""
        return float(self.stationary() @ entropy(self.P))

    def given(self, symbols: Sequence[int]) -> np.ndarray:
        """P(x_t | x_{t-1}) of every symbol of a sequence, π for the first: (time,)."""
        x = np.asarray(symbols, dtype=np.int64)
        return np.concatenate([self.stationary()[x[:1]], self.P[x[:-1], x[1:]]])

    def sample(self, length: int, generator: torch.Generator, start: int | None = None) -> np.ndarray:
        """A walk of `length` symbols, (time,) whole numbers, from `start` or from a symbol drawn from π."""
        if length < 1:
            raise ValueError(f"length = {length} is less than 1")
        u = torch.rand(length, dtype=torch.float64, generator=generator).numpy()
        walk = [_pick(self.stationary(), u[0]) if start is None else start]
        for t in range(1, length):
            walk.append(_pick(self.P[walk[-1]], u[t]))
        return np.array(walk)


def entropy(distributions: np.ndarray) -> np.ndarray:
    """-Σ p ln p over the last axis, in nats, with 0 ln 0 = 0."""
    return -(distributions * np.log(np.where(distributions > 0, distributions, 1))).sum(-1)


def _pick(distribution: np.ndarray, u: float) -> int:
    """The symbol on whose stretch of [0, 1) the number u falls."""
    ends = distribution.cumsum()
    # divided by the last, so that rounding leaves no gap below 1
    return int(np.searchsorted(ends / ends[-1], u, side="right"))
