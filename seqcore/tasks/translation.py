"""Write a text anew: sequence to sequence, one symbol a character, with an answer whose digits can be checked.

    source  x   31415926                            padded to `source_length`
    target  y   62951413 <end>                      padded to `target_length`
    given       <start> 62951413                    what the decoder is shown while it is taught: `shifted(y)`

All answers are digits (and hyphens), which gives one rule for all tasks, closed under reordering, that
keeps training and test apart: **an item is held out if the digits of its answer add up to a multiple of
ten.** Every tenth item is; `batch` never draws one of those, `held_out` draws nothing else. So no test
string, number or calendar date was ever trained on, in any spelling.

baseline: a decoder that does not look at the source can still learn the answers by heart. It pays the
entropy of an answer, spread over the symbols of answers, the end included:

    baseline = H(answer) / E[symbols of an answer]
"""

from __future__ import annotations

import datetime
import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqcore.tasks import Batch, Task, at_least

PAD, START, END = 0, 1, 2
SPECIAL = ("<pad>", "<start>", "<end>")

Pair = tuple[str, str]


class Translation(Task):
    """x (batch, source_length) symbols, y (batch, target_length) symbols with END, `lengths` of the sources.

    `inputs` and `outputs` are the size of one vocabulary for both sides. Padding costs nothing: `loss` is
    the mean over the symbols of the answers, `score` the share of them that are right, both with the right
    symbols before them given.

    vocabulary     the special symbols, then every character of sources and targets
    source_length  the longest source
    target_length  the longest target and its END
    """

    def __init__(self, characters: Iterable[str], source_length: int, target_length: int, baseline: float):
        self.vocabulary = (*SPECIAL, *sorted(set(characters)))
        self.inputs = self.outputs = len(self.vocabulary)
        self.source_length, self.target_length = source_length, target_length
        self.baseline = baseline
        self._number = {name: number for number, name in enumerate(self.vocabulary)}

    @abstractmethod
    def _pairs(self, size: int, generator: torch.Generator, held_out: bool) -> list[Pair]:
        """Source and target of `size` items: only held-out ones, or only others."""

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        return self._rows(self._pairs(size, generator, held_out=False))

    def held_out(self, size: int, generator: torch.Generator) -> Batch:
        """`size` rows of which `batch` never draws any, nor any other way of writing them."""
        return self._rows(self._pairs(size, generator, held_out=True))

    def encode(self, text: str) -> Batch:
        """A reader's own source as a batch of one row, with nothing to answer: y is (1, 0).

        Upper case and surrounding blanks do not matter. Raises ValueError for an empty text, naming the
        characters that are not in the vocabulary, or the length and its limit.
        """
        text = text.strip().lower()
        if not text:
            raise ValueError("the text is empty")
        if unknown := sorted(set(text) - set(self._number)):
            raise ValueError(f"unknown characters {' '.join(map(repr, unknown))}; known are {self.characters!r}")
        if len(text) > self.source_length:
            raise ValueError(f"the text has {len(text)} characters; the limit is {self.source_length}")
        return Batch(self._padded([text], self.source_length), torch.empty(1, 0).long(), torch.tensor([len(text)]))

    def decode(self, symbols: Tensor) -> str:
        """symbols (time,) as text, up to the first END and without START and padding."""
        numbers: list[int] = symbols.tolist()
        until = numbers.index(END) if END in numbers else len(numbers)
        return "".join(self.vocabulary[number] for number in numbers[:until] if number > END)

    @property
    def characters(self) -> str:
        """Every character a source or target may have."""
        return "".join(self.vocabulary[len(SPECIAL) :])

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, -2), batch.y.flatten(), ignore_index=PAD)

    def score(self, outputs: Tensor, batch: Batch) -> float:
        due = batch.y != PAD
        return float((outputs.argmax(-1) == batch.y)[due].float().mean())

    def _rows(self, pairs: Sequence[Pair]) -> Batch:
        sources, targets = zip(*pairs, strict=True)
        x = self._padded(sources, self.source_length)
        y = F.pad(self._padded(targets, self.target_length - 1), (0, 1), value=PAD)
        y[torch.arange(len(y)), torch.tensor([len(target) for target in targets])] = END
        return Batch(x, y, torch.tensor([len(source) for source in sources]))

    def _padded(self, texts: Sequence[str], length: int) -> Tensor:
        """(texts, length) symbols."""
        return torch.tensor([[self._number[c] for c in text] + [PAD] * (length - len(text)) for text in texts])


def shifted(y: Tensor) -> Tensor:
    """What the decoder is given to answer y (batch, time): START, then y without its last symbol."""
    return F.pad(y[:, :-1], (1, 0), value=START)


def exact_match(decoded: Tensor, y: Tensor) -> float:
    """The share of rows that are right from the first symbol to END. decoded (batch, any time), y (batch, time).

    What follows the END of y does not count; a decoded row that stops before it is wrong.
    """
    decoded = F.pad(decoded, (0, max(0, y.shape[1] - decoded.shape[1])), value=PAD)[:, : y.shape[1]]
    return float(((decoded == y) | (y == PAD)).all(1).float().mean())


def is_held_out(answer: str) -> bool:
    """Whether the digits of an answer add up to a multiple of ten."""
    return sum(int(c) for c in answer if c.isdigit()) % 10 == 0


class Digits(Translation):
    """Strings of digits, each as likely as any other of its length; the length is uniform from shortest to length.

    length    the longest string
    shortest  the shortest; all have `length` digits if it is not given

    With n digits, 9 · 10ⁿ⁻¹ strings are for training: nine last digits for every beginning.

    Raises ValueError for length or shortest < 2, or shortest above length.
    """

    def __init__(self, length: int = 8, shortest: int | None = None):
        shortest = at_least("length", length, 2) if shortest is None else at_least("shortest", shortest, 2)
        if shortest > length:
            raise ValueError(f"shortest = {shortest} is more than length = {length}")
        self.lengths = range(shortest, length + 1)
        entropy = sum(self._entropy(n) for n in self.lengths) / len(self.lengths) + math.log(len(self.lengths))
        symbols = (shortest + length) / 2 + 1
        super().__init__("0123456789", length, length + 1, entropy / symbols)

    def _pairs(self, size: int, generator: torch.Generator, held_out: bool) -> list[Pair]:
        digits = torch.randint(10, (size, self.source_length), generator=generator)
        length = torch.randint(self.lengths[0], self.lengths[-1] + 1, (size, 1), generator=generator)
        rest = torch.zeros(size, 1).long() if held_out else torch.randint(1, 10, (size, 1), generator=generator)
        # the last digit brings the sum to the wanted rest: every string with that rest is equally likely
        before = digits.masked_fill(torch.arange(self.source_length) >= length - 1, 0).sum(1, keepdim=True)
        digits.scatter_(1, length - 1, (rest - before) % 10)
        rows = ("".join(map(str, row[:n])) for row, n in zip(digits.tolist(), length.flatten().tolist(), strict=True))
        return [(row, self._answer(row)) for row in rows]

    @abstractmethod
    def _answer(self, source: str) -> str:
        """The target of a source."""

    @abstractmethod
    def _entropy(self, n: int) -> float:
        """Nats of an answer of n digits, over the training strings."""


class Reverse(Digits):
    """The digits from last to first."""

    def _answer(self, source: str) -> str:
        return source[::-1]

    def _entropy(self, n: int) -> float:
        return math.log(9) + (n - 1) * math.log(10)

    def aligned(self, batch: Batch) -> Tensor:
        """(batch, target_length): the place in x that each answer is copied from; -1 at END and padding."""
        assert batch.lengths is not None, "a batch of this task has lengths"
        place = batch.lengths[:, None] - 1 - torch.arange(self.target_length)
        return place.clamp_min(-1)


class Sort(Digits):
    """The digits in ascending order. No order of a held-out string's digits is ever trained on.

    An answer with n_v digits v stands for n! / Π n_v! equally likely sources, so that

        H(answer) = H(source) - ln n! + Σ_v E ln n_v!

    Of the strings of n digits with k times v, the held-out ones number

        C(n, k) (9ᵐ + (-1)ᵐ (10 [10 divides n v] - 1)) / 10,    m = n - k

    by the discrete Fourier transform over sums modulo ten: of the other nine digits each power of a tenth
    root of unity sums up to 9 at the root 1, and at the root ω to -ωᵛ.
    """

    def _answer(self, source: str) -> str:
        return "".join(sorted(source))

    def _entropy(self, n: int) -> float:
        log_factorials = 0.0
        for v in range(10):
            for k in range(2, n + 1):
                m = n - k
                held_out = (9**m + (-1) ** m * (9 if n * v % 10 == 0 else -1)) // 10
                log_factorials += math.comb(n, k) * (9**m - held_out) * math.lgamma(k + 1)
        sources = 9 * 10 ** (n - 1)
        return math.log(sources) - math.lgamma(n + 1) + log_factorials / sources


Item = TypeVar("Item")


class Listed(Translation, Generic[Item]):
    """Items that can be listed, each with its answer and one or more equally likely ways of writing it."""

    def __init__(self, items: Sequence[Item], characters: Iterable[str], source_length: int):
        self.training: list[Item] = []
        self.test: list[Item] = []
        for item in items:
            (self.test if is_held_out(self._answer(item)) else self.training).append(item)
        symbols = [len(self._answer(item)) + 1 for item in self.training]
        entropy = math.log(len(self.training))
        super().__init__(characters, source_length, max(symbols), entropy * len(symbols) / sum(symbols))

    @abstractmethod
    def _answer(self, item: Item) -> str:
        """The target, different for each item."""

    @abstractmethod
    def _ways(self, item: Item) -> tuple[str, ...]:
        """The sources, equally many for each item."""

    def _pairs(self, size: int, generator: torch.Generator, held_out: bool) -> list[Pair]:
        items = self.test if held_out else self.training
        ways = len(self._ways(items[0]))
        item = torch.randint(len(items), (size,), generator=generator).tolist()
        way = torch.randint(ways, (size,), generator=generator).tolist()
        return [(self._ways(items[i])[k], self._answer(items[i])) for i, k in zip(item, way, strict=True)]


SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


class SpelledNumbers(Listed[int]):
    """One to 999 in words, "three hundred and twelve", to digits, "312"."""

    def __init__(self):
        numbers = range(1, 1000)
        words = [spelled(number) for number in numbers]
        super().__init__(numbers, "".join(words) + "0123456789", max(map(len, words)))

    def _answer(self, item: int) -> str:
        return str(item)

    def _ways(self, item: int) -> tuple[str, ...]:
        return (spelled(item),)


def spelled(number: int) -> str:
    """A number from 0 to 999 in words. Raises ValueError outside."""
    if not 0 <= number <= 999:
        raise ValueError(f"number = {number} is not from 0 to 999")
    if number < 20:
        return SMALL[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens - 2] + (f"-{SMALL[ones]}" if ones else "")
    hundreds, rest = divmod(number, 100)
    return f"{SMALL[hundreds]} hundred" + (f" and {spelled(rest)}" if rest else "")


MONTHS = [
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]  # fmt: skip
YEARS = range(1950, 2050)


class Dates(Listed[datetime.date]):
    """A date of 1950 to 2049 as people write it, "7 mar 1998", "mar 7, 1998" or "7 march 1998", to 1998-03-07."""

    def __init__(self):
        first, last = datetime.date(YEARS[0], 1, 1), datetime.date(YEARS[-1], 12, 31)
        days = [first + datetime.timedelta(days) for days in range((last - first).days + 1)]
        longest = max(len(way) for day in days[-365:] for way in self._ways(day))
        super().__init__(days, "".join(MONTHS) + "0123456789 ,-", longest)

    def _answer(self, item: datetime.date) -> str:
        return item.isoformat()

    def _ways(self, item: datetime.date) -> tuple[str, ...]:
        month = MONTHS[item.month - 1]
        return (
            f"{item.day} {month[:3]} {item.year}",
            f"{month[:3]} {item.day}, {item.year}",
            f"{item.day} {month} {item.year}",
        )


# every translation with the settings it is met with first
TASKS: dict[str, type[Translation]] = {"reverse": Reverse, "sort": Sort, "numbers": SpelledNumbers, "dates": Dates}
