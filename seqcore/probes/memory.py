"""What a hidden state remembers, and what an answer listens to.

    ŷ_{t,k} = A_k h_t + b_k  ≈  x_{t-k}                 one linear probe a lag k, by ridge regression
    s_t     = ‖∂y/∂x_t‖                                 saliency: how far an answer moves with the input at t

A probe reads what can be read off linearly (Alain & Bengio 2016): a low score does not prove that the
past is forgotten, only that no linear readout recovers it. Saliency after Simonyan et al. 2014; it holds for
infinitesimal changes at this input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

# Of the mean variance of the units: as if each were read through noise of 3 % of its size. Without it, a memory
# that is there only in the last decimals would count as one.
RIDGE = 1e-3


class Memory(NamedTuple):
    """By lag, each (lags,).

    train, held_out  the probe's score on the rows it was fitted to, and on the others: the share of symbols it
                     names, or for quantities R², the share of their variance it explains
    chance           the score on the held-out rows of a guess that does not see h: the training rows' most
                     frequent symbol, or their mean
    """

    train: Tensor
    held_out: Tensor
    chance: Tensor


def remembered(h: Tensor, x: Tensor, lags: Sequence[int]) -> Memory:
    """How well h_t tells x_{t-lag}, for every lag, from linear probes fitted to the first half of the rows.

    h     (batch, time, hidden) states
    x     (batch, time) what was read at each step: symbols if whole numbers, else quantities
    lags  0 is the step just read

    Every lag is measured at the same steps, those with the longest lag before them, so that scores compare.
    Raises ValueError for fewer than two rows, or lags outside 0 to time - 1.
    """
    B, T, _ = h.shape
    if B < 2:
        raise ValueError(f"batch = {B} is less than 2: half of the rows are held out")
    if not lags or min(lags) < 0 or max(lags) >= T:
        raise ValueError(f"lags = {list(lags)} are not all from 0 to {T - 1}, the steps there are")
    half, first = B // 2, max(lags)
    h = h.detach()[:, first:].double()
    symbols = not x.is_floating_point()
    past = F.one_hot(x).double() if symbols else x[..., None].double()
    score = _share_named if symbols else _share_explained
    read = _probe(h[:half])
    scores = []
    for lag in lags:
        target = past[:, first - lag : T - lag]
        mean = target[:half].mean((0, 1))
        guess = mean + read(target[:half] - mean, h)
        blind = mean.expand_as(guess)
        halves = (guess[:half], target[:half]), (guess[half:], target[half:]), (blind[half:], target[half:])
        scores.append([score(*half, mean) for half in halves])
    return Memory(*torch.tensor(scores, dtype=torch.float64).T)


def _probe(fitted: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Ridge regression on states (batch, time, hidden), factorised once: (targets, states) -> guesses."""
    mean = fitted.mean((0, 1))
    A = (fitted - mean).flatten(0, 1)
    gram = A.T @ A
    # states that never move make a gram of zero, and then any positive ridge will do
    ridge = RIDGE * gram.trace() / len(gram) + torch.finfo(gram.dtype).tiny
    factor = torch.linalg.cholesky(gram + ridge * torch.eye(len(gram), dtype=gram.dtype))

    def read(targets: Tensor, h: Tensor) -> Tensor:
        return (h - mean) @ torch.cholesky_solve(A.T @ targets.flatten(0, 1), factor)

    return read


def _share_named(guess: Tensor, target: Tensor, mean: Tensor) -> float:
    return float((guess.argmax(-1) == target.argmax(-1)).double().mean())


def _share_explained(guess: Tensor, target: Tensor, mean: Tensor) -> float:
    """R², against the mean of the rows the probe was fitted to; NaN for a quantity that does not vary."""
    return float(1 - (guess - target).square().sum() / (target - mean).square().sum())


def saliency(respond: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """‖∂y/∂x_t‖ by time: (batch, time), for x (batch, time, features).

    respond  maps x to one number a row, (batch,), without mixing rows; for a model of symbols x are its
             embeddings: `lambda e: model.respond(e)[:, -1, symbol]` on `model.features(symbols)`
    """
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(respond(x).sum(), x)
    return gradient.norm(dim=-1)
