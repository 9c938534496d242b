"""Self-attention in five steps: on a sentence, with nothing trained, and in a head that learns to look things up.

`five_steps(config)` gives every different word of the reader's sentence a random vector and takes one head through it. The
matrices are true, the words mean nothing to them. `plane(config)` and `by_hand` let a query of two entries be turned by hand.
`related(config)` trains a head of the same sizes on a relation inside its own sequence, and `run(config)` on pairs of a key
and a digit, each next to one whose weights are all equal: the same values, but nobody chooses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, shorten, uses
from seqcore.models import attention as model
from seqcore.models.attention import Attention, Steps, attend, causal
from seqcore.models.heads import affine
from seqcore.probes import attention as probe
from seqcore.probes.agreement import gap
from seqcore.record import Signal, Snapshot
from seqcore.runs import Facts, Run
from seqcore.source import excerpt
from seqcore.tasks.lookup import KeyValue
from seqcore.tasks.relation import Partner
from seqcore.training import OPTIMISERS, Trainer, configure_thread

# what readers see -> the scale; a scale of 0 makes all scores, and so all weights, equal
ARMS: dict[str, str | float] = {"attention": "sqrt", "equal weights": 0.0}
WORDS = (2, 12)
LETTERS = 9  # of a word that are shown at an axis
BATCH, DIGITS = 32, 6
HELD_OUT = 256  # rows on which the relation is tested


@dataclass(frozen=True)
class Config(knobs.Repeated):
    sentence: str = knobs.sentence(
        f"{WORDS[0]} to {WORDS[1]} words. Every different word gets a random vector: the model knows no meanings.",
        "Sentence",
    )
    masked: bool = knob(
        False, "Causal mask", group="Sentence", help="A word sees itself and the words before it, as in a decoder."
    )
    width: int = knob(8, "Model size d_model", 1, 32, group="Sizes")
    d_k: int = knob(4, "Query and key size d_k", 1, 16, group="Sizes", help="One number: q · k needs both alike.")
    d_v: int = knob(4, "Value size d_v", 1, 16, group="Sizes", help="It may differ from d_k: values are only averaged.")
    length: int = knob(8, "Sequence length T", 4, 16, step=2, group="Training", help="Tokens of a row to train on.")
    pairs: int = knob(6, "Pairs in memory", 2, 12, group="Training")
    optimiser: str = knob("Adam", "Optimiser", choices=OPTIMISERS, group="Training")
    rate: float = knob(
        0.02, "Learning rate", 1e-3, 3.0, scale="log", group="Training", help="0.02 suits Adam here, 1 suits SGD."
    )
    steps: int = knob(300, "Training steps", 50, 1000, step=50, group="Training")

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.sentence.lower().split())

    def check(self) -> None:
        low, high = WORDS
        if not low <= len(self.words) <= high:
            raise ValueError(
                f"sentence = {shorten(self.sentence)} must have {low} to {high} words, not {len(self.words)}"
            )


class Lookup(nn.Module):
    """One head that looks a key up, and a linear readout: x (batch, pairs + 1, features) -> (batch, 1, values).

    task       says how x is cut into queries, keys and values
    d_v        length of what is read
    d_k, scale, initial, generator   as in `Attention`
    """

    def __init__(
        self,
        task: KeyValue,
        d_k: int,
        d_v: int = 32,
        scale: str | float = "sqrt",
        initial: str = "unit",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.cut = task.parts
        self.head = Attention(task.width, d_k, d_v, task.outputs, scale, initial, generator)
        self.W_y, self.b_y = affine(task.outputs, d_v, generator)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.head(*self.cut(x)), self.W_y, self.b_y)

    def trace(self, x: Tensor) -> tuple[Tensor, Steps]:
        """The same, with the five steps."""
        z, steps = self.head.trace(*self.cut(x))
        return F.linear(z, self.W_y, self.b_y), steps


class Relation(nn.Module):
    """One head of self-attention and a linear readout: x (batch, time, width) -> (batch, time, outputs).

    Queries, keys and values are all made from x. d_k, d_v, scale and generator as in `Attention`.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        d_k: int,
        d_v: int,
        scale: str | float = "sqrt",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.head = Attention(width, d_k, d_v, scale=scale, generator=generator)
        self.W_y, self.b_y = affine(outputs, d_v, generator)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.head(x), self.W_y, self.b_y)


@uses("sentence", "masked", "width", "d_k", "d_v", "seed")
def five_steps(config: Config) -> Snapshot:
    """The five steps on the sentence; every word is query and key, in order.

    Signals: x, q, k, v (token, entry), and W_q (entry, feature), from which q comes; q, k, v side by side in qkv, and v and z
    in mixed (matrix, token, entry), with no numbers where one is narrower; scores, scaled, weights (query, key), of which no
    numbers stand where the mask hides a key; z (query, entry).
    facts: tokens, numbered so that each is different; for each query its favourite key, the largest weight and the
    effective number of keys, e^entropy; twice, two tokens that are the same word, or None, and apart, the largest difference
    of what they read; agreement with torch's scaled_dot_product_attention.
    """
    configure_thread()
    generator = stream(config.seed, "weights")
    different = list(dict.fromkeys(config.words))
    table = torch.randn(len(different), config.width, generator=generator)
    x = table[[different.index(word) for word in config.words]][None]
    head = Attention(config.width, config.d_k, config.d_v, generator=generator)
    mask = causal(len(config.words)) if config.masked else None
    with torch.no_grad():
        theirs, steps = head(x, mask=mask), head.trace(x, mask=mask)[1]
    q, k, v, scores, scaled, weights, z = (step[0].numpy() for step in steps)
    if mask is not None:
        scores, scaled, weights = (np.where(mask, each, np.nan) for each in (scores, scaled, weights))
    names = [word if len(word) <= LETTERS else word[: LETTERS - 1] + "…" for word in config.words]
    signals = [
        *(_rows(name, "token", names, matrix) for name, matrix in dict(x=x[0].numpy(), q=q, k=k, v=v).items()),
        Signal("W_q", ("entry", "feature"), head.W_q.detach().numpy()),
        _beside("qkv", {"q": q, "k": k, "v": v}, names),
        _beside("mixed", {"v": v, "z": z}, names),
        *(
            Signal(name, ("query", "key"), matrix, {"query": names, "key": names})
            for name, matrix in dict(scores=scores, scaled=scaled, weights=weights).items()
        ),
        _rows("z", "query", names, z),
    ]
    tokens = tuple(f"{place} {name}" for place, name in enumerate(names, start=1))
    shares = steps.weights[0]
    twice = next(
        (pair for pair in combinations(range(len(names)), 2) if len({config.words[i] for i in pair}) == 1), None
    )
    facts = {
        "tokens": tokens,
        "twice": twice and tuple(tokens[place] for place in twice),
        "apart": twice and float(abs(z[twice[0]] - z[twice[1]]).max()),
        "favourites": tuple(tokens[key] for key in shares.argmax(-1)),
        "largest": tuple(probe.largest(shares).tolist()),
        "effective": tuple(probe.entropy(shares).exp().tolist()),
        "agreement": gap(steps.z, theirs),
    }
    return Snapshot(config, 0, signals, facts)


class Sum(NamedTuple):
    """An arithmetic expression in LaTeX and what it comes to."""

    terms: str
    total: float


class Arithmetic(NamedTuple):
    """The steps for one cell, in digits: q_1, q · k, its share of √d_k, the softmax over its row, one entry of z."""

    query: Sum
    score: Sum
    scaled: Sum
    weight: Sum
    read: Sum


def arithmetic(picture: Snapshot, query: int, key: int, entry: int) -> Arithmetic:
    """How the numbers of `five_steps` come about, for one query, one key and one entry of z (all counted from 0).

    Raises ValueError where the mask hides the key from the query.
    """
    x, W_q, q, k, v = (picture[name].values for name in ("x", "W_q", "q", "k", "v"))
    scores, scaled, weights = (picture[name].values[query] for name in ("scores", "scaled", "weights"))
    if math.isnan(scores[key]):
        raise ValueError(f"query {query} may not see key {key}: it comes later, and the mask is on")
    seen = np.flatnonzero(~np.isnan(scaled))
    exponentials = " + ".join(rf"e^{{{scaled[j]:.2f}}}" for j in seen)
    return Arithmetic(
        Sum(_products(x[query], W_q[0]), q[query, 0]),
        Sum(_products(q[query], k[key]), scores[key]),
        Sum(rf"\frac{{{scores[key]:.2f}}}{{\sqrt{{{q.shape[1]}}}}}", scaled[key]),
        Sum(
            rf"\frac{{e^{{{scaled[key]:.2f}}}}}{{{exponentials}}}"
            rf" = \frac{{{math.exp(scaled[key]):.2f}}}{{{np.exp(scaled[seen]).sum():.2f}}}",
            weights[key],
        ),
        Sum(_products(weights[seen], v[seen, entry]), picture["z"].values[query, entry]),
    )


def source() -> str:
    """The lines of `seqcore.models.attention` that make weights of scores, as they stand in the file."""
    return excerpt(model.five_steps, "scaled = ", "weights = ")


@uses("sentence", "width", "seed")
def plane(config: Config) -> Snapshot:
    """The keys of the sentence's words at d_k = 2, which are points of a plane: signal k (token, entry)."""
    picture = five_steps(config.but(d_k=2))
    return Snapshot(config, 0, [picture["k"]])


def by_hand(picture: Snapshot, *q: float) -> Snapshot:
    """What a query of two numbers finds among the keys of `plane`.

    Signals: k (token, entry); scaled and weights (key). facts: q; size, its length; favourite, the place of the key with the
    largest weight; effective, the effective number of keys, e^entropy.
    """
    keys = torch.tensor(picture["k"].values)
    found = attend(torch.tensor([q], dtype=keys.dtype), keys, keys)
    names = {"key": picture["k"].ticks["token"]}
    shares = found.weights[0]
    signals = [
        picture["k"],
        Signal("scaled", ("key",), (found.scores[0] * len(q) ** -0.5).numpy(), names),
        Signal("weights", ("key",), shares.numpy(), names),
    ]
    effective = float(probe.entropy(shares).exp())
    facts = {"q": q, "size": math.hypot(*q), "favourite": int(shares.argmax()), "effective": effective}
    return Snapshot(picture.config, 0, signals, facts)


@uses("length", "width", "d_k", "d_v", "optimiser", "rate", "steps", "seeds", "seed")
def related(config: Config) -> Run:
    """Train self-attention on a relation inside one sequence (`Partner`), and beside it a head whose weights are all equal.

    Signals: loss, norm, right (arm, seed, step), the last on held-out rows; of the first seed's attention, for one held-out
    row: weights (query, key).
    facts: baseline; chance, the score of a guess; ceiling, the score that equal weights cannot pass on the held-out rows, and
    even, the loss they cannot pass on average; found, the mean weight on the token that holds the answer, over all held-out
    rows of the first seed; event. The held-out rows have the same letters, digits and places for every seed.
    """
    tasks = {
        seed: Partner(stream(seed, "table"), length=config.length, width=config.width) for seed in config.repetitions
    }
    first = tasks[config.seed]
    tests = {seed: task.batch(HELD_OUT, stream(config.seed, "held out")) for seed, task in tasks.items()}
    rows = tests[config.seed].x
    partner, names = first.partner(rows)[..., None], first.names(rows[0])

    def trainer(seed: int, scale: str | float) -> Trainer:
        task = tasks[seed]
        model = Relation(task.inputs, task.outputs, config.d_k, config.d_v, scale, generator=stream(seed, "weights"))
        return Trainer(model, lambda model, batch: task.loss(model(batch.x), batch), config.rate, config.optimiser)

    @torch.no_grad()
    def look(arms: Arms) -> list[Signal | Facts]:
        right = [
            [tasks[seed].score(each.model(tests[seed].x), tests[seed]) for seed, each in zip(arms.seeds, trainers)]
            for trainers in arms.values()
        ]
        weights = arms.first["attention"].head.trace(rows)[1].weights
        return [
            {"found": float(weights.gather(2, partner).mean())},
            Signal("right", ("arm", "seed"), right, arms.ticks),
            Signal("weights", ("query", "key"), weights[0].numpy(), {"query": names, "key": names}),
        ]

    return train(
        config,
        {arm: partial(trainer, scale=scale) for arm, scale in ARMS.items()},
        lambda seed, generator: tasks[seed].batch(BATCH, generator),
        load=35,
        measures=[Measure(look, series=("right",))],
        facts={
            "baseline": first.baseline,
            "chance": 1 / first.outputs,
            "ceiling": first.ceiling(tests[config.seed]),
            "even": first.equal.loss,
        },
    )


@uses("width", "d_k", "d_v", "pairs", "optimiser", "rate", "steps", "seeds", "seed")
def run(config: Config) -> Run:
    """Train the head to look keys up, and beside it one whose weights are all equal.

    Signals: loss, norm (arm, seed, step); of the first seed, for one memory in which every key is asked for in turn:
    scaled (query, key) and mixed (matrix, token, entry), v beside z, of the arm that attends; weights (arm, query, key).
    Keys stand with the digit that they hold.
    facts: baseline; right, the mean weight on the key that was asked for, and column, on the commonest one; event.
    """
    tasks = {seed: _task(config, seed) for seed in config.repetitions}
    first = tasks[config.seed]
    memory = first.parts(first.batch(1, stream(config.seed, "probe")).x)
    letters = [chr(ord("A") + place) for place in range(config.pairs)]
    held = [f"{letter}:{digit}" for letter, digit in zip(letters, memory.values[0].argmax(-1).tolist())]
    asked = [f"{letter}?" for letter in letters]

    def trainer(seed: int, scale: str | float) -> Trainer:
        task = tasks[seed]
        model = Lookup(task, config.d_k, config.d_v, scale, generator=stream(seed, "weights"))
        return Trainer(model, lambda model, batch: task.loss(model(batch.x), batch), config.rate, config.optimiser)

    @torch.no_grad()
    def look(arms: Arms) -> list[Signal | Facts]:
        steps = {arm: model.head.trace(memory.keys, memory.keys, memory.values)[1] for arm, model in arms.first.items()}
        attending = steps["attention"]
        weights = [each.weights[0].numpy() for each in steps.values()]
        own = weights[list(arms).index("attention")]
        return [
            {"right": float(own.diagonal().mean()), "column": float(own.mean(0).max())},
            Signal("scaled", ("query", "key"), attending.scaled[0].numpy(), {"query": asked, "key": held}),
            Signal("weights", ("arm", "query", "key"), weights, {"arm": tuple(arms), "query": asked, "key": held}),
            _beside("mixed", {"values v": attending.v[0].numpy(), "what is read, z": attending.z[0].numpy()}, letters),
        ]

    return train(
        config,
        {arm: partial(trainer, scale=scale) for arm, scale in ARMS.items()},
        lambda seed, generator: tasks[seed].batch(BATCH, generator),
        load=30,
        measures=[Measure(look)],
        facts={"baseline": first.baseline},
    )


def _task(config: Config, seed: int) -> KeyValue:
    """Keys from a table of this seed, twice as long as the memory, which never learns."""
    table = stream(seed, "table")
    return KeyValue(table, keys=2 * config.pairs, width=config.width, pairs=config.pairs, values=DIGITS)


def _rows(name: str, axis: str, names: list[str], matrix: np.ndarray) -> Signal:
    """A vector for each token."""
    return Signal(name, (axis, "entry"), matrix, {axis: names, "entry": range(1, matrix.shape[1] + 1)})


def _beside(name: str, matrices: dict[str, np.ndarray], tokens: list[str]) -> Signal:
    """Matrices (token, entry) in one signal (matrix, token, entry); where one is narrower there are no numbers."""
    widest = max(matrix.shape[1] for matrix in matrices.values())
    padded = [
        np.pad(matrix, ((0, 0), (0, widest - matrix.shape[1])), constant_values=np.nan) for matrix in matrices.values()
    ]
    ticks = {"matrix": tuple(matrices), "token": tokens, "entry": range(1, widest + 1)}
    return Signal(name, ("matrix", "token", "entry"), padded, ticks)


def _products(a: np.ndarray, b: np.ndarray) -> str:
    """a₁ · b₁ + a₂ · b₂ + ..., in lines of four products."""
    terms = [rf"({x:.2f})({y:.2f})" for x, y in zip(a, b)]
    lines = [" + ".join(terms[start : start + 4]) for start in range(0, len(terms), 4)]
    return r"\begin{aligned}&" + r"\\&+ ".join(lines) + r"\end{aligned}"
