"""One task for the models of all chapters: predict a Markov source whose best possible loss is known exactly.

Every model sees the same batches and is asked about the same held-out rows. What is compared is the loss above the floor,
the number of parameters, and the processor time that learning took on this machine, so a run belongs to one reader.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob
from seqcore.models import GRU, LSTM, RNN, Autoregressive, Decoder, Latent
from seqcore.record import Signal
from seqcore.runs import Facts, Run
from seqcore.tasks import Batch
from seqcore.tasks.markov import MarkovSource
from seqcore.training import Trainer

SYMBOLS, LENGTH, BATCH, HELD_OUT = 6, 32, 32, 128
SMOOTHING = 0.5
EVERY = 5


@dataclass(frozen=True)
class Config(knobs.Repeated):
    order: int = knob(
        2, "Order of the source", 1, 3, group="Data", help="How many past symbols the next one depends on."
    )
    hidden: int = knob(32, "Hidden size H", 8, 64, step=8, group="Models")
    rate: float = knob(0.01, "Learning rate", 1e-3, 0.03, scale="log", group="Training")
    steps: int = knob(300, "Training steps", 50, 1000, step=50, group="Training")
    seeds: int = knob(1, "Seeds", 1, 3, group="Repetition")


class Table:
    """Counting as a trainer: P(x | last `order` symbols) = (n + α) / (Σ n + αV), learned by adding up."""

    diverged = None

    def __init__(self, order: int, symbols: int):
        self.order, self.counts, self.seconds = order, np.zeros((symbols**order, symbols)), 0.0
        self.parameters = self.counts.shape[0] * (symbols - 1)

    def step(self, batch: Batch) -> tuple[float, float]:
        """Count a batch; its loss before that, and no gradient."""
        start = time.thread_time()
        loss = self.loss(batch)
        np.add.at(self.counts, self.places(batch), 1)
        self.seconds += time.thread_time() - start
        return loss, float("nan")

    def measure(self, batch: Batch) -> tuple[float, float]:
        return self.loss(batch), float("nan")

    def loss(self, batch: Batch) -> float:
        """Mean nats a symbol."""
        smooth = self.counts + SMOOTHING
        return float(-np.log((smooth / smooth.sum(1, keepdims=True))[self.places(batch)]).mean())

    def places(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Context and symbol of every answer: (batch · answers,) each."""
        x, y = batch.x.numpy(), batch.y.numpy()
        first = x.shape[1] - y.shape[1]
        context = np.zeros_like(y)
        for back in range(self.order - 1, -1, -1):
            context = context * self.counts.shape[1] + x[:, first - back : x.shape[1] - back]
        return context.ravel(), y.ravel()


def shared(config: Config) -> Run:
    """As `run`, but without the fact `seconds`, so that any number of readers share it."""
    return _train(config, clocked=False)


def run(config: Config) -> Run:
    """Train everything at once. Signals: loss, norm (arm, seed, step); excess (arm, seed, step), what a model pays on
    held-out rows above what the source itself pays on them.

    facts: baseline, floor, event, parameters and seconds by arm; seconds are measured, and differ from run to run.
    """
    return _train(config, clocked=True)


def _train(config: Config, clocked: bool) -> Run:
    source = MarkovSource.drawn(SYMBOLS, config.order, 1.5, LENGTH, stream(config.seed, "weights"))
    held_out = source.batch(HELD_OUT, stream(config.seed, "held out"))
    truth = Table(config.order, SYMBOLS)
    least = -np.log(source.transitions.reshape(-1, SYMBOLS)[truth.places(held_out)]).mean()

    def excess(arms: Arms) -> Iterator[Signal | Facts]:
        pays = arms.map(lambda trainer, _: _pays(trainer, held_out))
        yield Signal("excess", ("arm", "seed"), pays - least, arms.ticks)
        yield {"parameters": {arm: _size(row[0]) for arm, row in arms.items()}}
        if clocked:
            yield {"seconds": {arm: sum(trainer.seconds for trainer in row) / len(row) for arm, row in arms.items()}}

    return train(
        config,
        {name: functools.partial(make, config, source) for name, make in MODELS.items()},
        lambda seed, generator: source.batch(BATCH, generator),
        every=EVERY,
        measures=[Measure(excess, series=("excess",))],
        facts={"baseline": source.baseline, "floor": source.floor},
        personal=clocked,
    )


def _neural(build: Callable[[Config, torch.Generator], nn.Module], rate: float = 1.0) -> Callable:
    """A maker of trainers for a model that answers at every step; `rate` multiplies the learning rate."""

    def make(config: Config, source: MarkovSource, seed: int) -> Trainer:
        def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
            return source.loss(model(batch.x)[:, -batch.y.shape[1] :], batch)

        return Trainer(build(config, stream(seed, "weights")), loss, rate * config.rate, clip=1.0)

    return make


def _latent(cell: Callable[..., nn.Module]) -> Callable:
    return _neural(lambda config, g: Latent(cell(SYMBOLS, config.hidden, generator=g), SYMBOLS, 0, g))


MODELS: dict[str, Callable] = {
    "Markov chain": lambda config, source, seed: Table(1, SYMBOLS),
    "counts": lambda config, source, seed: Table(config.order, SYMBOLS),
    "window": _neural(lambda config, g: Autoregressive(config.order, config.hidden, SYMBOLS, generator=g)),
    "RNN": _latent(RNN),
    "LSTM": _latent(LSTM),
    "GRU": _latent(GRU),
    "attention": _neural(
        lambda config, g: Decoder(SYMBOLS, config.hidden, 2, 2 * config.hidden, 2, cross=False, generator=g), rate=0.5
    ),
}


def _pays(trainer: Trainer | Table, batch: Batch) -> float:
    """Nats a symbol of a batch, without learning from it."""
    if isinstance(trainer, Table):
        return trainer.loss(batch)
    with torch.no_grad():
        return float(trainer.loss(trainer.model, batch))


def _size(trainer: Trainer | Table) -> int:
    """Numbers that are learned."""
    return trainer.parameters if isinstance(trainer, Table) else sum(w.numel() for w in trainer.weights)
