"""The engine: it trains the arms of an experiment side by side and logs what they do.

An experiment declares what is its own: the arms, what a batch is, what to measure and how often.

    return train(
        config,
        arms={"clipped": lambda seed: Trainer(network(seed), loss, rate, clip=1.0), "no clipping": ...},
        batch=lambda seed, generator: task.batch(32, generator),
        load=config.length,
        measures=[Measure(lambda arms: [Signal("score", ("arm", "seed"), arms.each(score))], series=("score",))],
        facts={"baseline": task.baseline},
    )

The engine owns the rest: seeds and their streams of random numbers, the same batches for every arm, the cadence of the
moments, divergence, places to pause between two steps, and the time it took. What it returns is a `Run`: nothing is
trained before somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from seqcore.record import Signal, Snapshot
from seqcore.runs import Facts, Reading, Run, checkpoint
from seqcore.training import Trainer, configure_thread, events

# What random numbers are for -> the distance of their seed from the experiment's, so that no two of these share a stream.
STREAMS = {"weights": 0, "batches": 1_000, "table": 5_000, "probe": 10_000, "test": 20_000, "held out": 50_000}
MOMENTS = 60  # of a training, at most about so many
PICTURE_LOAD = 3_000  # work between two moments at most, in units of about 20 microseconds


def stream(seed: int, purpose: str) -> torch.Generator:
    """The random numbers of one seed for one purpose of STREAMS. Equal arguments give equal numbers."""
    return torch.Generator().manual_seed(seed + STREAMS[purpose])


class Arms(Mapping[str, Sequence[Any]]):
    """What is trained side by side: arm -> one trainer for each seed."""

    def __init__(self, makers: Mapping[str, Callable[[int], Any]], seeds: Iterable[int]):
        self.seeds = tuple(seeds)
        self._trainers: dict[str, Sequence[Any]] = {}

        def one(make: Callable[[int], Any], seed: int) -> Any:
            checkpoint()
            return make(seed)

        for arm, make in makers.items():
            self._trainers[arm] = tuple(one(make, seed) for seed in self.seeds)

    def __getitem__(self, arm: str) -> Sequence[Any]:
        return self._trainers[arm]

    def __iter__(self) -> Iterator[str]:
        return iter(self._trainers)

    def __len__(self) -> int:
        return len(self._trainers)

    @property
    def ticks(self) -> dict[str, tuple]:
        """The labels of the axes "arm" and "seed"."""
        return {"arm": tuple(self), "seed": self.seeds}

    @property
    def working_bytes(self) -> int:
        """About what training them takes: weights, their gradients, and an optimiser's two numbers for each."""
        weights = [weight for row in self.values() for each in row for weight in getattr(each, "weights", ())]
        return sum(4 * weight.numel() * weight.element_size() for weight in weights)

    @property
    def first(self) -> dict[str, Any]:
        """arm -> the model of the first seed."""
        return {arm: trainers[0].model for arm, trainers in self.items()}

    def each(self, of: Callable[[Any], Any]) -> np.ndarray:
        """What `of` makes of every model, as (arm, seed, ...). It can be cancelled between two models."""
        return self.map(lambda trainer, _: of(trainer.model))

    def map(self, of: Callable[[Any, int], Any]) -> np.ndarray:
        """What `of` makes of every trainer and the place of its seed, as `each`."""

        def one(trainer: Any, place: int) -> Any:
            checkpoint()
            return of(trainer, place)

        return np.array([[one(trainer, place) for place, trainer in enumerate(row)] for row in self.values()])


class Measure(NamedTuple):
    """What is read from the models while they train.

    read    the arms -> the signals of this moment; a mapping among them is facts
    series  names of signals that the run logs: a moment has all readings so far, with "step" as their last axis
    times   about how often in a training, first and last moment included; at every moment if None
    """

    read: Callable[[Arms], Iterable[Signal | Facts]]
    series: tuple[str, ...] = ()
    times: int | None = None


def train(
    config: Any,
    arms: Mapping[str, Callable[[int], Any]],
    batch: Callable[[int, torch.Generator], Any],
    *,
    load: float = 0.0,
    every: int | None = None,
    moments: int = MOMENTS,
    measures: Sequence[Measure] = (),
    facts: Facts | Callable[[Snapshot], Facts] | None = None,
    personal: bool = False,
) -> Run:
    """A run that trains all arms on the same batches, seed by seed.

    config    has `steps` and `repetitions`, the seeds
    arms      name -> the trainer of a seed; equal seeds should give equal weights
    batch     (seed, generator) -> a batch; every seed has its own generator, and all arms get the batch
    load      the work of one step of one model in units of about 20 microseconds: for a recurrent network its time steps
    every     steps between two moments; if not given, so that there are about `moments` of them, and oftener where a step is slow
    measures  what is read at the moments, besides the two series that every training has:
              loss (arm, seed, step), the mean over the batches since the moment before, at step 0 that of the first;
              norm (arm, seed, step), the largest norm of the gradient, before clipping, since the moment before
    facts     of every moment, or a function that derives them from one; "event" is added, what a curve cannot show

    Ends after `config.steps`, or when every trainer has diverged.
    """
    pause = every or pace(config.steps, len(arms) * len(config.repetitions) * load, moments)

    working = [0]

    def readings() -> Iterator[Reading | None]:
        configure_thread()
        models = Arms(arms, config.repetitions)
        working[0] = models.working_bytes
        yield from _readings(models, batch, config.steps, pause, measures)

    return Run(config, readings, config.steps, facts, personal, lambda: working[0])


def _readings(
    arms: Arms, batch: Callable[[int, torch.Generator], Any], steps: int, every: int, measures: Sequence[Measure]
) -> Iterator[Reading | None]:
    """The training loop: a reading before the first step and after every `every`; None after every step of a seed."""
    first = [batch(seed, stream(seed, "batches")) for seed in arms.seeds]
    untrained = arms.map(lambda trainer, place: trainer.measure(first[place]))
    log = _Log(arms, measures, steps)
    yield log.read(0, untrained[..., 0], untrained[..., 1])
    generators = [stream(seed, "batches") for seed in arms.seeds]
    for start in range(0, steps, every):
        stop = min(start + every, steps)
        seen = np.empty((len(arms), len(arms.seeds), stop - start, 2))
        for i, (seed, generator) in enumerate(zip(arms.seeds, generators)):
            for k in range(stop - start):
                # Since the last step another thread may have taken over, and this setting belongs to the thread.
                configure_thread()
                drawn = batch(seed, generator)
                seen[:, i, k] = [trainers[i].step(drawn) for trainers in arms.values()]
                yield None
        configure_thread()
        over = log.diverged
        yield log.read(stop, _mean(seen[..., 0]), np.fmax.reduce(seen[..., 1], axis=-1), over or stop == steps)
        if over:
            return


class _Log:
    """Takes the measures of a training, each as often as it asks for."""

    def __init__(self, arms: Arms, measures: Sequence[Measure], steps: int):
        self.arms, self.measures, self.steps = arms, measures, steps
        self.taken = [0] * len(measures)
        self.pictures: list[list[Signal]] = [[] for _ in measures]
        self.facts: list[dict[str, Any]] = [{} for _ in measures]

    def read(self, step: int, loss: np.ndarray, norm: np.ndarray, last: bool = False) -> Reading:
        """One moment. What is not measured now is shown as it was measured last."""
        series = [Signal(name, ("arm", "seed"), v, self.arms.ticks) for name, v in (("loss", loss), ("norm", norm))]
        for i, measure in enumerate(self.measures):
            checkpoint()
            if measure.times is None or last or step >= self.taken[i] * self.steps / measure.times:
                self.taken[i] += 1
                found = list(measure.read(self.arms))
                signals = [each for each in found if isinstance(each, Signal)]
                series += [signal for signal in signals if signal.name in measure.series]
                self.pictures[i] = [signal for signal in signals if signal.name not in measure.series]
                self.facts[i] = {k: v for each in found if not isinstance(each, Signal) for k, v in each.items()}
        facts = {name: value for each in self.facts for name, value in each.items()}
        pictures = [signal for each in self.pictures for signal in each]
        return Reading(step, series, pictures, {**facts, "event": events(self.arms)})

    @property
    def diverged(self) -> bool:
        """Has every trainer diverged?"""
        return all(trainer.diverged is not None for trainers in self.arms.values() for trainer in trainers)


def pace(steps: int, load: float, moments: int = MOMENTS) -> int:
    """Steps between two moments: about `moments` of them in all, but never more work at once than a picture may wait.

    load  the work of one step of all models in units of about 20 microseconds
    """
    return max(1, min(steps // moments, int(PICTURE_LOAD // max(load, 1))))


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean over the last axis of what is a number; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=-1) / known.sum(axis=-1)


__all__ = ["Arms", "Measure", "Trainer", "pace", "stream", "train"]
