"""The gated recurrent unit beside the LSTM: what its update gate keeps, what it costs, and what it learns to keep.

    h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}        (batch, hidden)

`inside`, `leaks` and `sizes` look at untrained cells: gates and sums of one row, how a memory leaks, how many weights
there are; `clock` measures what a step costs. `run` trains GRUs with and without a biased update gate, and an LSTM, on
the same batches. `step` takes one unit at one time step apart, `lstm_step` one of the LSTM that reads the same row;
`source` and `recall_source` are the lines of the model that compute a step.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, uses
from seqcore.models import GRU, LSTM, RNN, Readout
from seqcore.models.gru import CONVENTIONS
from seqcore.probes import gates as probe
from seqcore.probes.agreement import agreement, gap
from seqcore.probes.clock import milliseconds
from seqcore.probes.reach import mean_reach
from seqcore.record import Signal, Snapshot
from seqcore.runs import Facts, Run
from seqcore.source import excerpt
from seqcore.tasks import Batch, Task
from seqcore.tasks.recall import FirstToken, Latch, TemporalOrder
from seqcore.training import Trainer, configure_thread

TASKS: dict[str, Callable[[int], Task]] = {"latch": Latch, "first token": FirstToken, "temporal order": TemporalOrder}
PLAIN = "GRU, bias 0"
CELLS = ("RNN", "GRU", "LSTM")
BATCH, PROBED, TESTED = 32, 8, 128
LATER = 30  # steps over which a memory is watched as it leaks
UNITS_SHOWN = 16
LOOKS = 30  # moments at which gates and gradients are read
# Time of a training step of all arms in RNNs of the same size; the papers' convention has no kernel.
COST = {"torch": 8, "paper": 60}
WATCHED = {"update": "z", "reset": "r", "candidate": "n", "h": "h"}  # signal -> field of Parts
LSTM_GATES = ("f", "i", "g", "o", "c", "h")


class Parts(NamedTuple):
    """Every gate of a GRU and the two sums it is made of, each (batch, time, hidden).

    from_x   W_x x_t + b_x, stacked r, z, n: (batch, time, 3 hidden)
    from_h   W_h h_{t-1} + b_h, stacked alike; in the papers' convention the last third is W_hn (r ⊙ h_{t-1}) + b_hn
    """

    from_x: Tensor
    from_h: Tensor
    r: Tensor
    z: Tensor
    n: Tensor
    h: Tensor


@dataclass(frozen=True)
class Config(knobs.Repeated):
    task: str = knob("latch", "Task", choices=TASKS, group="Data")
    length: int = knob(60, "Sequence length T", 10, 100, group="Data")
    hidden: int = knob(32, "Hidden size H", 4, 64, group="Network")
    update_bias: float = knob(
        2.0,
        "Update bias of the GRU",
        0.0,
        6.0,
        step=0.5,
        group="Network",
        help="Added to b_xz. torch's default is about 0.",
    )
    forget_bias: float = knob(
        4.0,
        "Forget bias of the LSTM",
        0.0,
        6.0,
        step=0.5,
        group="Network",
        help="Added to b_xf. torch's default is about 0.",
    )
    convention: str = knob(
        "torch",
        "Reset gate as in",
        choices=CONVENTIONS,
        group="Network",
        help="torch: r ⊙ (W h + b). Papers: W (r ⊙ h) + b, which has no fast kernel here.",
    )
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    clip: float = knob(1.0, "Clip the gradient norm at", 0.0, 5.0, step=0.1, group="Training", help="0 is off.")
    steps: int = knob(300, "Training steps", 50, 1000, step=50, group="Training")

    @property
    def made(self) -> Task:
        """The task at this length."""
        return TASKS[self.task](self.length)

    @property
    def biases(self) -> dict[str, float]:
        """arm -> the bias of the gate that keeps."""
        return ({PLAIN: 0.0} if self.update_bias else {}) | {"GRU": self.update_bias, "LSTM": self.forget_bias}


# --- untrained cells ------------------------------------------------------------------------------------------------


@uses("task", "length", "hidden", "update_bias", "forget_bias", "convention", "seed")
def inside(config: Config) -> Snapshot:
    """The GRUs, and an LSTM, on one fixed row. Signals: those of `_watched`; inside (gate, time, unit) of the LSTM.

    facts: conventions, the largest difference between the two with the same weights; agreement with torch where it has
    this convention.
    """
    configure_thread()
    x = _probed(config).x
    cells = {name: _network(config, name, config.seed).cell for name in config.biases if name != "LSTM"}
    facts = {"conventions": _apart(cells["GRU"], x), "agreement": agreement(cells["GRU"], x)}
    state = _network(config, "LSTM", config.seed).cell.gates(x[:1])
    lstm = [getattr(state, gate)[0, :, :UNITS_SHOWN].numpy() for gate in LSTM_GATES]
    signals = [
        *_watched(cells, x[:1], config.made),
        Signal("inside", ("gate", "time", "unit"), lstm, {"gate": LSTM_GATES}),
    ]
    return Snapshot(config, 0, signals, facts)


@uses("task", "length", "hidden", "update_bias", "forget_bias", "convention", "seeds", "seed")
def leaks(config: Config) -> Snapshot:
    """How a memory leaks. Signals: kept (arm, seed, later) and its theory, expected (arm, later) = σ(bias)^later.

    facts: by arm half_life (steps, the median unit) and expected (from the bias alone).
    """
    configure_thread()
    x, arms = _probed(config).x, tuple(config.biases)
    gates = {arm: [_keeping(_network(config, arm, seed).cell, x) for seed in config.repetitions] for arm in arms}
    shares = {arm: 1 / (1 + math.exp(-bias)) for arm, bias in config.biases.items()}
    left = [[_left(gate) for gate in row] for row in gates.values()]
    theory = [[share**later for later in range(LATER + 1)] for share in shares.values()]
    signals = [
        Signal("kept", ("arm", "seed", "later"), left, {"arm": arms, "seed": tuple(config.repetitions)}),
        Signal("expected", ("arm", "later"), theory, {"arm": arms}),
    ]
    facts = {
        "half_life": {arm: float(np.median([probe.half_life(g).median() for g in row])) for arm, row in gates.items()},
        "expected": {arm: math.log(0.5) / math.log(share) for arm, share in shares.items()},
    }
    return Snapshot(config, 0, signals, facts)


@uses("task", "hidden")
def sizes(config: Config) -> Snapshot:
    """What each cell has to learn. Signal size (arm); fact weights, the same by arm."""
    cells = {name: _network(config, name, config.seed).cell for name in CELLS}
    weights = {name: sum(weight.numel() for weight in cell.parameters()) for name, cell in cells.items()}
    return Snapshot(config, 0, [Signal("size", ("arm",), list(weights.values()), {"arm": CELLS})], {"weights": weights})


def clock(config: Config) -> Snapshot:
    """What a training step costs on this machine, now. Signal milliseconds (arm)."""
    configure_thread()
    batch = config.made.batch(BATCH, torch.Generator().manual_seed(config.seed))
    trainers = [_trainer(config, name, config.seed) for name in CELLS]
    took = [milliseconds(functools.partial(trainer.step, batch)) for trainer in trainers]
    return Snapshot(config, 0, [Signal("milliseconds", ("arm",), took, {"arm": CELLS})])


# --- one unit at one time step --------------------------------------------------------------------------------------


def step(moment: Snapshot, time: int, unit: int, arm: str = "GRU") -> Snapshot:
    """One unit of a GRU at one time step, taken apart; both count from 0.

    moment  of `inside` or `run`
    Signal sums (gate, part): W_x x + b_x and W_h h + b_h of r, z and n.
    facts: r, z, n, h; h_before; past, what the past adds to the candidate's sum; kept = z h_before, written = (1 - z) n;
    read, the input in words; convention, where r acts.
    """
    r, z, n, h = (
        float(moment[name].sel(arm=arm).isel(time=time, unit=unit).values)
        for name in ("reset", "update", "candidate", "h")
    )
    before = float(moment["h"].sel(arm=arm).isel(time=time - 1, unit=unit).values) if time else 0.0
    sums, convention = moment["sums"].sel(arm=arm).isel(time=time, unit=unit), moment.config.convention
    recalled = float(sums.sel(gate="n", part="from h").values)
    facts = {
        **{"r": r, "z": z, "n": n, "h": h, "h_before": before},
        "past": r * recalled if convention == "torch" else recalled,
        "kept": z * before,
        "written": (1 - z) * n,
        "convention": convention,
        **_where(moment, time, unit),
    }
    return Snapshot(moment.config, moment.step, [sums], facts)


def lstm_step(moment: Snapshot, time: int, unit: int) -> Snapshot:
    """One unit of the LSTM at one time step of the same row; both count from 0.

    moment  of `inside`
    facts: f, i, g, o, c, h; c_before, h_before; kept = f c_before, written = i g; read, the input in words.
    """
    inside = moment["inside"].isel(unit=unit).values  # (gate, time)
    facts = {**probe.lstm_step(dict(zip(LSTM_GATES, inside)), time), **_where(moment, time, unit)}
    return Snapshot(moment.config, moment.step, [], facts)


def carried(moment: Snapshot, unit: int) -> Signal:
    """What one unit carries over the sequence: story (line, time), c and h of the LSTM and h of the GRU.

    moment  of `inside`
    """
    lstm = dict(zip(LSTM_GATES, moment["inside"].isel(unit=unit).values))
    lines = {"LSTM c": lstm["c"], "LSTM h": lstm["h"], "GRU h": moment["h"].sel(arm="GRU").isel(unit=unit).values}
    return Signal("story", ("line", "time"), np.array(list(lines.values())), {"line": tuple(lines)})


def _where(moment: Snapshot, time: int, unit: int) -> Facts:
    return {"read": moment["x"].ticks["time"][time], "time": time, "unit": unit}


def source() -> str:
    """The lines of `seqcore.models.gru` that compute one time step, as they stand in the file."""
    return excerpt(GRU.trace, "r = ", "h = ")


@functools.cache
def recall_source(convention: str) -> str:
    """What `recall(h, r, W, b)` in these lines computes in a convention, as it stands in the same file."""
    _, _, body = inspect.getsource(CONVENTIONS[convention]).partition("lambda h, r, W, b: ")
    return body.strip().removesuffix(",")


# --- training -------------------------------------------------------------------------------------------------------


def run(config: Config) -> Run:
    """Train all arms. What is read from gates is from the last look.

    Signals: loss, norm (arm, seed, step); reach (arm, seed, lag), how far back the gradient of an answer reaches;
    half_life (arm, seed, rank), longest first, of the gate that keeps; those of `_watched` for the first seed.
    facts: baseline, event, score (share of right answers on rows never trained on, the median over seeds) by arm.
    """
    task, probed = config.made, _probed(config)
    test = task.batch(TESTED, stream(config.seed, "test"))

    @torch.no_grad()
    def gates(arms: Arms) -> Iterator[Signal | Facts]:
        scores = np.median(arms.each(lambda model: task.score(model(test.x, at=task.at), test)), axis=1)
        ticks = {**arms.ticks, "rank": range(1, config.hidden + 1)}
        lives = arms.each(lambda model: _sorted_lives(model.cell, probed.x))
        yield Signal("half_life", ("arm", "seed", "rank"), lives, ticks)
        yield from _watched({arm: model.cell for arm, model in arms.first.items() if arm != "LSTM"}, probed.x[:1], task)
        yield {"score": dict(zip(arms, scores.tolist()))}

    def reach(arms: Arms) -> Iterator[Signal]:
        curves = arms.each(lambda model: mean_reach(model, task, probed))
        yield Signal("reach", ("arm", "seed", "lag"), curves, arms.ticks)

    return train(
        config,
        {arm: functools.partial(_trainer, config, arm) for arm in config.biases},
        lambda seed, generator: task.batch(BATCH, generator),
        load=COST[config.convention] / 3 * config.length * max(1, config.hidden / 32),
        measures=[Measure(reach, times=LOOKS), Measure(gates, times=LOOKS)],
        facts={"baseline": task.baseline},
    )


def _trainer(config: Config, name: str, seed: int) -> Trainer:
    task, network = config.made, _network(config, name, seed)
    return Trainer(network, lambda m, batch: task.loss(m(batch.x, at=task.at), batch), config.rate, clip=config.clip)


def _network(config: Config, name: str, seed: int) -> Readout:
    """A fresh network: torch's default weights, and the bias of the gate that keeps. Both GRUs differ in nothing else."""
    generator = stream(seed, "weights")
    I, H = config.made.inputs, config.hidden
    make: dict[str, Callable[[], nn.Module]] = {
        "RNN": lambda: RNN(I, H, generator=generator),
        "LSTM": lambda: LSTM(I, H, config.forget_bias, generator),
        PLAIN: lambda: GRU(I, H, 0.0, config.convention, generator),
        "GRU": lambda: GRU(I, H, config.update_bias, config.convention, generator),
    }
    return Readout(make[name](), config.made.outputs, generator)


def _probed(config: Config) -> Batch:
    """The rows on which gates are read, always the same."""
    return config.made.batch(PROBED, stream(config.seed, "probe"))


# --- gates ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def parts(cell: GRU, x: Tensor) -> Parts:
    """What `cell.trace` shows, and the sums behind it, for all times at once: the states are known beforehand."""
    h = cell(x)
    past = torch.cat([torch.zeros_like(h[:, :1]), h[:, :-1]], dim=1)
    from_x, from_h = x @ cell.W_x.T + cell.b_x, past @ cell.W_h.T + cell.b_h
    (x_r, x_z, x_n), (h_r, h_z, h_n) = from_x.chunk(3, dim=-1), from_h.chunk(3, dim=-1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    if cell.convention == "paper":
        h_n = (r * past) @ cell.W_h.chunk(3)[2].T + cell.b_h.chunk(3)[2]
        from_h = torch.cat([h_r, h_z, h_n], dim=-1)
    n = torch.tanh(x_n + (r * h_n if cell.convention == "torch" else h_n))
    return Parts(from_x, from_h, r, z, n, h)


def _keeping(cell: GRU | LSTM, x: Tensor) -> Tensor:
    """The gate that keeps: f of an LSTM, z of a GRU, (batch, time, hidden)."""
    return cell.gates(x).f if isinstance(cell, LSTM) else parts(cell, x).z


def _left(gate: Tensor) -> np.ndarray:
    """The share of a memory that is left when nothing is written: mean product of gates over rows and units, (LATER + 1,)."""
    left = gate[:, 1 : LATER + 1].cumprod(1).mean((0, 2)).numpy()
    return np.concatenate([[1.0], left, np.full(LATER - len(left), np.nan)])


def _sorted_lives(cell: GRU | LSTM, x: Tensor) -> np.ndarray:
    """Half-lives of the units, longest first in every row, the median over rows: which unit keeps depends on the cue.

    The first step, at which a cue is written, does not count.
    """
    lives = torch.stack([probe.half_life(gate) for gate in _keeping(cell, x)[:, 1:]])
    return lives.sort(dim=1, descending=True).values.median(dim=0).values.numpy()


def _watched(cells: dict[str, GRU], x: Tensor, task: Task) -> list[Signal]:
    """Every GRU's update, reset, candidate and h (arm, time, unit), and sums (arm, gate, part, time, unit), on one row.

    x (time, feature) is the row, with the input in words as ticks.
    """
    seen = [parts(cell, x) for cell in cells.values()]
    arms = {"arm": tuple(cells)}

    def shown(values: Tensor) -> np.ndarray:
        return values[0, :, :UNITS_SHOWN].numpy()

    signals = [
        Signal(name, ("arm", "time", "unit"), [shown(getattr(each, field)) for each in seen], arms)
        for name, field in WATCHED.items()
    ]
    sums = [
        [[shown(part.chunk(3, dim=-1)[gate]) for part in (each.from_x, each.from_h)] for gate in range(3)]
        for each in seen
    ]
    ticks = arms | {"gate": ("r", "z", "n"), "part": ("from x", "from h")}
    read = [_in_words(task, row) for row in x[0]]
    return [
        *signals,
        Signal("sums", ("arm", "gate", "part", "time", "unit"), sums, ticks),
        Signal("x", ("time", "feature"), x[0].numpy(), {"time": read, "feature": task.vocabulary}),
    ]


def _in_words(task: Task, row: Tensor) -> str:
    """The symbol that one input stands for; the cues of the latch are told from its noise."""
    name = task.vocabulary[int(row.argmax())]
    return f"cue {name}" if isinstance(task, Latch) and name.isdigit() else name


@torch.no_grad()
def _apart(cell: GRU, x: Tensor) -> float:
    """max |h in torch's convention - h in the papers'| with the same weights."""
    other = GRU(x.shape[2], cell.W_h.shape[1], convention="paper" if cell.convention == "torch" else "torch")
    other.load_state_dict(cell.state_dict())
    return gap(cell(x), other(x))
