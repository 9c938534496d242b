"""LSTM: what a cell keeps is a product of forget gates, and training learns when to open and when to close them.

`before(config)` measures untrained cells: what is left of a cell after so many steps, for several forget biases.
`run(config)` trains on one of three tasks. On the latch, a cell with forget bias 0 is trained beside the chosen one.
`step(moment, arm, time, unit)` takes one unit of one time step apart; `story(moment, arm, unit)` lays all that
happens to one unit over time in one picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqcore import knobs
from seqcore.knobs import knob
from seqcore.models.latent import Readout
from seqcore.models.lstm import LSTM, State
from seqcore.probes import gates as probe
from seqcore.record import Run, Signal
from seqcore.tasks import Batch, Task
from seqcore.tasks.gates import Hold, Marked, Reset
from seqcore.tasks.recall import Latch
from seqcore.training import Trainer, events, pace, race, settle

TASKS: dict[str, type[Task]] = {"latch": Latch, "reset": Reset, "hold": Hold}
GATES = ("f", "i", "g", "o", "c", "h")
BIASES = (0.0, 1.0, 3.0, 6.0)
SWEPT = tuple(float(bias) for bias in range(9))
BATCH, CLIP = 32, 1.0
TESTED, PROBED = 128, 4
UNITS_SHOWN = 32
MARKS_WANTED = 4
LOUDEST = "the loudest"


@dataclass(frozen=True)
class Config(knobs.Repeated):
    task: str = knob("latch", "Task", choices=TASKS, group="Data")
    length: int = knob(60, "Sequence length T", 10, 100, group="Data")
    hidden: int = knob(32, "Hidden size H", 1, 64, group="Network", help="Cells, each with its own four gates.")
    forget_bias: float = knob(
        6.0, "Forget bias b", -2.0, 8.0, step=0.5, group="Network", help="Added to the forget gate before training."
    )
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    steps: int = knob(200, "Training steps", 50, 1000, step=50, group="Training")

    @property
    def arms(self) -> dict[str, float]:
        """name -> forget bias. On the latch the chosen one runs beside 0."""
        biases = (0.0, self.forget_bias) if self.task == "latch" else (self.forget_bias,)
        return {name_of(bias): bias for bias in biases}


def name_of(bias: float) -> str:
    return f"bias {bias:g}"


def before(config: Config) -> Run:
    """The instant picture of untrained cells.

    Signals: highway, direct (bias, seed, lag): how far the last cell moves with an earlier one, through every path
    and through the forget gates alone; half (seed, bias), half_theory (bias): half-lives in steps; those of `_inside`.
    facts: left and left_at_zero, the share of a cell that is left after T - 1 steps for the chosen bias and for 0; starts,
    σ(b); half, the chosen bias's half-life in steps; look_at, a time step worth looking at; agreement with torch.nn.
    """
    settle()
    task = TASKS[config.task](config.length)
    biases = {name_of(bias): bias for bias in sorted({*BIASES, config.forget_bias})}
    tested = task.batch(TESTED, torch.Generator().manual_seed(config.seed + 10_000))
    probed = tested.x[:PROBED]
    highways = [
        [_highway(_network(config, task, seed, bias).cell, probed) for seed in config.repetitions]
        for bias in biases.values()
    ]
    total, direct = np.moveaxis(np.array(highways), 2, 0)
    half = [
        [_half_life(_network(config, task, seed, bias).cell, probed) for bias in SWEPT] for seed in config.repetitions
    ]
    shown = _shown(task, config)
    ticks = {"bias": tuple(biases), "seed": tuple(config.repetitions)}
    networks = {arm: _network(config, task, config.seed, bias) for arm, bias in config.arms.items()}
    chosen = networks[name_of(config.forget_bias)].cell
    with torch.no_grad():
        agreement = float((chosen(probed) - chosen.twin()(probed)[0]).abs().max())
    signals = [
        Signal("highway", ("bias", "seed", "lag"), total, ticks),
        Signal("direct", ("bias", "seed", "lag"), direct, ticks),
        Signal("half", ("seed", "bias"), half, {"seed": ticks["seed"], "bias": SWEPT}),
        Signal("half_theory", ("bias",), [_half_life_of(1 / (1 + math.exp(-bias))) for bias in SWEPT], {"bias": SWEPT}),
        *_inside(networks, task, shown, tested),
    ]
    left = dict(zip(biases, np.median(direct[..., -1], axis=1).tolist()))
    facts = {
        "left": left[name_of(config.forget_bias)],
        "left_at_zero": left[name_of(0.0)],
        "starts": 1 / (1 + math.exp(-config.forget_bias)),
        "half": _half_life(chosen, probed),
        "look_at": _look_at(task, shown),
        "agreement": agreement,
    }
    return Run(config, 0, signals, facts)


def run(config: Config) -> Iterator[Run]:
    """Train on the task; on the latch, forget bias 0 beside the chosen one.

    Signals: loss (arm, seed, step); highway, direct (arm, lag) of the first seed now; score (arm, seed): on the latch the
    share of right answers, else the mean squared error, on rows never trained on; those of `_inside`.
    Where there are marks also forget (line, seed): the forget gate of the loudest unit at marks and elsewhere.
    facts: baseline, event; medians over seeds: "score bias 6" for every arm, at_mark, elsewhere, and half, the half-life of
    the forget gate elsewhere in steps.
    """
    settle()
    task = TASKS[config.task](config.length)
    arms = {
        arm: [
            Trainer(
                _network(config, task, seed, bias),
                lambda network, batch: task.loss(network(batch.x, at=task.at), batch),
                config.rate,
                clip=CLIP,
            )
            for seed in config.repetitions
        ]
        for arm, bias in config.arms.items()
    }
    tested = task.batch(TESTED, torch.Generator().manual_seed(config.seed + 10_000))
    shown = _shown(task, config)
    for progress in race(
        arms,
        lambda generator: task.batch(BATCH, generator),
        steps=config.steps,
        every=pace(config.steps, len(arms) * config.seeds * config.length),
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        networks = {arm: [trainer.model for trainer in trainers] for arm, trainers in arms.items()}
        first = {arm: row[0] for arm, row in networks.items()}
        score = np.array([[_score(network, task, tested) for network in row] for row in networks.values()])
        highways = np.array([_highway(network.cell, tested.x[:PROBED]) for network in first.values()])
        ticks = {"arm": tuple(arms)}
        signals = [
            progress.loss,
            Signal("score", ("arm", "seed"), score, {**ticks, "seed": tuple(config.repetitions)}),
            Signal("highway", ("arm", "lag"), highways[:, 0], ticks),
            Signal("direct", ("arm", "lag"), highways[:, 1], ticks),
            *_inside(first, task, shown, tested),
        ]
        if isinstance(task, Marked):
            signals.append(_forget(next(iter(networks.values())), task, tested, config))
        yield Run(
            config, progress.step, signals, {"baseline": task.baseline, "event": events(arms), **_told_of(signals)}
        )


def loudest(moment: Run, arm: str) -> int:
    """The unit whose voice in the answer changes most over time, of those that are shown."""
    return int(moment["voice"].pick(arm=arm).values.argmax())


def step(moment: Run, arm: str, time: int, unit: int) -> Run:
    """One unit of one arm at one time step, taken apart; unit counts from 0.

    Signal parts (gate, part): W_x x, W_h h and the bias of f, i, g and o.
    facts: f, i, g, o, c, h; c_before, h_before; kept = f c_before, written = i g; read (the input in words).
    """
    inside = moment["inside"].pick(arm=arm).values  # (gate, time, unit)
    now = dict(zip(GATES, inside[:, time, unit].tolist()))
    past = dict(zip(GATES, inside[:, time - 1, unit].tolist())) if time else dict.fromkeys(GATES, 0.0)
    facts = {
        **now,
        "c_before": past["c"],
        "h_before": past["h"],
        "kept": now["f"] * past["c"],
        "written": now["i"] * now["g"],
        "read": moment["x"].ticks["time"][time],
        "time": time,
        "unit": unit,
    }
    ticks = {"gate": ("i", "f", "g", "o"), "part": ("read", "remembered", "bias")}
    parts = moment["parts"].pick(arm=arm).values[..., time, unit]
    return Run(moment.config, moment.step, [Signal("parts", ("gate", "part"), parts, ticks)], facts)


def story(moment: Run, arm: str, unit: int) -> Signal:
    """All that happens to one unit: what comes in, what its gates do, and what is in the cell. (line, time)."""
    told, inside = moment["told"].pick(arm=arm), moment["inside"].pick(arm=arm)
    gates = {gate: inside.pick(gate=gate).values[:, unit] for gate in GATES}
    lines = {
        **dict(zip(told.ticks["told"], told.values)),
        "forget f": gates["f"],
        "input i": gates["i"],
        "candidate g": gates["g"],
        "written i·g": gates["i"] * gates["g"],
        "cell tanh c": np.tanh(gates["c"]),
        "output o": gates["o"],
        "state h": gates["h"],
    }
    return Signal("story", ("line", "time"), list(lines.values()), {"line": tuple(lines)})


def gate_map(moment: Run, arm: str, gate: str) -> Signal:
    """One gate, or the candidate g, of all units that are shown: (unit, time)."""
    values = moment["inside"].pick(arm=arm, gate=gate).values.T
    return Signal("offered" if gate == "g" else "gate", ("unit", "time"), values)


def _network(config: Config, task: Task, seed: int, bias: float) -> Readout:
    """The network of a seed: for another bias, all its other weights are the same.

    All biases start at zero but that of the forget gate. Where there are marks, b_h stays there: two biases that learn
    the same are one that learns twice as fast, and then one seed in thirteen never learns to reset its single cell.
    """
    generator = torch.Generator().manual_seed(seed)
    cell = LSTM(task.inputs, config.hidden, generator=generator)
    with torch.no_grad():
        cell.b_x.zero_()
        cell.b_h.zero_().requires_grad_(not isinstance(task, Marked))
        cell.b_x[config.hidden : 2 * config.hidden] = bias
    return Readout(cell, task.outputs, generator)


def _shown(task: Task, config: Config) -> Batch:
    """The one row that pictures are drawn for: of a few, the first with enough marks to look at."""
    rows = task.batch(TESTED, torch.Generator().manual_seed(config.seed + 20_000))
    best = int(rows.x[..., 1].sum(1).clamp(max=MARKS_WANTED + 1).argmax()) if isinstance(task, Marked) else 0
    return Batch(rows.x[best : best + 1], rows.y[best : best + 1])


def _look_at(task: Task, shown: Batch) -> int:
    """The first mark after the first step, where there are marks; on the latch the first step that must keep."""
    if not isinstance(task, Marked):
        return 1
    later = shown.x[0, 1:, 1].nonzero()
    return int(later[0]) + 1 if len(later) else 1


def _inside(networks: Mapping[str, Readout], task: Task, shown: Batch, tested: Batch) -> list[Signal]:
    """What networks do with the row that is shown, arm by arm; the first UNITS_SHOWN units.

    inside  (arm, gate, time, unit) gates, candidate, cell and state, in the order of GATES
    parts   (arm, row of gate i f g o, part, time, unit) W_x x, W_h h and b
    told    (arm, told, time) the input where it is short, and on marked tasks the target and the answer
    voice   (arm, unit) how much the unit's part in the answers to `tested` varies
    x       (time, feature), with the input in words as ticks
    """
    inside, parts, told, voice = [], [], [], []
    for network in networks.values():
        cell = network.cell
        state = cell.gates(shown.x)
        inside.append(np.stack([getattr(state, gate)[0, :, :UNITS_SHOWN].numpy() for gate in GATES]))
        parts.append(_parts(cell, shown.x, state))
        with torch.no_grad():
            told.append(_told(task, shown, network(shown.x)[0, :, 0]))
        voice.append(_voice(network, task, tested)[:UNITS_SHOWN].numpy())
    arms, x = {"arm": tuple(networks)}, shown.x[0].numpy()
    lines = ("value", "mark", "target", "answer") if isinstance(task, Marked) else ("cue",)
    return [
        Signal("inside", ("arm", "gate", "time", "unit"), inside, {**arms, "gate": GATES}),
        Signal("parts", ("arm", "gate", "part", "time", "unit"), parts, arms),
        Signal("told", ("arm", "told", "time"), told, {**arms, "told": lines}),
        Signal("voice", ("arm", "unit"), voice, arms),
        Signal("x", ("time", "feature"), x, {"time": [_in_words(task, row) for row in x], "feature": task.vocabulary}),
    ]


@torch.no_grad()
def _voice(network: Readout, task: Task, tested: Batch) -> Tensor:
    """(hidden,): the standard deviation of each unit where an answer is due, times the length of its weights."""
    h = network.cell(tested.x)[:, task.at].flatten(0, 1)
    return h.std(0) * network.W_y.norm(dim=0)


@torch.no_grad()
def _parts(cell: LSTM, x: Tensor, state: State) -> np.ndarray:
    """What the four gates add up before they squash it: (gate, part, time, unit), gates in torch's order i f g o."""
    before = torch.cat([torch.zeros_like(state.h[:, :1]), state.h[:, :-1]], dim=1)
    sums = torch.stack([x[0] @ cell.W_x.T, before[0] @ cell.W_h.T, (cell.b_x + cell.b_h).expand(x.shape[1], -1)])
    return torch.stack(sums.chunk(4, dim=-1))[..., :UNITS_SHOWN].numpy()


def _told(task: Task, shown: Batch, answer: Tensor) -> np.ndarray:
    """(told, time): value, mark, target and answer of a marked task; of the latch, when the cue is there."""
    if isinstance(task, Marked):
        return torch.stack([*shown.x[0].T, shown.y[0], answer]).numpy()
    return shown.x[0, :, : task.outputs].sum(1)[None].numpy()


def _in_words(task: Task, row: np.ndarray) -> str:
    """One input: a value and maybe a mark, or the symbol it stands for."""
    if isinstance(task, Marked):
        return f"{row[0]:+.2f}".replace("-", "−") + (", marked" if row[1] else "")
    name = task.vocabulary[int(row.argmax())]
    return name if name.startswith("noise") else f"cue {name}"


def _highway(cell: LSTM, x: Tensor) -> np.ndarray:
    """(2, lag): the gradient of the last cell through every path, and along the forget gates; geometric means of rows."""
    return np.stack([10.0 ** norms.log10().mean(0).flip(0).numpy() for norms in probe.highway(cell, x)])


def _half_life(cell: LSTM, x: Tensor) -> float:
    """The median over units, in steps."""
    return float(probe.half_life(cell.gates(x).f).median())


def _half_life_of(f: float) -> float:
    return math.log(0.5) / math.log(f)


@torch.no_grad()
def _score(network: Readout, task: Task, tested: Batch) -> float:
    return task.score(network(tested.x, at=task.at), tested)


def _told_of(signals: list[Signal]) -> dict[str, float]:
    """The medians over seeds that a page tells in words."""
    named = {signal.name: signal for signal in signals}
    score = named["score"]
    facts = {f"score {arm}": float(value) for arm, value in zip(score.ticks["arm"], np.median(score.values, axis=1))}
    if "forget" in named:
        at_mark, elsewhere = np.median(named["forget"].values, axis=1).tolist()
        facts |= {"at_mark": at_mark, "elsewhere": elsewhere, "half": _half_life_of(elsewhere)}
    return facts


def _forget(networks: list[Readout], task: Task, tested: Batch, config: Config) -> Signal:
    """The forget gate of each seed's loudest unit, the mean over marked steps and over the others: (line, seed).

    The first step, which is always marked, does not count: there is nothing yet to forget.
    """
    marked = tested.x[:, 1:, 1] > 0
    values = []
    for network in networks:
        state = network.cell.gates(tested.x)
        f = state.f[:, 1:, int(_voice(network, task, tested).argmax())]
        values.append([float(f[marked].mean()), float(f[~marked].mean())])
    ticks = {"line": ("at a mark", "elsewhere"), "seed": tuple(config.repetitions)}
    return Signal("forget", ("line", "seed"), np.array(values).T, ticks)
