"""Self-attention in five steps, on a sentence and in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore.models.attention import Attention, Steps
from seqcore.models.heads import affine
from seqcore.tasks.lookup import KeyValue


class Lookup(nn.Module):
    """One head that looks a key up, and a linear readout: x (batch, pairs + 1, features) -> (batch, 1, values).

    task       says how x is cut into queries, keys and values
    d_k, scale, initial, generator   as in `Attention`
    d_v        length of what is read
    """

    def __init__(
        self,
        task: KeyValue,
        d_k: int,
        d_v: int = 32,
        scale: str = "sqrt",
        initial: str = "unit",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.cut = task.parts
        self.head = Attention(task.width, d_k, d_v, task.outputs, scale, initial, generator)
        self.W_y, self.b_y = affine(task.outputs, d_v, generator)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.head(*self.cut(x)), self.W_y, self.b_y)

    def trace(self, x: Tensor) -> tuple[Tensor, Steps]:
        """The same, with the five steps."""
        z, steps = self.head.trace(*self.cut(x))
        return F.linear(z, self.W_y, self.b_y), steps
