"""Data with known answers: every task states what it costs to know nothing, and the best anyone can do.

A task draws its batches from the generator it is given, so that the same generator gives the same
batches whoever else is drawing. One idea a file; this one holds what they share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

Number = TypeVar("Number", int, float)


class Batch(NamedTuple):
    """x: (batch, time, features) numbers or (batch, time) symbols; y: (batch, answers) numbers or symbols.

    Where a step has several answers, y has one more axis for them.

    lengths: (batch,) whole numbers where rows differ in length, else None.
    """

    x: Tensor
    y: Tensor
    lengths: Tensor | None = None


class Task(ABC):
    """What all tasks say of themselves.

    inputs    features of x a step, or the size of the vocabulary where x holds symbols
    outputs   numbers a model must give for each answer: 1 for a quantity, else the number of classes
    vocabulary  names of the inputs, in their order
    at        the time steps at which an answer is due, as a slice
    unit      "squared error" or "nats": what `loss` is measured in
    baseline  the loss of the best answer that does not look at x
    floor     the loss of the best possible answer
    """

    inputs: int
    outputs: int
    vocabulary: tuple[str, ...]
    at: slice = slice(None)
    unit: str = "nats"
    baseline: float
    floor: float = 0.0

    @abstractmethod
    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """`size` fresh rows."""

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean loss of outputs (batch, answers, outputs) in `unit`; a scalar that can be differentiated."""
        if self.unit == "squared error":
            return F.mse_loss(outputs.squeeze(-1), batch.y)
        return F.cross_entropy(outputs.flatten(0, -2), batch.y.flatten())

    def score(self, outputs: Tensor, batch: Batch) -> float:
        """The share of answers that are right, or for quantities the mean squared error."""
        if self.unit == "squared error":
            return float(self.loss(outputs, batch))
        return float((outputs.argmax(-1) == batch.y).float().mean())


def at_least(name: str, value: Number, low: int) -> Number:
    """The value, if it is at least `low`; ValueError naming it and the limit otherwise."""
    if value < low:
        raise ValueError(f"{name} = {value} is less than {low}")
    return value
