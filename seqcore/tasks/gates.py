"""What gates are for: forget at a mark, keep between marks. Tasks so small that one or two units solve them.

Every step brings a value and sometimes a mark; an answer is due at every step. A network that solves
`Reset` must empty its memory at a mark, one that solves `Hold` must overwrite it there and leave it
alone elsewhere, so the forget gate can be read next to the marks.

    τ_t = the last marked step ≤ t                  (the first step is always marked)
    Reset  y_t = STRIDE · Σ_{τ_t < u ≤ t} v_u       v_u ∈ {-1, 0, 1}, equally likely
    Hold   y_t = v_{τ_t}                            v_u ~ U(-1, 1)
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqcore.tasks import Batch, Task, at_least

# how often a step is marked
MARKED = 0.1
# what one step adds to the sum: small, so that the sum stays where tanh is almost straight
STRIDE = 0.2


class Marked(Task):
    """x (batch, length, 2): a value and a mark; y (batch, length). Raises ValueError for length < 2."""

    inputs, outputs = 2, 1
    unit = "squared error"
    vocabulary = ("value", "mark")

    def __init__(self, length: int):
        self.length = at_least("length", length, 2)

    def _marks(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Truths (batch, length): which steps are marked; whole numbers (batch, length): the last marked step."""
        mark = torch.rand(size, self.length, generator=generator) < MARKED
        mark[:, 0] = True
        return mark, (mark * torch.arange(self.length)).cummax(1).values


class Reset(Marked):
    """The sum of the values since the last mark, which is zero at the mark itself.

    With p = MARKED, the number J_t of steps since the last mark exceeds j with chance (1-p)^{j+1} while
    j < t, so E J_t = Σ_{j=1}^t (1-p)^j. The answers have mean zero and variance STRIDE² · 2/3 · E J_t;
    the baseline is that variance, averaged over the steps.
    """

    @property
    def baseline(self) -> float:  # type: ignore[override]  # computed here, where most tasks store it
        left, T = 1 - MARKED, self.length
        # Σ_{j=1}^t (1-p)^j, summed over t = 0 ... T-1: the power j occurs T-j times
        waited = sum((T - j) * left**j for j in range(1, T)) / T
        return STRIDE**2 * 2 / 3 * waited

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        value = torch.randint(-1, 2, (size, self.length), generator=generator)
        mark, last = self._marks(size, generator)
        total = value.cumsum(1)
        return Batch(torch.stack([value, mark], dim=-1).float(), STRIDE * (total - total.gather(1, last)))


class Hold(Marked):
    """The value at the last mark. Every answer is U(-1, 1), whose variance 1/3 is the baseline."""

    baseline = 1 / 3

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        value = 2 * torch.rand(size, self.length, generator=generator) - 1
        mark, last = self._marks(size, generator)
        return Batch(torch.stack([value, mark.float()], dim=-1), value.gather(1, last))
