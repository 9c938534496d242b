"""LSTM: what a cell keeps is a product of forget gates, and training learns when to open and when to close them.

Pictures of cells that nobody has trained, with the latch's input:

    at_work(config)     one row read by one network, gate by gate; `step` takes one unit at one time step apart
    memory(config)      what the forget gates leave of a cell after so many steps, for bias 0 and the chosen one
    road(config)        the gradient of the last cell with respect to earlier ones, beside the product of forget gates
    half_lives(config)  how long a unit remembers, for every bias
    six_lines(config)   whether the equations, whose `source` can be shown, agree with torch.nn

Trainings: `run(config)` on the latch, forget bias 0 beside the chosen one; `run_marked(config)` on a task where a cell
has to forget at marks, so that its gates can be read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, uses
from seqcore.models.latent import Readout
from seqcore.models.lstm import LSTM, State
from seqcore.probes import gates as probe
from seqcore.record import Signal, Snapshot, Ticks
from seqcore.runs import Run, checkpoint
from seqcore.source import excerpt
from seqcore.tasks import Batch, Task
from seqcore.tasks.gates import Hold, Marked, Reset
from seqcore.tasks.recall import Latch
from seqcore.training import Trainer, configure_thread

TASKS: dict[str, type[Marked]] = {"reset": Reset, "hold": Hold}
GATES = ("f", "i", "g", "o", "c", "h")
SUMS = ("i", "f", "g", "o")  # the order in which weights are stacked
PARTS = ("read", "remembered", "bias")
BIASES = (0.0, 1.0, 3.0, 6.0)
SWEPT = tuple(float(bias) for bias in range(9))
BATCH, CLIP, MARKED_RATE = 32, 1.0, 0.03
TESTED, PROBED = 128, 4
COST = 2.5  # of a step, in the steps of an RNN of as many units
UNITS_SHOWN = 32
MARKS_WANTED = 4
TIMES = 30  # how often a training is looked into


@dataclass(frozen=True)
class Config(knobs.Repeated):
    length: int = knob(60, "Sequence length T", 10, 100, group="Data")
    hidden: int = knob(
        32, "Hidden size H", 1, 64, group="Network", help="Units, each with three gates and a candidate of its own."
    )
    forget_bias: float = knob(
        6.0, "Forget bias b", -2.0, 8.0, step=0.5, group="Network", help="Added to the forget gate before training."
    )
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.1, scale="log", group="Training", help="On the latch.")
    steps: int = knob(300, "Training steps", 50, 1000, step=50, group="Training")
    task: str = knob("reset", "Task", choices=TASKS, group="Reset and hold")
    cells: int = knob(1, "Units H for this task", 1, 16, group="Reset and hold")
    start: float = knob(1.0, "Forget bias for this task", -2.0, 8.0, step=0.5, group="Reset and hold")

    @property
    def arms(self) -> dict[str, float]:
        """name -> forget bias of the cells that learn the latch: the chosen one beside 0."""
        return {name_of(bias): bias for bias in (0.0, self.forget_bias)}


def name_of(bias: float) -> str:
    return f"bias {bias:g}"


# --- before training -------------------------------------------------------------------------------------------------


@uses("length", "hidden", "forget_bias", "seed")
def at_work(config: Config) -> Snapshot:
    """One row of the latch, read by an untrained network with the chosen bias.

    Signals: those of `_inside` for the first UNITS_SHOWN units; effect (unit), see `_effect`.
    facts: look_at, a time step at which there is something to keep.
    """
    configure_thread()
    task = Latch(config.length)
    network = _network(task, config.hidden, config.forget_bias, config.seed)
    tested = task.batch(TESTED, stream(config.seed, "probe"))
    row = task.batch(TESTED, stream(config.seed, "test")).x[:1]
    units = range(min(config.hidden, UNITS_SHOWN))
    effect = _effect(network, task, tested)[: len(units)].numpy()
    facts = {"look_at": config.length // 2}
    return Snapshot(config, 0, [*_inside(network, task, row, units), Signal("effect", ("unit",), effect)], facts)


@uses("length", "hidden", "forget_bias", "seeds", "seed")
def memory(config: Config) -> Snapshot:
    """What is left of a cell after so many steps if nothing is written to it, for bias 0 and the chosen one.

    Signal kept (bias, seed, later): ‖u ⊙ f_1 ⊙ … ⊙ f_n‖ with u = 1/√H, the geometric mean of a few rows.
    facts: left and left_at_zero, after T - 1 steps, the medians over seeds; half, the half-life of the first seed's units.
    """
    configure_thread()
    task, x = _probed(config)
    biases = {name_of(bias): bias for bias in (0.0, config.forget_bias)}
    gates = {
        name: [_network(task, config.hidden, bias, seed).cell.gates(x).f for seed in config.repetitions]
        for name, bias in biases.items()
    }
    kept = np.array([[_left(f) for f in row] for row in gates.values()])
    left = dict(zip(biases, np.median(kept[..., -1], axis=1).tolist()))
    chosen = name_of(config.forget_bias)
    facts = {"left": left[chosen], "left_at_zero": left[name_of(0.0)], "half": _median_half_life(gates[chosen][0])}
    ticks: dict[str, Ticks] = {"bias": tuple(biases), "seed": tuple(config.repetitions)}
    return Snapshot(config, 0, [Signal("kept", ("bias", "seed", "later"), kept, ticks)], facts)


@uses("length", "hidden", "forget_bias", "seeds", "seed")
def road(config: Config) -> Snapshot:
    """Signals highway and direct (bias, seed, ago): how far u·c_T moves with an earlier cell, through every path and
    through the forget gates alone, for the biases in BIASES and the chosen one."""
    configure_thread()
    task, x = _probed(config)
    biases = {name_of(bias): bias for bias in sorted({*BIASES, config.forget_bias})}
    curves = []
    for bias in biases.values():
        for seed in config.repetitions:
            checkpoint()
            curves.append(_highway(_network(task, config.hidden, bias, seed).cell, x))
    total, direct = np.moveaxis(np.array(curves).reshape(len(biases), config.seeds, 2, -1), 2, 0)
    ticks: dict[str, Ticks] = {"bias": tuple(biases), "seed": tuple(config.repetitions)}
    axes = ("bias", "seed", "ago")
    return Snapshot(config, 0, [Signal("highway", axes, total, ticks), Signal("direct", axes, direct, ticks)])


@uses("length", "hidden", "seeds", "seed")
def half_lives(config: Config) -> Snapshot:
    """Signals half (seed, bias), the median over units in steps, and half_theory (bias), that of a gate at σ(b)."""
    configure_thread()
    task, x = _probed(config)
    half = []
    for seed in config.repetitions:
        checkpoint()
        half.append([_median_half_life(_network(task, config.hidden, bias, seed).cell.gates(x).f) for bias in SWEPT])
    theory = [_half_life_of(_sigmoid(bias)) for bias in SWEPT]
    signals = [
        Signal("half", ("seed", "bias"), np.array(half), {"seed": tuple(config.repetitions), "bias": SWEPT}),
        Signal("half_theory", ("bias",), np.array(theory), {"bias": SWEPT}),
    ]
    return Snapshot(config, 0, signals)


@uses("length", "hidden", "forget_bias", "seed")
def six_lines(config: Config) -> Snapshot:
    """No signals. facts: inputs, the features of the latch; agreement of the lines of `source` with torch.nn."""
    configure_thread()
    task, x = _probed(config)
    cell = _network(task, config.hidden, config.forget_bias, config.seed).cell
    with torch.no_grad():
        agreement = float((cell.trace(x)[0] - cell.twin()(x)[0]).abs().max())
    return Snapshot(config, 0, [], {"inputs": task.inputs, "agreement": agreement})


def source() -> str:
    """The lines of `seqcore.models.lstm` that compute one time step, as they stand in the file."""
    return excerpt(LSTM.trace, "i = ", "h = ")


# --- training --------------------------------------------------------------------------------------------------------


@uses("length", "hidden", "forget_bias", "rate", "steps", "seeds", "seed")
def run(config: Config) -> Run:
    """Train on the latch, forget bias 0 beside the chosen one.

    Signals: loss, norm (arm, seed, step); right (arm, seed), the share of right answers to rows never trained on;
    highway, direct (arm, ago) of the first seed, as in `road`.
    facts: baseline; for every arm "right bias 6" and so on, the median over seeds.
    """
    task = Latch(config.length)
    tested = task.batch(TESTED, stream(config.seed, "probe"))

    def trainer(seed: int, bias: float) -> Trainer:
        return _trainer(_network(task, config.hidden, bias, seed), task, config.rate)

    def right(arms: Arms) -> Iterator[Signal | dict[str, float]]:
        values = arms.each(partial(_score, task=task, tested=tested))
        yield Signal("right", ("arm", "seed"), values, arms.ticks)
        yield {f"right {arm}": float(value) for arm, value in zip(arms, np.median(values, axis=1))}

    def highways(arms: Arms) -> Iterator[Signal]:
        curves = np.array([_highway(network.cell, tested.x[:PROBED]) for network in arms.first.values()])
        for k, name in enumerate(("highway", "direct")):
            yield Signal(name, ("arm", "ago"), curves[:, k], {"arm": tuple(arms)})

    return train(
        config,
        {name: partial(trainer, bias=bias) for name, bias in config.arms.items()},
        lambda seed, generator: task.batch(BATCH, generator),
        load=COST * config.length,
        measures=[Measure(right, times=TIMES), Measure(highways, times=TIMES)],
        facts={"baseline": task.baseline},
    )


@uses("length", "task", "cells", "start", "steps", "seeds", "seed")
def run_marked(config: Config) -> Run:
    """Train a few units on a task with marks.

    Signals: loss, norm (arm, seed, step); forget (line, seed, step), the forget gate of the strongest unit at marks and
    elsewhere; held_out (seed), the mean squared error on rows never trained on. Of the first seed: those of `_inside` for
    the strongest unit; story (line, time), all that happens to it: what comes in, what its gates do, what is in the cell.
    facts: baseline; unit, the strongest; look_at, a marked time step; medians over seeds: at_mark, elsewhere, error, and
    half, the half-life in steps of a forget gate that stands at `elsewhere`.
    """
    task = TASKS[config.task](config.length)
    tested = task.batch(TESTED, stream(config.seed, "probe"))
    row = _with_marks(task.batch(TESTED, stream(config.seed, "test")))
    look_at = 1 + int(row.x[0, 1:, 1].argmax())

    def trainer(seed: int) -> Trainer:
        network = _network(task, config.cells, config.start, seed)
        # One bias is enough. Two that learn the same are one that learns twice as fast, and then one seed in
        # thirteen never learns to reset its single unit.
        network.cell.b_h.requires_grad_(False)
        return _trainer(network, task, MARKED_RATE)

    def forget(arms: Arms) -> Iterator[Signal | dict[str, float]]:
        gates = arms.each(partial(_forget, task=task, tested=tested))[0]
        errors = arms.each(partial(_score, task=task, tested=tested))[0]
        seeds = {"seed": arms.seeds}
        yield Signal("forget", ("line", "seed"), gates.T, {"line": ("at a mark", "elsewhere"), **seeds})
        yield Signal("held_out", ("seed",), errors, seeds)
        at_mark, elsewhere = np.median(gates, axis=0).tolist()
        half = _half_life_of(elsewhere)
        yield {"at_mark": at_mark, "elsewhere": elsewhere, "half": half, "error": float(np.median(errors))}

    def first(arms: Arms) -> Iterator[Signal | dict[str, int]]:
        (network,) = arms.first.values()
        unit = int(_effect(network, task, tested).argmax())
        inside = _inside(network, task, row.x, [unit])
        with torch.no_grad():
            answer = network(row.x)[0, :, 0]
        yield from inside
        yield _story(torch.stack([*row.x[0].T, row.y[0], answer]).numpy(), inside[0].values[..., 0])
        yield {"unit": unit}

    return train(
        config,
        {name_of(config.start): trainer},
        lambda seed, generator: task.batch(BATCH, generator),
        load=COST * config.length,
        measures=[Measure(forget, series=("forget",)), Measure(first)],
        facts={"baseline": task.baseline, "look_at": look_at},
    )


# --- one unit --------------------------------------------------------------------------------------------------------


def strongest(moment: Snapshot) -> int:
    """The unit whose effect on the answer changes most from row to row, of those that are shown."""
    return int(moment["effect"].values.argmax())


def step(moment: Snapshot, time: int, unit: int) -> Snapshot:
    """One unit at one time step, taken apart; both count from 0.

    moment  of `at_work` or `run_marked`
    Signal sums (gate, part): W_x x, W_h h and the bias of i, f, g and o.
    facts: f, i, g, o, c, h; c_before, h_before; kept = f c_before, written = i g; read, the input in words.
    """
    inside = moment["inside"].sel(unit=unit).values  # (gate, time)
    facts = {
        **probe.lstm_step(dict(zip(GATES, inside)), time),
        "read": moment["x"].ticks["time"][time],
        "time": time,
        "unit": unit,
    }
    return Snapshot(moment.config, moment.step, [moment["sums"].sel(unit=unit).isel(time=time)], facts)


# --- networks, and what is measured of them --------------------------------------------------------------------------


def _network(task: Task, hidden: int, bias: float, seed: int) -> Readout:
    """The network of a seed, all of whose biases are zero but that of the forget gate; another bias changes no weight."""
    generator = stream(seed, "weights")
    cell = LSTM(task.inputs, hidden, generator=generator)
    with torch.no_grad():
        cell.b_x.zero_()
        cell.b_h.zero_()
        cell.b_x[hidden : 2 * hidden] = bias
    return Readout(cell, task.outputs, generator)


def _trainer(network: Readout, task: Task, rate: float) -> Trainer:
    return Trainer(network, lambda model, batch: task.loss(model(batch.x, at=task.at), batch), rate, clip=CLIP)


def _probed(config: Config) -> tuple[Latch, Tensor]:
    """The latch, and a few rows of it that gates are measured on."""
    task = Latch(config.length)
    return task, task.batch(TESTED, stream(config.seed, "probe")).x[:PROBED]


def _with_marks(rows: Batch) -> Batch:
    """One row: of many, the first with enough marks to look at."""
    best = int(rows.x[..., 1].sum(1).clamp(max=MARKS_WANTED + 1).argmax())
    return Batch(rows.x[best : best + 1], rows.y[best : best + 1])


def _inside(network: Readout, task: Task, x: Tensor, units: Sequence[int]) -> list[Signal]:
    """What some units do with one row.

    inside  (gate, time, unit) gates, candidate, cell and state, in the order of GATES
    sums    (gate, part, time, unit) W_x x, W_h h and b, which a gate or the candidate adds up before it squashes the sum
    x       (time, feature), with the input in words as ticks
    """
    state = network.cell.gates(x)
    inside = np.stack([getattr(state, gate)[0][:, units].numpy() for gate in GATES])
    sums = _sums(network.cell, x, state)[..., units]
    read = [_in_words(task, row) for row in x[0].numpy()]
    return [
        Signal("inside", ("gate", "time", "unit"), inside, {"gate": GATES, "unit": units}),
        Signal("sums", ("gate", "part", "time", "unit"), sums, {"gate": SUMS, "part": PARTS, "unit": units}),
        Signal("x", ("time", "feature"), x[0].numpy(), {"time": read, "feature": task.vocabulary}),
    ]


@torch.no_grad()
def _sums(cell: LSTM, x: Tensor, state: State) -> np.ndarray:
    """(gate, part, time, unit), gates in the order of SUMS."""
    before = torch.cat([torch.zeros_like(state.h[:, :1]), state.h[:, :-1]], dim=1)
    sums = torch.stack([x[0] @ cell.W_x.T, before[0] @ cell.W_h.T, (cell.b_x + cell.b_h).expand(x.shape[1], -1)])
    return torch.stack(sums.chunk(4, dim=-1)).numpy()


def _story(outside: np.ndarray, inside: np.ndarray) -> Signal:
    """(line, time) of one unit. outside: value, mark, target and answer; inside: the rows of GATES."""
    gates = dict(zip(GATES, inside))
    lines = {
        **dict(zip(("value", "mark", "target", "answer"), outside)),
        "forget f": gates["f"],
        "input i": gates["i"],
        "candidate g": gates["g"],
        "written i·g": gates["i"] * gates["g"],
        "cell tanh c": np.tanh(gates["c"]),
        "output o": gates["o"],
        "state h": gates["h"],
    }
    return Signal("story", ("line", "time"), np.array(list(lines.values())), {"line": tuple(lines)})


def _in_words(task: Task, row: np.ndarray) -> str:
    """One input: a value and maybe a mark, or the symbol it stands for."""
    if isinstance(task, Marked):
        return f"{row[0]:+.2f}".replace("-", "−") + (", marked" if row[1] else "")
    name = task.vocabulary[int(row.argmax())]
    return name if name.startswith("noise") else f"cue {name}"


@torch.no_grad()
def _effect(network: Readout, task: Task, tested: Batch) -> Tensor:
    """(hidden,): the standard deviation of each unit where an answer is due, times the length of its output weights."""
    h = network.cell(tested.x)[:, task.at].flatten(0, 1)
    return h.std(0) * network.W_y.norm(dim=0)


@torch.no_grad()
def _score(network: Readout, task: Task, tested: Batch) -> float:
    return task.score(network(tested.x, at=task.at), tested)


def _forget(network: Readout, task: Task, tested: Batch) -> list[float]:
    """The forget gate of the strongest unit, the mean over marked steps and over the others.

    The first step, which is always marked, does not count: there is nothing yet to forget.
    """
    marked = tested.x[:, 1:, 1] > 0
    f = network.cell.gates(tested.x).f[:, 1:, int(_effect(network, task, tested).argmax())]
    return [float(f[marked].mean()), float(f[~marked].mean())]


def _highway(cell: LSTM, x: Tensor) -> np.ndarray:
    """(2, ago): how far the last cell moves, through every path and along the forget gates; geometric means of rows."""
    return np.stack([10.0 ** norms.log10().mean(0).flip(0).numpy() for norms in probe.highway(cell, x)])


def _left(f: Tensor) -> np.ndarray:
    """Forget gates (batch, time, hidden) -> (later,): what they leave of a cell after 0, 1, 2 ... steps."""
    factors = f.double()[:, 1:].cumprod(1)
    left = torch.cat([torch.ones_like(factors[:, :1]), factors], dim=1).square().mean(-1).sqrt()
    return (10.0 ** left.log10().mean(0)).numpy()


def _median_half_life(f: Tensor) -> float:
    """The median over units, in steps."""
    return float(probe.half_life(f).median())


def _half_life_of(f: float) -> float:
    return math.log(0.5) / math.log(f)


def _sigmoid(bias: float) -> float:
    return 1 / (1 + math.exp(-bias))
