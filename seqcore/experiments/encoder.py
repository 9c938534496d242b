"""Encoder: which outputs move when a token is changed, padding that is never read, and what lets a deep stack learn.

Fresh encoders: one token is changed, and the states of both passes are compared place by place, bit by bit (`block`,
`stack`); every stage of every layer is kept (`stages`), and layer normalisation is done in digits (`normalise`); rows of
many lengths go through the same weights, padded and alone (`padding`); and one backward pass tells what gradient each
layer gets (`gradient`). `run(config)` trains the same encoders to reverse their input. The arms differ only in what stands
around a sublayer (residual connection, layer normalisation); their other weights are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, uses
from seqcore.models.encoder import Encoder, EncoderLayer
from seqcore.probes import layers as probe
from seqcore.probes.agreement import agreement, gap
from seqcore.probes.layers import PARTS, through
from seqcore.record import Signal, Snapshot
from seqcore.runs import Facts, Run, checkpoint
from seqcore.source import excerpt
from seqcore.tasks.order import Reverse
from seqcore.training import Trainer, configure_thread


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
USUAL = "residual + pre-norm"
SYMBOLS, BATCH, TESTED = 10, 32, 64
LONGEST = 32
LENGTHS = (3, 4, 6, 8, 12, 16, 20, 24, 28, 31)  # of the rows that are padded to LONGEST
TESTS = 20  # moments at which all arms are tested
SUBLAYERS = ("attention", "feed-forward")
EPSILON = 1e-5  # of torch.nn.LayerNorm
LAYER_LOAD = 60  # of one step of one layer, in the units of `pace`


@dataclass(frozen=True)
class Config(knobs.Repeated):
    layers: int = knob(4, "Layers N", 1, 8, group="Network")
    heads: int = knob(2, "Heads h", choices=(1, 2, 4, 8), group="Network")
    width: int = knob(32, "Model size d_model", choices=(16, 32, 64), group="Network")
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


NETWORK = ("layers", "heads", "width", "feedforward", "seed")


@uses(*NETWORK, "length")
def block(config: Config) -> Snapshot:
    """Who moves in the first layer of a fresh encoder when one token is changed, in its two sublayers alone.

    Signal moved (arm, sublayer, changed, position), log10 of the relative change of a state, NaN where not one bit changed.
    facts: tokens; heard and kept, the outputs that move after attention and after the feed-forward network; agreement.
    """
    configure_thread()
    x = _tokens(config)
    models = {arm: _encoder(config, arm, config.seed) for arm in ARMS}
    first = models[USUAL]
    with torch.no_grad():
        moved = np.stack([_moved(model, x) for model in models.values()])
        agreed = agreement(first.layers[0], first.embedding(x))
    places = range(1, config.length + 1)
    ticks = {"arm": tuple(ARMS), "sublayer": ("self-attention", "feed-forward"), "changed": places, "position": places}
    heard, kept = np.isfinite(moved[0]).sum(axis=2).mean(axis=1)
    facts = {"tokens": tuple(x[0].tolist()), "heard": float(heard), "kept": float(kept), "agreement": agreed}
    return Snapshot(config, 0, [Signal("moved", ("arm", "sublayer", "changed", "position"), moved, ticks)], facts)


@uses(*NETWORK, "length")
def stack(config: Config) -> Snapshot:
    """Signal travel (arm, stage, changed, position): the same change on its way through all layers."""
    configure_thread()
    x = _tokens(config)
    with torch.no_grad():
        travel = np.stack([_travel(_encoder(config, arm, config.seed), x) for arm in ARMS])
    layers, places = range(1, config.layers + 1), range(1, config.length + 1)
    stages = ("embedding", *(f"{layer} {part}" for layer in layers for part in ("attention", "feed-forward")))
    ticks = {"arm": tuple(ARMS), "stage": stages, "changed": places, "position": places}
    return Snapshot(config, 0, [Signal("travel", ("arm", "stage", "changed", "position"), travel, ticks)])


class Normalised(NamedTuple):
    """Layer normalisation in four steps; mean and variance have 1 as the last size, the others the shape of x."""

    mean: torch.Tensor
    variance: torch.Tensor
    normalised: torch.Tensor
    y: torch.Tensor


def layer_norm(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, eps: float = EPSILON) -> Normalised:
    """x (..., width), gamma and beta (width,): what torch.nn.LayerNorm computes, step by step."""
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    normalised = (x - mean) / (variance + eps).sqrt()
    y = gamma * normalised + beta
    return Normalised(mean, variance, normalised, y)


def source() -> str:
    """The lines of `layer_norm` that compute it, as they stand in this file."""
    return excerpt(layer_norm, "mean = ", "y = ")


@uses(*NETWORK, "length")
@torch.no_grad()
def stages(config: Config) -> Snapshot:
    """Every stage of every layer of fresh encoders, for one sequence.

    Signal states (arm, layer, stage, position, unit); the stages are "x", then "attention before" and so on: each of
    SUBLAYERS with each of PARTS.
    facts: tokens; gamma and beta, (layer, sublayer) -> the entries of the norm of the usual arm.
    """
    configure_thread()
    x = _tokens(config)
    models = {arm: _encoder(config, arm, config.seed) for arm in ARMS}
    states = np.stack([_stages(model, x) for model in models.values()])
    norms = {
        (number, sublayer): dict(around.before.named_parameters())
        for number, layer in enumerate(models[USUAL].layers, 1)
        for sublayer, around in zip(SUBLAYERS, (layer.around_attention, layer.around_feedforward))
    }
    layers, places = range(1, config.layers + 1), range(1, config.length + 1)
    names = ("x", *(f"{sublayer} {part}" for sublayer in SUBLAYERS for part in PARTS))
    ticks = {"arm": tuple(ARMS), "layer": layers, "stage": names, "position": places}
    facts = {
        "tokens": tuple(x[0].tolist()),
        "gamma": {at: tuple(norm["weight"].tolist()) for at, norm in norms.items()},
        "beta": {at: tuple(norm["bias"].tolist()) for at, norm in norms.items()},
    }
    return Snapshot(config, 0, [Signal("states", ("arm", "layer", "stage", "position", "unit"), states, ticks)], facts)


def step(moment: Snapshot, arm: str, layer: int, position: int) -> Snapshot:
    """One token in one layer, of a moment of `stages`; layer and position count from 1.

    facts: rms, stage -> root mean square of the token's vector; norm and residual of the arm; T, d, heads and feedforward;
    arm, layer, position, token. ValueError for an arm, layer or position that there is not.
    """
    config, states = moment.config, moment["states"].sel(arm=arm, layer=layer, position=position)
    facts = {
        "rms": dict(zip(states.ticks["stage"], probe.rms(states.values).tolist())),
        **ARMS[arm]._asdict(),
        "T": config.length,
        "d": config.width,
        "heads": config.heads,
        "feedforward": config.feedforward,
        "arm": arm,
        "layer": layer,
        "position": position,
        "token": moment.facts["tokens"][position - 1],
    }
    return Snapshot(config, 0, [], facts)


@torch.no_grad()
def normalise(moment: Snapshot, layer: int, sublayer: str, position: int) -> Snapshot:
    """Layer normalisation of one token before a sublayer of the usual arm, by `layer_norm`, from a moment of `stages`.

    Signal x (line, entry): the vector before and after.
    facts: mean, variance; vector, normalised, gamma, beta and y, an entry each; gap, the largest difference to what the
    encoder's torch.nn.LayerNorm gave.
    """
    states = moment["states"].sel(arm=USUAL, layer=layer, position=position)
    given = states.sel(stage="x" if sublayer == SUBLAYERS[0] else f"{SUBLAYERS[0]} after").values
    gamma, beta = (moment.facts[name][layer, sublayer] for name in ("gamma", "beta"))
    done = layer_norm(torch.tensor(given), torch.tensor(gamma), torch.tensor(beta))
    facts = {
        "mean": float(done.mean),
        "variance": float(done.variance),
        "vector": tuple(given.tolist()),
        "normalised": tuple(done.normalised.tolist()),
        "gamma": gamma,
        "beta": beta,
        "y": tuple(done.y.tolist()),
        "gap": gap(done.y, torch.tensor(states.sel(stage=f"{sublayer} before").values)),
    }
    ticks = {"line": ("x", "LN(x)"), "entry": range(1, len(given) + 1)}
    signal = Signal("x", ("line", "entry"), np.stack([given, done.y.numpy()]), ticks)
    return Snapshot(moment.config, 0, [signal], facts)


@uses(*NETWORK)
def padding(config: Config) -> Snapshot:
    """Signal padded (line, length): the largest difference between a padded row's outputs and those of the row alone.

    facts: apart, the largest of them where padding is masked; weights, how many the encoder has.
    """
    configure_thread()
    first = _encoder(config, USUAL, config.seed)
    with torch.no_grad():
        padded = _padded(first, stream(config.seed, "weights"))
    ticks = {"line": ("padding masked", "padding seen"), "length": LENGTHS}
    facts = {"apart": float(padded[0].max()), "weights": sum(weight.numel() for weight in first.parameters())}
    return Snapshot(config, 0, [Signal("padded", ("line", "length"), padded, ticks)], facts)


@uses(*NETWORK, "length", "seeds")
def gradient(config: Config) -> Snapshot:
    """Signal by_layer (arm, seed, layer): the gradient of each layer's weights before training.

    fact decades: arm -> log10 of the first layer's against the last one's, median over the seeds.
    """
    configure_thread()
    task = Reverse(config.length, SYMBOLS)
    norms = np.array([[_gradient(_encoder(config, arm, s), task, s) for s in config.repetitions] for arm in ARMS])
    decades = {
        arm: float(np.median([probe.decades(torch.from_numpy(each)) for each in seeds]))
        for arm, seeds in zip(ARMS, norms)
    }
    return Snapshot(config, 0, [_by_layer(config, norms)], {"decades": decades})


@uses(*NETWORK, "length", "rate", "steps", "seeds")
def run(config: Config) -> Run:
    """Train every arm to reverse its input.

    Signals: loss, norm, right (arm, seed, step) the share of right answers on a fixed batch, by_layer (arm, seed, layer)
    of the last batch, weights (arm, layer, query, key): attention of the first seed, the mean over batch and heads.
    facts: baseline, chance; learned, arm -> the share of right answers, the mean over seeds; event.
    """
    task = Reverse(config.length, SYMBOLS)
    test = task.batch(TESTED, stream(config.seed, "probe"))
    places = range(1, config.length + 1)

    def trainer(seed: int, arm: str) -> Trainer:
        model = _encoder(config, arm, seed)
        return Trainer(model, lambda model, batch: task.loss(model(batch.x), batch), config.rate)

    def gradients(arms: Arms) -> list[Signal]:
        return [_by_layer(config, arms.each(_norms_by_layer))]

    @torch.no_grad()
    def look(arms: Arms) -> list[Signal | Facts]:
        right = arms.each(lambda model: task.score(model(test.x), test))
        weights = [
            [steps.attention.weights.mean((0, 1)).numpy() for steps in model.trace(test.x)[1]]
            for model in arms.first.values()
        ]
        ticks = {"arm": tuple(arms), "layer": range(1, config.layers + 1), "query": places, "key": places}
        return [
            {"learned": dict(zip(arms, right.mean(axis=1).tolist()))},
            Signal("right", ("arm", "seed"), right, arms.ticks),
            Signal("weights", ("arm", "layer", "query", "key"), np.array(weights), ticks),
        ]

    return train(
        config,
        {arm: partial(trainer, arm=arm) for arm in ARMS},
        lambda seed, generator: task.batch(BATCH, generator),
        load=config.layers * LAYER_LOAD,
        measures=[Measure(gradients), Measure(look, series=("right",), times=TESTS)],
        facts={"baseline": task.baseline, "chance": 1 / SYMBOLS},
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
        generator=stream(seed, "weights"),
    )


def _tokens(config: Config) -> torch.Tensor:
    """One sequence, (1, time): the first that the training of the first seed sees."""
    return Reverse(config.length, SYMBOLS).batch(1, stream(config.seed, "batches")).x


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


def _stages(model: Encoder, x: torch.Tensor) -> np.ndarray:
    """(layer, stage, position, unit): what every layer makes of the symbols x (1, time)."""
    state, layers = model.embedding(x), []
    for layer in model.layers:
        attended = through(layer.around_attention, layer.attention, state)
        fed = through(layer.around_feedforward, layer.feedforward, attended[-1])
        layers.append(torch.cat([state, *attended, *fed]))
        state = fed[-1]
    return torch.stack(layers).numpy()


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


def _gradient(model: Encoder, task: Reverse, seed: int) -> np.ndarray:
    """‖dL/dθ‖ of every layer on the batch that the training of this seed begins with: (layers,)."""
    checkpoint()
    batch = task.batch(BATCH, stream(seed, "batches"))
    return probe.by_block(task.loss(model(batch.x), batch), model.layers).numpy()


def _norms_by_layer(model: Encoder) -> list[float]:
    """‖dL/dθ‖ of every layer, from the gradient that the last batch left in the weights."""
    return [
        float(
            torch.linalg.vector_norm(
                torch.cat([w.grad.flatten() for w in layer.parameters() if w.grad is not None]), dtype=torch.float64
            )
        )
        for layer in model.layers
    ]


def _by_layer(config: Config, norms: np.ndarray) -> Signal:
    ticks = {"arm": tuple(ARMS), "seed": config.repetitions, "layer": range(1, config.layers + 1)}
    return Signal("by_layer", ("arm", "seed", "layer"), norms, ticks)
