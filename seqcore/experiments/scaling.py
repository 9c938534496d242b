"""Why scores are divided by √d_k: what they and their softmax look like before training, and what learns.

`before(config)` draws queries and keys of independent entries, with the variance that the chosen initialisation gives
them, and looks at the softmax under three scalings. `run(config)` trains one model under the same three: the same
initial weights and batches, so that they differ in one number.

What is true and what is not: without scaling the softmax of most rows is decided before training begins, and its
Jacobian is zero there. The gradient of the parameters is not: the few rows that are not yet decided make it large,
which is why looking at means shows nothing. Medians do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqcore import knobs
from seqcore.experiments.attention import Lookup
from seqcore.knobs import knob
from seqcore.models.attention import SCALES, Steps, five_steps
from seqcore.probes import attention as probe
from seqcore.record import Run, Signal
from seqcore.tasks import Batch
from seqcore.tasks.lookup import KeyValue
from seqcore.training import OPTIMISERS, Trainer, events, pace, race, settle

# what readers see -> the name in SCALES
ARMS = {"no scaling": "none", "1/√d_k": "sqrt", "1/d_k": "linear"}
SIZES = tuple(2**power for power in range(11))
LADDER = SIZES[::2]  # the d_k of the curves, besides the chosen one
BATCH, TESTED = 32, 64
NUMBERS = 500_000  # random numbers drawn for one point of a curve, where rows are neither too few nor too many
ROWS = (50, 1_000)
QUERIES = 6  # rows a reader may look at
BINS = 61


class Start(NamedTuple):
    """How W_q and W_k are drawn: its name in `models.attention.INITIAL`, and variance(width, d_k) of the queries'
    and keys' entries where those of x have variance one."""

    name: str
    variance: Callable[[int, int], float]


STARTS = {
    "N(0, 1/d_model)": Start("unit", lambda width, d_k: 1.0),
    "nn.Linear default": Start("linear", lambda width, d_k: 1 / 3),
    "Xavier": Start("xavier", lambda width, d_k: 2 * width / (width + d_k)),
}


@dataclass(frozen=True)
class Config(knobs.Repeated):
    d_k: int = knob(256, "Size of queries and keys d_k", choices=SIZES, group="Network")
    keys: int = knob(16, "Keys to choose from n", 2, 32, group="Network")
    initial: str = knob(
        "N(0, 1/d_model)",
        "Initial W_q and W_k",
        choices=STARTS,
        group="Network",
        help="Only the first gives queries and keys of variance 1, which the argument for √d_k assumes.",
    )
    optimiser: str = knob("SGD", "Optimiser", choices=OPTIMISERS, group="Training")
    rate: float = knob(
        1.0, "Learning rate", 1e-3, 5.0, scale="log", group="Training", help="1 suits SGD here, 0.01 suits Adam."
    )
    steps: int = knob(300, "Training steps", 50, 1000, step=50, group="Training")

    @property
    def ladder(self) -> tuple[int, ...]:
        """The d_k at which curves are measured."""
        return tuple(sorted({*LADDER, self.d_k}))


def before(config: Config) -> Run:
    """The instant picture.

    Signals: weights (arm, query, key) of a few queries; density (arm, seed, score); by arm, seed and d_k: spread,
    entropy, largest, jacobian (median row), start (‖dL/dW_q‖ of the model that `run` trains); rule (arm, d_k), √d_k.
    facts: at the chosen d_k spread, largest, jacobian and start, each arm -> median over seeds; query_spread, measured
    in the model that `run` trains; width and values, its sizes; agreement with torch's scaled_dot_product_attention.
    """
    settle()
    seeds, ladder = tuple(config.repetitions), config.ladder
    ticks = {"arm": tuple(ARMS), "seed": seeds, "d_k": ladder}
    looks = np.array([[_look(config, d_k, seed) for d_k in ladder] for seed in seeds])  # (seed, d_k, arm, number)
    start = np.array([[_start(config, d_k, seed) for d_k in ladder] for seed in seeds])  # (seed, d_k, arm)
    swept = {
        name: looks[..., i].transpose(2, 0, 1) for i, name in enumerate(("spread", "entropy", "largest", "jacobian"))
    }
    swept["start"] = start.transpose(2, 0, 1)
    scores = [_scores(config, config.d_k, seed) for seed in seeds]
    edges, density = _density(config, scores)
    task = _task(config, config.seed)
    with torch.no_grad():
        model = _model(config, task, config.d_k, "sqrt", config.seed)
        steps = model.trace(task.batch(TESTED, torch.Generator().manual_seed(config.seed)).x)[1]
    signals = [
        *(Signal(name, ("arm", "seed", "d_k"), values, ticks) for name, values in swept.items()),
        Signal("rule", ("arm", "d_k"), [np.sqrt(ladder)], {"arm": ("√d_k",), "d_k": ladder}),
        Signal(
            "density",
            ("arm", "seed", "score"),
            density,
            {"arm": tuple(ARMS), "seed": seeds, "score": (edges[1:] + edges[:-1]) / 2},
        ),
        Signal(
            "weights",
            ("arm", "query", "key"),
            [(scores[0][:QUERIES] * SCALES[scale](config.d_k)).softmax(-1).numpy() for scale in ARMS.values()],
            {"arm": tuple(ARMS), "query": range(1, QUERIES + 1), "key": range(1, config.keys + 1)},
        ),
    ]
    chosen = ladder.index(config.d_k)
    facts = {
        name: dict(zip(ARMS, np.median(swept[name][..., chosen], axis=1).tolist()))
        for name in ("spread", "largest", "jacobian", "start")
    }
    facts |= {"query_spread": float(steps.q.std()), "width": task.width, "values": task.outputs}
    return Run(config, 0, signals, facts | {"agreement": _agreement(steps)})


def run(config: Config) -> Iterator[Run]:
    """Train one head to look keys up, under three scalings.

    Signals: loss, norm, right (arm, seed, step), the last on questions that were never trained on; weights (arm, query,
    key), of the first seed for one memory in which every key is asked for in turn, so that the right key stands on the
    diagonal. facts: baseline, event.
    """
    settle()
    # Every seed has its own table of keys; the seed of its batches tells which.
    tasks = {seed + 1_000: _task(config, seed) for seed in config.repetitions}
    arms = {
        name: [
            Trainer(_model(config, task, config.d_k, scale, seed), _loss(task), config.rate, config.optimiser)
            for seed, task in zip(config.repetitions, tasks.values())
        ]
        for name, scale in ARMS.items()
    }
    fresh = torch.Generator().manual_seed(config.seed + 10_000)
    tests = [task.batch(TESTED, fresh) for task in tasks.values()]
    task = tasks[config.seed + 1_000]
    memory, places = task.parts(task.batch(1, fresh).x), range(1, config.keys + 1)
    right: list[list[list[float]]] = []
    for progress in race(
        arms,
        lambda generator: tasks[generator.initial_seed()].batch(BATCH, generator),
        steps=config.steps,
        every=pace(config.steps, len(arms) * config.seeds * _load(config)),
        seeds=tuple(tasks),
    ):
        with torch.no_grad():
            maps = [
                trainers[0].model.head.trace(memory.keys, memory.keys, memory.values)[1].weights[0].numpy()
                for trainers in arms.values()
            ]
            right.append(
                [
                    [task.score(each.model(test.x), test) for each, test in zip(trainers, tests)]
                    for trainers in arms.values()
                ]
            )
        yield Run(
            config,
            progress.step,
            [
                progress.loss,
                progress.norm,
                Signal("right", progress.loss.axes, np.moveaxis(right, 0, -1), progress.loss.ticks),
                Signal("weights", ("arm", "query", "key"), maps, {"arm": tuple(arms), "query": places, "key": places}),
            ],
            {"baseline": task.baseline, "event": events(arms)},
        )


def _task(config: Config, seed: int) -> KeyValue:
    """A table of key vectors that never learns: only W_q, W_k and what comes after them do."""
    return KeyValue(torch.Generator().manual_seed(seed + 5_000), pairs=config.keys)


def _model(config: Config, task: KeyValue, d_k: int, scale: str, seed: int) -> Lookup:
    """The seed alone decides the initial weights: they are the same for every scale."""
    generator = torch.Generator().manual_seed(seed)
    return Lookup(task, d_k, scale=scale, initial=STARTS[config.initial].name, generator=generator)


def _loss(task: KeyValue) -> Callable[[Lookup, Batch], Tensor]:
    return lambda model, batch: task.loss(model(batch.x), batch)


def _load(config: Config) -> float:
    """What one step of one model costs, in the unit of `pace`: a good half a millisecond, and more by the size of k."""
    return 40 + config.d_k * config.keys / 100


def _scores(config: Config, d_k: int, seed: int) -> Tensor:
    """(rows, keys) unscaled scores of independent queries and keys, as spread as the initialisation makes them."""
    generator = torch.Generator().manual_seed(seed)
    rows = min(max(NUMBERS // (config.keys * d_k), ROWS[0]), ROWS[1])
    variance = STARTS[config.initial].variance(_task(config, seed).width, d_k)
    return probe.sample(d_k, variance, generator, config.keys, rows).scores


def _look(config: Config, d_k: int, seed: int) -> list[tuple[float, float, float, float]]:
    """For every arm: spread of the scores, relative entropy, largest weight, median ‖J‖; on the same draws."""
    scores = _scores(config, d_k, seed)
    looks = []
    for scale in ARMS.values():
        scaled = scores * SCALES[scale](d_k)
        p = scaled.softmax(-1)
        looks.append(
            (scaled.std(), probe.relative_entropy(p).mean(), probe.largest(p).mean(), probe.jacobian_norm(p).median())
        )
    return [tuple(map(float, look)) for look in looks]


def _start(config: Config, d_k: int, seed: int) -> list[float]:
    """For every arm ‖dL/dW_q‖ on the first batch, before any step."""
    task, norms = _task(config, seed), []
    batch, loss = task.batch(BATCH, torch.Generator().manual_seed(seed + 1_000)), _loss(task)
    for scale in ARMS.values():
        model = _model(config, task, d_k, scale, seed)
        (gradient,) = torch.autograd.grad(loss(model, batch), [model.head.W_q])
        norms.append(float(gradient.norm()))
    return norms


def _density(config: Config, scores: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Edges of bins, and (arm, seed, score) how many scores fall into each, over the fullest one's number."""
    reach = 4 * float(torch.stack(scores).std())
    edges = np.linspace(-reach, reach, BINS + 1)
    counts = np.array(
        [
            [np.histogram(each.numpy() * SCALES[scale](config.d_k), edges)[0] for each in scores]
            for scale in ARMS.values()
        ]
    )
    return edges, counts / counts.max(axis=-1, keepdims=True)


def _agreement(steps: Steps) -> float:
    """max |ours - torch| of what is read, over the three scalings."""
    d_k = steps.q.shape[-1]
    gaps = [
        five_steps(steps.q, steps.k, steps.v, None, scale).z
        - F.scaled_dot_product_attention(steps.q, steps.k, steps.v, scale=scale)
        for scale in (SCALES[name](d_k) for name in ARMS.values())
    ]
    return float(torch.stack(gaps).abs().max())
