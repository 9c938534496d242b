"""RNN, LSTM and GRU on one long memory: how far gradients reach before training, and who learns to use them.

    reach_k = ‖dL/dh_{T-k}‖ / ‖dL/dh_T‖

`untrained` measures how far back the answers of untrained networks reach, and `by_bias` what the bias of a gate does to
that; `clock` measures what a step costs. `run` trains the same networks on the same batches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, uses
from seqcore.models import GRU, LSTM, RNN, Readout
from seqcore.probes.clock import milliseconds
from seqcore.probes.reach import mean_reach, reach
from seqcore.record import Signal, Snapshot
from seqcore.runs import Facts, Run, checkpoint
from seqcore.tasks import Batch, Task
from seqcore.tasks.recall import Adding, CopyMemory, FirstToken, Latch, TemporalOrder
from seqcore.training import Trainer, configure_thread

TASKS: dict[str, Callable[[int], Task]] = {
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
COST = 6  # of a step of all cells, in RNNs of 32 units


@dataclass(frozen=True)
class Config(knobs.Repeated):
    task: str = knob("adding", "Task", choices=TASKS, group="Data")
    length: int = knob(
        50, "Sequence length T", 4, 100, group="Data", help="How far it is from the first step to the answer."
    )
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


# --- untrained cells ------------------------------------------------------------------------------------------------


@uses("task", "length", "hidden", "sizes", "forget_bias", "update_bias", "seeds", "seed")
def untrained(config: Config) -> Snapshot:
    """How far back untrained networks reach. Signal reach (arm, seed, lag).

    facts: by arm left (at the first step, the median seed), sizes and parameters; far, the largest lag.
    """
    configure_thread()
    task = config.made
    probed = _probed(config, task)
    networks = {name: [_network(config, name, seed) for seed in config.repetitions] for name in GATES}
    curves = []
    for row in networks.values():
        checkpoint()
        curves.append([mean_reach(network, task, probed) for network in row])
    signal = Signal("reach", ("arm", "seed", "lag"), curves, {"arm": tuple(GATES), "seed": tuple(config.repetitions)})
    left = 10.0 ** np.median(np.log10(signal.values[..., -1]), axis=1)
    facts = {
        "left": dict(zip(GATES, left.tolist())),
        "sizes": _sizes(config),
        "parameters": {name: sum(weight.numel() for weight in row[0].parameters()) for name, row in networks.items()},
        "far": probed.x.shape[1] - 1,
    }
    return Snapshot(config, 0, [signal], facts)


@uses("task", "length", "hidden", "sizes", "seed")
def by_bias(config: Config) -> Snapshot:
    """What is left at the first step, by the bias of the gate that keeps. Signal far (arm, bias)."""
    configure_thread()
    task = config.made
    probed = _probed(config, task)
    left = [_by_bias(config, name, task, probed) for name in GATES]
    return Snapshot(config, 0, [Signal("far", ("arm", "bias"), left, {"arm": tuple(GATES), "bias": BIASES})])


def clock(config: Config) -> Snapshot:
    """What a training step costs on this machine, now. Signal milliseconds (arm)."""
    configure_thread()
    batch = config.made.batch(BATCH, torch.Generator().manual_seed(config.seed))
    trainers = [_trainer(config, name, config.seed) for name in GATES]
    took = [milliseconds(functools.partial(trainer.step, batch)) for trainer in trainers]
    return Snapshot(config, 0, [Signal("milliseconds", ("arm",), took, {"arm": tuple(GATES)})])


# --- training -------------------------------------------------------------------------------------------------------


def run(config: Config) -> Run:
    """Train the three side by side.

    Signals: loss, norm (arm, seed, step); reach (arm, seed, lag) at the last look; far (arm, seed, step), its end.
    facts: baseline, event; by arm solved (the median step over seeds that got there, or None), how many of them did
    (reached), and score (the median share of right answers, or squared error, on rows that are not trained on).
    """
    task = config.made
    probed = _probed(config, task)
    test = task.batch(TESTED, stream(config.seed, "test"))

    def gradient(arms: Arms) -> Iterator[Signal]:
        curves = arms.each(lambda model: mean_reach(model, task, probed))
        yield Signal("reach", ("arm", "seed", "lag"), curves, arms.ticks)
        yield Signal("far", ("arm", "seed"), curves[..., -1], arms.ticks)

    @torch.no_grad()
    def score(arms: Arms) -> Iterator[Facts]:
        scores = np.median(arms.each(lambda model: task.score(model(test.x, at=task.at), test)), axis=1)
        yield {"score": dict(zip(arms, scores.tolist()))}

    def facts(moment: Snapshot) -> Facts:
        solved = _solved(moment["loss"], SOLVED * task.baseline)
        return {
            "baseline": task.baseline,
            "solved": {name: int(np.median(steps)) if steps else None for name, steps in solved.items()},
            "reached": {name: len(steps) for name, steps in solved.items()},
        }

    return train(
        config,
        {name: functools.partial(_trainer, config, name) for name in GATES},
        lambda seed, generator: task.batch(BATCH, generator),
        load=COST / len(GATES) * probed.x.shape[1] * max(1, config.hidden / 32),
        measures=[Measure(gradient, series=("far",), times=LOOKS), Measure(score, times=LOOKS)],
        facts=facts,
    )


def _solved(loss: Signal, below: float) -> dict[str, list[int]]:
    """arm -> for every seed that got there, the step of the first moment whose loss was below."""
    steps = np.array(loss.ticks["step"])
    return {
        str(name): [int(steps[np.argmax(curve < below)]) for curve in row if (curve < below).any()]
        for name, row in zip(loss.ticks["arm"], loss.values)
    }


# --- networks -------------------------------------------------------------------------------------------------------


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


def _network(config: Config, name: str, seed: int) -> Readout:
    """A fresh network: torch's default weights, and the bias of the gate that keeps."""
    generator = stream(seed, "weights")
    I, H = config.made.inputs, _sizes(config)[name]
    make: dict[str, Callable[[], nn.Module]] = {
        "RNN": lambda: RNN(I, H, generator=generator),
        "LSTM": lambda: LSTM(I, H, config.forget_bias, generator),
        "GRU": lambda: GRU(I, H, config.update_bias, generator=generator),
    }
    return Readout(make[name](), config.made.outputs, generator)


def _trainer(config: Config, name: str, seed: int) -> Trainer:
    task, network = config.made, _network(config, name, seed)
    return Trainer(network, lambda m, batch: task.loss(m(batch.x, at=task.at), batch), config.rate, clip=config.clip)


def _probed(config: Config, task: Task) -> Batch:
    """The rows on which gradients are measured, always the same."""
    return task.batch(PROBED, stream(config.seed, "probe"))


def _by_bias(config: Config, name: str, task: Task, probed: Batch) -> np.ndarray:
    """What is left at the first step for every bias in BIASES: (biases,). An RNN has no gate: the same everywhere."""
    network = _network(config, name, config.seed)  # `by_bias` does not name the two biases: they are at 0
    if GATES[name] == 1:
        return np.repeat(mean_reach(network, task, probed)[-1], len(BIASES))
    # The bias enters as one more input, of weight 1 at its gate: then one pass serves them all.
    cell, H = network.cell, network.cell.W_h.shape[1]
    gate = torch.zeros(len(cell.W_x), 1)
    gate[H : 2 * H] = 1
    cell.W_x = nn.Parameter(torch.cat([cell.W_x.detach(), gate], dim=1))
    x, y = (each[: PROBED // 2].repeat(len(BIASES), *[1] * (each.dim() - 1)) for each in (probed.x, probed.y))
    bias = torch.tensor(BIASES).repeat_interleave(PROBED // 2)[:, None, None].expand(*x.shape[:2], 1)
    far = reach(network, task, Batch(torch.cat([x, bias], dim=2), y))[:, -1]
    return 10.0 ** far.log10().view(len(BIASES), -1).mean(1).numpy()
