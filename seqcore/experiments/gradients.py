"""Vanishing and exploding gradients: the curve ‖dL/dh_t‖ before training, its theory, and what training does to it.

`before(config)` is the picture at initialisation: inputs are noise at every unit, the loss is a random
direction of the last state, and everything is in float64, since float32 ends at 1e-38. `run(config)`
trains the same network on a task, with clipping and without from the same weights and batches.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from seqcore import knobs
from seqcore.kernels import ACTIVATIONS
from seqcore.knobs import knob
from seqcore.models.gru import GRU
from seqcore.models.latent import Readout
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN
from seqcore.probes import gradients as probe
from seqcore.probes.gates import linear_slope
from seqcore.probes.reach import by_lag
from seqcore.record import Run, Signal
from seqcore.tasks.recall import Adding, FirstToken
from seqcore.training import OPTIMISERS, Trainer, events, pace, race, settle

TASKS = {"adding": Adding, "first token": FirstToken}
CELLS = {"RNN": (RNN, 1), "LSTM": (LSTM, 4), "GRU": (GRU, 3)}  # a cell, and how many sums a unit of it needs
BATCH, PROBED, GATED = 32, 16, 8
LAGS_SHOWN, STEPS_SHOWN = 40, 40


def orthogonal(H: int, gain: float, generator: torch.Generator) -> torch.Tensor:
    return gain * torch.nn.init.orthogonal_(torch.empty(H, H, dtype=torch.float64), generator=generator)


def gaussian(H: int, gain: float, generator: torch.Generator) -> torch.Tensor:
    return gain / math.sqrt(H) * torch.randn(H, H, generator=generator, dtype=torch.float64)


def torch_default(H: int, gain: float, generator: torch.Generator) -> torch.Tensor:
    return gain / math.sqrt(H) * torch.empty(H, H, dtype=torch.float64).uniform_(-1, 1, generator=generator)


def identity(H: int, gain: float, generator: torch.Generator) -> torch.Tensor:
    return gain * torch.eye(H, dtype=torch.float64)


WEIGHTS: dict[str, Callable[..., torch.Tensor]] = {
    "orthogonal": orthogonal,
    "Gaussian": gaussian,
    "torch default": torch_default,
    "identity": identity,
}


class Gates(NamedTuple):
    """What the picture of the gates depends on, so that no other knob makes it anew."""

    length: int
    hidden: int
    scale: float
    bias: float
    seed: int


@dataclass(frozen=True)
class Config(knobs.Repeated):
    length: int = knob(100, "Sequence length T", 2, 200, group="Network")
    hidden: int = knob(32, "Hidden size H", 2, 128, group="Network")
    activation: str = knob("tanh", "Activation φ", choices=ACTIVATIONS, group="Network")
    weights: str = knob("orthogonal", "Recurrent weights W", choices=WEIGHTS, group="Network")
    gain: float = knob(
        1.0, "Recurrent gain g", 0.1, 5.0, step=0.01, group="Network", help="W is multiplied by it; 1 keeps lengths."
    )
    scale: float = knob(
        0.1, "Input scale", 0.0, 1.0, step=0.01, group="Network", help="How strongly the input drives the units."
    )
    bias: float = knob(
        0.0,
        "Forget / update bias",
        0.0,
        6.0,
        step=0.5,
        group="Network",
        help="For the picture with gates alone: LSTM and GRU keep more the higher it is. torch's default is about 0.",
    )
    task: str = knob("adding", "Task", choices=TASKS, group="Training")
    optimiser: str = knob("Adam", "Optimiser", choices=OPTIMISERS, group="Training")
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    clip: float = knob(1.0, "Clip the gradient norm at", 0.0, 10.0, step=0.1, group="Training", help="0 is off.")
    steps: int = knob(300, "Training steps", 50, 2000, step=50, group="Training")

    @property
    def gates(self) -> Gates:
        """The knobs of the picture with gates."""
        return Gates(self.length, self.hidden, self.scale, self.bias, self.seed)


def before(config: Config) -> Run:
    """The instant picture. Signals: gradient, theory, activations, split, singular, all by lag.

    facts: slope and fit (decades a step, R²), the four rules of `probe.Theory`, horizon (lag or None), `dies` (the
    lag from which the gradient is exactly zero, or None), agreement with torch where it has a twin.
    """
    settle()
    chosen = [_descend(config, seed) for seed in config.repetitions]
    descents = [descent for _, _, descent in chosen]
    others = {
        name: [_norms(_descend(dataclasses.replace(config, activation=name), s)[2]) for s in config.repetitions]
        if name != config.activation
        else [_norms(descent) for descent in descents]
        for name in ACTIVATIONS
    }
    rules = [
        probe.theory(model.W_h, descent.slopes, torch.Generator().manual_seed(seed))
        for seed, (model, _, descent) in zip(config.repetitions, chosen)
    ]
    middle = probe.Theory(*map(float, np.median(np.array(rules), axis=0)))
    fits = [probe.slope(descent.norms) for descent in descents]
    measured = np.array([_norms(descent) for descent in descents])
    seeds, lags = tuple(config.repetitions), np.arange(config.length + 1)
    split = np.stack([[_sums(d.saturation), _sums(d.gain), _sums(d.saturation * d.gain)] for d in descents], axis=1)
    drawn = probe_lags(config.length)
    model, x, _ = chosen[0]
    with torch.no_grad():
        stretch = probe.stretches(probe.jacobians(model, model(x[:1]))[0], drawn).numpy()
    lines = ("σ_max · mean φ′", "√(‖W‖²/H · mean φ′²)", "Lyapunov exponent")
    slopes = np.array([middle.bound, middle.mean_square, middle.lyapunov])
    signals = [
        Signal("gradient", ("seed", "lag"), measured, {"seed": seeds}),
        Signal("theory", ("line", "lag"), 10.0 ** (slopes[:, None] * lags), {"line": lines}),
        Signal(
            "activations",
            ("activation", "seed", "lag"),
            [others[name] for name in ACTIVATIONS],
            {"activation": tuple(ACTIVATIONS), "seed": seeds},
        ),
        Signal(
            "split", ("line", "seed", "lag"), split, {"line": ("saturation φ′", "gain of W", "both"), "seed": seeds}
        ),
        Signal(
            "singular",
            ("line", "lag"),
            stretch[:, [0, config.hidden // 2, -1]].T,
            {"line": ("largest", "middle", "smallest"), "lag": drawn},
        ),
    ]
    facts = {
        "slope": float(np.median([rate for rate, _ in fits])),
        "fit": float(np.median([fit for _, fit in fits])),
        **middle._asdict(),
        "horizon": probe.horizon(torch.from_numpy(measured)),
        "dies": _dies(measured),
        "agreement": _agreement(model, x),
    }
    return Run(config, 0, signals, facts)


def through_gates(gates: Gates) -> Run:
    """The same road through the cells in CELLS, with torch's default weights, no biases but the one of the gate that
    keeps, and noise at every gate of every unit.

    Signal gated (arm, lag), the geometric mean over a batch; fact slopes: arm -> (measured, linear theory's or None).
    """
    settle()
    curves, slopes = [], {}
    for cell, sums in CELLS.values():
        generator = torch.Generator().manual_seed(gates.seed)
        H = gates.hidden
        model = cell(sums * H, H, generator=generator).double()
        with torch.no_grad():
            model.W_x.copy_(torch.eye(sums * H))
            model.b_x.zero_()
            model.b_h.zero_()
            # f of an LSTM and z of a GRU both come second; an RNN has nothing there
            model.b_x[H : 2 * H] = gates.bias
        noise = gates.scale * torch.randn(GATED, gates.length, sums * H, generator=generator, dtype=torch.float64)
        norms = by_lag(model, noise, probe.last_state(generator))
        curves.append(10.0 ** norms.log10().mean(0).numpy())
        slopes[cell.__name__] = probe.slope(norms)[0], (None if cell is RNN else linear_slope(model))
    return Run(gates, 0, [Signal("gated", ("arm", "lag"), curves, {"arm": tuple(CELLS)})], {"slopes": slopes})


def run(config: Config) -> Iterator[Run]:
    """Train with and without clipping (one arm if clipping is off).

    Signals: loss, norm (arm, seed, step); gradient (arm, seed, lag) of the task's loss on a fixed batch, at this moment;
    history (arm, step, lag) its log10, the median over seeds, one column for some of the moments so far.
    facts: baseline, clip, event.
    """
    settle()
    task = TASKS[config.task](config.length)
    clips = {"no clipping": 0.0} | ({f"clipped at {config.clip:g}": config.clip} if config.clip else {})
    arms = {
        name: [
            Trainer(
                _network(config, task, seed),
                lambda network, batch: task.loss(network(batch.x, at=task.at), batch),
                config.rate,
                config.optimiser,
                clip,
            )
            for seed in config.repetitions
        ]
        for name, clip in clips.items()
    }
    probed = task.batch(PROBED, torch.Generator().manual_seed(config.seed + 10_000))
    every = pace(config.steps, len(arms) * config.seeds * config.length)
    ticks = {"arm": tuple(arms), "seed": tuple(config.repetitions)}
    curves: dict[tuple[str, int], np.ndarray] = {}
    history: list[tuple[int, np.ndarray]] = []
    for progress in race(
        arms,
        lambda generator: task.batch(BATCH, generator),
        steps=config.steps,
        every=every,
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        for name, trainers in arms.items():
            for i, trainer in enumerate(trainers):
                # A network that has diverged keeps its last good curve.
                if trainer.diverged is None or (name, i) not in curves:
                    curves[name, i] = _task_gradient(trainer.model, task, probed)
        gradient = np.array([[curves[name, i] for i in range(config.seeds)] for name in arms])
        with np.errstate(divide="ignore"):
            shown = np.log10(np.median(gradient, axis=1))[:, probe_lags(config.length)]
        if progress.step % (every * max(1, round(config.steps / every / STEPS_SHOWN))) == 0:
            history.append((progress.step, np.where(np.isfinite(shown), shown, np.nan)))
        yield Run(
            config,
            progress.step,
            [
                progress.loss,
                progress.norm,
                Signal("gradient", ("arm", "seed", "lag"), gradient, ticks),
                Signal(
                    "history",
                    ("arm", "step", "lag"),
                    np.stack([column for _, column in history], axis=1),
                    {"arm": tuple(arms), "step": [step for step, _ in history], "lag": probe_lags(config.length)},
                ),
            ],
            {"baseline": task.baseline, "clip": config.clip, "event": events(arms)},
        )


def probe_lags(length: int) -> list[int]:
    """At most 40 lags from 0 to the length, evenly spread: what a heat map or a product of Jacobians can show."""
    return sorted({round(lag) for lag in np.linspace(0, length, min(length + 1, LAGS_SHOWN))})


def _descend(config: Config, seed: int) -> tuple[RNN, torch.Tensor, probe.Descent]:
    """A fresh network of this config without biases, its noise input at every unit, and its gradient curve."""
    generator = torch.Generator().manual_seed(seed)
    H = config.hidden
    model = RNN(H, H, config.activation, generator).double()
    noise = torch.randn(PROBED, config.length, H, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        model.W_x.copy_(config.scale * torch.eye(H))
        model.W_h.copy_(WEIGHTS[config.weights](H, config.gain, generator))
        model.b_x.zero_()
        model.b_h.zero_()
    return model, noise, probe.descend(model, noise, probe.last_state(generator))


def _network(config: Config, task, seed: int) -> Readout:
    """The network that is trained: recurrent weights as in the instant picture, input weights N(0, scale²)."""
    generator = torch.Generator().manual_seed(seed)
    cell = RNN(task.inputs, config.hidden, config.activation, generator)
    with torch.no_grad():
        cell.W_x.normal_(0, 1, generator=generator).mul_(config.scale)
        cell.W_h.copy_(WEIGHTS[config.weights](config.hidden, config.gain, generator))
        cell.b_x.zero_()
        cell.b_h.zero_()
    return Readout(cell, task.outputs, generator)


def _task_gradient(network: Readout, task, batch) -> np.ndarray:
    """Mean over the batch of ‖dL/dh_t‖ for the loss of one row, by lag: (length + 1,)."""

    def loss(y: torch.Tensor) -> torch.Tensor:
        return len(batch.x) * task.loss(F.linear(y[:, task.at], network.W_y, network.b_y), batch)

    return probe.descend(network.cell, batch.x, loss).norms.mean(0).numpy().astype(float)


def _norms(descent: probe.Descent) -> np.ndarray:
    """The geometric mean over the batch, by lag: (length + 1,). The mean of logs is what the theory speaks of."""
    return 10.0 ** descent.norms.log10().mean(0).numpy()


def _sums(factors: torch.Tensor) -> np.ndarray:
    """(batch, time) factors by lag -> (time + 1,) decades so far, the mean over the batch."""
    return np.concatenate([[0.0], factors.log10().mean(0).cumsum(0).numpy()])


def _dies(norms: np.ndarray) -> int | None:
    """The lag from which every seed's gradient is zero or no number, if there is one."""
    dead = ~(norms > 0).any(axis=0)
    return int(np.argmax(dead)) if dead.any() else None


def _agreement(model: RNN, x: torch.Tensor) -> float | None:
    """max |ours - torch.nn.RNN| over the states; None where torch has no such network."""
    if model.activation not in ("tanh", "relu"):
        return None
    with torch.no_grad():
        return float((model(x) - model.twin()(x)[0]).abs().max())
