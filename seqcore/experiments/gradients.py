"""Vanishing and exploding gradients: the curve ‖dL/dh_t‖ before training, its theory, and what training does to it.

Before training, inputs are noise at every unit, the loss is u·h_T for a random direction u of the last state, and
everything is in float64, since float32 ends at 1e-38:

    fates           the curve under every activation, at gain g and at 2 g
    split           what φ' and what W do to it; how far the product of Jacobians stretches
    theories        three rules for its slope, against what is measured
    by_hand         one weight's derivative by backpropagation and by its definition
    through_gates   the same road through an LSTM and a GRU
    journey         the curve of one setting

`run(config)` trains a network on a task, with clipping and without from the same weights and batches.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.kernels import ACTIVATIONS
from seqcore.knobs import knob, uses
from seqcore.models.gru import GRU
from seqcore.models.latent import Readout
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN
from seqcore.probes import gradients as probe
from seqcore.probes.agreement import agreement
from seqcore.probes.check import gradient_check, mismatches
from seqcore.probes.gates import linear_slope
from seqcore.probes.reach import by_lag
from seqcore.record import Signal, Snapshot, Ticks
from seqcore.runs import Run, checkpoint
from seqcore.tasks import Batch, Task
from seqcore.tasks.recall import Adding, FirstToken, Latch
from seqcore.training import OPTIMISERS, Trainer, configure_thread

TASKS: dict[str, Callable[[int], Task]] = {"latch": Latch, "adding": Adding, "first token": FirstToken}
CELLS = {"RNN": (RNN, 1), "LSTM": (LSTM, 4), "GRU": (GRU, 3)}  # a cell, and how many sums a unit of it needs
CHECKED = {"W_h": (0, 1), "W_x": (0, 1), "b_h": (0,)}  # the weights whose derivative is checked by hand
RULES = {"textbook": "bound", "mean square": "mean_square", "Lyapunov": "lyapunov"}  # name -> field of probe.Theory
BATCH, PROBED, GATED = 32, 16, 8
LAGS_SHOWN, STEPS_SHOWN = 40, 40
NUMBERS_AT_ONCE = 1_500_000  # of one array while many networks are unrolled: 12 MB
EXPONENTS = range(1, 13)  # of the ε = 10^-exponent that a derivative is checked with


# --- knobs ----------------------------------------------------------------------------------------------------------


def orthogonal(H: int, gain: float, generator: torch.Generator) -> Tensor:
    return gain * torch.nn.init.orthogonal_(torch.empty(H, H, dtype=torch.float64), generator=generator)


def gaussian(H: int, gain: float, generator: torch.Generator) -> Tensor:
    return gain / math.sqrt(H) * torch.randn(H, H, generator=generator, dtype=torch.float64)


def torch_default(H: int, gain: float, generator: torch.Generator) -> Tensor:
    return gain / math.sqrt(H) * torch.empty(H, H, dtype=torch.float64).uniform_(-1, 1, generator=generator)


def identity(H: int, gain: float, generator: torch.Generator) -> Tensor:
    return gain * torch.eye(H, dtype=torch.float64)


WEIGHTS: dict[str, Callable[[int, float, torch.Generator], Tensor]] = {
    "orthogonal": orthogonal,
    "Gaussian": gaussian,
    "torch default": torch_default,
    "identity": identity,
}


@dataclass(frozen=True)
class Config(knobs.Repeated):
    length: int = knob(100, "Sequence length T", 2, 200, group="Network")
    hidden: int = knob(32, "Hidden size H", 2, 128, group="Network")
    activation: str = knob("tanh", "Activation φ", choices=ACTIVATIONS, group="Network")
    gain: float = knob(
        1.0, "Recurrent gain g", 0.1, 5.0, step=0.01, group="Network", help="W is multiplied by it; 1 keeps lengths."
    )
    weights: str = knob("orthogonal", "Recurrent weights W", choices=WEIGHTS, group="Network")
    scale: float = knob(
        0.1, "Input scale", 0.0, 1.0, step=0.01, group="Network", help="How strongly the input drives the units."
    )
    weight: str = knob("W_h", "Weight to check", choices=CHECKED, group="Gradient check")
    epsilon: float = knob(
        1e-5, "Nudge ε", 1e-12, 0.1, scale="log", group="Gradient check", help="How far the weight is moved either way."
    )
    bias: float = knob(
        0.0,
        "Bias of the gate that keeps",
        0.0,
        6.0,
        step=0.5,
        group="Gates",
        help="The forget gate of the LSTM and the update gate of the GRU keep more the higher it is. "
        "torch's default is about 0.",
    )
    task: str = knob("latch", "Task", choices=TASKS, group="Training")
    task_length: int = knob(
        50, "Steps to remember", 2, 200, group="Training", help="The length of the task's sequences."
    )
    task_activation: str = knob("relu", "Activation of the trained network", choices=ACTIVATIONS, group="Training")
    task_weights: str = knob("identity", "W of the trained network", choices=WEIGHTS, group="Training")
    task_gain: float = knob(1.05, "Gain of the trained network", 0.1, 5.0, step=0.01, group="Training")
    optimiser: str = knob("SGD", "Optimiser", choices=OPTIMISERS, group="Training")
    rate: float = knob(0.02, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    clip: float = knob(1.0, "Clip the gradient norm at", 0.0, 10.0, step=0.1, group="Training", help="0 is off.")
    steps: int = knob(600, "Training steps", 50, 2000, step=50, group="Training")


NETWORK = ("length", "hidden", "weights", "gain", "scale", "seeds", "seed")
TRAINING = ("task", "task_length", "task_activation", "task_weights", "task_gain", "optimiser", "rate", "clip", "steps")


# --- before training ------------------------------------------------------------------------------------------------


@uses(*NETWORK)
def fates(config: Config) -> Snapshot:
    """Every activation with the same weights, input and loss: at gain g, and at twice that.

    Signals: activations and doubled (activation, seed, lag).
    facts: left and left_doubled, activation -> log10 of the median that is left of the gradient at the first state, -inf
    where nothing is; dies, for the lines that do: which -> the lag from which it is exactly zero for every seed.
    """
    fresh, gains = _fresh(config), (config.gain, 2 * config.gain)
    curves = np.array([[_norms(_unrolled(fresh, name, gain)) for name in ACTIVATIONS] for gain in gains])
    ticks: dict[str, Ticks] = {"activation": tuple(ACTIVATIONS), "seed": tuple(config.repetitions)}
    with np.errstate(divide="ignore"):
        left = np.log10(np.median(curves[..., -1], axis=-1))
    facts = {
        "left": dict(zip(ACTIVATIONS, left[0].tolist())),
        "left_doubled": dict(zip(ACTIVATIONS, left[1].tolist())),
        "dies": {
            f"{name} at gain {gain:g}": lag
            for gain, of_gain in zip(gains, curves)
            for name, curve in zip(ACTIVATIONS, of_gain)
            if (lag := _dies(curve)) is not None
        },
    }
    axes = ("activation", "seed", "lag")
    return Snapshot(
        config,
        0,
        [Signal(name, axes, each, ticks) for name, each in zip(("activations", "doubled"), curves)],
        facts,
    )


@uses(*NETWORK, "activation")
def split(config: Config) -> Snapshot:
    """What φ' and what W do to the gradient, in decades, at gain g and at twice that; and to every direction at once.

    Signals: split and split_doubled (line, seed, lag); singular (line, lag) of one input of the first seed.
    facts: taken and given, and the same at 2 g as taken_doubled and given_doubled: what φ' and W add up to at the first
    state, in decades, the median over seeds.
    """
    fresh = _fresh(config)
    ticks: dict[str, Ticks] = {"line": ("saturation φ′", "gain of W", "both"), "seed": tuple(config.repetitions)}
    signals: list[Signal] = []
    facts: dict[str, float] = {}
    for suffix, factor in (("", 1), ("_doubled", 2)):
        descent = _unrolled(fresh, config.activation, factor * config.gain)
        parts = (descent.saturation, descent.gain, descent.saturation * descent.gain)
        sums = np.array([_sums(part) for part in parts])
        signals.append(Signal(f"split{suffix}", ("line", "seed", "lag"), sums, ticks))
        taken, given, _ = (np.median(sums[..., -1], axis=-1).round(9) + 0.0).tolist()  # no -0.0
        facts |= {f"taken{suffix}": taken, f"given{suffix}": given}
    checkpoint()
    lags = probe_lags(config.length)
    model, x = _model(config, fresh), fresh.x[0, :1]
    with torch.no_grad():
        stretch = probe.stretches(probe.jacobians(model, model(x))[0], lags).numpy()
    shown = stretch[:, [0, config.hidden // 2, -1]].T
    ticks = {"line": ("largest", "middle", "smallest"), "lag": lags}
    signals.append(Signal("singular", ("line", "lag"), shown, ticks))
    return Snapshot(config, 0, signals, facts)


@uses(*NETWORK, "activation")
def theories(config: Config) -> Snapshot:
    """The measured curve beside straight lines of the slopes that three rules foretell, and their errors for every W.

    Signals: gradient (seed, lag); theory (line, lag); rule_error (line, matrix), rule minus measured in decades a step, the
    median over seeds, where both are finite.
    facts: slope and fit (decades a step, R²), the four rules of `probe.Theory`, horizon (lag or None), `dies` (the lag
    from which the gradient is exactly zero, or None), worst (rule -> its largest error), furthest (the rule with the
    largest of all, or None where nothing can be compared), agreement with torch where it has a twin.
    """
    lags = np.arange(config.length + 1)
    errors = []
    for kind, fresh in _fresh_of_each(config).items():
        descent = _unrolled(fresh, config.activation, config.gain)
        fits = np.array([probe.slope(norms) for norms in descent.norms])
        rules = np.array(
            [
                probe.theory(config.gain * W, slopes, torch.Generator().manual_seed(seed))
                for seed, W, slopes in zip(config.repetitions, fresh.W, descent.slopes)
            ]
        )
        checkpoint()
        errors.append(_known_median(rules - fits[:, :1]))
        if kind == config.weights:
            measured, (slope, fit) = _norms(descent), np.median(fits, axis=0).tolist()
            middle = probe.Theory(*np.median(rules, axis=0).tolist())
            torchs = agreement(_model(config, fresh), fresh.x[0])
    of_rules = probe.Theory(*np.transpose(errors))  # each (matrix)
    shown = np.array([getattr(of_rules, field) for field in RULES.values()])
    slopes = np.array([getattr(middle, field) for field in RULES.values()])
    worst = {rule: float(np.abs(row[np.isfinite(row)]).max(initial=0)) for rule, row in zip(RULES, shown)}
    names = tuple(RULES)
    signals = [
        Signal("gradient", ("seed", "lag"), measured, {"seed": tuple(config.repetitions)}),
        Signal("theory", ("line", "lag"), 10.0 ** (slopes[:, None] * lags), {"line": names}),
        Signal("rule_error", ("line", "matrix"), shown, {"line": names, "matrix": tuple(WEIGHTS)}),
    ]
    facts = {
        "slope": slope,
        "fit": fit,
        **middle._asdict(),
        "horizon": probe.horizon(torch.from_numpy(measured)),
        "dies": _dies(measured),
        "worst": worst,
        "furthest": max(worst, key=lambda rule: worst[rule]) if np.isfinite(shown).any() else None,
        "agreement": torchs,
    }
    return Snapshot(config, 0, signals, facts)


@uses("length", "hidden", "activation", "weights", "gain", "scale", "seed", "weight", "epsilon")
def by_hand(config: Config) -> Snapshot:
    """One weight's derivative: by backpropagation, and by moving the weight a little either way.

    Signal mismatch (exponent): |difference - backpropagation| / |backpropagation| at ε = 10^-exponent.
    facts: all of `probes.check.Check`; value, the weight, and index, where it stands; error, the mismatch at the reader's
    ε, and agree, how many digits are the same; smallest, middle and largest, the mismatch at ε = 10^-12, 10^-5 and 10^-1,
    and best, which of the three is the least.
    """
    fresh = _fresh(dataclasses.replace(config, seeds=1))
    model, x, u = _model(config, fresh), fresh.x[0, :1], fresh.u[0, :1]

    def loss(y: Tensor) -> Tensor:
        return (u * y[:, -1]).sum()

    name, index = config.weight, CHECKED[config.weight]
    check = gradient_check(model, x, loss, name, index, config.epsilon)
    checkpoint()
    found = mismatches(model, x, loss, name, index, [10.0**-exponent for exponent in EXPONENTS])
    compared = {"smallest": found[11], "middle": found[4], "largest": found[0]}
    facts = {
        **check._asdict(),
        "value": model.get_parameter(name)[index].item(),
        "index": ", ".join(map(str, index)),
        "error": check.mismatch,
        "agree": max(0, -math.ceil(math.log10(check.mismatch))) if check.mismatch else 15,
        **compared,
        "best": min(compared, key=lambda which: compared[which]),
    }
    signal = Signal("mismatch", ("exponent",), np.array(found), {"exponent": tuple(EXPONENTS)})
    return Snapshot(config, 0, [signal], facts)


@uses("length", "hidden", "scale", "bias", "seed")
def through_gates(config: Config) -> Snapshot:
    """The same road through the cells in CELLS, with torch's default weights, no biases but the one of the gate that
    keeps, and noise at every gate of every unit.

    Signal gated (arm, lag), the geometric mean over a batch; fact slopes: arm -> (measured, linear theory's or None).
    """
    configure_thread()
    curves, slopes = [], {}
    for cell, sums in CELLS.values():
        checkpoint()
        generator = torch.Generator().manual_seed(config.seed)
        H = config.hidden
        model = cell(sums * H, H, generator=generator).double()
        with torch.no_grad():
            model.W_x.copy_(torch.eye(sums * H))
            model.b_x.zero_()
            model.b_h.zero_()
            # f of an LSTM and z of a GRU both come second; an RNN has nothing there
            model.b_x[H : 2 * H] = config.bias
        noise = config.scale * torch.randn(GATED, config.length, sums * H, generator=generator, dtype=torch.float64)
        norms = by_lag(model, noise, probe.last_state(generator))
        curves.append(10.0 ** norms.log10().mean(0).numpy())
        slopes[cell.__name__] = probe.slope(norms)[0], (None if cell is RNN else linear_slope(model))
    gated = Signal("gated", ("arm", "lag"), np.array(curves), {"arm": tuple(CELLS)})
    return Snapshot(config, 0, [gated], {"slopes": slopes})


@uses(*NETWORK, "activation")
def journey(config: Config) -> Snapshot:
    """The curve of one setting. Signal gradient (seed, lag); fact left, the median that arrives at the first state."""
    curves = _norms(_unrolled(_fresh(config), config.activation, config.gain))
    signal = Signal("gradient", ("seed", "lag"), curves, {"seed": tuple(config.repetitions)})
    return Snapshot(config, 0, [signal], {"left": float(np.median(curves[:, -1]))})


# --- training -------------------------------------------------------------------------------------------------------


@uses("hidden", "scale", *TRAINING, "seeds", "seed")
def run(config: Config) -> Run:
    """Train with and without clipping (one arm if clipping is off).

    Signals: loss, norm (arm, seed, step); stride (arm, seed, step), how far all weights together moved a step since the
    moment before, and with Adam divisor, the √v̂ it divides by; gradient (arm, seed, lag) of the task's loss on a fixed
    batch, at this moment; history (arm, lag, step) its log10, the median over seeds, at some of the moments so far.
    facts: baseline, clip, event.
    """
    task = TASKS[config.task](config.task_length)
    clips = {"no clipping": 0.0} | ({f"clipped at {config.clip:g}": config.clip} if config.clip else {})
    probed = task.batch(PROBED, stream(config.seed, "probe"))
    lags = probe_lags(config.task_length)
    good: dict[int, np.ndarray] = {}  # the last curve of every trainer that has not diverged
    places: dict[int, tuple[int, Tensor]] = {}  # where every trainer was at the moment before: its step and its weights

    def trainer(seed: int, clip: float) -> Trainer:
        network = _network(config, task, seed)
        return Trainer(
            network, lambda n, batch: task.loss(n(batch.x, at=task.at), batch), config.rate, config.optimiser, clip
        )

    def curve(trainer: Trainer) -> np.ndarray:
        # A network that has diverged keeps its last good curve.
        if trainer.diverged is None or id(trainer) not in good:
            good[id(trainer)] = _task_gradient(trainer.model, task, probed)
        return good[id(trainer)]

    def stride(trainer: Trainer) -> float:
        here = torch.cat([weight.detach().flatten() for weight in trainer.weights])
        step, there = places.get(id(trainer), (0, here))
        places[id(trainer)] = trainer.steps, here
        return float((here - there).norm()) / (trainer.steps - step) if trainer.steps > step else math.nan

    def gradient(arms: Arms) -> Iterator[Signal]:
        curves = np.array([[curve(trainer) for trainer in row] for row in arms.values()])
        yield Signal("gradient", ("arm", "seed", "lag"), curves, arms.ticks)

    def motion(arms: Arms) -> Iterator[Signal]:
        of_each = {"stride": stride} | ({"divisor": _divisor} if config.optimiser == "Adam" else {})
        for name, of in of_each.items():
            values = np.array([[of(each) for each in row] for row in arms.values()])
            yield Signal(name, ("arm", "seed"), values, arms.ticks)

    def history(arms: Arms) -> Iterator[Signal]:
        curves = np.array([[good[id(trainer)] for trainer in row] for row in arms.values()])
        with np.errstate(divide="ignore"):
            shown = np.log10(np.median(curves, axis=1))[:, lags]
        yield Signal(
            "history", ("arm", "lag"), np.where(np.isfinite(shown), shown, np.nan), {"arm": tuple(arms), "lag": lags}
        )

    return train(
        config,
        {name: partial(trainer, clip=clip) for name, clip in clips.items()},
        lambda seed, generator: task.batch(BATCH, generator),
        load=config.task_length,
        measures=[
            Measure(gradient),
            Measure(motion, series=("stride", "divisor")),
            Measure(history, series=("history",), times=STEPS_SHOWN),
        ],
        facts={"baseline": task.baseline, "clip": config.clip},
    )


def probe_lags(length: int) -> list[int]:
    """At most 40 lags from 0 to the length, evenly spread: what a heat map or a product of Jacobians can show."""
    return sorted({round(lag) for lag in np.linspace(0, length, min(length + 1, LAGS_SHOWN))})


# --- networks -------------------------------------------------------------------------------------------------------


class Fresh(NamedTuple):
    """Networks that were never trained, one a seed, with what they read and what is asked of them, in float64.

    W  (seed, hidden, hidden) recurrent weights of gain 1
    x  (seed, batch, time, hidden) noise, a number for every unit
    u  (seed, batch, hidden) unit vectors: the loss is u·h_T
    """

    W: Tensor
    x: Tensor
    u: Tensor


def _fresh(config: Config) -> Fresh:
    return _fresh_of_each(config, (config.weights,))[config.weights]


def _fresh_of_each(config: Config, kinds: Sequence[str] = tuple(WEIGHTS)) -> dict[str, Fresh]:
    """Kind of weights -> networks of this config. The same noise for all kinds."""
    configure_thread()
    H = config.hidden
    drawn: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {kind: [] for kind in kinds}
    for seed in config.repetitions:
        generator = torch.Generator().manual_seed(seed)
        RNN(H, H, generator=generator)  # takes its share of the random numbers
        x = config.scale * torch.randn(PROBED, config.length, H, generator=generator, dtype=torch.float64)
        state = generator.get_state()
        for kind in kinds:
            generator.set_state(state)
            W = WEIGHTS[kind](H, 1.0, generator)
            u = torch.randn(PROBED, H, generator=generator, dtype=torch.float64)
            drawn[kind].append((W, x, u / probe.norm(u)[:, None]))
    return {kind: Fresh(*map(torch.stack, zip(*each))) for kind, each in drawn.items()}


def _unrolled(fresh: Fresh, activation: str, gain: float) -> probe.Descent:
    """The descents of all seeds, a few at a time where they are large."""
    few = max(1, NUMBERS_AT_ONCE // fresh.x[0].numel())
    parts = []
    for W, x, u in zip(*(each.split(few) for each in fresh)):
        checkpoint()
        parts.append(probe.descend_each(gain * W, x, u, activation))
    return probe.Descent(*map(torch.cat, zip(*parts)))


def _model(config: Config, fresh: Fresh) -> RNN:
    """The first of the networks as a model that reads the noise as it is."""
    H = config.hidden
    model = RNN(H, H, config.activation, torch.Generator()).double()
    with torch.no_grad():
        model.W_x.copy_(torch.eye(H))
        model.W_h.copy_(config.gain * fresh.W[0])
        model.b_x.zero_()
        model.b_h.zero_()
    return model


def _network(config: Config, task: Task, seed: int) -> Readout:
    """The network that is trained: recurrent weights as in the pictures before training, input weights N(0, scale²)."""
    generator = torch.Generator().manual_seed(seed)
    cell = RNN(task.inputs, config.hidden, config.task_activation, generator)
    with torch.no_grad():
        cell.W_x.normal_(0, 1, generator=generator).mul_(config.scale)
        cell.W_h.copy_(WEIGHTS[config.task_weights](config.hidden, config.task_gain, generator))
        cell.b_x.zero_()
        cell.b_h.zero_()
    return Readout(cell, task.outputs, generator)


# --- measures -------------------------------------------------------------------------------------------------------


def _task_gradient(network: Any, task: Task, batch: Batch) -> np.ndarray:
    """Mean over the batch of ‖dL/dh_t‖ for the loss of one row, by lag: (length + 1,)."""

    def loss(y: Tensor) -> Tensor:
        return len(batch.x) * task.loss(F.linear(y[:, task.at], network.W_y, network.b_y), batch)

    return probe.descend(network.cell, batch.x, loss).norms.mean(0).numpy().astype(float)


def _divisor(trainer: Trainer) -> float:
    """√v̂, by which Adam divides its step: the root of the mean over all weights. NaN before the first step."""
    if not trainer.steps:
        return math.nan
    states = [trainer.optimiser.state[weight]["exp_avg_sq"].flatten() for weight in trainer.weights]
    (_, beta), *_ = (group["betas"] for group in trainer.optimiser.param_groups)
    return float((torch.cat(states).mean() / (1 - beta**trainer.steps)).sqrt())


def _norms(descent: probe.Descent) -> np.ndarray:
    """The geometric mean over the batch, by lag: (seed, length + 1). The mean of logs is what the theory speaks of."""
    return 10.0 ** descent.norms.log10().mean(-2).numpy()


def _sums(factors: Tensor) -> np.ndarray:
    """(seed, batch, time) factors by lag -> (seed, time + 1) decades so far, the mean over the batch."""
    sums = factors.log10().mean(1).cumsum(1).numpy()
    return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)


def _dies(norms: np.ndarray) -> int | None:
    """The lag from which every seed's gradient is zero or no number, if there is one."""
    dead = ~(norms > 0).any(axis=0)
    return int(np.argmax(dead)) if dead.any() else None


def _known_median(values: np.ndarray) -> np.ndarray:
    """The median over the first axis of what is finite; NaN where nothing is."""
    known = np.where(np.isfinite(values), values, np.nan)
    some = np.isfinite(known).any(axis=0)
    return np.where(some, np.nanmedian(np.where(some, known, 0.0), axis=0), np.nan)
