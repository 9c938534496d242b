"""What a stack of blocks does on the way forward and back.

    through       before(x), f(before(x)), their sum with x, and what is made of it: PARTS of a sublayer
    rms           √(mean of the squared entries) of each vector
    by block      ‖dL/dθ_b‖, θ_b all weights of block b           (blocks,)
    decades       log10(‖dL/dθ_1‖ / ‖dL/dθ_N‖)                    below zero where the first blocks get less
    by position   ‖dL/dx_t‖, mean over the batch                  (time,)

The gradients are of any torch modules. Norms are of float64, so that a gradient of 1e-30 is still a number; the
gradients themselves have the precision of the model, and below 1e-38 float32 has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from seqcore.models.encoder import Around

PARTS = ("before", "f", "sum", "after")  # of a sublayer: before(x), f(before(x)), x + f or f alone, after(sum)


def through(around: Around, f: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four PARTS of one sublayer, each of the shape of x; the last is what `around(x, f)` returns."""
    before = around.before(x)
    f_x = f(before)
    joined = x + f_x if around.residual else f_x
    return before, f_x, joined, around.after(joined)


def rms(states: np.ndarray) -> np.ndarray:
    """The root mean square of every vector of states (..., unit), in float64: (...)."""
    return np.sqrt(np.square(states.astype(float)).mean(-1))


def by_block(loss: Tensor, blocks: Sequence[nn.Module]) -> Tensor:
    """‖dL/dθ_b‖ of every block, (blocks,). Weights that the loss does not reach count as zero.

    The graph of the loss is kept, and no `.grad` is touched, so training can go on from the same loss.
    Raises ValueError for a block without weights.
    """
    weights = [[weight for weight in block.parameters() if weight.requires_grad] for block in blocks]
    if not all(weights):
        raise ValueError(f"block {[bool(each) for each in weights].index(False)} of {len(blocks)} has no weights")
    flat = [weight for each in weights for weight in each]
    gradients = iter(torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True))
    norms = [[_norm(next(gradients)) for _ in each] for each in weights]
    return torch.stack([torch.linalg.vector_norm(torch.stack(each)) for each in norms])


def decades(norms: Tensor) -> float:
    """log10 of the first norm over the last: -3 if the first block gets a thousandth of what the last one gets.

    -inf where nothing reaches the first, NaN where nothing reaches either.
    """
    return float(norms[0].log10() - norms[-1].log10())


def by_position(model: Callable[[Tensor], Tensor], x: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """‖dL/dx_t‖ (time,): the norm over the features of x (batch, time, features), then the mean over the batch.

    model  maps x to outputs; loss maps outputs to a scalar. For symbols let x be their vectors, and model
           what comes after the embedding. A loss that is a mean over the batch makes every norm smaller
           by the size of the batch, which ratios do not see.
    """
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(model(x)), x)
    return torch.linalg.vector_norm(gradient, dim=-1, dtype=torch.float64).mean(0)


def _norm(gradient: Tensor | None) -> Tensor:
    if gradient is None:
        return torch.zeros((), dtype=torch.float64)
    return torch.linalg.vector_norm(gradient, dtype=torch.float64)
