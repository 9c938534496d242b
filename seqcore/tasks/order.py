"""Tasks about order, with an answer due at every token: what a model without positions can and cannot do.

A model that cannot tell positions apart (attention without positional encoding) is permutation
equivariant: at each token it sees that token and the multiset of all tokens, no more. `ceiling` is the
share of right answers of the best such model. With n_v of the L tokens equal to v, and u the token at hand:

    the answer is one of the others, all alike      P(v) = (n_v - [v = u]) / (L - 1)
    the answer is any token, itself included        P(v) = n_v / L

The best guess is the most frequent token, so the ceiling is E max_v n_v / n for n tokens drawn uniformly
from the alphabet: n = L - 1 in the first case, n = L in the second. `likeliest_share` computes it exactly.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from seqcore.tasks import Batch, Task, at_least


class Rearrangement(Task):
    """x (batch, L) symbols, uniform and independent; y (batch, L) symbols.

    length    L; with `shortest` given, each batch draws its own L, uniform from shortest to length
    symbols   how many there are
    shortest  the shortest length, for training on many lengths

    Raises ValueError for length, symbols or shortest < 2, or shortest above length.
    """

    def __init__(self, length: int, symbols: int = 10, shortest: int | None = None):
        self.lengths = _lengths(length, shortest)
        self.inputs = self.outputs = at_least("symbols", symbols, 2)
        self.vocabulary = tuple(map(str, range(symbols)))

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randint(self.inputs, (size, _one_of(self.lengths, generator)), generator=generator)
        return Batch(x, self._answers(x))

    @abstractmethod
    def _answers(self, x: Tensor) -> Tensor:
        """x (batch, L) -> (batch, L)."""

    @property
    def baseline(self) -> float:  # type: ignore[override]  # computed here, where most tasks store it
        """The loss of the best answer that knows its place and nothing of x; the mean over the lengths."""
        return float(np.mean([self._baseline(length) for length in self.lengths]))

    def _baseline(self, length: int) -> float:
        """Every answer is one of the tokens, any of them with equal chance."""
        return math.log(self.inputs)

    @property
    def ceiling(self) -> float:
        """The best share of right answers without positions, from 1/symbols to 1; the mean over the lengths."""
        return float(np.mean([self._ceiling(length) for length in self.lengths]))

    def _ceiling(self, length: int) -> float:
        """The answer is as likely to be the token itself as any other one; true unless a subclass says otherwise."""
        return likeliest_share(length, self.inputs)


class Reverse(Rearrangement):
    """The token as far from the end as this one is from the start.

    Of an even number of tokens each one's answer is another token. Of an odd number the middle one is its
    own answer, and no token knows whether it is the middle: then the answer is any token, itself included.
    """

    def _answers(self, x: Tensor) -> Tensor:
        return x.flip(1)

    def _ceiling(self, length: int) -> float:
        return likeliest_share(length - 1 + length % 2, self.inputs)


class PreviousToken(Rearrangement):
    """The token before this one; the first has only itself."""

    def _answers(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, :1], x[:, :-1]], dim=1)


class FirstTokenEverywhere(Rearrangement):
    """The first token, at every token."""

    def _answers(self, x: Tensor) -> Tensor:
        return x[:, :1].expand_as(x)


class Sort(Rearrangement):
    """The tokens in ascending order. A token knows the sorted list but not which place of it is its own.

    Places tell something here: the first is likely small. At place i = 0 ... L-1 the answer is at most v
    if more than i of the L tokens are, which are Binomial(L, (v + 1) / symbols); the baseline is the
    entropy of that answer, averaged over the places.
    """

    def _answers(self, x: Tensor) -> Tensor:
        return x.sort(1).values

    def _baseline(self, length: int) -> float:
        small = np.arange(1, self.inputs + 1)[:, None] / self.inputs
        k = np.arange(length + 1)
        ways = np.array([math.comb(length, each) for each in k], dtype=float)
        at_most = (ways * small**k * (1 - small) ** (length - k))[:, ::-1].cumsum(1)[:, -2::-1]
        share = np.diff(at_most, axis=0, prepend=0)
        return float(-(share * np.log(np.clip(share, 1e-300, None))).sum() / length)


class Copy(Rearrangement):
    """The token itself: the control, for which order does not matter."""

    def _answers(self, x: Tensor) -> Tensor:
        return x

    def _ceiling(self, length: int) -> float:
        return 1.0


class Majority(Task):
    """Bits, and which of two camps has more ones. The answer, 0 or 1, is due at every token.

    x (batch, L) bits, y (batch, L). Rows with a tie are drawn again, so that knowing nothing costs ln 2.
    `length` and `shortest` as in `Rearrangement`.
    """

    inputs = outputs = 2
    vocabulary = ("0", "1")
    baseline = math.log(2)

    def __init__(self, length: int, shortest: int | None = None):
        self.lengths = _lengths(length, shortest)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        length = _one_of(self.lengths, generator)
        x = torch.randint(2, (size, length), generator=generator)
        while (tie := self._lead(x) == 0).any():
            x[tie] = torch.randint(2, (int(tie.sum()), length), generator=generator)
        return Batch(x, (self._lead(x) > 0).long()[:, None].expand_as(x))

    @abstractmethod
    def _lead(self, x: Tensor) -> Tensor:
        """(batch,): by how many the first camp leads."""


class MajorityWhole(Majority):
    """Are there more ones than zeros? The multiset says it all: a model needs no positions."""

    ceiling = 1.0

    def _lead(self, x: Tensor) -> Tensor:
        return 2 * x.sum(1) - x.shape[1]


class MajorityHalf(Majority):
    """Has the first half more ones than the second?

    Exchanging the halves turns the answer around and leaves the multiset alone: a model without positions
    is right half of the time. Even lengths only.

    Raises ValueError for a length or shortest that is less than 2 or odd, or shortest above length.
    """

    ceiling = 0.5

    def __init__(self, length: int, shortest: int | None = None):
        super().__init__(length, shortest)
        self.lengths = self.lengths[::2]
        for name, value in (("length", length), ("shortest", shortest)):
            if value is not None and value % 2:
                raise ValueError(f"{name} = {value} is odd, and the halves must be equally long")

    def _lead(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=1)
        return first.sum(1) - second.sum(1)


# every task about order, each made by its length alone
TASKS: dict[str, type[Task]] = {
    "reverse": Reverse,
    "previous": PreviousToken,
    "first": FirstTokenEverywhere,
    "sort": Sort,
    "half": MajorityHalf,
    "whole": MajorityWhole,
    "copy": Copy,
}


def likeliest_share(tokens: int, symbols: int) -> float:
    """E max_v n_v / tokens, for tokens drawn uniformly from `symbols`: the mean share of the commonest one.

    Counts of uniform tokens are Poisson(tokens / symbols) variables, given that they add up to `tokens`:

        P(max ≤ m) = [symbols-fold convolution of the Poisson weights of 0 ... m](tokens) / Poisson(tokens; tokens)

    and E max = Σ_{m ≥ 0} (1 - P(max ≤ m)).
    """
    rate = tokens / symbols
    weights = np.array([math.exp(k * math.log(rate) - rate - math.lgamma(k + 1)) for k in range(tokens + 1)])
    total = math.exp(tokens * math.log(tokens) - tokens - math.lgamma(tokens + 1))
    mean = 0.0
    for m in range(tokens):
        counts = np.ones(1)
        for _ in range(symbols):
            counts = np.convolve(counts, weights[: m + 1])[: tokens + 1]
        mean += 1 - (counts[tokens] / total if len(counts) > tokens else 0.0)
    return mean / tokens


def _lengths(length: int, shortest: int | None) -> range:
    """Every length from the shortest to the longest, both included."""
    shortest = at_least("length", length, 2) if shortest is None else at_least("shortest", shortest, 2)
    if shortest > length:
        raise ValueError(f"shortest = {shortest} is more than length = {length}")
    return range(shortest, length + 1)


def _one_of(lengths: range, generator: torch.Generator) -> int:
    return lengths[int(torch.randint(len(lengths), (), generator=generator))]
