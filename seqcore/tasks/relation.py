"""A relation inside one sequence: every letter stands in the row twice, and each copy has to name the other's digit.

    C2 a0 B3 c1 A3 b0    ->    1 3 0 2 0 3

A token is a letter, its case (capital or small) and a digit. Places are drawn at random and say nothing: the other copy is
found by what it is, the same letter in the other case. One head of self-attention can do that. Let x = (letter, case, digit).
W_q takes out the letter and the case with its sign turned, W_k the letter and the case, W_v the digit; the score is then
largest where the letter is the same and the case is not.

What equal weights cannot do. With equal weights every token of a row reads the same mean, so all of them give one answer,
a distribution p over digits. The right answers of a row are its own digits, in another order: n tokens of which N_d want the
digit d. Whatever p is, the share of right answers is at most max_d N_d / n, and the mean loss −Σ (N_d / n) ln p_d is at least
the entropy of N / n. `EqualWeights` holds the means of both over all rows, by summing over all counts N.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqcore.tasks import Batch, Task, at_least

LETTERS = "ABCDEFGHIJKL"


class EqualWeights(NamedTuple):
    """The best that one answer for all tokens of a row can do: share of right answers at most, nats at least."""

    score: float
    loss: float


class Partner(Task):
    """`length` tokens: letters in capital and small, each with a digit. Which digit does the other copy hold?

    x (batch, length, width + 1 + digits): the letter's vector, the case (1 capital, −1 small), the digit one-hot;
    y (batch, length): the digit of the other copy. The letters of a row are different ones of LETTERS, whose vectors, with
    entries N(0, 1), never change. Digits are drawn alike and independently: knowing nothing costs ln digits.

    generator  where the vectors of the letters come from
    equal      of `EqualWeights`
    Raises ValueError for a length that is odd, below 2 or beyond two of each letter, width < 1 or digits < 2.
    """

    def __init__(self, generator: torch.Generator, length: int = 8, width: int = 8, digits: int = 4):
        if length % 2 or not 2 <= length <= 2 * len(LETTERS):
            raise ValueError(f"length = {length} is not an even number from 2 to {2 * len(LETTERS)}")
        self.length, self.width = length, at_least("width", width, 1)
        self.outputs = at_least("digits", digits, 2)
        self.table = torch.randn(len(LETTERS), width, generator=generator)
        self.inputs = width + 1 + digits
        self.vocabulary = (*(f"letter {k}" for k in range(width)), "case", *map(str, range(digits)))
        self.baseline = math.log(digits)
        self.equal = equal_weights(length, digits)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        half = self.length // 2
        letter = torch.rand(size, len(LETTERS), generator=generator).argsort(1)[:, :half].repeat(1, 2)
        case = torch.ones(size, self.length)
        case[:, half:] = -1
        digit = torch.randint(self.outputs, (size, self.length), generator=generator)
        x = torch.cat([self.table[letter], case[..., None], F.one_hot(digit, self.outputs)], dim=-1)
        order = torch.rand(size, self.length, generator=generator).argsort(1)
        return Batch(x.gather(1, order[..., None].expand_as(x)), digit.roll(half, 1).gather(1, order))

    def partner(self, x: Tensor) -> Tensor:
        """The place of each token's other copy: x (batch, length, inputs) -> (batch, length)."""
        letter, case = self._letters(x), x[..., self.width]
        same = letter[:, :, None] == letter[:, None]
        return (same & (case[:, :, None] != case[:, None])).float().argmax(-1)

    def ceiling(self, batch: Batch) -> float:
        """The share of right answers that equal weights cannot pass on these very rows: the mean of max_d N_d / n."""
        return float(F.one_hot(batch.y, self.outputs).float().mean(1).amax(1).mean())

    def names(self, row: Tensor) -> tuple[str, ...]:
        """How the tokens of a row (length, inputs) are written: A3, a1."""
        letters = [LETTERS[k] for k in self._letters(row)]
        written = [name if case > 0 else name.lower() for name, case in zip(letters, row[:, self.width])]
        return tuple(f"{name}{digit}" for name, digit in zip(written, row[:, self.width + 1 :].argmax(-1).tolist()))

    def _letters(self, x: Tensor) -> Tensor:
        """The number of each token's letter: (..., length)."""
        return (x[..., None, : self.width] == self.table).all(-1).float().argmax(-1)


def equal_weights(length: int, digits: int) -> EqualWeights:
    """What `EqualWeights` says, exact: the mean over all ways in which `length` fair draws may fall on `digits`."""
    score = loss = 0.0
    for counts in _counts(length, digits):
        chance = math.factorial(length) / math.prod(map(math.factorial, counts)) / digits**length
        shares = [count / length for count in counts if count]
        score += chance * max(shares)
        loss -= chance * sum(share * math.log(share) for share in shares)
    return EqualWeights(score, loss)


def _counts(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All tuples of `parts` whole numbers from 0 that add up to `total`."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        yield from ((first, *rest) for rest in _counts(total - first, parts - 1))
