"""Look things up: pairs of key and value, and questions that name keys. What attention is made for.

The first `pairs` steps of x are the memory, one pair a step; the last steps are questions, with a key
(or two) but no value. `parts` cuts a batch's x into what a single attention layer reads:

    queries (batch, questions, key features)   keys (batch, pairs, key features)   values (batch, pairs, value features)

`PreviousAndNext` needs no pairs: its tokens ask for their neighbours.

What one head cannot do. One softmax is one set of shares, so one head hands on one mixture of values.
A head that reads one of the two and guesses the other is right about both in 1 of 16 cases, and pays
(0 + ln 16) / 2 nats a value: there the training of one head settles. It is not the least one head could
pay (see `EVEN_MIXTURE_LOSS`). For `Subtract` there is a limit in earnest, `Subtract.one_head_floor`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqcore.tasks import Batch, Task, at_least

VALUES = 16
# one head that reads one of the two values and guesses the other: how often both are right, and nats a value
ONE_READ_SCORE = 1 / VALUES
ONE_READ_LOSS = math.log(VALUES) / 2
# One head that gives half its weight to each knows which two values, but not their order: ln 2 a value,
# unless they are equal. A linear readout suffices, so ONE_READ_LOSS is where training goes, not a bound.
EVEN_MIXTURE_LOSS = (1 - 1 / VALUES) * math.log(2)


class Parts(NamedTuple):
    """What an attention layer reads: queries and keys (batch, questions or pairs, key features), values."""

    queries: Tensor
    keys: Tensor
    values: Tensor


class KeyValue(Task):
    """`pairs` different keys with a value each, and one of the keys again: which value was it?

    x (batch, pairs + 1, width + values): a key's vector, then its value one-hot, none in the question;
    y (batch, 1). The keys come from a table of vectors that never changes, each entry N(0, 1), so that
    the spread of the scores is what the projections make it. All values are equally likely: knowing
    nothing costs ln values.

    generator  where the table comes from
    Raises ValueError for keys, width or pairs < 1, values < 2, or more pairs than keys.
    """

    at = slice(-1, None)

    def __init__(self, generator: torch.Generator, keys: int = 64, width: int = 32, pairs: int = 16, values: int = 10):
        self.pairs = _pairs(pairs, at_least("keys", keys, 1))
        self.width = at_least("width", width, 1)
        self.outputs = at_least("values", values, 2)
        self.table = torch.randn(keys, width, generator=generator)
        self.inputs = width + values
        self.vocabulary = (*(f"key {k}" for k in range(width)), *map(str, range(values)))
        self.baseline = math.log(values)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        key = _distinct(len(self.table), self.pairs, (size,), generator)
        value = torch.randint(self.outputs, (size, self.pairs), generator=generator)
        asked = torch.randint(self.pairs, (size, 1), generator=generator)
        memory = torch.cat([self.table[key], F.one_hot(value, self.outputs)], dim=-1)
        question = F.pad(self.table[key.gather(1, asked)], (0, self.outputs))
        return Batch(torch.cat([memory, question], dim=1), value.gather(1, asked))

    def parts(self, x: Tensor) -> Parts:
        """x (batch, pairs + 1, inputs) cut into one query, keys and values."""
        key, value = x.split([self.width, self.outputs], dim=-1)
        return Parts(key[:, self.pairs :], key[:, : self.pairs], value[:, : self.pairs])


class TwoKeyQuestions(Task):
    """Pairs with different keys, and questions that each name two of them, in order.

    x (batch, pairs + questions, 2 keys + value features): a pair has its key one-hot, no second key, and
    its value; a question has two keys one-hot and no value. One-hot, because models learn their own
    embedding: `queries.unflatten(-1, (2, keys)) @ E`.

    Raises ValueError for questions < 1, pairs < 2, or more pairs than keys.
    """

    features: int

    def __init__(self, keys: int = 20, pairs: int = 8, questions: int = 4):
        self.keys = keys
        self.pairs = _pairs(at_least("pairs", pairs, 2), keys)
        self.questions = at_least("questions", questions, 1)
        self.at = slice(pairs, pairs + questions)
        self.inputs = 2 * keys + self.features
        named = (f"{which} key {k}" for which in ("first", "second") for k in range(keys))
        self.vocabulary = (*named, *map(str, range(self.features)))

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        key = _distinct(self.keys, self.pairs, (size,), generator)
        asked = _distinct(self.pairs, 2, (size, self.questions), generator)
        value, y = self._answers(asked, generator)
        row = torch.arange(size)[:, None, None]
        memory = torch.cat([F.pad(F.one_hot(key, self.keys), (0, self.keys)), value], dim=-1)
        question = F.pad(F.one_hot(key[row, asked], self.keys).flatten(-2), (0, self.features))
        return Batch(torch.cat([memory, question], dim=1).float(), y)

    @abstractmethod
    def _answers(self, asked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Values (batch, pairs, features), and the answers to asked (batch, questions, 2), which numbers the pairs."""

    def parts(self, x: Tensor) -> Parts:
        """x (batch, pairs + questions, inputs) cut into queries (two keys wide), keys and values."""
        memory, questions = x.split([self.pairs, self.questions], dim=1)
        key, _, value = memory.split([self.keys, self.keys, self.features], dim=-1)
        return Parts(questions[..., : 2 * self.keys], key, value)


class TwoKeys(TwoKeyQuestions):
    """Give the values of both keys, in order. y (batch, questions, 2); knowing nothing costs ln 16.

    `score` counts a question as right only if both values are.
    """

    features = outputs = VALUES
    baseline = math.log(VALUES)

    def _answers(self, asked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        value = torch.randint(VALUES, (len(asked), self.pairs), generator=generator)
        row = torch.arange(len(asked))[:, None, None]
        return F.one_hot(value, VALUES), value[row, asked]

    def score(self, outputs: Tensor, batch: Batch) -> float:
        return both_right(outputs, batch.y)


class Subtract(TwoKeyQuestions):
    """Give the first key's value minus the second's. y (batch, questions, 4) numbers; values are N(0, 1).

    Knowing nothing costs the variance, 1 + 1 = 2. One head with a linear readout costs at least half of
    it: with weights p and a readout that multiplies what is read by m, the error of v_a - v_b is

        (1 - m p_a)² + (1 + m p_b)² + m² Σ_{others} p²  ≥  1

    since p ≥ 0, so that one of the first two terms is at least 1 whatever the sign of m.
    """

    features, outputs = 4, 1
    unit = "squared error"
    baseline = 2.0
    one_head_floor = 1.0

    def _answers(self, asked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        value = torch.randn(len(asked), self.pairs, self.features, generator=generator)
        row = torch.arange(len(asked))[:, None, None]
        first, second = value[row, asked].unbind(2)
        return value, first - second


class PreviousAndNext(Task):
    """Every token but the first and the last: name both your neighbours.

    x (batch, length) symbols, y (batch, length - 2, 2). Tokens are independent and equally likely:
    knowing nothing costs ln 16. `score` counts a place as right only if both neighbours are.

    Raises ValueError for length < 3.
    """

    at = slice(1, -1)
    inputs = outputs = VALUES
    vocabulary = tuple(map(str, range(VALUES)))
    baseline = math.log(VALUES)

    def __init__(self, length: int):
        self.length = at_least("length", length, 3)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randint(self.inputs, (size, self.length), generator=generator)
        return Batch(x, torch.stack([x[:, :-2], x[:, 2:]], dim=-1))

    def score(self, outputs: Tensor, batch: Batch) -> float:
        return both_right(outputs, batch.y)


def both_right(outputs: Tensor, y: Tensor) -> float:
    """The share of places where both answers are right. outputs (..., 2, classes), y (..., 2)."""
    return float((outputs.argmax(-1) == y).all(-1).float().mean())


def _distinct(among: int, count: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """(*shape, count) different whole numbers below `among`, in random order."""
    return torch.rand(*shape, among, generator=generator).argsort(-1)[..., :count]


def _pairs(pairs: int, keys: int) -> int:
    if at_least("pairs", pairs, 1) > keys:
        raise ValueError(f"pairs = {pairs} is more than keys = {keys}, and no key may come twice")
    return pairs
