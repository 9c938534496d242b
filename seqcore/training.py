"""One model on its way down, step by step.

    g     = ∇ loss(model, batch)
    g     = g · min(1, clip / |g|)                      where there is clipping (Pascanu et al. 2013)
    θ     = optimiser(θ, g)

Several of them side by side, on the same batches, are trained by `seqcore.engine.train`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

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


def configure_thread() -> None:
    """Ready this thread for small models: one torch thread, and subnormal numbers count as zero.

    Without the second, a vanishing gradient makes the processor up to nine times slower.
    """
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def events(arms: Mapping[str, Sequence[Trainer]]) -> str:
    """What happened that a curve cannot show: "no clipping diverged at step 1 (3 of 3 seeds)"; "" if nothing."""
    told = []
    for name, trainers in arms.items():
        gone = [trainer.diverged for trainer in trainers if trainer.diverged is not None]
        if gone:
            told.append(f"{name}: diverged at step {min(gone)} ({len(gone)} of {len(trainers)} seeds)")
    return "; ".join(told)
