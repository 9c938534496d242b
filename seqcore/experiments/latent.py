"""Latent autoregressive models: a state of fixed size keeps what no window reaches.

The task asks for a letter after a wait that is now short, now long (`tasks.repeat`). `before(config)` computes, without
training, the least loss that a window of τ symbols can have, and what an untrained state still holds of the
past. `run(config)` trains a state and two windows with as many weights.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from seqcore import knobs
from seqcore.knobs import knob
from seqcore.models.autoregressive import Autoregressive
from seqcore.models.gru import GRU
from seqcore.models.latent import Latent
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN
from seqcore.probes.memory import Memory, remembered
from seqcore.record import Run, Signal
from seqcore.tasks import Batch
from seqcore.tasks.repeat import UNASKED, Repeat, Rows
from seqcore.training import Trainer, events, pace, race, settle

CELLS = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}
EMBEDDING = 8  # of a symbol, for the state; windows choose theirs so that the weights come out equal
EMBEDDINGS = range(4, 13)
LONGER = 4  # the second window is so many times as long
CLIP = 1.0
BATCH = 32
LOAD = {"RNN": 2, "GRU": 4, "LSTM": 3}  # of one time step of a cell, in the units of `pace`
WINDOWS = 50  # of one step of both windows, in the same units
COUNTED = 2000  # rows on which windows are measured exactly
TAUS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
DISTANCES = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40)
EXAMINED = 32  # rows for each distance
PROBED = 400  # rows whose states are probed
WAIT = 24  # noise symbols in them
READ = 48  # symbols of the text over which the states are drawn


@dataclass(frozen=True)
class Config(knobs.Repeated):
    gap: int = knob(
        12, "Wait, on average", 0, 30, group="Data", help="Noise symbols between a letter and the question for it."
    )
    symbols: int = knob(4, "Different letters K", 2, 8, group="Data")
    length: int = knob(64, "Symbols in a row", 48, 128, step=8, group="Data")
    cell: str = knob("RNN", "State from", choices=CELLS, group="Network")
    hidden: int = knob(
        24, "Hidden size H", 4, 64, group="Network", help="The windows get as many weights as the state."
    )
    tau: int = knob(8, "Window τ", 2, 16, group="Network", help="A second window is four times as long.")
    steps: int = knob(300, "Training steps", 50, 2000, step=50, group="Training")
    rate: float = knob(0.01, "Learning rate", 1e-4, 0.1, scale="log", group="Training")

    @property
    def orders(self) -> tuple[int, int]:
        """The two windows."""
        return self.tau, LONGER * self.tau

    @property
    def distances(self) -> list[int]:
        """How far the letter stands before its question, in the exam."""
        return [distance for distance in DISTANCES if distance < self.length]


def task_of(config: Config, length: int | None = None) -> Repeat:
    """Rows of the config's length, or of another, with the silence that its longest window needs before them."""
    return Repeat(length or config.length, config.gap, config.symbols, config.orders[-1])


def name(order: int) -> str:
    """What the arm with this window is called."""
    return f"AR({order})"


def before(config: Config) -> Run:
    """The instant picture, before any training.

    Signals: least (line, tau), the least loss with a window, counted on rows like those of the training; least_theory
    (tau) on endless rows; remembered (line, seed, back) by a linear probe, of an untrained state and of the window;
    chance (back).
    facts: baseline, floor and theory for the window, weights of every arm, vocabulary size and uniform, the loss of
    saying all symbols alike; agreement.
    """
    settle()
    task = task_of(config)
    rows = task.rows(COUNTED, torch.Generator().manual_seed(config.seed))
    least = [task.least_on(rows, tau) for tau in TAUS]
    lines = ("best window", "best state")
    states = [_state(config, task, seed) for seed in config.repetitions]
    held, chance = _held(config, states)
    window = _window(config)
    seeds = tuple(config.repetitions)
    signals = [
        Signal("least", ("line", "tau"), [least, [_kept(task, rows)] * len(TAUS)], {"line": lines, "tau": TAUS}),
        Signal("least_theory", ("line", "tau"), [[task.least(tau) for tau in TAUS]], {"line": ENDLESS, "tau": TAUS}),
        Signal(
            "remembered",
            ("line", "seed", "back"),
            np.stack([held, np.broadcast_to(window, held.shape)]),
            {"line": (f"{config.cell}, random weights", name(config.tau)), "seed": seeds},
        ),
        Signal("chance", ("line", "back"), [chance], {"line": ("chance",)}),
    ]
    weights = {name(order): count(_windowed(config, task, order, config.seed)) for order in config.orders}
    facts = {
        "baseline": task.baseline,
        "floor": task.least_on(rows, config.tau),
        "theory": task.least(config.tau),
        "vocabulary": task.outputs,
        "uniform": math.log(task.outputs),
        "agreement": _agreement(states[0].cell, states[0].features(rows.x[:8])),
        f"weights {config.cell}": count(states[0]),
        **{f"weights {arm}": number for arm, number in weights.items()},
    }
    return Run(config, 0, signals, facts)


ENDLESS = ("endless rows",)


def run(config: Config) -> Iterator[Run]:
    """Train a state and two windows with as many weights, on the same rows.

    Signals: loss (arm, seed, step); answers (arm, seed, distance), the share of questions answered right by how far
    back the letter is; remembered (line, seed, back) of the state now and of the window; chance (line, back); h
    (unit, time) of the first seed over a text.
    facts: baseline, floor (0), "least AR(..)" of both windows, event.
    """
    settle()
    task = task_of(config)
    arms = {
        config.cell: [_trainer(config, task, _state(config, task, seed)) for seed in config.repetitions],
        **{
            name(order): [_trainer(config, task, _windowed(config, task, order, seed)) for seed in config.repetitions]
            for order in config.orders
        },
    }
    generator = torch.Generator().manual_seed(config.seed + 10_000)
    exam = task_of(config, config.distances[-1] + 1).exam(config.distances, EXAMINED, generator)
    text = task_of(config, READ).rows(1, generator).x
    rows = task.rows(COUNTED, generator)
    least = {f"least {name(order)}": task.least_on(rows, order) for order in config.orders}
    window = _window(config)
    steps = LOAD[config.cell] * config.length
    seeds = tuple(config.repetitions)
    for progress in race(
        arms,
        lambda generator: task.batch(BATCH, generator),
        steps=config.steps,
        every=pace(config.steps, config.seeds * (steps + WINDOWS)),
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        states = [trainer.model for trainer in arms[config.cell]]
        held, chance = _held(config, states)
        yield Run(
            config,
            progress.step,
            [
                progress.loss,
                _answers(task, arms, exam, config),
                Signal(
                    "remembered",
                    ("line", "seed", "back"),
                    np.stack([held, np.broadcast_to(window, held.shape)]),
                    {"line": (config.cell, name(config.tau)), "seed": seeds},
                ),
                Signal("chance", ("line", "back"), [chance], {"line": ("chance",)}),
                _over_text(states[0], task, text),
            ],
            {"baseline": task.baseline, "floor": 0.0, "event": events(arms), **least},
        )


# --- models ---------------------------------------------------------------------------------------------------------


def count(model: nn.Module) -> int:
    """How many weights a model has."""
    return sum(weight.numel() for weight in model.parameters())


def _state(config: Config, task: Repeat, seed: int) -> Latent:
    generator = torch.Generator().manual_seed(seed)
    cell = CELLS[config.cell](EMBEDDING, config.hidden, generator=generator)
    return Latent(cell, task.outputs, EMBEDDING, generator)


def _windowed(config: Config, task: Repeat, order: int, seed: int) -> Autoregressive:
    """The window model of this order whose number of weights is nearest to the state's."""
    hidden, embedding = matched(order, task.outputs, count(_state(config, task, seed)))
    return Autoregressive(order, hidden, task.outputs, embedding, torch.Generator().manual_seed(seed))


def matched(order: int, V: int, weights: int) -> tuple[int, int]:
    """Hidden units and embedding of a window model with nearly so many weights: V E + (τ E + 1 + V) hidden + V."""
    choices = [(max(1, round((weights - V * E - V) / (order * E + 1 + V))), E) for E in EMBEDDINGS]
    return min(choices, key=lambda each: abs(V * each[1] + (order * each[1] + 1 + V) * each[0] + V - weights))


def _trainer(config: Config, task: Repeat, model: nn.Module) -> Trainer:
    return Trainer(model, functools.partial(_loss, task), config.rate, clip=CLIP)


def _loss(task: Repeat, model: nn.Module, batch: Batch) -> torch.Tensor:
    asked = batch.y != UNASKED
    return task.loss(_answer(task, model, batch.x, asked), Batch(batch.x, batch.y[asked]))


def _answer(task: Repeat, model: nn.Module, x: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """Logits (questions, vocabulary). A state reads each row to its end; a window needs only what it shows."""
    if isinstance(model, Autoregressive):
        return model(x[:, task.window - model.order :].unfold(1, model.order, 1)[asked])[:, 0]
    return model(x[:, task.at])[asked]


# --- what they know -------------------------------------------------------------------------------------------------


def _kept(task: Repeat, rows: Rows) -> float:
    """The loss of a state made by hand, of one symbol: s_t = x_t where that is a letter to be kept, else s_{t-1}."""
    keep = rows.x < task.symbols
    last = (keep * torch.arange(rows.x.shape[1])).cummax(1).values
    s = rows.x.gather(1, last)[:, task.at]
    asked = rows.y != UNASKED
    wrong = s[asked] + task.symbols != rows.y[asked]
    # an answer that is sure of itself costs nothing where it is right; where it is not, let it cost a guess
    return task.baseline * float(wrong.double().mean())


@torch.no_grad()
def _answers(task: Repeat, arms: dict[str, list[Trainer]], exam: Rows, config: Config) -> Signal:
    """The share of right answers by the distance of the cue, on the same rows for all: (arm, seed, distance)."""
    asked = exam.distance > 0
    right = [
        [
            (_answer(task, trainer.model, exam.x, asked).argmax(-1) == exam.y[asked]).view(-1, EXAMINED).float().mean(1)
            for trainer in trainers
        ]
        for trainers in arms.values()
    ]
    ticks = {"arm": tuple(arms), "seed": tuple(config.repetitions), "distance": config.distances}
    return Signal("answers", ("arm", "seed", "distance"), np.array(right), ticks)


def _waiting(config: Config) -> tuple[Repeat, torch.Tensor]:
    """Rows to be probed: a letter, then WAIT symbols of noise, and nothing asked. The same for all."""
    task = task_of(config, WAIT + 1)
    return task, task.waiting(PROBED, torch.Generator().manual_seed(config.seed + 20_000))


@torch.no_grad()
def _held(config: Config, states: list[Latent]) -> tuple[np.ndarray, np.ndarray]:
    """What the last state still tells of every symbol before it, (seed, back), and chance, (back)."""
    task, x = _waiting(config)
    x = x[:, task.window - 1 :]
    probed = [_probe(state.cell(state.features(x)), x) for state in states]
    return np.stack([memory.held_out.numpy() for memory in probed]), probed[0].chance.numpy()


def _window(config: Config) -> np.ndarray:
    """The same of a window: the probe reads the symbols in it, and no others. (back,)"""
    task, x = _waiting(config)
    last = x[:, -config.tau :]
    rows = x[:, task.window - 1 :]
    held = torch.zeros(len(x), rows.shape[1], config.tau * task.outputs)
    held[:, -1] = F.one_hot(last, task.outputs).flatten(1).float()
    return _probe(held, rows).held_out.numpy()


def _probe(h: torch.Tensor, x: torch.Tensor) -> Memory:
    """Probes of the last state only, for every symbol up to the first: at the longest lag no other state is left."""
    return remembered(h, x, range(x.shape[1]))


@torch.no_grad()
def _over_text(state: Latent, task: Repeat, text: torch.Tensor) -> Signal:
    """The hidden state while it reads a text: (unit, time)."""
    x = text[:, task.window - 1 :]
    h = state.cell(state.features(x))[0].T
    return Signal("h", ("unit", "time"), h.numpy(), {"time": [task.vocabulary[symbol] for symbol in x[0]]})


@torch.no_grad()
def _agreement(cell: nn.Module, e: torch.Tensor) -> float:
    """max |ours - torch.nn| over the states."""
    return float((cell(e) - cell.twin()(e)[0]).abs().max())
