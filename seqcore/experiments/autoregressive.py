"""Autoregressive models: the last τ say what comes next, and how long τ should be is a bargain.

    x̂_{t+1} = Σ_k w_k x_{t-k} + b        numbers: fitted by least squares, exactly
    P(x_{t+1} | x_{t-τ+1} .. x_t)        text: by counting what followed each window

`fitted`, `windows` and `forecasts` need no training. `run` trains three networks by gradient descent that differ only
in their window, on the same targets.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import TEXT_LIMIT, knob, uses
from seqcore.models import Autoregressive, CountModel, Counts, chain
from seqcore.probes.agreement import gap
from seqcore.probes.held_out import lowest
from seqcore.record import Signal, Snapshot, Ticks
from seqcore.runs import Facts, Run, checkpoint
from seqcore.tasks import Batch, series, text
from seqcore.tasks.series import NOISE, SERIES, Series, standardised
from seqcore.tasks.story import STORY
from seqcore.tasks.text import Text, visible
from seqcore.training import Trainer, configure_thread

OWN, TEXT = "own numbers", "text"
ORDERS = tuple(2**k for k in range(9))  # τ of the curve over all windows: 1 .. 256
COUNTED = (1, 2, 3, 4, 5, 6, 8)  # and of the curve for text, where no longer window is ever seen twice
PARTS = ("fitted", "held out")
SMOOTHING = 0.1
AHEAD = 64  # steps of the longest forecast
TOLD = (1, 4, 16, 64)
BEHIND = 40  # training values drawn before the first held-out one
PIECE = 40  # characters of the held-out text that are drawn one by one
FACTOR = 4  # between two neighbouring arms
BATCH = 128
LOAD = 15  # of one step of a window network, in the units of `engine.pace`
WRITTEN = 60  # characters a network writes at every moment
SAMPLE = 300  # numbers in the sample for "own numbers"

own_text = functools.partial(text.read, longest=TEXT_LIMIT)


def logistic(length: int) -> str:
    """x_{t+1} = 3.9 x_t (1 - x_t), as a table of one column: no noise and no period; no line predicts it well."""
    x = [0.3]
    while len(x) < length:
        x.append(3.9 * x[-1] * (1 - x[-1]))
    return "\n".join(["logistic map", *(f"{value:.4f}" for value in x)])


def own(table: str | bytes) -> tuple[str, torch.Tensor]:
    """Name and values of the first column that does not merely count up, as years and row numbers do; else the last.

    Raises ValueError as `series.read` and `series.standardised` do.
    """
    columns = series.read(table).columns
    moving = {name: values for name, values in columns.items() if not (values.diff() > 0).all()}
    name, values = next(iter(moving.items())) if moving else list(columns.items())[-1]
    standardised(values)
    return name, values


def column(raw: bytes) -> str:
    """The series in a reader's file as a table of one column that fits into an address.

    Numbers keep a thousandth of their standard deviation. Of a series that is too long the last numbers are
    kept, as they are: leaving out every second one would make another series. Raises ValueError as `own` does.
    """
    name, values = own(raw)
    decimals = max(0, math.ceil(3 - math.log10(float(values.std()))))
    lines = [f"{value:.{decimals}f}" for value in values.tolist()]
    name = re.sub(r"[;,\t\"\s]+", " ", name)[:60]
    room = TEXT_LIMIT - len(name) - len(f" (the last {len(lines)} of {len(lines)})")
    kept = room // (max(map(len, lines)) + 1)
    if kept < len(lines):
        name, lines = f"{name} (the last {kept} of {len(lines)})", lines[-kept:]
    return "\n".join([name, *lines])


@dataclass(frozen=True)
class Config(knobs.Repeated):
    data: str = knob("two tones", "Data", choices=(*SERIES, OWN, TEXT), group="Data")
    length: int = knob(
        1000, "Numbers in the series", 200, 2000, step=50, group="Data", help="60 % of them are for training."
    )
    tau: int = knob(16, "Window τ", 1, 256, group="Network", help="How many of the last values a prediction sees.")
    hidden: int = knob(
        32, "Hidden size H", 0, 128, group="Network", help="Of the network trained below; 0 makes it linear."
    )
    steps: int = knob(600, "Training steps", 50, 2000, step=50, group="Training")
    rate: float = knob(0.005, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    numbers: str = knob(
        logistic(SAMPLE), "Own numbers", group="Your own data", help="One number a line, or a table with a header."
    )
    text: str = knob(STORY, "Text", group="Your own data", help="From 50 to 10,000 characters.")

    def check(self) -> None:
        """Raise ValueError for own data that cannot be read, or a window too long for the data."""
        if self.tau > self.longest:
            raise ValueError(
                f"tau = {self.tau} is more than {self.longest}, the longest window that {self.data} has room for"
            )

    @property
    def measure(self) -> str:
        """The signal in which held-out predictions are measured."""
        return "perplexity" if self.data == TEXT else "held_out"

    @property
    def longest(self) -> int:
        """The longest window: there are then as many training windows as weights, and enough held-out text."""
        if self.data == TEXT:
            train, held_out = text.split(text.within_limits(self.text))
            return min(len(train) // 2, len(held_out) * 2 // 3)
        numbers = len(own(self.numbers)[1]) if self.data == OWN else self.length
        return int(numbers * series.TRAINING) // 2

    @property
    def orders(self) -> tuple[int, ...]:
        """The windows of the arms: one a quarter as long as chosen, the chosen one, one four times as long."""
        return tuple(sorted({max(1, self.tau // FACTOR), self.tau, min(FACTOR * self.tau, self.longest)}))

    @property
    def sources(self) -> range:
        """The seeds of different data: a reader's own is the same for all."""
        return self.repetitions if self.data in SERIES else self.repetitions[:1]


def material(config: Config, seed: int, window: int) -> Series | Text:
    """The task with windows of this length: fresh noise for every seed, or the reader's own data."""
    return Text(config.text, window, window) if config.data == TEXT else numbers(config, seed, window)


def numbers(config: Config, seed: int, window: int) -> Series:
    """The same of a config whose data are numbers."""
    if config.data == OWN:
        return Series(standardised(own(config.numbers)[1]), window, window)
    values = SERIES[config.data](config.length, torch.Generator().manual_seed(seed))
    return Series(values, window, window, NOISE**2)


def name(order: int) -> str:
    """What the arm with this window is called."""
    return f"τ = {order}"


# --- without training -----------------------------------------------------------------------------------------------


@uses("data", "length", "tau", "hidden", "numbers", "text", "seed")
def fitted(config: Config) -> Snapshot:
    """One window at work, before any training.

    Numbers: series (arm, line, time) around the first held-out value, by least squares for each window of
    `config.orders`; coefficients (back) of the chosen one. facts: constant, train, held_out, series (its name), agreement.
    Text: next (time), the probability of each character of a held-out piece, by counting. facts: train, held_out,
    symbols, agreement of the network.
    """
    configure_thread()
    if config.data == TEXT:
        return _piece(config)
    task = numbers(config, config.seed, config.orders[-1])
    models = {order: _least_squares(task, order) for order in config.orders}
    chosen = models[config.tau]
    signals = [
        _series({name(order): model for order, model in models.items()}, task),
        # weights are stored oldest first, and read latest first
        Signal("coefficients", ("back",), chosen.W_y.detach().numpy()[0, ::-1]),
    ]
    facts = {
        "constant": chosen.b_y.item(),
        "train": task.train.x.shape[1] + 1,
        "held_out": task.held_out.y.shape[1],
        "series": own(config.numbers)[0] if config.data == OWN else config.data,
        "agreement": _agreement(chosen, task.held_out.x.double()),
    }
    return Snapshot(config, 0, signals, facts)


@uses("data", "length", "tau", "numbers", "text", "seeds", "seed")
def windows(config: Config) -> Snapshot:
    """What every window could do.

    Numbers: squared_error (part, seed, tau) of least squares. Text: perplexity (part, tau) of counting with SMOOTHING;
    unseen (line, tau), shares of windows.
    facts: baseline, what knowing nothing costs on the held-out part; floor where it is known; best and best_error; for
    numbers error, that of the chosen window.
    """
    configure_thread()
    return _counted(config) if config.data == TEXT else _errors(config)


@uses("data", "length", "tau", "numbers", "text", "seeds", "seed")
def forecasts(config: Config) -> Snapshot:
    """How far ahead each window of `config.orders` sees, fed with its own predictions. Of a text: nothing.

    Signal ahead (arm, seed, ahead), the error by steps ahead. facts: baseline, floor, "ahead k" of the chosen window.
    """
    configure_thread()
    if config.data == TEXT:
        return Snapshot(config, 0, [])
    tasks = {seed: {order: numbers(config, seed, order) for order in config.orders} for seed in config.sources}
    first = tasks[config.seed][config.tau]
    steps = min(AHEAD, first.held_out.y.shape[1])
    errors = np.array(
        [
            [_ahead(row[order], _least_squares(row[order], order), steps) for row in tasks.values()]
            for order in config.orders
        ]
    )
    ticks: dict[str, Ticks] = {
        "arm": tuple(map(name, config.orders)),
        "seed": config.sources,
        "ahead": range(1, steps + 1),
    }
    middle = np.median(errors[config.orders.index(config.tau)], axis=0)
    facts = {
        "baseline": float(np.mean([_blind(numbers(config, seed, 1)) for seed in tasks])),
        "floor": first.floor,
        **{f"ahead {k}": float(middle[k - 1]) for k in TOLD if k <= steps},
    }
    return Snapshot(config, 0, [Signal("ahead", ("arm", "seed", "ahead"), errors, ticks)], facts)


def _errors(config: Config) -> Snapshot:
    """`windows` of a series."""
    orders = tuple(sorted({*(order for order in ORDERS if order <= config.longest), config.tau}))
    errors, blind = [], []
    for seed in config.sources:
        checkpoint()
        tasks = {order: numbers(config, seed, order) for order in orders}
        errors.append([_error(task, _least_squares(task, order)) for order, task in tasks.items()])
        blind.append(_blind(tasks[1]))
    U = np.transpose(errors, (2, 0, 1))  # (part, seed, tau)
    middle = np.median(U[1], axis=0)
    best = int(np.argmin(middle))
    facts = {
        "baseline": float(np.mean(blind)),
        "floor": tasks[config.tau].floor,
        "error": float(middle[orders.index(config.tau)]),
        "best": orders[best],
        "best_error": float(middle[best]),
    }
    ticks = {"part": PARTS, "seed": tuple(config.sources), "tau": orders}
    return Snapshot(config, 0, [Signal("squared_error", ("part", "seed", "tau"), U, ticks)], facts)


def _least_squares(task: Series, order: int) -> Autoregressive:
    """The exact AR(τ) of the training part, in double precision."""
    train = torch.cat([task.train.x[0, :, 0], task.train.y[0, -1:]])
    return Autoregressive(order).double().fit(train)


@torch.no_grad()
def _error(task: Series, model: Autoregressive) -> list[float]:
    """Mean squared error one step ahead, on the training part and on the held-out part."""
    return [float(task.loss(model(part.x.double()), part)) for part in (task.train, task.held_out)]


def _ahead(task: Series, model: Autoregressive, steps: int) -> np.ndarray:
    """(steps,) mean squared error so many steps ahead, over every held-out start."""
    batch = task.ahead(steps)
    return (model.forecast(batch.x.double(), steps)[..., 0] - batch.y).square().mean(0).numpy()


@torch.no_grad()
def _series(models: dict[str, Autoregressive], task: Series) -> Signal:
    """(arm, line, time): the series around its first held-out value, and what each model says of it.

    Teacher forcing sees the true values up to the one before; free running sees true ones only up to time 0.
    """
    steps = min(2 * AHEAD, task.held_out.y.shape[1])
    truth = torch.cat([task.train.y[0, -BEHIND:], task.held_out.y[0, :steps]]).numpy()
    behind = len(truth) - steps
    lines = np.full((len(models), 3, len(truth)), np.nan)
    for lines_of_arm, model in zip(lines, models.values()):
        x = task.held_out.x[:, task.window - model.order :].to(model.W_y)
        lines_of_arm[0] = truth
        lines_of_arm[1, behind:] = model(x)[0, :steps, 0]
        lines_of_arm[2, behind:] = model.forecast(x[:, : model.order], steps)[0, :, 0]
    ticks = {
        "arm": tuple(models),
        "line": ("the series", "teacher forcing", "free running"),
        "time": range(1 - behind, steps + 1),
    }
    return Signal("series", ("arm", "line", "time"), lines, ticks)


def _blind(task: Series | Text) -> float:
    """The held-out loss of an answer that looks at nothing: the mean of the training part, or its frequencies."""
    train, answers = task.train.y[0], task.held_out.y[0]
    if isinstance(task, Series):
        return float((answers - train.mean()).square().mean())
    # one more of each, so that a character only the held-out part has does not cost everything
    counts = train.bincount(minlength=task.outputs).double() + 1
    return float(-(counts / counts.sum()).log()[answers].mean())


# --- text, without training -----------------------------------------------------------------------------------------


def _counted(config: Config) -> Snapshot:
    """`windows` of a text: a model that counts what followed each window."""
    parts = text.split(config.text)
    task = material(config, config.seed, 1)
    counts = Counts(parts[:1], task.vocabulary, COUNTED[-1])
    orders = tuple(order for order in COUNTED if order <= config.longest)
    models = [CountModel(counts, order, SMOOTHING) for order in orders]
    perplexity = np.array([[chain(model.given(part)).perplexity for model in models] for part in parts])
    seen = counts.collapse(parts[1:])
    shares = np.stack([seen.once, seen.unseen])[:, list(orders)]
    best = int(np.argmin(perplexity[1]))
    signals = [
        Signal("perplexity", ("part", "tau"), perplexity, {"part": PARTS, "tau": orders}),
        Signal("unseen", ("line", "tau"), shares, {"line": ("seen only once", "held out, never seen"), "tau": orders}),
    ]
    facts = {"baseline": math.exp(_blind(task)), "best": orders[best], "best_error": float(perplexity[1, best])}
    return Snapshot(config, 0, signals, facts)


def _piece(config: Config) -> Snapshot:
    """`fitted` of a text."""
    known, held_out = text.split(config.text)
    task = material(config, config.seed, config.tau)
    order = min(config.tau, COUNTED[-1])
    given = CountModel(Counts([known], task.vocabulary, order), order, SMOOTHING).given(held_out)[order:][:PIECE]
    letters = tuple(visible(held_out[order:][:PIECE]))
    facts = {
        "train": len(known),
        "held_out": len(held_out),
        "symbols": task.outputs,
        "agreement": _agreement(_network(config, config.tau, task, config.seed), task.held_out.x),
    }
    return Snapshot(config, 0, [Signal("next", ("time",), given, {"time": letters})], facts)


# --- training -------------------------------------------------------------------------------------------------------


def run(config: Config) -> Run:
    """Train a network for each window of `config.orders`, all on the same targets.

    Signals: loss, norm (arm, seed, step); `config.measure` (arm, seed, step) on all held-out targets; for numbers also
    series (arm, line, time) of the first seed.
    facts: baseline, floor, blind (the baseline of the held-out part), event; for every arm "best τ = .." so far and
    "best step τ = ..", and for text "written τ = ..", what it writes when it reads only what it wrote.
    """
    tasks = {seed: material(config, seed, config.orders[-1]) for seed in config.repetitions}
    first = tasks[config.seed]
    blind = np.mean([_blind(task) for task in tasks.values()])
    constant = {
        "baseline": float(np.mean([task.baseline for task in tasks.values()])),
        "floor": first.floor,
        "blind": float(np.exp(blind) if config.data == TEXT else blind),
    }

    def trainer(seed: int, order: int) -> Trainer:
        task = tasks[seed]
        return Trainer(_network(config, order, task, seed), functools.partial(_loss, task), config.rate)

    def held_out(arms: Arms) -> Iterator[Signal]:
        errors = np.array([[_held_out(*each) for each in zip(row, tasks.values())] for row in arms.values()])
        measured = np.exp(errors) if config.data == TEXT else errors
        yield Signal(config.measure, ("arm", "seed"), measured, arms.ticks)

    def running(arms: Arms) -> Iterator[Signal | Facts]:
        if isinstance(first, Series):
            yield _series(arms.first, first)
        else:
            yield {f"written {arm}": _write(model, first, config.seed) for arm, model in arms.first.items()}

    def facts(moment: Snapshot) -> Facts:
        curves = moment[config.measure]
        low = {arm: lowest(curves.sel(arm=arm)) for arm in curves.ticks["arm"]}
        best = {f"best {arm}": each.value for arm, each in low.items()}
        return constant | best | {f"best step {arm}": each.step for arm, each in low.items()}

    return train(
        config,
        {name(order): functools.partial(trainer, order=order) for order in config.orders},
        lambda seed, generator: tasks[seed].batch(BATCH, generator),
        load=LOAD,
        measures=[Measure(held_out, series=(config.measure,)), Measure(running)],
        facts=facts,
    )


def _network(config: Config, order: int, task: Series | Text, seed: int) -> Autoregressive:
    vocabulary = task.outputs if config.data == TEXT else 0
    return Autoregressive(order, config.hidden, vocabulary, generator=stream(seed, "weights"))


def _loss(task: Series | Text, model: Any, batch: Batch) -> torch.Tensor:
    """The loss on a batch whose windows are as long as the longest arm's: each arm takes the end of them."""
    return task.loss(model(batch.x[:, task.at.start + 1 - model.order :]), batch)


@torch.no_grad()
def _held_out(trainer: Trainer, task: Series | Text) -> float:
    """The loss on all held-out targets; NaN for what has diverged."""
    return math.nan if trainer.diverged is not None else float(_loss(task, trainer.model, task.held_out))


def _write(model: Autoregressive, task: Text, seed: int) -> str:
    """What the model goes on with, from the first held-out window, drawing each character and reading it again."""
    window = task.at.start + 1
    x = task.held_out.x[:, window - model.order : window]
    return task.decode(model.sample(x, WRITTEN, torch.Generator().manual_seed(seed))[0].tolist())


@torch.no_grad()
def _agreement(model: Autoregressive, x: torch.Tensor) -> float:
    """max |ours - torch.nn|: a window that slides over time is a convolution, as in torch.nn.Conv1d."""
    e = x if model.E is None else F.embedding(x, model.E)
    W, b = (model.W_w, model.b_w) if model.hidden else (model.W_y, model.b_y)
    y = F.conv1d(e.transpose(1, 2), W.view(len(W), model.order, -1).transpose(1, 2), b)
    if model.hidden:
        y = F.conv1d(y.relu(), model.W_y[..., None], model.b_y)
    return gap(model(x), y.transpose(1, 2))
