"""One derivative, three ways: what a backward pass is worth.

    kernel      dL/dw by the hand-written backward pass                  model(x)
    autograd    dL/dw by autograd through the equations                  model.trace(x)
    difference  (L(w + ε) - L(w - ε)) / 2ε, by definition, error O(ε²)   model.trace(x), twice

The first two agree to rounding; the third is the judge of both, as far as ε lets it be: below some ε the two losses
agree in so many digits that their difference has few left, and the error grows like 1e-16 / ε.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor], Tensor]


class Check(NamedTuple):
    """The derivative of a loss with respect to one weight, three ways.

    above, below  the loss with the weight moved by ε up, and by ε down: what the difference is made of
    """

    kernel: float
    autograd: float
    difference: float
    above: float
    below: float

    @property
    def mismatch(self) -> float:
        """|difference - kernel| / |kernel|: how much of the derivative the two do not agree on."""
        return _mismatch(self.difference, self.kernel)


def gradient_check(
    model: nn.Module,
    x: Tensor,
    loss: Loss,
    name: str,
    index: tuple[int, ...],
    eps: float = 1e-5,
) -> Check:
    """The derivative of loss(y) for the weight at `index` of parameter `name`, in float64; the model stays as it is.

    model  anything with `model(x)` and `model.trace(x)`, such as RNN, LSTM or GRU
    loss   maps y in float64 to a scalar
    eps    the ε of the difference: smaller is truer until rounding, about 1e-16 / ε, takes over

    Raises ValueError for a name or index the model does not have.
    """
    copied, weight, x = _copy(model, x, name, index)
    (by_kernel,) = torch.autograd.grad(loss(copied(x)), weight)
    (by_trace,) = torch.autograd.grad(loss(copied.trace(x)[0]), weight)
    above, below = (_moved(copied, weight, x, loss, index, by) for by in (eps, -eps))
    return Check(by_kernel[index].item(), by_trace[index].item(), (above - below) / (2 * eps), above, below)


def mismatches(
    model: nn.Module, x: Tensor, loss: Loss, name: str, index: tuple[int, ...], steps: Iterable[float]
) -> list[float]:
    """`Check.mismatch` for every ε of `steps`; the other arguments are those of `gradient_check`."""
    copied, weight, x = _copy(model, x, name, index)
    (by_kernel,) = torch.autograd.grad(loss(copied(x)), weight)
    found = []
    for eps in steps:
        above, below = (_moved(copied, weight, x, loss, index, by) for by in (eps, -eps))
        found.append(_mismatch((above - below) / (2 * eps), by_kernel[index].item()))
    return found


def _copy(model: nn.Module, x: Tensor, name: str, index: tuple[int, ...]) -> tuple[Any, Tensor, Tensor]:
    """The model in float64, the parameter that is meant, and x in float64."""
    copied: Any = copy.deepcopy(model).double()  # Any: nn.Module does not promise a trace
    weights = dict(copied.named_parameters())
    if name not in weights:
        raise ValueError(f"name = {name!r} is not one of {', '.join(weights)}")
    weight = weights[name]
    if len(index) != weight.dim() or not all(0 <= at < size for at, size in zip(index, weight.shape)):
        raise ValueError(f"index = {index} is not in {name}, whose shape is {tuple(weight.shape)}")
    return copied, weight, x.double()


@torch.no_grad()
def _moved(model: Any, weight: Tensor, x: Tensor, loss: Loss, index: tuple[int, ...], by: float) -> float:
    """The loss with one weight moved by so much, which is put back."""
    before = weight[index].item()
    weight[index] = before + by
    value = loss(model.trace(x)[0]).item()
    weight[index] = before
    return value


def _mismatch(one: float, other: float) -> float:
    return abs(one - other) / abs(other) if other else abs(one)
