"""Recurrence against attention: how far a token is away, what can be done at once, and what it costs.

`before(config)` counts and measures at initialisation: the longest chain of operations that have to wait for each
other, in the very graph that autograd has recorded, and the gradient that reaches tokens far from the question.
`run(config)` trains all of them to find a value in noise and say it at the end. `measure(config)` takes time and
memory on this machine: its numbers are facts of the moment, and differ from call to call.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore import knobs
from seqcore.knobs import knob
from seqcore.models.encoder import Embedding, Encoder, EncoderLayer
from seqcore.models.gru import GRU
from seqcore.models.latent import Readout
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN
from seqcore.probes import layers as probe
from seqcore.record import Run, Signal
from seqcore.tasks import Batch
from seqcore.tasks.recall import Needle
from seqcore.training import Trainer, events, pace, race, settle

CELLS: dict[str, Callable[..., nn.Module]] = {
    "RNN": RNN,
    "LSTM": LSTM,
    "GRU": GRU,
    "LSTM, forget bias 3": partial(LSTM, forget_bias=3.0),
}
ENCODER = "encoder"
ARMS = (ENCODER, *CELLS)
VALUES, BATCH, PROBED, TESTED = 8, 32, 8, 128
TESTS = 20  # moments at which all arms are tested
LOAD = 27  # of one time step of all arms, in the units of `pace`

TIMED = ("RNN", "LSTM", "GRU", ENCODER, "encoder, map kept")
TIMED_BATCH, SHORTEST = 8, 16
REPEATS, ENOUGH = 5, 0.06  # a measurement is repeated so often, or for so many seconds


@dataclass(frozen=True)
class Config(knobs.Repeated):
    length: int = knob(50, "Sequence length T", 6, 200, group="Data")
    width: int = knob(32, "Width d", choices=(16, 32, 64), group="Network", help="Of vectors and of hidden states.")
    heads: int = knob(2, "Heads", choices=(1, 2, 4, 8), group="Network")
    layers: int = knob(1, "Encoder layers", 1, 3, group="Network")
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.03, scale="log", group="Training")
    steps: int = knob(250, "Training steps", 50, 800, step=50, group="Training")
    longest: int = knob(512, "Longest sequence timed", choices=(128, 256, 512, 1024), group="Clock")
    seeds: int = knob(2, "Seeds", 1, 4, group="Repetition", help="How many models, each with its own weights and data.")

    @property
    def lengths(self) -> tuple[int, ...]:
        """The sequence lengths that are timed: doublings."""
        return tuple(SHORTEST * 2**k for k in range(int(math.log2(self.longest // SHORTEST)) + 1))


class Reader(Readout):
    """A cell that reads embedded symbols, and a linear head: (batch, time) -> (batch, answers, outputs).

    The embedding is drawn as the encoder's, without positions: a recurrent network knows the time. Symbols may be
    given as one-hot rows, with respect to which the answer can be differentiated.
    """

    def __init__(self, cell: nn.Module, task: Needle, width: int, generator: torch.Generator):
        super().__init__(cell, task.outputs, generator)
        self.embedding = Embedding(task.inputs, width, "none", 1, generator)

    def features(self, x: Tensor) -> Tensor:
        return self.embedding(x)


def before(config: Config) -> Run:
    """The instant picture.

    Signals: `arrives` (arm, seed, lag) ‖dL/dx‖ of the token so many steps before the question, over that of the token
    one step before it, in float64; `chain` (arm, length) operations that wait for each other.
    facts: decades (arm -> log10 of `arrives` at the farthest token, the median over the seeds), chain (arm -> at this
    length), slope (arm -> operations that one more token adds), agreement with torch.
    """
    settle()
    task = Needle(config.length, VALUES)
    arrives = np.array(
        [
            [
                _arrives(_model(config, arm, task, seed).double(), task, _probed(task, seed))
                for seed in config.repetitions
            ]
            for arm in ARMS
        ]
    )
    lengths, counted = (2, (config.length + 2) // 2, config.length), TIMED[:4]
    chains = np.array([[_chain(config, arm, length) for length in lengths] for arm in counted])
    facts = {
        "decades": dict(zip(ARMS, np.median(np.log10(arrives[:, :, -1]), axis=1).tolist())),
        "chain": dict(zip(counted, chains[:, -1].tolist())),
        "slope": dict(zip(counted, ((chains[:, -1] - chains[:, 0]) / (lengths[-1] - lengths[0])).tolist())),
        "agreement": _agreement(config),
    }
    signals = [
        _arrives_signal(config, arrives),
        Signal("chain", ("arm", "length"), chains, {"arm": counted, "length": lengths}),
    ]
    return Run(config, 0, signals, facts)


def run(config: Config) -> Iterator[Run]:
    """Train all arms to answer the question at the end with the value that stood after the marker.

    Signals: loss, norm, right (arm, seed, step) on a fixed batch; arrives (arm, seed, lag) as in `before`, now, in float32;
    look (example, time) where the first encoder looks from the question.
    facts: baseline, chance, event.
    """
    settle()
    task = Needle(config.length, VALUES)
    arms = {
        arm: [
            Trainer(
                _model(config, arm, task, seed),
                lambda model, batch: task.loss(_answer(model, batch.x), batch),
                config.rate,
            )
            for seed in config.repetitions
        ]
        for arm in ARMS
    }
    test = task.batch(TESTED, torch.Generator().manual_seed(config.seed + 10_000))
    every = pace(config.steps, LOAD * config.length * config.seeds)
    tested: list[int] = []
    scores: list[list[list[float]]] = []
    for progress in race(
        arms,
        lambda generator: task.batch(BATCH, generator),
        steps=config.steps,
        every=every,
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        if progress.step == config.steps or progress.step >= len(tested) * config.steps / TESTS:
            tested.append(progress.step)
            scores.append([[_score(each.model, task, test) for each in row] for row in arms.values()])
            probed = Batch(test.x[:PROBED], test.y[:PROBED])
            arrives = np.array([[_arrives(each.model, task, probed) for each in row] for row in arms.values()])
            look = _look(arms[ENCODER][0].model, test)
        ticks = {"arm": ARMS, "seed": tuple(config.repetitions), "step": tuple(tested)}
        yield Run(
            config,
            progress.step,
            [
                progress.loss,
                progress.norm,
                Signal("right", ("arm", "seed", "step"), np.moveaxis(scores, 0, 2), ticks),
                _arrives_signal(config, arrives),
                look,
            ],
            {"baseline": task.baseline, "chance": 1 / VALUES, "event": events(arms)},
        )


def measure(config: Config) -> Iterator[Run]:
    """Time and memory of one layer, forward and backward, one length after the other; a moment after each measurement.

    Signals: duration (arm, length) in milliseconds of this thread's processor time, the least of several; held (arm,
    length) megabytes that wait for the backward pass; and duration_theory (arm, length), lines ∝ T² d and ∝ T d²
    through the newest measurement of the encoder and of the LSTM. What is not measured yet is NaN.
    facts: steps, batch, crossover (arm -> the length from which on the encoder costs more than it, 0 if always, None
    if not within arrives), ratio (arm -> encoder over arm, at the greatest length measured so far).
    """
    settle()
    generator = torch.Generator().manual_seed(config.seed)
    layers = _layers(config, generator)
    lengths = config.lengths
    duration, held = np.full((2, len(TIMED), len(lengths)), np.nan)
    yield _measured(config, 0, duration, held)
    for j, length in enumerate(lengths):
        x = torch.randn(TIMED_BATCH, length, config.width, generator=generator)
        for i, arm in enumerate(TIMED):
            # Another thread may have taken over since the last moment, and this setting belongs to the thread.
            settle()
            held[i, j] = _held(layers[arm], x) / 1e6
            duration[i, j] = 1e3 * _duration(layers[arm], x)
            yield _measured(config, j * len(TIMED) + i + 1, duration, held)


def _measured(config: Config, step: int, duration: np.ndarray, held: np.ndarray) -> Run:
    lengths, ticks = config.lengths, {"arm": TIMED, "length": config.lengths}
    times = dict(zip(TIMED, duration))
    powers = {"∝ T² d": (times[ENCODER], 2), "∝ T d²": (times["LSTM"], 1)}
    theory = [_through_newest(np.array(lengths), *line) for line in powers.values()]
    pairs = {arm: _ratios(times[ENCODER], times[arm]) for arm in ("RNN", "LSTM", "GRU")}
    signals = [
        Signal("duration", ("arm", "length"), duration, ticks),
        Signal("held", ("arm", "length"), held, ticks),
        Signal("duration_theory", ("arm", "length"), theory, {"arm": tuple(powers), "length": lengths}),
    ]
    facts = {
        "steps": len(TIMED) * len(lengths),
        "batch": TIMED_BATCH,
        "crossover": {arm: crossover(lengths[: len(ratio)], ratio) for arm, ratio in pairs.items()},
        "ratio": {arm: float(ratio[-1]) if len(ratio) else math.nan for arm, ratio in pairs.items()},
    }
    return Run(config, step, signals, facts)


def crossover(lengths: tuple[int, ...], ratio: np.ndarray) -> float | None:
    """The length at which a ratio of costs passes 1 for good, between two measurements on a straight line of logarithms.

    0 if it was above 1 all along, None if it is not above 1 at the end, or if nothing was measured.
    """
    if not len(ratio) or ratio[-1] <= 1:
        return None
    below = np.flatnonzero(ratio <= 1)
    if not len(below):
        return 0.0
    i = below[-1]
    (a, b), (low, high) = np.log(ratio[i : i + 2]), np.log(lengths[i : i + 2])
    return float(np.exp(low + (high - low) * a / (a - b)))


def _ratios(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """ours / theirs as far as both are measured."""
    ratio = ours / theirs
    return ratio[np.isfinite(ratio)]


def _through_newest(lengths: np.ndarray, measured: np.ndarray, power: int) -> np.ndarray:
    """length ** power, through the last number that is measured; NaN if there is none."""
    known = np.flatnonzero(np.isfinite(measured))
    if not len(known):
        return np.full(len(lengths), np.nan)
    return measured[known[-1]] * (lengths / lengths[known[-1]]) ** power


def _layers(config: Config, generator: torch.Generator) -> dict[str, Callable[[Tensor], Tensor]]:
    """What is timed: one layer each of the same width, and the encoder's once more with every attention weight kept."""
    d = config.width
    layer = EncoderLayer(d, config.heads, 2 * d, generator=generator)
    cells = {arm: CELLS[arm](d, d, generator=generator) for arm in TIMED if arm in CELLS}
    return cells | {ENCODER: layer, TIMED[-1]: lambda x: layer.trace(x)[0]}


def _duration(layer: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Seconds of forward and backward: the least of several, which neighbours on the machine disturb least."""
    times: list[float] = []
    while len(times) < 2 or (len(times) < REPEATS and sum(times) < ENOUGH):
        start = time.thread_time()
        layer(x).sum().backward()
        times.append(time.thread_time() - start)
    return min(times)


def _held(layer: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Bytes of memory that autograd holds between the forward and the backward pass, weights and input included."""
    blocks: dict[int, tuple[int, Tensor]] = {}

    def pack(tensor: Tensor) -> Tensor:
        # The tensor is held too, so that no later one can stand at the same address.
        blocks[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes(), tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(x)
    return sum(size for size, _ in blocks.values())


def _chain(config: Config, arm: str, length: int) -> int:
    """Operations in a row from the first input to the last output, as autograd has recorded them.

    Counted in the equations one by one (`trace`), with the smallest width: the chain does not depend on it.
    """
    generator = torch.Generator().manual_seed(config.seed)
    width = 2 * config.heads
    x = torch.randn(1, length, width, generator=generator)
    if arm == ENCODER:
        for _ in range(config.layers):
            x, _ = EncoderLayer(width, config.heads, width, generator=generator).trace(x)
    else:
        x, _ = CELLS[arm](width, width, generator=generator).trace(x)
    return longest_chain(x[:, -1].sum())


def longest_chain(y: Tensor) -> int:
    """The number of operations on the longest way through the graph that led to y."""
    depth: dict[Any, int] = {}
    inputs: dict[Any, list] = {}
    waiting = [y.grad_fn]
    while waiting:
        node = waiting[-1]
        if node not in inputs:
            inputs[node] = [each for each, _ in node.next_functions if each is not None]
        if unknown := [each for each in inputs[node] if each not in depth]:
            waiting += unknown
        else:
            depth[node] = 1 + max((depth[each] for each in inputs[node]), default=0)
            waiting.pop()
    return depth[y.grad_fn]


def _model(config: Config, arm: str, task: Needle, seed: int) -> nn.Module:
    """A fresh model; the two LSTMs of one seed have equal weights but for the bias."""
    generator, d = torch.Generator().manual_seed(seed), config.width
    if arm == ENCODER:
        return Encoder(task.inputs, d, config.heads, 2 * d, config.layers, task.outputs, generator=generator)
    return Reader(CELLS[arm](d, d, generator=generator), task, d, generator)


def _answer(model: nn.Module, x: Tensor) -> Tensor:
    """What the model says at the last step: (batch, 1, outputs). A `Reader` is asked there only, the encoder everywhere."""
    return model(x, at=Needle.at) if isinstance(model, Reader) else model(x)[:, Needle.at]


@torch.no_grad()
def _score(model: nn.Module, task: Needle, test: Batch) -> float:
    return task.score(_answer(model, test.x), test)


def _probed(task: Needle, seed: int) -> Batch:
    return task.batch(PROBED, torch.Generator().manual_seed(seed + 10_000))


def _arrives(model: nn.Module, task: Needle, batch: Batch) -> np.ndarray:
    """‖dL/dx‖ by lag 1, 2 ... before the question, over that at lag 1: (time - 1,)."""
    x = F.one_hot(batch.x, task.inputs).to(next(model.parameters()))
    norms = probe.by_position(partial(_answer, model), x, lambda answers: task.loss(answers, batch)).flip(0)[1:]
    return (norms / norms[0]).numpy()


def _arrives_signal(config: Config, reach: np.ndarray) -> Signal:
    ticks = {"arm": ARMS, "seed": tuple(config.repetitions), "lag": tuple(range(1, config.length))}
    return Signal("arrives", ("arm", "seed", "lag"), reach, ticks)


@torch.no_grad()
def _look(model: Encoder, test: Batch) -> Signal:
    """The last layer's attention weights from the question, (example, time): the largest of all heads.

    One example for each value, the nearest to the start first, and of each the tokens among which the value may be.
    """
    rows = [int((test.y[:, 0] == value).int().argmax()) for value in range(VALUES)]
    places = {row: int((test.x[row] < VALUES).int().argmax()) + 1 for row in rows}
    rows.sort(key=places.__getitem__)
    _, trail = model.trace(test.x[rows])
    shown = test.x.shape[1] // 4 + 2
    ticks = {
        "example": tuple(f"{int(test.y[row])} at {places[row]}" for row in rows),
        "time": tuple(range(1, shown + 1)),
    }
    return Signal("look", ("example", "time"), trail[-1].attention.weights[:, :, -1, :shown].amax(1).numpy(), ticks)


@torch.no_grad()
def _agreement(config: Config) -> float:
    """max |ours - torch.nn| over one layer of each kind, on the same noise."""
    generator, d = torch.Generator().manual_seed(config.seed), config.width
    x = torch.randn(1, config.length, d, generator=generator)
    layer = EncoderLayer(d, config.heads, 2 * d, generator=generator)
    cells = [CELLS[arm](d, d, generator=generator) for arm in CELLS]
    gaps = [layer(x) - layer.twin()(x), *(cell(x) - cell.twin()(x)[0] for cell in cells)]
    return max(float(gap.abs().max()) for gap in gaps)
