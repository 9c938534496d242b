"""The one training loop: arms side by side, on the same batches, seed by seed.

    g     = ∇ loss(model, batch)                        every arm gets the same batch
    g     = g · min(1, clip / |g|)                      where there is clipping (Pascanu et al. 2013)
    θ     = optimiser(θ, g)

An arm is one way to do it (with clipping, without; scaled, unscaled ...); a seed is one repetition.
The loop is a generator: whoever wants to watch asks for the next moment, and nothing runs in between.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqcore.record import Signal

OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "Adam": lambda weights, rate: torch.optim.Adam(weights, rate, fused=True),
    "SGD": lambda weights, rate: torch.optim.SGD(weights, rate, fused=True),
}
HOPELESS = 1e6  # a loss above this has diverged: no task here starts above a thousand


class Trainer:
    """One model on its way down: takes batches, knows how many (`steps`), how long they took (`seconds` of the
    processor, as measured) and when it has diverged.

    model      any module
    loss       (model, batch) -> scalar
    rate       learning rate
    optimiser  a name in OPTIMISERS
    clip       largest norm of the whole gradient, or 0 for no clipping
    schedule   step -> what the rate is multiplied by at that step; 1 if not given
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[nn.Module, Any], Tensor],
        rate: float,
        optimiser: str = "Adam",
        clip: float = 0.0,
        schedule: Callable[[int], float] = lambda step: 1.0,
    ):
        if optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser = {optimiser!r} is not one of {', '.join(OPTIMISERS)}")
        self.model, self.loss, self.clip = model, loss, clip
        self.rate, self.schedule = rate, schedule
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimiser = OPTIMISERS[optimiser](self.weights, rate)
        self.steps = 0
        self.seconds = 0.0
        self.diverged: int | None = None

    def measure(self, batch: Any) -> tuple[float, float]:
        """The loss of one batch and the norm of its gradient, which is left in the weights, clipped."""
        self.optimiser.zero_grad()
        loss = self.loss(self.model, batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.weights, self.clip or math.inf)
        return loss.item(), norm.item()

    def step(self, batch: Any) -> tuple[float, float]:
        """Learn from one batch: its loss before the step, and the norm of the gradient before clipping.

        A loss that is not finite, or hopeless, ends the training: `diverged` is then the step it happened at.
        """
        if self.diverged is not None:
            return math.nan, math.nan
        start = time.thread_time()
        value, size = self.measure(batch)
        if not (math.isfinite(value) and math.isfinite(size) and value < HOPELESS):
            self.diverged = self.steps
            return math.nan, math.nan
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * self.schedule(self.steps)
        self.optimiser.step()
        self.steps += 1
        self.seconds += time.thread_time() - start
        return value, size


def trapezoid(steps: int, rise: int = 20, fall: float = 0.3) -> Callable[[int], float]:
    """A schedule that climbs to 1 in `rise` steps, stays, and sinks towards 0 over the last share `fall` of `steps`.

    The climb keeps Adam's first, badly informed steps small (Vaswani et al. 2017, section 5.3); the end lets it settle.
    """
    return lambda step: min(1.0, (step + 1) / rise, (steps - step) / (fall * steps))


class Progress(NamedTuple):
    """What the loop knows at one moment.

    step   optimiser steps done
    loss   Signal (arm, seed, step): the mean loss over the batches since the moment before; at step 0, of the first
    norm   Signal (arm, seed, step): the largest gradient norm, before clipping, since the moment before
    """

    step: int
    loss: Signal
    norm: Signal


def race(
    arms: Mapping[str, Sequence[Trainer]],
    draw: Callable[[torch.Generator], Any],
    *,
    steps: int,
    every: int,
    seeds: Sequence[int],
) -> Iterator[Progress]:
    """Train all arms in lock-step; a `Progress` before the first step and after every `every` steps.

    arms   name -> one trainer a seed
    draw   makes a batch from a generator; there is one generator a seed, and all arms share its batches
    seeds  of those generators

    Ends after `steps`, or when every trainer has diverged.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    settle()
    first = [draw(torch.Generator().manual_seed(seed)) for seed in seeds]
    untrained = np.array([[each.measure(batch) for each, batch in zip(row, first)] for row in arms.values()])
    losses, norms, moments = untrained[..., :1], untrained[..., 1:], [0]
    yield _progress(arms, seeds, losses, norms, moments)
    for start in range(0, steps, every):
        window = range(start, min(start + every, steps))
        # Between two moments another thread may have taken over, and this setting belongs to the thread.
        settle()
        seen = np.array(
            [
                [[trainers[i].step(batch) for trainers in arms.values()] for batch in (draw(generator) for _ in window)]
                for i, generator in enumerate(generators)
            ]
        )  # (seed, step, arm, loss and norm)
        losses = np.append(losses, _quiet(np.nanmean, seen[..., 0]), axis=2)
        norms = np.append(norms, _quiet(np.nanmax, seen[..., 1]), axis=2)
        moments.append(window[-1] + 1)
        yield _progress(arms, seeds, losses, norms, moments)
        if all(trainer.diverged is not None for trainers in arms.values() for trainer in trainers):
            return


def settle() -> None:
    """Ready this thread for small models: one torch thread, and subnormal numbers count as zero.

    Without the second, a vanishing gradient makes the processor up to nine times slower.
    """
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def pace(steps: int, load: float, moments: int = 60) -> int:
    """Steps between two moments: about `moments` of them in all, but never more work at once than a picture may wait.

    load  the work of one step in units of about 20 microseconds: for a recurrent network its time steps, over all
          arms and seeds
    """
    return max(1, min(steps // moments, int(3000 // max(load, 1))))


def events(arms: Mapping[str, Sequence[Trainer]]) -> str:
    """What happened that a curve cannot show: "no clipping diverged at step 1 (3 of 3 seeds)"; "" if nothing."""
    told = []
    for name, trainers in arms.items():
        gone = [trainer.diverged for trainer in trainers if trainer.diverged is not None]
        if gone:
            told.append(f"{name}: diverged at step {min(gone)} ({len(gone)} of {len(trainers)} seeds)")
    return "; ".join(told)


def _progress(arms, seeds, losses, norms, moments) -> Progress:
    ticks = {"arm": tuple(arms), "seed": tuple(seeds), "step": tuple(moments)}
    axes = ("arm", "seed", "step")
    return Progress(
        moments[-1] if moments else 0, Signal("loss", axes, losses, ticks), Signal("norm", axes, norms, ticks)
    )


def _quiet(reduce: Callable, values: np.ndarray) -> np.ndarray:
    """(seed, step, arm) -> (arm, seed, 1), over the steps; all-NaN windows stay NaN, which is what they mean."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return reduce(values, axis=1).T[:, :, None]
