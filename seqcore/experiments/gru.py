"""The gated recurrent unit beside the LSTM: what its update gate keeps, what it costs, and what it learns to keep.

`before(config)` looks at untrained cells: how a memory leaks, weights and time. `run(config)` trains GRUs
with and without a biased update gate, and an LSTM, on the same batches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqcore import knobs
from seqcore.knobs import knob
from seqcore.models.gru import CONVENTIONS, GRU
from seqcore.models.latent import Readout
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN
from seqcore.probes.gates import half_life
from seqcore.probes.reach import reach
from seqcore.record import Run, Signal
from seqcore.tasks import Batch, Task
from seqcore.tasks.recall import FirstToken, Latch, TemporalOrder
from seqcore.training import Trainer, events, pace, race, settle

TASKS: dict[str, type[Task]] = {"latch": Latch, "first token": FirstToken, "temporal order": TemporalOrder}
PLAIN = "GRU, bias 0"
BATCH, PROBED, TESTED = 32, 8, 128
LATER = 30  # steps over which a memory is watched as it leaks
UNITS_SHOWN = 16
LOOKS = 30  # moments at which gates and gradients are read
# Time of a training step in RNNs of the same size; the papers' convention has no kernel.
COST = {"torch": 8, "paper": 60}


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


def before(config: Config) -> Run:
    """Untrained cells. Signals: kept (arm, seed, later) and its theory σ(bias)^later (arm, later); size (arm).

    facts: by arm half_life (steps, the median unit) and expected (from the bias alone); milliseconds (a training step,
    measured now) and weights by cell; conventions, the largest difference between the two with the same weights;
    agreement with torch where it has this convention.
    """
    settle()
    probed = _probed(config)
    networks = {name: [_network(config, name, seed) for seed in config.repetitions] for name in config.biases}
    gates = {name: [_keeping(network.cell, probed.x) for network in row] for name, row in networks.items()}
    cells = {"RNN": _network(config, "RNN", config.seed), "GRU": networks["GRU"][0], "LSTM": networks["LSTM"][0]}
    weights = {name: sum(weight.numel() for weight in network.cell.parameters()) for name, network in cells.items()}
    shares = {name: 1 / (1 + math.exp(-bias)) for name, bias in config.biases.items()}
    ticks = _ticks(config)
    signals = [
        Signal("kept", ("arm", "seed", "later"), [[_left(gate) for gate in row] for row in gates.values()], ticks),
        Signal(
            "expected",
            ("arm", "later"),
            [[share**later for later in range(LATER + 1)] for share in shares.values()],
            {"arm": ticks["arm"]},
        ),
        Signal("size", ("arm",), list(weights.values()), {"arm": tuple(weights)}),
    ]
    facts = {
        "half_life": {name: float(np.median([half_life(g).median() for g in row])) for name, row in gates.items()},
        "expected": {name: math.log(0.5) / math.log(share) for name, share in shares.items()},
        "weights": weights,
        "conventions": _apart(cells["GRU"].cell, probed.x),
        "agreement": _agreement(cells["GRU"].cell, probed.x),
        # last, since it spoils the networks
        "milliseconds": {name: _milliseconds(config, network) for name, network in cells.items()},
    }
    return Run(config, 0, signals, facts)


def run(config: Config) -> Iterator[Run]:
    """Train all arms. What is read from gates is from the last look.

    Signals: loss, norm (arm, seed, step); reach (arm, seed, lag), how far back an answer is heard; half_life (arm, seed,
    rank), longest first, of the gate that keeps. Of the GRUs of the first seed, on one fixed row: update, reset, candidate,
    h (arm, time, unit) and sums (arm, gate, part, time, unit).
    facts: baseline, event, score (share of right answers on rows never trained on, the median over seeds) by arm.
    """
    settle()
    task, probed = config.made, _probed(config)
    test = task.batch(TESTED, torch.Generator().manual_seed(config.seed + 20_000))
    arms = {
        name: [_trainer(config, _network(config, name, seed)) for seed in config.repetitions] for name in config.biases
    }
    every = pace(config.steps, COST[config.convention] * config.seeds * config.length * max(1, config.hidden / 32))
    look = every * max(1, round(config.steps / every / LOOKS))
    for progress in race(
        arms,
        lambda generator: task.batch(BATCH, generator),
        steps=config.steps,
        every=every,
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        if progress.step % look == 0 or progress.step == config.steps:
            models = {name: [trainer.model for trainer in trainers] for name, trainers in arms.items()}
            watched = _watched({name: row[0].cell for name, row in models.items() if name != "LSTM"}, probed.x[:1])
            lives = _half_lives(config, models, probed.x)
            curves = [[_reach(model, task, probed) for model in row] for row in models.values()]
            heard = Signal("reach", ("arm", "seed", "lag"), curves, _ticks(config))
            scores = {name: float(np.median([_score(m, task, test) for m in row])) for name, row in models.items()}
        facts = {"baseline": task.baseline, "event": events(arms), "score": scores}
        yield Run(config, progress.step, [progress.loss, progress.norm, heard, lives, *watched], facts)


def digits(moment: Run, arm: str, step: int, unit: int) -> str:
    """One update of one unit as LaTeX, a line a gate, with the numbers of this moment."""
    sums = moment["sums"].pick(arm=arm).at(time=step, unit=unit)
    (x_r, h_r), (x_z, h_z), (x_n, h_n) = sums.values.tolist()
    r, z, n, h = (
        float(moment[name].pick(arm=arm).at(time=step, unit=unit).values)
        for name in ("reset", "update", "candidate", "h")
    )
    old = float(moment["h"].pick(arm=arm).at(time=step - 1, unit=unit).values) if step else 0.0
    recalled = rf"{r:.3f}\cdot({h_n:.3f})" if moment.config.convention == "torch" else rf"({h_n:.3f})"
    lines = (
        rf"r &= \sigma({x_r:.3f} + ({h_r:.3f})) = {r:.3f}",
        rf"z &= \sigma({x_z:.3f} + ({h_z:.3f})) = {z:.3f}",
        rf"n &= \tanh({x_n:.3f} + {recalled}) = {n:.3f}",
        rf"h &= (1 - {z:.3f})\cdot({n:.3f}) + {z:.3f}\cdot({old:.3f}) = {h:.3f}",
    )
    return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}"


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


def _network(config: Config, name: str, seed: int) -> Readout:
    """A fresh network: torch's default weights, and the bias of the gate that keeps. Both GRUs differ in nothing else."""
    generator = torch.Generator().manual_seed(seed)
    I, H = config.made.inputs, config.hidden
    make: dict[str, Callable[[], nn.Module]] = {
        "RNN": lambda: RNN(I, H, generator=generator),
        "LSTM": lambda: LSTM(I, H, config.forget_bias, generator),
        PLAIN: lambda: GRU(I, H, 0.0, config.convention, generator),
        "GRU": lambda: GRU(I, H, config.update_bias, config.convention, generator),
    }
    return Readout(make[name](), config.made.outputs, generator)


def _trainer(config: Config, network: Readout) -> Trainer:
    task = config.made
    return Trainer(
        network, lambda model, batch: task.loss(model(batch.x, at=task.at), batch), config.rate, clip=config.clip
    )


def _probed(config: Config) -> Batch:
    """The rows on which gates are read, always the same."""
    return config.made.batch(PROBED, torch.Generator().manual_seed(config.seed + 10_000))


def _keeping(cell: GRU | LSTM, x: Tensor) -> Tensor:
    """The gate that keeps: f of an LSTM, z of a GRU, (batch, time, hidden)."""
    return cell.gates(x).f if isinstance(cell, LSTM) else parts(cell, x).z


def _left(gate: Tensor) -> np.ndarray:
    """The share of a memory that is left when nothing is written: mean product of gates over rows and units, (LATER + 1,)."""
    left = gate[:, 1 : LATER + 1].cumprod(1).mean((0, 2)).numpy()
    return np.concatenate([[1.0], left, np.full(LATER - len(left), np.nan)])


def _reach(network: Readout, task: Task, batch: Batch) -> np.ndarray:
    """How far back an answer is heard, by lag: (time,), the geometric mean over rows."""
    return 10.0 ** reach(network, task, batch).log10().mean(0).numpy()


def _half_lives(config: Config, models: dict[str, list[Readout]], x: Tensor) -> Signal:
    """Half-lives of the units, longest first in every row, the median over rows: which unit keeps depends on the cue.

    The first step, at which a cue is written, does not count.
    """
    ticks = _ticks(config) | {"rank": tuple(range(1, config.hidden + 1))}
    return Signal(
        "half_life",
        ("arm", "seed", "rank"),
        [[_sorted_lives(m.cell, x) for m in row] for row in models.values()],
        ticks,
    )


def _sorted_lives(cell: GRU | LSTM, x: Tensor) -> np.ndarray:
    lives = torch.stack([half_life(gate) for gate in _keeping(cell, x)[:, 1:]])
    return lives.sort(dim=1, descending=True).values.median(dim=0).values.numpy()


def _watched(cells: dict[str, GRU], x: Tensor) -> list[Signal]:
    """Gates, states and sums of some units on one row, for every GRU."""
    seen = {name: parts(cell, x) for name, cell in cells.items()}
    arms = {"arm": tuple(cells)}
    signals = [
        Signal(
            title,
            ("arm", "time", "unit"),
            [getattr(each, name)[0, :, :UNITS_SHOWN].numpy() for each in seen.values()],
            arms,
        )
        for title, name in {"update": "z", "reset": "r", "candidate": "n", "h": "h"}.items()
    ]
    sums = [
        [
            [part.chunk(3, dim=-1)[gate][0, :, :UNITS_SHOWN].numpy() for part in (each.from_x, each.from_h)]
            for gate in range(3)
        ]
        for each in seen.values()
    ]
    names = arms | {"gate": ("r", "z", "n"), "part": ("from x", "from h")}
    return [*signals, Signal("sums", ("arm", "gate", "part", "time", "unit"), sums, names)]


def _apart(cell: GRU, x: Tensor) -> float:
    """max |h in torch's convention - h in the papers'| with the same weights."""
    other = GRU(x.shape[2], cell.W_h.shape[1], convention="paper" if cell.convention == "torch" else "torch")
    other.load_state_dict(cell.state_dict())
    with torch.no_grad():
        return float((cell(x) - other(x)).abs().max())


def _agreement(cell: GRU, x: Tensor) -> float | None:
    """max |ours - torch.nn.GRU| over the states; None where torch has no such network."""
    if cell.convention != "torch":
        return None
    with torch.no_grad():
        return float((cell(x) - cell.twin()(x)[0]).abs().max())


def _milliseconds(config: Config, network: Readout) -> float:
    """Processor time of one training step of a network that is not needed any more: the shortest of three."""
    trainer = _trainer(config, network)
    batch = config.made.batch(BATCH, torch.Generator().manual_seed(config.seed))
    took = []
    for _ in range(4):
        start = time.thread_time()
        trainer.step(batch)
        took.append(time.thread_time() - start)
    # the first one prepares what the others find ready
    return 1000 * min(took[1:])


def _score(network: Readout, task: Task, test: Batch) -> float:
    with torch.no_grad():
        return task.score(network(test.x, at=task.at), test)


def _ticks(config: Config) -> dict[str, tuple]:
    return {"arm": tuple(config.biases), "seed": tuple(config.repetitions)}
