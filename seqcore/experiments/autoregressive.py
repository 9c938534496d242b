"""Autoregressive models: the last τ say what comes next, and how long τ should be is a bargain.

`before(config)` needs no training: for numbers it fits AR(τ) by least squares, exactly, for every τ; for text
it counts what followed each window. `run(config)` trains three networks by gradient descent that differ
only in their window, on the same targets.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from seqcore import knobs
from seqcore.knobs import TEXT_LIMIT, knob
from seqcore.models.autoregressive import Autoregressive
from seqcore.models.counts import CountModel, Counts
from seqcore.record import Run, Signal
from seqcore.tasks import series, text
from seqcore.tasks.series import NOISE, SERIES, Series, standardised
from seqcore.tasks.story import STORY
from seqcore.tasks.text import Text
from seqcore.training import Trainer, events, pace, race, settle

OWN, TEXT = "own numbers", "text"
ORDERS = tuple(2**k for k in range(9))  # τ of the curve over all windows: 1 .. 256
COUNTED = (1, 2, 3, 4, 5, 6, 8)  # and of the curve for text, where no longer window is ever seen twice
SMOOTHING = 0.1
AHEAD = 64  # steps of the longest forecast
TOLD = (1, 4, 16, 64)
BEHIND = 40  # training values drawn before the first held-out one
FACTOR = 4  # between two neighbouring arms
BATCH = 128
LOAD = 15  # of one step of a window network, in the units of `pace`
WRITTEN = 60  # characters a network writes at every moment
SAMPLE = 300  # numbers in the sample for "own numbers"


def logistic(length: int) -> str:
    """x_{t+1} = 3.9 x_t (1 - x_t), as a table of one column: no noise, no period, and no straight line predicts it."""
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


def passage(raw: bytes) -> str:
    """A reader's text, made fit. Raises ValueError as `text.read` does, and for a text too long for an address."""
    made = text.read(raw)
    if len(made) > TEXT_LIMIT:
        raise ValueError(
            f"the text has {len(made):,} characters, more than the {TEXT_LIMIT:,} that fit into an address"
        )
    return made


@dataclass(frozen=True)
class Config(knobs.Repeated):
    data: str = knob("two tones", "Data", choices=(*SERIES, OWN, TEXT), group="Data")
    length: int = knob(
        1000, "Numbers in the series", 200, 2000, step=50, group="Data", help="60 % of them are for training."
    )
    tau: int = knob(16, "Window τ", 1, 256, group="Network", help="How many of the last values a prediction sees.")
    hidden: int = knob(
        32, "Hidden units", 0, 128, group="Network", help="Of the network trained below; 0 makes it linear."
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
    if config.data == TEXT:
        return Text(config.text, window, window)
    if config.data == OWN:
        return Series(standardised(own(config.numbers)[1]), window, window)
    values = SERIES[config.data](config.length, torch.Generator().manual_seed(seed))
    return Series(values, window, window, NOISE**2)


def name(order: int) -> str:
    """What the arm with this window is called."""
    return f"τ = {order}"


def before(config: Config) -> Run:
    """The instant picture: what every window could do, computed without training.

    Numbers: squared_error (part, seed, tau) of least squares; ahead (arm, seed, ahead), the error of forecasts
    that feed on themselves; series (arm, line, time) around the first held-out value; coefficients (back).
    facts: baseline (held out), floor, error, best, best_error, forecasts (k -> error of the chosen window), agreement.

    Text: perplexity (part, tau) of counting with SMOOTHING; unseen (line, tau).
    facts: baseline (perplexity of knowing the frequencies), best, best_error, agreement.
    """
    settle()
    return _counted(config) if config.data == TEXT else _fitted(config)


def run(config: Config) -> Iterator[Run]:
    """Train a network for each window of `config.orders`, all on the same targets.

    Signals: loss (arm, seed, step); `config.measure` (arm, seed, step) on all held-out targets; for numbers also
    series (arm, line, time) of the first seed.
    facts: baseline, floor, blind (the baseline of the held-out part), event; for every arm "best τ = .." so far and
    "best step τ = ..", and for text "written τ = ..", what it writes when it reads only what it wrote.
    """
    settle()
    window = config.orders[-1]
    tasks = {seed + 1_000: material(config, seed, window) for seed in config.repetitions}
    arms = {
        name(order): [
            Trainer(_network(config, order, task, seed - 1_000), functools.partial(_loss, task), config.rate)
            for seed, task in tasks.items()
        ]
        for order in config.orders
    }
    held_out: list[np.ndarray] = []
    steps: list[int] = []
    for progress in race(
        arms,
        # every seed has its own data, and its own generator: one finds the other
        lambda generator: tasks[generator.initial_seed()].batch(BATCH, generator),
        steps=config.steps,
        every=pace(config.steps, LOAD * len(arms) * config.seeds),
        seeds=tuple(tasks),
    ):
        steps.append(progress.step)
        held_out.append(_held_out(arms, tasks))
        errors = np.stack(held_out, axis=-1)
        measured = np.exp(errors) if config.data == TEXT else errors
        ticks = {"arm": tuple(arms), "seed": tuple(config.repetitions), "step": steps}
        signals = [progress.loss, Signal(config.measure, ("arm", "seed", "step"), measured, ticks)]
        first = next(iter(tasks.values()))
        models = {arm: trainers[0].model for arm, trainers in arms.items()}
        if config.data != TEXT:
            signals.append(_series(models, first))
        yield Run(config, progress.step, signals, _told(config, tasks, arms, measured, steps))


def _told(config: Config, tasks: dict, arms: dict, measured: np.ndarray, steps: list[int]) -> dict:
    """The facts of one moment."""
    first = next(iter(tasks.values()))
    blind = np.mean([_blind(task) for task in tasks.values()])
    facts = {
        "baseline": float(np.mean([task.baseline for task in tasks.values()])),
        "floor": first.floor,
        "blind": float(np.exp(blind) if config.data == TEXT else blind),
        "event": events(arms),
    }
    for arm, trainers, curve in zip(arms, arms.values(), np.median(measured, axis=1)):
        known = np.where(np.isnan(curve), np.inf, curve)
        facts[f"best {arm}"] = float(known.min())
        facts[f"best step {arm}"] = steps[int(known.argmin())]
        if config.data == TEXT:
            facts[f"written {arm}"] = _write(trainers[0].model, first, config.seed)
    return facts


# --- numbers --------------------------------------------------------------------------------------------------------


def _fitted(config: Config) -> Run:
    """The instant picture of a series."""
    orders = tuple(sorted({*(order for order in ORDERS if order <= config.longest), config.tau}))
    errors, models, blind = [], [], []
    for seed in config.sources:
        values = material(config, seed, 1)
        fitted = {order: _least_squares(values, order) for order in {*orders, *config.orders}}
        tasks = {order: material(config, seed, order) for order in orders}
        errors.append([_errors(fitted[order], tasks[order]) for order in orders])
        models.append(fitted)
        blind.append(_blind(values))
    U = np.transpose(errors, (2, 0, 1))  # (part, seed, tau)
    arms = tuple(map(name, config.orders))
    steps = min(AHEAD, values.held_out.y.shape[1])
    ahead = np.array(
        [
            [
                _ahead(fitted[order], material(config, seed, order), steps)
                for seed, fitted in zip(config.sources, models)
            ]
            for order in config.orders
        ]
    )
    middle = np.median(U[1], axis=0)
    best = int(np.argmin(middle))
    longest = material(config, config.seed, config.orders[-1])
    chosen = models[0][config.tau]
    seeds = tuple(config.sources)
    signals = [
        Signal("squared_error", ("part", "seed", "tau"), U, {"part": PARTS, "seed": seeds, "tau": orders}),
        Signal(
            "ahead", ("arm", "seed", "ahead"), ahead, {"arm": arms, "seed": seeds, "ahead": tuple(range(1, steps + 1))}
        ),
        _series({name(order): models[0][order] for order in config.orders}, longest),
        # weights are stored oldest first, and read latest first
        Signal("coefficients", ("back",), chosen.W_y.detach().numpy()[0, ::-1]),
    ]
    forecast = np.median(ahead[config.orders.index(config.tau)], axis=0)
    facts = {
        "baseline": float(np.mean(blind)),
        "floor": longest.floor,
        "error": float(middle[orders.index(config.tau)]),
        "best": orders[best],
        "best_error": float(middle[best]),
        "constant": chosen.b_y.item(),
        "train": int(values.train.y.shape[1]) + 1,
        "held_out": int(values.held_out.y.shape[1]),
        "series": own(config.numbers)[0] if config.data == OWN else config.data,
        "agreement": _agreement(chosen, longest.held_out.x.double()),
        **{f"ahead {k}": float(forecast[k - 1]) for k in TOLD if k <= steps},
    }
    return Run(config, 0, signals, facts)


PARTS = ("fitted", "held out")


def _least_squares(task: Series, order: int) -> Autoregressive:
    """The exact AR(τ) of the training part, in double precision."""
    train = torch.cat([task.train.x[0, :, 0], task.train.y[0, -1:]])
    return Autoregressive(order).double().fit(train)


@torch.no_grad()
def _errors(model: Autoregressive, task: Series) -> list[float]:
    """Mean squared error one step ahead, on the training part and on the held-out part."""
    return [float(task.loss(model(part.x.double()), part)) for part in (task.train, task.held_out)]


def _ahead(model: Autoregressive, task: Series, steps: int) -> np.ndarray:
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


# --- text -----------------------------------------------------------------------------------------------------------


def _counted(config: Config) -> Run:
    """The instant picture of a text: a model that counts what followed each window."""
    parts = text.split(config.text)
    task = material(config, config.seed, 1)
    counts = Counts(parts[:1], task.vocabulary, COUNTED[-1])
    orders = tuple(order for order in COUNTED if order <= config.longest)
    perplexity = np.array(
        [
            [np.exp(-np.log(CountModel(counts, order, SMOOTHING).given(part)).mean()) for order in orders]
            for part in parts
        ]
    )
    seen = counts.collapse(parts[1:])
    best = int(np.argmin(perplexity[1]))
    model = _network(config, config.tau, task, config.seed)
    signals = [
        Signal("perplexity", ("part", "tau"), perplexity, {"part": PARTS, "tau": orders}),
        Signal(
            "unseen",
            ("line", "tau"),
            np.stack([seen.once, seen.unseen])[:, list(orders)],
            {"line": ("seen only once", "held out, never seen"), "tau": orders},
        ),
    ]
    facts = {
        "baseline": math.exp(_blind(task)),
        "best": orders[best],
        "best_error": float(perplexity[1, best]),
        "train": len(parts[0]),
        "held_out": len(parts[1]),
        "symbols": task.outputs,
        "agreement": _agreement(model, material(config, config.seed, config.tau).held_out.x),
    }
    return Run(config, 0, signals, facts)


def _write(model: Autoregressive, task: Text, seed: int) -> str:
    """What the model goes on with, from the first held-out window, drawing each character and reading it again."""
    window = task.at.start + 1
    x = task.held_out.x[:, window - model.order : window]
    return task.decode(model.sample(x, WRITTEN, torch.Generator().manual_seed(seed))[0].tolist())


# --- networks -------------------------------------------------------------------------------------------------------


def _network(config: Config, order: int, task: Series | Text, seed: int) -> Autoregressive:
    vocabulary = task.outputs if config.data == TEXT else 0
    return Autoregressive(order, config.hidden, vocabulary, generator=torch.Generator().manual_seed(seed))


def _loss(task: Series | Text, model: Autoregressive, batch) -> torch.Tensor:
    """The loss on a batch whose windows are as long as the longest arm's: each arm takes the end of them."""
    return task.loss(model(batch.x[:, task.at.start + 1 - model.order :]), batch)


@torch.no_grad()
def _held_out(arms: dict[str, list[Trainer]], tasks: dict[int, Series | Text]) -> np.ndarray:
    """(arm, seed) losses on all held-out targets; NaN for what has diverged."""
    return np.array(
        [
            [
                math.nan if trainer.diverged is not None else float(_loss(task, trainer.model, task.held_out))
                for trainer, task in zip(trainers, tasks.values())
            ]
            for trainers in arms.values()
        ]
    )


@torch.no_grad()
def _agreement(model: Autoregressive, x: torch.Tensor) -> float:
    """max |ours - torch.nn|: a window that slides over time is a convolution, as in torch.nn.Conv1d."""
    e = x if model.E is None else F.embedding(x, model.E)
    W, b = (model.W_w, model.b_w) if model.hidden else (model.W_y, model.b_y)
    y = F.conv1d(e.transpose(1, 2), W.view(len(W), model.order, -1).transpose(1, 2), b)
    if model.hidden:
        y = F.conv1d(y.relu(), model.W_y[..., None], model.b_y)
    return float((model(x) - y.transpose(1, 2)).abs().max())
