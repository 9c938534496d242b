"""A letter, noise, a question mark: which letter was it? And again, after a wait of another length.

    A w x w z ? a C y ? c B z z w x y ...          cue, noise, question, answer; the next cue

    g ~ p (1 - p)^g,  g = 0, 1, 2 ...  p = 1 / (1 + gap)            the noise between a cue and its question
    floor(τ) = (1 - p)^(τ-1) ln K                                   the least loss with a window of τ symbols

A window of τ symbols ends with the question mark, and so holds the cue if g <= τ - 2; of a cue it does not hold
it knows nothing, which costs ln K for K letters. A state that keeps the letter answers every question: its
floor is 0. However long the window, some wait is longer.
"""

from __future__ import annotations

import math
import string
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqcore.tasks import Batch, Task, at_least

NOISE = "wxyz"
QUESTION, SILENCE = "?", "."
MOST = 8  # letters, so that none is also noise
UNASKED = -100  # the answer at steps where none is due: torch's cross-entropy leaves it out


class Rows(NamedTuple):
    """x, y as in `Repeat`; distance (batch, length): how many steps before a question its cue stands, 0 elsewhere."""

    x: Tensor
    y: Tensor
    distance: Tensor


class Repeat(Task):
    """Rows of `length` symbols that begin with a cue.

    length   symbols in a row, after the silence
    gap      noise symbols between a cue and its question, on average
    symbols  K, how many letters there are
    window   symbols a model must have seen before it answers: before each row stand `window` - 1 symbols of silence
    x (batch, window - 1 + length) symbols; y (batch, length) symbols: the answer at questions, UNASKED elsewhere.

    Loss and score count questions only. Raises ValueError for length < 2, gap < 0, window < 1, or symbols outside 2 to 8.
    """

    def __init__(self, length: int, gap: float, symbols: int = 4, window: int = 1):
        self.length = at_least("length", length, 2)
        self.gap, self.window = at_least("gap", gap, 0), at_least("window", window, 1)
        self.symbols = at_least("symbols", symbols, 2)
        if symbols > MOST:
            raise ValueError(f"symbols = {symbols} is more than {MOST}")
        self.at = slice(window - 1, None)
        cues = string.ascii_uppercase[:symbols]
        self.vocabulary = (*cues, *cues.lower(), *NOISE, QUESTION, SILENCE)
        self.inputs = self.outputs = len(self.vocabulary)
        self.baseline = math.log(symbols)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        rows = self.rows(size, generator)
        return Batch(rows.x, rows.y)

    def rows(self, size: int, generator: torch.Generator) -> Rows:
        """The same rows as `batch`, and how far back each cue is."""
        blocks = self.length // 3 + 1  # a block is a cue, its noise, the question and the answer
        u = torch.rand(size, blocks, dtype=torch.float64, generator=generator)
        p = 1 / (1 + self.gap)
        waits = (u.log() / math.log1p(-p)).long() if self.gap else torch.zeros(size, blocks).long()
        waits = waits.clamp(max=self.length)
        starts = F.pad((waits + 3).cumsum(1), (1, 0))[:, :-1]
        return self._write(starts, waits + 1, generator)

    def exam(self, distances: list[int], size: int, generator: torch.Generator) -> Rows:
        """`size` rows for each distance: a cue, noise, and one question so many steps after the cue, in order."""
        distance = torch.tensor(distances).repeat_interleave(size)[:, None]
        return self._write(torch.zeros_like(distance), distance, generator)

    def waiting(self, size: int, generator: torch.Generator) -> Tensor:
        """Rows in which nothing is ever asked: a cue and length - 1 symbols of noise, (size, window - 1 + length)."""
        never = torch.full((size, 1), self.length)
        return self._write(torch.zeros_like(never), never, generator).x

    def least(self, window: int) -> float:
        """The least loss with a window of so many symbols, on rows without end."""
        return (1 - 1 / (1 + self.gap)) ** (window - 1) * self.baseline

    def least_on(self, rows: Rows, window: int) -> float:
        """The same on these rows, which leave out waits that would not fit: the share of cues out of sight, times ln K."""
        return self.baseline * float((rows.distance[rows.distance > 0] >= window).double().mean())

    def score(self, outputs: Tensor, batch: Batch) -> float:
        """The share of questions that are answered right."""
        return float((outputs.argmax(-1) == batch.y)[batch.y != UNASKED].float().mean())

    def _write(self, starts: Tensor, distance: Tensor, generator: torch.Generator) -> Rows:
        """Cues at `starts`, questions `distance` later, answers after them, noise elsewhere: (size, blocks) each."""
        size, K, T = len(starts), self.symbols, self.length
        cue = torch.randint(K, starts.shape, generator=generator)
        # what does not fit is written into one more column, which is then cut off
        x = torch.randint(2 * K, 2 * K + len(NOISE), (size, T + 1), generator=generator)
        y, back = torch.full((size, T + 1), UNASKED), torch.zeros(size, T + 1).long()
        asked = (starts + distance).clamp(max=T)
        x.scatter_(1, starts.clamp(max=T), cue)
        x.scatter_(1, asked, self.vocabulary.index(QUESTION))
        x.scatter_(1, (asked + 1).clamp(max=T), cue + K)
        y.scatter_(1, asked, cue + K)
        back.scatter_(1, asked, distance)
        silence = torch.full((size, self.window - 1), self.vocabulary.index(SILENCE))
        return Rows(torch.cat([silence, x[:, :T]], dim=1), y[:, :T], back[:, :T])
