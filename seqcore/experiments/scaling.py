"""Why scores are divided by √d_k: what they and their softmax look like before training, and what learns.

Three arms differ in the one number that scores are multiplied by: 1, 1/√d_k and 1/d_k. The first pictures draw queries
and keys of independent entries, with the variance that the chosen initialisation gives them. The others take the model
that `run` trains, before its first step.

What is true and what is not. Without scaling the softmax of most queries is decided before training begins, and its
Jacobian is zero there. The gradient of the weights is not: the few queries that are not yet decided make it large, so
means show nothing, and medians do. Nor is a model without scaling unable to learn. A step of gradient descent changes q
by -rate · scale · Kᵀ ∂L/∂s, and so the scaled scores s = scale · K q by

    Δs = -rate · scale² · K Kᵀ ∂L/∂s,    K Kᵀ ≈ d_k · 1 for independent entries of variance one

which leaves d_k, 1 and 1/d_k in the three arms. Adam's step does not depend on the size of the gradient, one factor
`scale` is left, and the three are d_k, √d_k and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.experiments.attention import Lookup
from seqcore.knobs import knob, uses
from seqcore.models.attention import SCALES, five_steps
from seqcore.probes import attention as probe
from seqcore.record import Signal, Snapshot, Ticks
from seqcore.runs import Facts, Run, checkpoint
from seqcore.source import excerpt
from seqcore.tasks import Batch
from seqcore.tasks.lookup import KeyValue
from seqcore.training import OPTIMISERS, Trainer, configure_thread

# what readers see -> the name in SCALES
ARMS = {"no scaling": "none", "1/√d_k": "sqrt", "1/d_k": "linear"}
PAIR = dict(list(ARMS.items())[:2])  # of pictures of a single query
SIZES = tuple(2**power for power in range(11))
BATCH, TESTED = 32, 64
NUMBERS = 500_000  # random numbers drawn for one point of a curve, where rows are neither too few nor too many
ROWS = (50, 1_000)
QUERIES = 6  # rows a reader may look at
WALKS, POINTS = 5, 128  # sums that are drawn while they grow, and points of one
BINS = 61
CROWD = 128  # queries whose gradients are compared
ALIVE, WIDE = 0.25, 64  # what the mission asks for


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

# optimiser -> a learning rate that suits it here, and what it makes of its first gradient. Adam's two averages are then
# g and g², so that it moves every weight by its rate, however small the gradient.
FIRST_STEPS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "SGD": (1.0, lambda g: g),
    "Adam": (0.01, lambda g: g / (g.abs() + 1e-8)),
}


@dataclass(frozen=True)
class Config(knobs.Repeated):
    d_k: int = knob(
        256,
        "Query and key size d_k",
        choices=SIZES,
        scale="log",
        group="Network",
        help="How many products are added up in one score.",
    )
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


# --- what readers are asked ------------------------------------------------------------------------------------------

FAR = ("Further", "About as far", "Less far", "Less than a tenth as far")
ALIKE = "All three alike"


def at(signal: Signal, d_k: int) -> dict[str, float]:
    """arm -> the median over seeds of a signal (arm, seed, d_k) at one size."""
    return dict(zip(ARMS, np.median(signal.sel(d_k=d_k).values, axis=1).tolist()))


def how_far(one: float, other: float) -> str:
    """The word of FAR for a movement of size `one` beside `other`; within a twentieth they are about alike."""
    ratio = one / other
    return FAR[(ratio < 1.05) + (ratio < 0.95) + (ratio < 0.1)]


def largest_of(numbers: Mapping[str, float]) -> str:
    """The arm with the largest number, or ALIKE where they differ by less than a twentieth."""
    least, most = min(numbers.values()), max(numbers.values())
    return ALIKE if most < 1.05 * least else max(numbers, key=lambda arm: numbers[arm])


def survives(picture: Snapshot, config: Config) -> bool:
    """The mission on `sharpness`: is the median ‖J‖ without scaling at least ALIVE, with a d_k of at least WIDE?"""
    return config.d_k >= WIDE and at(picture["jacobian"], config.d_k)["no scaling"] >= ALIVE


# --- a few queries ---------------------------------------------------------------------------------------------------


@uses("keys", "initial", "seed")
def few_queries(config: Config) -> Snapshot:
    """Signal weights (arm, query, d_k, key), without scaling and with 1/√d_k.

    A query keeps its entries while d_k grows, and gets more of them.
    """
    configure_thread()
    sums = _sums(config)
    scores = np.stack([sums[..., d_k - 1] * _variance(config, d_k) for d_k in SIZES], axis=1)  # (query, d_k, key)
    scales = np.array([[SCALES[scale](d_k) for d_k in SIZES] for scale in PAIR.values()])
    weights = torch.from_numpy(scores * scales[:, None, :, None]).softmax(-1).numpy()
    ticks: dict[str, Ticks] = {
        "arm": tuple(PAIR),
        "query": _from_one(QUERIES),
        "d_k": SIZES,
        "key": _from_one(config.keys),
    }
    return Snapshot(config, 0, [Signal("weights", ("arm", "query", "d_k", "key"), weights, ticks)])


def one_score(config: Config, query: int, key: int) -> Snapshot:
    """A score of `few_queries` taken apart, and its weight without scaling and with 1/√d_k; query and key count from 1.

    No signals. facts: d_k, query, key; q and k, their entries; score, the sum of their products, and scaled, over √d_k; by
    arm: exponential, e to what goes into the softmax, total, the sum of it over all keys, and weight. IndexError for a query
    or a key that there is not.
    """
    configure_thread()
    if not (1 <= query <= QUERIES and 1 <= key <= config.keys):
        raise IndexError(f"query = {query} and key = {key} are not from 1 to {QUERIES} and to {config.keys}")
    drawn = probe.draw(SIZES[-1], stream(config.seed, "weights"), config.keys, QUERIES)
    spread = _variance(config, config.d_k) ** 0.5
    q, K = (spread * each[query - 1, :, : config.d_k].double() for each in drawn)
    steps = {arm: five_steps(q, K, K, None, SCALES[scale](config.d_k)) for arm, scale in PAIR.items()}
    exponentials = {arm: each.scaled[0].exp() for arm, each in steps.items()}
    facts = {
        "d_k": config.d_k,
        "query": query,
        "key": key,
        "q": q[0].tolist(),
        "k": K[key - 1].tolist(),
        "score": float(steps["1/√d_k"].scores[0, key - 1]),
        "scaled": float(steps["1/√d_k"].scaled[0, key - 1]),
        "exponential": {arm: float(each[key - 1]) for arm, each in exponentials.items()},
        "total": {arm: float(each.sum()) for arm, each in exponentials.items()},
        "weight": {arm: float(each.weights[0, key - 1]) for arm, each in steps.items()},
    }
    return Snapshot(config, 0, [], facts)


def source() -> str:
    """The lines of `seqcore.models.attention` that make scores of q and k, and weights of them, as they stand in the file."""
    return excerpt(five_steps, "scores = ", "weights = ")


@uses("d_k", "keys", "initial", "seed")
def product_by_product(config: Config) -> Snapshot:
    """How the scores of `few_queries` come about: q · k is a sum of d_k products.

    Signals: walk (query, key, added), the sum of so many products, of some keys; root (key, added), one standard
    deviation of a sum of independent products of variance one, to either side.
    """
    configure_thread()
    added = np.unique(np.linspace(0, config.d_k, min(config.d_k, POINTS) + 1).round().astype(int))
    sums = _sums(config) * _variance(config, config.d_k)
    walk = np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)[:, :WALKS, added]
    ticks: dict[str, Ticks] = {"query": _from_one(QUERIES), "added": tuple(added.tolist())}
    keys = tuple(f"key {key}" for key in _from_one(walk.shape[1]))
    root = np.outer([1, -1], np.sqrt(added))
    signals = [
        Signal("walk", ("query", "key", "added"), walk, {**ticks, "key": keys}),
        Signal("root", ("key", "added"), root, {"key": ("√i", "−√i"), "added": ticks["added"]}),
    ]
    return Snapshot(config, 0, signals)


@uses("d_k", "keys", "initial", "seed")
def nudged(config: Config) -> Snapshot:
    """Signal softmax (arm, query, moving, nudged): the Jacobian ∂p/∂s of each query of `few_queries`.

    facts: jacobian, arm -> its norm for each query.
    """
    configure_thread()
    scores = torch.from_numpy(_sums(config)[..., config.d_k - 1]) * _variance(config, config.d_k)
    p = torch.stack([scores * SCALES[scale](config.d_k) for scale in PAIR.values()]).softmax(-1)
    keys = _from_one(config.keys)
    ticks: dict[str, Ticks] = {"arm": tuple(PAIR), "query": _from_one(QUERIES), "moving": keys, "nudged": keys}
    norms = dict(zip(PAIR, map(tuple, probe.jacobian_norm(p).tolist())))
    signal = Signal("softmax", ("arm", "query", "moving", "nudged"), probe.jacobian(p).numpy(), ticks)
    return Snapshot(config, 0, [signal], {"jacobian": norms})


def _sums(config: Config) -> np.ndarray:
    """(query, key, d_k) the scores of a few queries and keys whose entries have variance one, for every d_k."""
    q, K = probe.draw(SIZES[-1], stream(config.seed, "weights"), config.keys, QUERIES)
    return (q * K).double().cumsum(-1).numpy()


# --- many queries ----------------------------------------------------------------------------------------------------


@uses("keys", "initial", "seeds", "seed")
def sharpness(config: Config) -> Snapshot:
    """How far scores lie apart, and what their softmax makes of it.

    Signals by arm, seed and d_k: spread, entropy, largest, jacobian (median row); rule (arm, d_k), √d_k.
    """
    configure_thread()
    pools = [_pool(config, seed) for seed in config.repetitions]
    looks = np.array([[_look(_scores(config, pool, d_k), d_k) for d_k in SIZES] for pool in pools])
    ticks: dict[str, Ticks] = {"arm": tuple(ARMS), "seed": tuple(config.repetitions), "d_k": SIZES}
    names = ("spread", "entropy", "largest", "jacobian")
    signals = [
        Signal(name, ("arm", "seed", "d_k"), looks[..., i].transpose(2, 0, 1), ticks) for i, name in enumerate(names)
    ]
    rule = Signal("rule", ("arm", "d_k"), np.sqrt([SIZES]), {"arm": ("√d_k",), "d_k": SIZES})
    return Snapshot(config, 0, [*signals, rule])


@uses("d_k", "keys", "initial", "seeds", "seed")
def every_score(config: Config) -> Snapshot:
    """Signal density (arm, seed, score): how often a score comes, over how often the commonest one does."""
    configure_thread()
    seeds = tuple(config.repetitions)
    scores = [_scores(config, _pool(config, seed, [config.d_k]), config.d_k).numpy() for seed in seeds]
    reach = 4 * float(np.std(scores, ddof=1))
    edges = np.linspace(-reach, reach, BINS + 1)
    scales = [SCALES[scale](config.d_k) for scale in ARMS.values()]
    counts = np.array([[np.histogram(each * scale, edges)[0] for each in scores] for scale in scales])
    ticks: dict[str, Ticks] = {
        "arm": tuple(ARMS),
        "seed": seeds,
        "score": tuple(((edges[1:] + edges[:-1]) / 2).tolist()),
    }
    return Snapshot(
        config, 0, [Signal("density", ("arm", "seed", "score"), counts / counts.max(axis=-1, keepdims=True), ticks)]
    )


def _rows(config: Config, d_k: int) -> int:
    low, high = ROWS
    return min(max(NUMBERS // (config.keys * d_k), low), high)


def _pool(config: Config, seed: int, sizes: Sequence[int] = SIZES) -> Tensor:
    """Numbers ~ N(0, 1), enough for queries and keys of every size. Drawing them costs more than all that follows."""
    most = max(_rows(config, d_k) * (1 + config.keys) * d_k for d_k in sizes)
    return torch.randn(most, generator=stream(seed, "weights"))


def _scores(config: Config, pool: Tensor, d_k: int) -> Tensor:
    """(rows, keys) unscaled scores of independent queries and keys, as spread as the initialisation makes them."""
    checkpoint()
    rows = _rows(config, d_k)
    q, K = pool[: rows * (1 + config.keys) * d_k].split([rows * d_k, rows * config.keys * d_k])
    scores = probe.Drawn(q.view(rows, 1, d_k), K.view(rows, config.keys, d_k)).scores
    return scores * _variance(config, d_k)


def _look(scores: Tensor, d_k: int) -> list[tuple[float, ...]]:
    """For every arm: spread of the scores, relative entropy, largest weight, median ‖J‖."""
    looks = []
    for scale in ARMS.values():
        scaled = scores * SCALES[scale](d_k)
        p = scaled.softmax(-1)
        looks.append(
            (scaled.std(), probe.relative_entropy(p).mean(), probe.largest(p).mean(), probe.jacobian_norm(p).median())
        )
    return [tuple(map(float, look)) for look in looks]


def _variance(config: Config, d_k: int) -> float:
    """Of an entry of a query or key: by it the scores of entries of variance one have to be multiplied."""
    return STARTS[config.initial].variance(_task(config, config.seed).width, d_k)


# --- the model before its first step ---------------------------------------------------------------------------------


@uses("seeds", "seed")
def starts(config: Config) -> Snapshot:
    """For which initial weights the argument for √d_k holds: scores of the true model, not scaled.

    Signals: by_start (start, seed, d_k), their standard deviation; by_start_theory (start, d_k).
    """
    configure_thread()
    seeds = tuple(config.repetitions)
    measured = np.array([[_model_spreads(replace(config, initial=start), seed) for seed in seeds] for start in STARTS])
    width = _task(config, config.seed).width
    theory = np.array([[start.variance(width, d_k) * d_k**0.5 for d_k in SIZES] for start in STARTS.values()])
    ticks: dict[str, Ticks] = {"start": tuple(STARTS), "d_k": SIZES}
    signals = [
        Signal("by_start", ("start", "seed", "d_k"), measured, ticks | {"seed": seeds}),
        Signal("by_start_theory", ("start", "d_k"), theory, ticks),
    ]
    return Snapshot(config, 0, signals)


@uses("d_k", "keys", "initial", "seed")
def untrained(config: Config) -> Snapshot:
    """facts: query_spread, the standard deviation of its queries; width and values, its sizes; agreement with torch's
    scaled_dot_product_attention, over the three scalings."""
    configure_thread()
    task = _task(config, config.seed)
    with torch.no_grad():
        questions = task.batch(TESTED, stream(config.seed, "probe"))
        steps = _model(config, task, config.d_k, "sqrt", config.seed).trace(questions.x)[1]
    gaps = [
        five_steps(steps.q, steps.k, steps.v, None, scale).z
        - F.scaled_dot_product_attention(steps.q, steps.k, steps.v, scale=scale)
        for scale in (SCALES[name](config.d_k) for name in ARMS.values())
    ]
    facts = {"query_spread": float(steps.q.std()), "width": task.width, "values": task.outputs}
    return Snapshot(config, 0, [], facts | {"agreement": float(torch.stack(gaps).abs().max())})


@uses("keys", "initial", "seeds", "seed")
def first_step(config: Config) -> Snapshot:
    """The first batch: its gradient, and how far one step takes the scaled scores of other questions.

    Signals: start (arm, seed, d_k), ‖dL/dW_q‖; one_step (optimiser, arm, seed, d_k), the root mean square of what the step
    changes, each optimiser with the rate in FIRST_STEPS. facts: slopes, optimiser -> arm -> the power of d_k that the
    step grows with, between the sizes 16 and 1024, the median over seeds.
    """
    configure_thread()
    seeds = tuple(config.repetitions)
    looks = np.array([_first_steps(config, seed) for seed in seeds])  # (seed, d_k, number, arm)
    start, step = looks[:, :, 0].transpose(2, 0, 1), looks[:, :, 1:].transpose(2, 3, 0, 1)
    ticks: dict[str, Ticks] = {"arm": tuple(ARMS), "seed": seeds, "d_k": SIZES}
    signals = [
        Signal("start", ("arm", "seed", "d_k"), start, ticks),
        Signal("one_step", ("optimiser", "arm", "seed", "d_k"), step, ticks | {"optimiser": tuple(FIRST_STEPS)}),
    ]
    from_16 = SIZES.index(16)
    powers = np.median(np.log(step[..., -1] / step[..., from_16]), axis=-1) / np.log(SIZES[-1] / SIZES[from_16])
    return Snapshot(
        config, 0, signals, {"slopes": {o: dict(zip(ARMS, p)) for o, p in zip(FIRST_STEPS, powers.tolist())}}
    )


@uses("d_k", "keys", "initial", "seeds", "seed")
def who_gets_it(config: Config) -> Snapshot:
    """Signal per_query (arm, seed, sorted): ‖dL/dq‖ of each question's own loss, the largest first.

    facts: held, arm -> the share of the sum of squares that the first tenth of the queries holds, the median over seeds.
    """
    configure_thread()
    seeds = tuple(config.repetitions)
    norms = np.stack([_per_query(config, seed) for seed in seeds], axis=1)
    squares = norms**2
    held = np.median(squares[..., : CROWD // 10].sum(-1) / squares.sum(-1), axis=1)
    ticks: dict[str, Ticks] = {
        "arm": tuple(ARMS),
        "seed": seeds,
        "sorted": tuple((100 * (np.arange(CROWD) + 0.5) / CROWD).tolist()),
    }
    return Snapshot(
        config,
        0,
        [Signal("per_query", ("arm", "seed", "sorted"), norms, ticks)],
        {"held": dict(zip(ARMS, held.tolist()))},
    )


def _model_spreads(config: Config, seed: int) -> list[float]:
    """The standard deviation of the unscaled scores of the model, for every d_k."""
    task = _task(config, seed)
    x, keys, _ = task.parts(task.batch(TESTED, stream(seed, "probe")).x)
    spreads = []
    for d_k in SIZES:
        checkpoint()
        head = _model(config, task, d_k, "sqrt", seed).head
        with torch.no_grad():
            spreads.append(float((x @ (head.W_q.T @ head.W_k) @ keys.mT).std()))
    return spreads


def _first_steps(config: Config, seed: int) -> list[np.ndarray]:
    """For every d_k (number, arm): ‖dL/dW_q‖ on the first batch, and for each optimiser what one step does to scores.

    Queries and keys meet in scores alone, x W_qᵀ W_k x'ᵀ: the small matrix W_qᵀ W_k is all that d_k changes.
    """
    task, looks = _task(config, seed), []
    batch, other = task.batch(BATCH, stream(seed, "batches")), task.batch(TESTED, stream(seed, "probe"))
    (x, keys, values), (other_x, other_keys, _) = task.parts(batch.x), task.parts(other.x)
    for d_k in SIZES:
        checkpoint()
        model = _model(config, task, d_k, "sqrt", seed)
        W_q, W_k = (_for_each_arm(W).requires_grad_() for W in (model.head.W_q, model.head.W_k))
        scales = _scales(d_k)[:, None, None]
        scaled = x @ (scales * (W_q.mT @ W_k))[:, None] @ keys.mT
        gradients = torch.autograd.grad(_loss(task, model, batch, scaled, values), [W_q, W_k])
        numbers = [torch.linalg.vector_norm(gradients[0], dim=(1, 2))]
        with torch.no_grad():
            for rate, change in FIRST_STEPS.values():
                new_q, new_k = (W - rate * change(g) for W, g in zip((W_q, W_k), gradients))
                moved = other_x @ (scales * (new_q.mT @ new_k - W_q.mT @ W_k))[:, None] @ other_keys.mT
                numbers.append(moved.square().mean((1, 2, 3)).sqrt())
        looks.append(torch.stack(numbers).numpy())
    return looks


def _per_query(config: Config, seed: int) -> np.ndarray:
    """(arm, query): ‖dL/dq‖, the largest first, where L is the loss of that question alone."""
    checkpoint()
    task, d_k = _task(config, seed), config.d_k
    model, batch = _model(config, task, d_k, "sqrt", seed), task.batch(CROWD, stream(seed, "probe"))
    with torch.no_grad():
        steps = model.trace(batch.x)[1]
    q = _for_each_arm(steps.q).requires_grad_()
    scaled = _scales(d_k)[:, None, None, None] * (q @ steps.k.mT)
    loss = _loss(task, model, batch, scaled, task.parts(batch.x).values)
    (gradient,) = torch.autograd.grad(CROWD * loss, [q])
    return gradient.norm(dim=-1).flatten(1).sort(descending=True).values.numpy()


def _loss(task: KeyValue, model: Lookup, batch: Batch, scaled: Tensor, values: Tensor) -> Tensor:
    """The losses of all arms together, from their scaled scores (arm, batch, 1, key) on: what `Lookup.forward` does."""
    z = scaled.softmax(-1) @ (values @ model.head.W_v.T)
    return sum((task.loss(each, batch) for each in F.linear(z, model.W_y, model.b_y)), torch.zeros(()))


def _for_each_arm(weights: Tensor) -> Tensor:
    """(arm, ...): the same numbers in every arm, as a copy."""
    return weights.detach().expand(len(ARMS), *weights.shape).clone()


def _scales(d_k: int) -> Tensor:
    """(arm,)"""
    return torch.tensor([SCALES[scale](d_k) for scale in ARMS.values()])


def _task(config: Config, seed: int) -> KeyValue:
    """A table of key vectors that never learns: only W_q, W_k and what comes after them do."""
    return KeyValue(stream(seed, "table"), pairs=config.keys)


def _model(config: Config, task: KeyValue, d_k: int, scale: str, seed: int) -> Lookup:
    """The seed alone decides the initial weights: they are the same for every scale."""
    return Lookup(task, d_k, scale=scale, initial=STARTS[config.initial].name, generator=stream(seed, "weights"))


def _from_one(count: int) -> range:
    return range(1, count + 1)


# --- training --------------------------------------------------------------------------------------------------------


@uses("d_k", "keys", "initial", "optimiser", "rate", "steps", "seeds", "seed")
def run(config: Config) -> Run:
    """Train one head to look keys up, under three scalings.

    Signals: loss, norm, right (arm, seed, step), the last on questions that were never trained on; weights (arm, query,
    key), of the first seed for one memory in which every key is asked for in turn, so that the right key stands on the
    diagonal. facts: baseline, event; answered, arm -> the median of `right` at this moment.
    """
    tasks = {seed: _task(config, seed) for seed in config.repetitions}
    task, fresh = tasks[config.seed], stream(config.seed, "probe")
    tests = [each.batch(TESTED, fresh) for each in tasks.values()]
    memory = task.parts(task.batch(1, fresh).x)

    def trainer(seed: int, scale: str) -> Trainer:
        model = _model(config, tasks[seed], config.d_k, scale, seed)
        return Trainer(model, lambda m, batch: tasks[seed].loss(m(batch.x), batch), config.rate, config.optimiser)

    @torch.no_grad()
    def look(arms: Arms) -> Iterator[Signal | Facts]:
        right = np.array([[task.score(each.model(t.x), t) for each, t in zip(row, tests)] for row in arms.values()])
        yield Signal("right", ("arm", "seed"), right, arms.ticks)
        yield {"answered": dict(zip(arms, np.median(right, axis=1).tolist()))}
        maps = [each.head.trace(memory.keys, memory.keys, memory.values)[1].weights[0] for each in arms.first.values()]
        places = _from_one(config.keys)
        ticks: dict[str, Ticks] = {"arm": tuple(arms), "query": places, "key": places}
        yield Signal("weights", ("arm", "query", "key"), torch.stack(maps).numpy(), ticks)

    return train(
        config,
        {name: partial(trainer, scale=scale) for name, scale in ARMS.items()},
        lambda seed, generator: tasks[seed].batch(BATCH, generator),
        load=40 + config.d_k * config.keys / 100,  # a good half a millisecond, and more by the size of k
        measures=[Measure(look, series=("right",))],
        facts={"baseline": task.baseline},
    )
