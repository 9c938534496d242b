"""Encoder: who hears of a changed token, padding that nobody sees, and what lets a deep stack learn.

`before(config)` looks at fresh encoders: one token is changed, and the states of both runs are compared place by
place, bit by bit; rows of many lengths go through the same weights, padded and alone; and one backward pass tells
what gradient each layer gets. `run(config)` trains the same encoders to reverse their input. The arms differ only in
what stands around a sublayer (residual connection, layer normalisation); their other weights are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from seqcore import knobs
from seqcore.knobs import knob
from seqcore.models.encoder import Encoder, EncoderLayer
from seqcore.probes import layers as probe
from seqcore.record import Run, Signal
from seqcore.tasks import Batch
from seqcore.tasks.order import Reverse
from seqcore.training import Trainer, events, pace, race, settle


class Surrounding(NamedTuple):
    """What stands around a sublayer: where layer normalisation is, and whether the input is added to the output."""

    norm: str
    residual: bool


ARMS = {
    "residual + pre-norm": Surrounding("pre", True),
    "residual + post-norm": Surrounding("post", True),
    "residual only": Surrounding("none", True),
    "norm only": Surrounding("post", False),
    "nothing": Surrounding("none", False),
}
SYMBOLS, BATCH, TESTED = 10, 32, 64
LONGEST = 32
LENGTHS = (3, 4, 6, 8, 12, 16, 20, 24, 28, 31)  # of the rows that are padded to LONGEST
TESTS = 20  # moments at which all arms are tested
LAYER_LOAD = 60  # of one step of one layer, in the units of `pace`


@dataclass(frozen=True)
class Config(knobs.Repeated):
    layers: int = knob(4, "Layers N", 1, 8, group="Network")
    heads: int = knob(2, "Heads", choices=(1, 2, 4, 8), group="Network")
    width: int = knob(32, "Width d", choices=(16, 32, 64), group="Network")
    feedforward: int = knob(
        64, "Feed-forward units", 8, 256, step=8, group="Network", help="Units inside the network at each position."
    )
    length: int = knob(8, "Sequence length T", 2, 16, group="Data")
    rate: float = knob(
        0.003,
        "Learning rate",
        1e-4,
        0.05,
        scale="log",
        group="Training",
        help="Pre and post differ only where it is high.",
    )
    steps: int = knob(200, "Training steps", 50, 600, step=50, group="Training")
    seeds: int = knob(2, "Seeds", 1, 4, group="Repetition", help="How many models, each with its own weights and data.")


def before(config: Config) -> Run:
    """The instant picture.

    Signals: `moved` (arm, sublayer, position, changed) and `travel` (arm, stage, changed, position), log10 of the
    relative change of a state, NaN where not one bit changed; `padded` (line, length) the largest difference between
    a padded row's outputs and those of the row alone; `by_layer` (arm, seed, layer).
    facts: tokens, heard and kept (outputs that move after attention, and after the feed-forward network), apart (the
    largest difference under padding), weights (how many), decades (arm -> of the gradient, first layer against last,
    median over the seeds), agreement with torch.
    """
    settle()
    task = Reverse(config.length, SYMBOLS)
    x = task.batch(1, torch.Generator().manual_seed(config.seed + 1_000)).x
    models = {arm: _encoder(config, arm, config.seed) for arm in ARMS}
    with torch.no_grad():
        moved = np.stack([_moved(model, x) for model in models.values()])
        travel = np.stack([_travel(model, x) for model in models.values()])
        first = models["residual + pre-norm"]
        padded = _padded(first, torch.Generator().manual_seed(config.seed))
        agreement = _agreement(first.layers[0], first.embedding(x))
    gradient = np.array(
        [[_gradient_by_layer(_encoder(config, arm, s), task, s) for s in config.repetitions] for arm in ARMS]
    )
    arms, places = tuple(ARMS), tuple(range(1, config.length + 1))
    stages = ("embedding", *(f"{n + 1} {part}" for n in range(config.layers) for part in ("attention", "feed-forward")))
    ticks = {"arm": arms, "position": places, "changed": places}
    signals = [
        Signal(
            "moved",
            ("arm", "sublayer", "changed", "position"),
            moved,
            ticks | {"sublayer": ("self-attention", "feed-forward")},
        ),
        Signal("travel", ("arm", "stage", "changed", "position"), travel, ticks | {"stage": stages}),
        Signal("padded", ("line", "length"), padded, {"line": ("padding masked", "padding seen"), "length": LENGTHS}),
        _by_layer(config, gradient),
    ]
    heard, kept = np.isfinite(moved[0]).sum(axis=2).mean(axis=1)
    decades = {
        arm: float(np.median([probe.decades(torch.from_numpy(norms)) for norms in seeds]))
        for arm, seeds in zip(arms, gradient)
    }
    facts = {
        "tokens": tuple(x[0].tolist()),
        "heard": float(heard),
        "kept": float(kept),
        "apart": float(padded[0].max()),
        "weights": sum(weight.numel() for weight in first.parameters()),
        "decades": decades,
        "agreement": agreement,
    }
    return Run(config, 0, signals, facts)


def run(config: Config) -> Iterator[Run]:
    """Train every arm to reverse its input.

    Signals: loss, norm, right (arm, seed, step) the share of right answers on a fixed batch, by_layer (arm, seed, layer)
    of the last batch, weights (arm, layer, query, key): attention of the first seed, the mean over batch and heads.
    facts: baseline, chance, event.
    """
    settle()
    task = Reverse(config.length, SYMBOLS)
    arms = {
        arm: [
            Trainer(_encoder(config, arm, seed), lambda model, batch: task.loss(model(batch.x), batch), config.rate)
            for seed in config.repetitions
        ]
        for arm in ARMS
    }
    test = task.batch(TESTED, torch.Generator().manual_seed(config.seed + 10_000))
    every = pace(config.steps, len(arms) * config.seeds * config.layers * LAYER_LOAD)
    tested: list[int] = []
    scores: list[np.ndarray] = []
    for progress in race(
        arms,
        lambda generator: task.batch(BATCH, generator),
        steps=config.steps,
        every=every,
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        if progress.step == config.steps or progress.step >= len(tested) * config.steps / TESTS:
            right, weights = _test(config, arms, task, test)
            tested.append(progress.step)
            scores.append(right)
        yield Run(
            config,
            progress.step,
            [
                progress.loss,
                progress.norm,
                Signal(
                    "right",
                    ("arm", "seed", "step"),
                    np.stack(scores, axis=2),
                    {"arm": tuple(arms), "seed": tuple(config.repetitions), "step": tuple(tested)},
                ),
                _by_layer(config, np.array([[_norms_by_layer(each.model) for each in row] for row in arms.values()])),
                weights,
            ],
            {"baseline": task.baseline, "chance": 1 / SYMBOLS, "event": events(arms)},
        )


def _encoder(config: Config, arm: str, seed: int) -> Encoder:
    """A fresh encoder with a readout; all arms of one seed have equal weights wherever they both have them."""
    return Encoder(
        SYMBOLS,
        config.width,
        config.heads,
        config.feedforward,
        config.layers,
        SYMBOLS,
        *ARMS[arm],
        generator=torch.Generator().manual_seed(seed),
    )


def _pair(model: Encoder, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The symbols x (1, time) once for every token, and the same with that token replaced: two (time, time).

    Both have the same shape, so that a state that does not depend on the change goes through the same sums in the same
    order, and the difference is zero to the last bit.
    """
    T = x.shape[1]
    same = x.expand(T, T)
    return same, (same + torch.eye(T, dtype=x.dtype)) % SYMBOLS


def _change(state: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    """log10 of ‖other - state‖ / ‖state‖ at every place (changed, position); NaN where they are equal."""
    share = ((other - state).double().norm(dim=-1) / state.double().norm(dim=-1)).numpy()
    return np.log10(share, out=np.full_like(share, np.nan), where=share > 0)


def _moved(model: Encoder, x: torch.Tensor) -> np.ndarray:
    """(sublayer, changed, position): the first layer's two sublayers, each with its surrounding, fed the embedding."""
    layer: EncoderLayer = model.layers[0]
    state, other = (model.embedding(symbols) for symbols in _pair(model, x))
    return np.stack(
        [
            _change(layer.around_attention(state, layer.attention), layer.around_attention(other, layer.attention)),
            _change(
                layer.around_feedforward(state, layer.feedforward), layer.around_feedforward(other, layer.feedforward)
            ),
        ]
    )


def _travel(model: Encoder, x: torch.Tensor) -> np.ndarray:
    """(stage, changed, position): the embedding, then the states after every sublayer of the whole stack."""
    (_, trail), (_, others) = (model.trace(symbols) for symbols in _pair(model, x))
    stages = [_change(trail[0].x, others[0].x)]
    for steps, other in zip(trail, others):
        stages += [_change(steps.mixed, other.mixed), _change(steps.y, other.y)]
    return np.stack(stages)


def _padded(model: Encoder, generator: torch.Generator) -> np.ndarray:
    """(line, length): the largest difference to the row alone, of its outputs in a padded batch.

    The first line with the lengths told to the encoder, the second as if padding were a token like others.
    """
    x = torch.randint(SYMBOLS, (len(LENGTHS), LONGEST), generator=generator)
    masked, seen = model(x, torch.tensor(LENGTHS)), model(x)
    alone = [model(row[None, :length])[0] for row, length in zip(x, LENGTHS)]
    return np.array(
        [[float((y[i, : len(row)] - row).abs().max()) for i, row in enumerate(alone)] for y in (masked, seen)]
    )


def _agreement(layer: EncoderLayer, x: torch.Tensor) -> float:
    """max |ours - torch.nn.TransformerEncoderLayer| of the first layer, on the embedded tokens."""
    return float((layer(x) - layer.twin()(x)).abs().max())


def _gradient_by_layer(model: Encoder, task: Reverse, seed: int) -> np.ndarray:
    """‖dL/dθ‖ of every layer on the batch that the training of this seed begins with: (layers,)."""
    batch = task.batch(BATCH, torch.Generator().manual_seed(seed + 1_000))
    return probe.by_block(task.loss(model(batch.x), batch), model.layers).numpy()


def _norms_by_layer(model: Encoder) -> list[float]:
    """‖dL/dθ‖ of every layer, from the gradient that the last batch left in the weights."""
    return [
        float(torch.linalg.vector_norm(torch.cat([w.grad.flatten() for w in layer.parameters()]), dtype=torch.float64))
        for layer in model.layers
    ]


def _by_layer(config: Config, norms: np.ndarray) -> Signal:
    ticks = {"arm": tuple(ARMS), "seed": tuple(config.repetitions), "layer": tuple(range(1, config.layers + 1))}
    return Signal("by_layer", ("arm", "seed", "layer"), norms, ticks)


@torch.no_grad()
def _test(config: Config, arms: dict[str, list[Trainer]], task: Reverse, test: Batch) -> tuple[np.ndarray, Signal]:
    """The share of right answers (arm, seed), and how the first seed's layers attend."""
    traced = [[each.model.trace(test.x) for each in row] for row in arms.values()]
    right = np.array([[task.score(y, test) for y, _ in row] for row in traced])
    weights = [[steps.attention.weights.mean((0, 1)).numpy() for steps in row[0][1]] for row in traced]
    places = tuple(range(1, config.length + 1))
    ticks = {"arm": tuple(arms), "layer": tuple(range(1, config.layers + 1)), "query": places, "key": places}
    return right, Signal("weights", ("arm", "layer", "query", "key"), np.array(weights), ticks)
