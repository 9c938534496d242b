"""Latent autoregressive models: a state of fixed size keeps what no window reaches.

    ŷ_t = f(x_{t-τ+1} .. x_t)                       a window
    h_t = g(h_{t-1}, x_t),  ŷ_t = f(h_t)            a state

The task asks for a letter after a wait that is now short, now long (`tasks.repeat`). `least` is the least loss that a
window of τ symbols can have, and `untrained` what a state with random weights still holds of the past. `run` trains a
state and two windows with as many weights.
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
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, uses
from seqcore.models import GRU, LSTM, RNN, Autoregressive, Latent
from seqcore.probes.agreement import agreement
from seqcore.probes.memory import Memory, remembered
from seqcore.record import Signal, Snapshot, Ticks
from seqcore.runs import Run
from seqcore.tasks import Batch
from seqcore.tasks.repeat import UNASKED, Repeat, Rows
from seqcore.training import Trainer, configure_thread

CELLS = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}
EMBEDDING = 8  # of a symbol, for the state; windows choose theirs so that the weights come out equal
EMBEDDINGS = range(4, 13)
LONGER = 4  # the second window is so many times as long
CLIP = 1.0
BATCH = 32
LOAD = {"RNN": 2, "GRU": 4, "LSTM": 3}  # of one time step of a cell, in the units of `engine.pace`
WINDOWS = 50  # of one step of both windows, in the same units
ENDLESS = ("endless rows",)
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
    length: int = knob(64, "Sequence length T", 48, 128, step=8, group="Data", help="Symbols in a row.")
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


@uses("gap", "symbols", "length", "tau", "seed")
def least(config: Config) -> Snapshot:
    """What a window can do at best, and a state.

    Signals: least (line, tau), the least loss, counted on rows like those of the training; least_theory (tau) on endless
    rows. facts: baseline; floor and theory for the window; vocabulary size.
    """
    task = task_of(config)
    rows = task.rows(COUNTED, torch.Generator().manual_seed(config.seed))
    windows = [task.least_on(rows, tau) for tau in TAUS]
    lines = ("best window", "best state")
    signals = [
        Signal("least", ("line", "tau"), [windows, [_kept(task, rows)] * len(TAUS)], {"line": lines, "tau": TAUS}),
        Signal("least_theory", ("line", "tau"), [[task.least(tau) for tau in TAUS]], {"line": ENDLESS, "tau": TAUS}),
    ]
    facts = {
        "baseline": task.baseline,
        "floor": task.least_on(rows, config.tau),
        "theory": task.least(config.tau),
        "vocabulary": task.outputs,
    }
    return Snapshot(config, 0, signals, facts)


@uses("gap", "symbols", "cell", "hidden", "tau", "seeds", "seed")
def untrained(config: Config) -> Snapshot:
    """What a state with random weights still holds of the past.

    Signals: remembered (line, seed, back) by a linear probe, of the state and of the window; chance (back).
    facts: weights of every arm, agreement.
    """
    configure_thread()
    task, x = _waiting(config)
    states = [_state(config, task, seed) for seed in config.repetitions]
    facts = {
        "agreement": agreement(states[0].cell, states[0].features(x[:8])),
        f"weights {config.cell}": count(states[0]),
        **{f"weights {name(order)}": count(_windowed(config, task, order, config.seed)) for order in config.orders},
    }
    return Snapshot(config, 0, _held(config, states, f"{config.cell}, random weights", _window(config)), facts)


def run(config: Config) -> Run:
    """Train a state and two windows with as many weights, on the same rows.

    Signals: loss, norm (arm, seed, step); answers (arm, seed, distance), the share of questions answered right by how far
    back the letter is; remembered (line, seed, back) of the state now and of the window; chance (line, back); h
    (unit, time) of the first seed over a text.
    facts: baseline, floor (0), uniform (the loss of saying all symbols alike), "least AR(..)" of both windows, event.
    """
    task, generator = task_of(config), stream(config.seed, "probe")
    exam = task_of(config, config.distances[-1] + 1).exam(config.distances, EXAMINED, generator)
    text = task_of(config, READ).rows(1, generator).x
    rows, window = task.rows(COUNTED, generator), _window(config)

    def trainer(model: nn.Module) -> Trainer:
        return Trainer(model, functools.partial(_loss, task), config.rate, clip=CLIP)

    def window_of(seed: int, order: int) -> Trainer:
        return trainer(_windowed(config, task, order, seed))

    def known(arms: Arms) -> Iterator[Signal]:
        states = [trainer.model for trainer in arms[config.cell]]
        ticks = arms.ticks | {"distance": config.distances}
        yield Signal("answers", ("arm", "seed", "distance"), arms.each(lambda model: _right(task, model, exam)), ticks)
        yield from _held(config, states, config.cell, window)
        yield _over_text(states[0], task, text)

    return train(
        config,
        {
            config.cell: lambda seed: trainer(_state(config, task, seed)),
            **{name(order): functools.partial(window_of, order=order) for order in config.orders},
        },
        lambda seed, generator: task.batch(BATCH, generator),
        load=(LOAD[config.cell] * config.length + WINDOWS) / 3,
        measures=[Measure(known)],
        facts={
            "baseline": task.baseline,
            "floor": 0.0,
            "uniform": math.log(task.outputs),
            **{f"least {name(order)}": task.least_on(rows, order) for order in config.orders},
        },
    )


# --- models ---------------------------------------------------------------------------------------------------------


def count(model: nn.Module) -> int:
    """How many weights a model has."""
    return sum(weight.numel() for weight in model.parameters())


def _state(config: Config, task: Repeat, seed: int) -> Latent:
    generator = stream(seed, "weights")
    cell = CELLS[config.cell](EMBEDDING, config.hidden, generator=generator)
    return Latent(cell, task.outputs, EMBEDDING, generator)


def _windowed(config: Config, task: Repeat, order: int, seed: int) -> Autoregressive:
    """The window model of this order whose number of weights is nearest to the state's."""
    hidden, embedding = matched(order, task.outputs, count(_state(config, task, seed)))
    return Autoregressive(order, hidden, task.outputs, embedding, stream(seed, "weights"))


def matched(order: int, V: int, weights: int) -> tuple[int, int]:
    """Hidden units and embedding of a window model with nearly so many weights: V E + (τ E + 1 + V) hidden + V."""
    choices = [(max(1, round((weights - V * E - V) / (order * E + 1 + V))), E) for E in EMBEDDINGS]
    return min(choices, key=lambda each: abs(V * each[1] + (order * each[1] + 1 + V) * each[0] + V - weights))


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
def _right(task: Repeat, model: nn.Module, exam: Rows) -> np.ndarray:
    """The share of right answers by the distance of the cue, on the same rows for all: (distance,)."""
    asked = exam.distance > 0
    right = _answer(task, model, exam.x, asked).argmax(-1) == exam.y[asked]
    return right.view(-1, EXAMINED).float().mean(1).numpy()


def _waiting(config: Config) -> tuple[Repeat, torch.Tensor]:
    """Rows to be probed: a letter, then WAIT symbols of noise, and nothing asked. The same for all."""
    task = task_of(config, WAIT + 1)
    return task, task.waiting(PROBED, stream(config.seed, "test"))


@torch.no_grad()
def _held(config: Config, states: list[Latent], line: str, window: np.ndarray) -> list[Signal]:
    """What the last state still tells of every symbol before it, beside a window, and what a guess would."""
    task, x = _waiting(config)
    rows = x[:, task.window - 1 :]
    probed = [_probe(state.cell(state.features(rows)), rows) for state in states]
    held = np.stack([memory.held_out.numpy() for memory in probed])
    ticks: dict[str, Ticks] = {"line": (line, name(config.tau)), "seed": config.repetitions}
    return [
        Signal("remembered", ("line", "seed", "back"), np.stack([held, np.broadcast_to(window, held.shape)]), ticks),
        Signal("chance", ("line", "back"), [probed[0].chance.numpy()], {"line": ("chance",)}),
    ]


def _window(config: Config) -> np.ndarray:
    """The same of a window: the probe reads the symbols in it, and no others. (back,)"""
    task, x = _waiting(config)
    last, rows = x[:, -config.tau :], x[:, task.window - 1 :]
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
