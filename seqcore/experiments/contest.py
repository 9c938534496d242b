"""Recurrence against attention: how far a token is away, what can be done at once, and what it costs.

Before training, `path` measures the gradient that reaches tokens far from the question, and `waiting` counts the longest
chain of operations that have to wait for each other, in the very graph that autograd has recorded.
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
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, uses
from seqcore.models.encoder import Embedding, Encoder, EncoderLayer
from seqcore.models.gru import GRU
from seqcore.models.latent import Readout
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN
from seqcore.probes import layers as probe
from seqcore.probes.agreement import agreement
from seqcore.record import Signal, Snapshot
from seqcore.runs import Facts, Reading, Run, checkpoint
from seqcore.tasks import Batch
from seqcore.tasks.recall import Needle
from seqcore.training import Trainer, configure_thread

CELLS: dict[str, Callable[..., RNN | LSTM | GRU]] = {
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

MAP_KEPT, OTHER_KERNEL = "encoder, map kept", "torch.nn.GRU"
TIMED = ("RNN", "LSTM", "GRU", ENCODER, MAP_KEPT, OTHER_KERNEL)
TIMED_BATCH, SHORTEST = 8, 16
REPEATS, ENOUGH = 5, 0.06  # a measurement is repeated so often, or for so many seconds


@dataclass(frozen=True)
class Config(knobs.Repeated):
    length: int = knob(50, "Sequence length T", 6, 200, group="Data")
    width: int = knob(
        32, "Model size d_model", choices=(16, 32, 64), group="Network", help="Of vectors and of hidden states."
    )
    heads: int = knob(2, "Heads h", choices=(1, 2, 4, 8), group="Network")
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


NETWORK = ("length", "width", "heads", "layers", "seed")


@uses(*NETWORK, "seeds")
def path(config: Config) -> Snapshot:
    """Signal arrives (arm, seed, lag): ‖dL/dx‖ of the token so many steps before the question, over that of the token one
    step before it, in float64, before training.

    facts: decades (arm -> log10 of `arrives` at the farthest token, the median over the seeds), agreement with torch.
    """
    configure_thread()
    task = Needle(config.length, VALUES)

    def arriving(arm: str, seed: int) -> np.ndarray:
        checkpoint()
        return _arrives(_model(config, arm, task, seed).double(), task, task.batch(PROBED, stream(seed, "probe")))

    arrives = np.array([[arriving(arm, seed) for seed in config.repetitions] for arm in ARMS])
    decades = np.median(np.log10(arrives[:, :, -1]), axis=1).tolist()
    facts = {"decades": dict(zip(ARMS, decades)), "agreement": _agreement(config)}
    return Snapshot(config, 0, [_arrives_signal(config, arrives)], facts)


@uses("length", "heads", "layers", "seed")
def waiting(config: Config) -> Snapshot:
    """Signal chain (arm, length): operations that wait for each other.

    facts: chain (arm -> at this length), slope (arm -> operations that one more token adds).
    """
    configure_thread()
    lengths, counted = (2, (config.length + 2) // 2, config.length), TIMED[:4]
    chains = np.array([[_chain(config, arm, length) for length in lengths] for arm in counted])
    slopes = (chains[:, -1] - chains[:, 0]) / (lengths[-1] - lengths[0])
    facts = {"chain": dict(zip(counted, chains[:, -1].tolist())), "slope": dict(zip(counted, slopes.tolist()))}
    signal = Signal("chain", ("arm", "length"), chains, {"arm": counted, "length": lengths})
    return Snapshot(config, 0, [signal], facts)


@uses(*NETWORK, "seeds", "rate", "steps")
def run(config: Config) -> Run:
    """Train all arms to answer the question at the end with the value that stood after the marker.

    Signals: loss, norm, right (arm, seed, step) on a fixed batch; arrives (arm, seed, lag) as in `path`, now, in float32;
    look (example, time) where the first encoder looks from the question.
    facts: baseline, chance; learned, arm -> the share of right answers, the mean over seeds; event.
    """
    task = Needle(config.length, VALUES)
    test = task.batch(TESTED, stream(config.seed, "probe"))
    probed = Batch(test.x[:PROBED], test.y[:PROBED])

    def trainer(seed: int, arm: str) -> Trainer:
        model = _model(config, arm, task, seed)
        return Trainer(model, lambda model, batch: task.loss(_answer(model, batch.x), batch), config.rate)

    def look(arms: Arms) -> list[Signal | Facts]:
        right = arms.each(lambda model: _score(model, task, test))
        return [
            {"learned": dict(zip(arms, right.mean(axis=1).tolist()))},
            Signal("right", ("arm", "seed"), right, arms.ticks),
            _arrives_signal(config, arms.each(lambda model: _arrives(model, task, probed))),
            _look(arms.first[ENCODER], test),
        ]

    return train(
        config,
        {arm: partial(trainer, arm=arm) for arm in ARMS},
        lambda seed, generator: task.batch(BATCH, generator),
        load=LOAD * config.length / len(ARMS),
        measures=[Measure(look, series=("right",), times=TESTS)],
        facts={"baseline": task.baseline, "chance": 1 / VALUES},
    )


@uses("width", "heads", "longest", "seed")
def measure(config: Config) -> Run:
    """Time and memory of one layer, forward and backward, one length after the other; a moment after each measurement.

    It belongs to one reader and is never kept for another: what a clock says is true of one moment on one machine.

    Signals: duration (arm, length) in milliseconds of this thread's processor time, the least of several; held (arm,
    length) megabytes that wait for the backward pass; and duration_theory (arm, length), lines ∝ T² d and ∝ T d²
    through the newest measurement of the encoder and of the LSTM. What is not measured yet is NaN.
    facts: batch, crossover (arm -> the length from which on the encoder costs more than it, 0 if always, None if it does not
    cost more at the greatest), ratio (arm -> encoder over arm, at the greatest length measured so far), last (arm ->
    milliseconds at the greatest length, once all are measured; empty before).
    """
    return Run(config, _measurements(config), len(TIMED) * len(config.lengths), personal=True)


def _measurements(config: Config) -> Iterator[Reading]:
    generator = stream(config.seed, "weights")
    layers = _layers(config, generator)
    lengths = config.lengths
    duration, held = np.full((2, len(TIMED), len(lengths)), np.nan)
    yield _measured(config, 0, duration, held)
    for j, length in enumerate(lengths):
        x = torch.randn(TIMED_BATCH, length, config.width, generator=generator)
        for i, arm in enumerate(TIMED):
            # Another thread may have taken over since the last moment, and this setting belongs to the thread.
            configure_thread()
            held[i, j] = _held(layers[arm], x) / 1e6
            duration[i, j] = 1e3 * _duration(layers[arm], x)
            yield _measured(config, j * len(TIMED) + i + 1, duration, held)


def _measured(config: Config, step: int, duration: np.ndarray, held: np.ndarray) -> Reading:
    lengths, ticks = config.lengths, {"arm": TIMED, "length": config.lengths}
    times = dict(zip(TIMED, duration))
    powers = {"∝ T² d": (times[ENCODER], 2), "∝ T d²": (times["LSTM"], 1)}
    theory = [_through_newest(np.array(lengths), *line) for line in powers.values()]
    pairs = {arm: _ratios(times[ENCODER], times[arm]) for arm in ("RNN", "LSTM", "GRU")}
    pictures = [
        Signal("duration", ("arm", "length"), duration, ticks),
        Signal("held", ("arm", "length"), held, ticks),
        Signal("duration_theory", ("arm", "length"), theory, {"arm": tuple(powers), "length": lengths}),
    ]
    facts = {
        "batch": TIMED_BATCH,
        "crossover": {arm: crossover(lengths[: len(ratio)], ratio) for arm, ratio in pairs.items()},
        "ratio": {arm: float(ratio[-1]) if len(ratio) else math.nan for arm, ratio in pairs.items()},
        "last": dict(zip(TIMED, duration[:, -1].tolist())) if np.isfinite(duration).all() else {},
    }
    return Reading(step, pictures=pictures, facts=facts)


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
    """What is timed: one layer each of the same width; the encoder's once more with every attention weight kept, and the GRU
    once more as torch computes it, since a clock times a kernel as much as its equations.
    """
    d = config.width
    layer = EncoderLayer(d, config.heads, 2 * d, generator=generator)
    cells = {arm: CELLS[arm](d, d, generator=generator) for arm in TIMED if arm in CELLS}
    twin = cells["GRU"].twin()
    return cells | {ENCODER: layer, MAP_KEPT: lambda x: layer.trace(x)[0], OTHER_KERNEL: lambda x: twin(x)[0]}


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
    generator = stream(config.seed, "weights")
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
    waiting: list[Any] = [y.grad_fn]
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
    generator, d = stream(seed, "weights"), config.width
    if arm == ENCODER:
        return Encoder(task.inputs, d, config.heads, 2 * d, config.layers, task.outputs, generator=generator)
    return Reader(CELLS[arm](d, d, generator=generator), task, d, generator)


def _answer(model: nn.Module, x: Tensor) -> Tensor:
    """What the model says at the last step: (batch, 1, outputs). A `Reader` is asked there only, the encoder everywhere."""
    return model(x, at=Needle.at) if isinstance(model, Reader) else model(x)[:, Needle.at]


@torch.no_grad()
def _score(model: nn.Module, task: Needle, test: Batch) -> float:
    return task.score(_answer(model, test.x), test)


def _arrives(model: nn.Module, task: Needle, batch: Batch) -> np.ndarray:
    """‖dL/dx‖ by lag 1, 2 ... before the question, over that at lag 1: (time - 1,)."""
    x = F.one_hot(batch.x, task.inputs).to(next(model.parameters()))
    norms = probe.by_position(partial(_answer, model), x, lambda answers: task.loss(answers, batch)).flip(0)[1:]
    return (norms / norms[0]).numpy()


def _arrives_signal(config: Config, reach: np.ndarray) -> Signal:
    ticks = {"arm": ARMS, "seed": config.repetitions, "lag": range(1, config.length)}
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
        "time": range(1, shown + 1),
    }
    return Signal("look", ("example", "time"), trail[-1].attention.weights[:, :, -1, :shown].amax(1).numpy(), ticks)


def _agreement(config: Config) -> float:
    """max |ours - torch.nn| over one layer of each kind, on the same noise."""
    generator, d = stream(config.seed, "weights"), config.width
    x = torch.randn(1, config.length, d, generator=generator)
    layer = EncoderLayer(d, config.heads, 2 * d, generator=generator)
    return max(
        agreement(each, x) or 0.0 for each in (layer, *(cell(d, d, generator=generator) for cell in CELLS.values()))
    )
