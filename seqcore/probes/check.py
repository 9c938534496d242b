"""One derivative, three ways: what a backward pass is worth.

    kernel      dL/dw by the hand-written backward pass                  model(x)
    autograd    dL/dw by autograd through the equations                  model.trace(x)
    difference  (L(w + ε) - L(w - ε)) / 2ε, by definition, error O(ε²)   model.trace(x), twice

The first two agree to rounding; the third is the judge of both, as far as ε lets it be.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Check(NamedTuple):
    """The derivative of a loss with respect to one weight, three ways."""

    kernel: float
    autograd: float
    difference: float


def gradient_check(
    model: nn.Module,
    x: Tensor,
    loss: Callable[[Tensor], Tensor],
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
    model, x = copy.deepcopy(model).double(), x.double()
    weights = dict(model.named_parameters())
    if name not in weights:
        raise ValueError(f"name = {name!r} is not one of {', '.join(weights)}")
    weight = weights[name]
    if len(index) != weight.dim() or not all(0 <= at < size for at, size in zip(index, weight.shape)):
        raise ValueError(f"index = {index} is not in {name}, whose shape is {tuple(weight.shape)}")

    def shifted(by: float) -> float:
        with torch.no_grad():
            before = weight[index].item()
            weight[index] = before + by
            value = loss(model.trace(x)[0]).item()
            weight[index] = before
            return value

    (by_kernel,) = torch.autograd.grad(loss(model(x)), weight)
    (by_trace,) = torch.autograd.grad(loss(model.trace(x)[0]), weight)
    difference = (shifted(eps) - shifted(-eps)) / (2 * eps)
    return Check(by_kernel[index].item(), by_trace[index].item(), difference)
