"""RNN, LSTM and GRU on one long memory: the road back before training, and who learns to use it.

`before(config)` measures untrained networks: how far back their answers reach, and what the bias of a
gate does to that. `run(config)` trains the same networks on the same batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from seqcore import knobs
from seqcore.knobs import knob
from seqcore.models.gru import GRU
from seqcore.models.latent import Readout
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN
from seqcore.probes.reach import reach
from seqcore.record import Run, Signal
from seqcore.tasks import Batch, Task
from seqcore.tasks.recall import Adding, CopyMemory, FirstToken, Latch, TemporalOrder
from seqcore.training import Trainer, events, pace, race, settle

TASKS: dict[str, type[Task]] = {
    "adding": Adding,
    "first token": FirstToken,
    "latch": Latch,
    "temporal order": TemporalOrder,
    "copy": CopyMemory,
}
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}  # blocks of weights of the size of an RNN's
BIASES = tuple(range(7))
BATCH, PROBED, TESTED = 32, 8, 128
LOOKS = 40  # moments at which the gradient is measured
SOLVED = 0.3  # of the baseline: a squared error of 0.05 where knowing nothing costs 1/6
COST = 6  # of a step of the three cells together, in RNNs of 32 units


@dataclass(frozen=True)
class Config(knobs.Repeated):
    task: str = knob("adding", "Task", choices=TASKS, group="Data")
    length: int = knob(50, "Length T", 4, 100, group="Data", help="How far it is from the first step to the answer.")
    hidden: int = knob(32, "Hidden size H", 4, 64, group="Network")
    sizes: str = knob(
        "equal hidden size",
        "Fair how?",
        choices=("equal hidden size", "equal parameters"),
        group="Network",
        help="With equal parameters RNN and GRU get as many weights as the LSTM has at this hidden size.",
    )
    forget_bias: float = knob(
        0.0, "Forget bias of the LSTM", 0.0, 6.0, step=0.5, group="Network", help="torch's default is about 0."
    )
    update_bias: float = knob(
        0.0, "Update bias of the GRU", 0.0, 6.0, step=0.5, group="Network", help="torch's default is about 0."
    )
    rate: float = knob(0.01, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    clip: float = knob(1.0, "Clip the gradient norm at", 0.0, 5.0, step=0.1, group="Training", help="0 is off.")
    steps: int = knob(800, "Training steps", 50, 2000, step=50, group="Training")
    seeds: int = knob(2, "Seeds", 1, 6, group="Repetition", help="How many networks of each kind are trained.")

    @property
    def made(self) -> Task:
        """The task at this length."""
        return TASKS[self.task](self.length)


def before(config: Config) -> Run:
    """The untrained networks. Signals: reach (arm, seed, lag); far (arm, bias), what is left at the first step.

    facts: by arm left (at the first step, the median seed), sizes, parameters and milliseconds (a training step, measured
    now); far, the largest lag.
    """
    settle()
    task = config.made
    probed = _probed(config, task)
    curves = np.array([[_reach(_network(config, name, s), task, probed) for s in config.repetitions] for name in GATES])
    networks = {name: _network(config, name, config.seed) for name in GATES}
    return Run(
        config,
        0,
        [
            Signal("reach", ("arm", "seed", "lag"), curves, _ticks(config)),
            Signal(
                "far",
                ("arm", "bias"),
                [_by_bias(config, name, task, probed) for name in GATES],
                {"arm": tuple(GATES), "bias": BIASES},
            ),
        ],
        {
            "left": {name: float(10.0 ** np.median(np.log10(curve[:, -1]))) for name, curve in zip(GATES, curves)},
            "sizes": _sizes(config),
            "parameters": {name: _count(network) for name, network in networks.items()},
            "milliseconds": {name: _milliseconds(config, network) for name, network in networks.items()},
            "far": probed.x.shape[1] - 1,
        },
    )


def run(config: Config) -> Iterator[Run]:
    """Train the three side by side.

    Signals: loss, norm (arm, seed, step); reach (arm, seed, lag) at the last look; far (arm, seed, step), its end.
    facts: baseline, event; by arm solved (the median step over seeds that got there, or None), how many of them did
    (reached), and score (the median share of right answers, or squared error, on rows that are not trained on).
    """
    settle()
    task = config.made
    probed = _probed(config, task)
    test = task.batch(TESTED, torch.Generator().manual_seed(config.seed + 20_000))
    arms = {name: [_trainer(config, _network(config, name, seed)) for seed in config.repetitions] for name in GATES}
    every = pace(config.steps, COST * config.seeds * probed.x.shape[1] * max(1, config.hidden / 32))
    look = every * max(1, round(config.steps / every / LOOKS))
    looks: list[tuple[int, np.ndarray]] = []
    for progress in race(
        arms,
        lambda generator: task.batch(BATCH, generator),
        steps=config.steps,
        every=every,
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        if progress.step % look == 0 or progress.step == config.steps:
            models = {name: [trainer.model for trainer in trainers] for name, trainers in arms.items()}
            curves = np.array([[_reach(model, task, probed) for model in row] for row in models.values()])
            looks.append((progress.step, curves[..., -1]))
            scores = {name: float(np.median([_score(m, task, test) for m in row])) for name, row in models.items()}
        solved = _solved(progress.loss, SOLVED * task.baseline)
        ticks = _ticks(config)
        yield Run(
            config,
            progress.step,
            [
                progress.loss,
                progress.norm,
                Signal("reach", ("arm", "seed", "lag"), curves, ticks),
                Signal(
                    "far",
                    ("arm", "seed", "step"),
                    np.stack([far for _, far in looks], axis=2),
                    ticks | {"step": [step for step, _ in looks]},
                ),
            ],
            {
                "baseline": task.baseline,
                "event": events(arms),
                "solved": {name: int(np.median(steps)) if steps else None for name, steps in solved.items()},
                "reached": {name: len(steps) for name, steps in solved.items()},
                "score": scores,
            },
        )


def clock(first: Run, moment: Run) -> dict[str, tuple[str, str]]:
    """For every arm the step at which it had solved the task, and what that is in seconds on this machine."""
    told = {}
    for name, step in moment.facts["solved"].items():
        milliseconds, score = first.facts["milliseconds"][name], moment.facts["score"][name]
        fresh = (
            f"squared error {score:.3g}" if moment.config.made.unit == "squared error" else f"{score:.0%} right"
        ) + f" on {TESTED} rows it never trains on"
        cost = f"{milliseconds:.1f} ms a step, as measured when this page was drawn"
        if step is None:
            told[name] = "not solved", f"{fresh}; {cost}."
        else:
            share = f"{moment.facts['reached'][name]} of {moment.config.seeds} seeds"
            told[name] = f"step {step:,}", f"{share}, about {step * milliseconds / 1000:.1f} s at {cost}; {fresh}."
    return told


def _sizes(config: Config) -> dict[str, int]:
    """Hidden units of each cell."""
    if config.sizes == "equal hidden size":
        return dict.fromkeys(GATES, config.hidden)
    aim = _weights(config, "LSTM", config.hidden)
    return {
        name: min(range(config.hidden, 4 * config.hidden), key=lambda H: abs(_weights(config, name, H) - aim))
        for name in GATES
    }


def _weights(config: Config, name: str, H: int) -> int:
    """All weights of a cell of H units and its head."""
    task = config.made
    return GATES[name] * H * (task.inputs + H + 2) + (H + 1) * task.outputs


def _count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _network(config: Config, name: str, seed: int) -> Readout:
    """A fresh network: torch's default weights, and the bias of the gate that keeps."""
    generator = torch.Generator().manual_seed(seed)
    I, H = config.made.inputs, _sizes(config)[name]
    make: dict[str, Callable[[], nn.Module]] = {
        "RNN": lambda: RNN(I, H, generator=generator),
        "LSTM": lambda: LSTM(I, H, config.forget_bias, generator),
        "GRU": lambda: GRU(I, H, config.update_bias, generator=generator),
    }
    return Readout(make[name](), config.made.outputs, generator)


def _trainer(config: Config, network: Readout) -> Trainer:
    task = config.made
    return Trainer(
        network, lambda model, batch: task.loss(model(batch.x, at=task.at), batch), config.rate, clip=config.clip
    )


def _probed(config: Config, task: Task) -> Batch:
    """The rows on which gradients are measured, always the same."""
    return task.batch(PROBED, torch.Generator().manual_seed(config.seed + 10_000))


def _reach(network: Readout, task: Task, batch: Batch) -> np.ndarray:
    """The geometric mean over rows, by lag: (time,)."""
    return 10.0 ** reach(network, task, batch).log10().mean(0).numpy()


def _by_bias(config: Config, name: str, task: Task, probed: Batch) -> np.ndarray:
    """What is left at the first step for every bias in BIASES: (biases,). An RNN has no gate: the same everywhere."""
    network = _network(config.but(forget_bias=0.0, update_bias=0.0), name, config.seed)
    if GATES[name] == 1:
        return np.repeat(_reach(network, task, probed)[-1], len(BIASES))
    # The bias enters as one more input, of weight 1 at its gate: then one pass serves them all.
    cell, H = network.cell, network.cell.W_h.shape[1]
    gate = torch.zeros(len(cell.W_x), 1)
    gate[H : 2 * H] = 1
    cell.W_x = nn.Parameter(torch.cat([cell.W_x.detach(), gate], dim=1))
    x, y = (each[: PROBED // 2].repeat(len(BIASES), *[1] * (each.dim() - 1)) for each in (probed.x, probed.y))
    bias = torch.tensor(BIASES).repeat_interleave(PROBED // 2)[:, None, None].expand(*x.shape[:2], 1)
    far = reach(network, task, Batch(torch.cat([x, bias], dim=2), y))[:, -1]
    return 10.0 ** far.log10().view(len(BIASES), -1).mean(1).numpy()


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


def _solved(loss: Signal, below: float) -> dict[str, list[int]]:
    """arm -> for every seed that got there, the step of the first moment whose loss was below."""
    steps = np.array(loss.ticks["step"])
    return {
        name: [int(steps[np.argmax(curve < below)]) for curve in row if (curve < below).any()]
        for name, row in zip(loss.ticks["arm"], loss.values)
    }


def _ticks(config: Config) -> dict[str, tuple]:
    return {"arm": tuple(GATES), "seed": tuple(config.repetitions)}
