"""Several heads: what one softmax can hand on, and what two can.

A reader with one softmax hands on one mixture of values. Let it give the share p to the first of two places and
1 - p to the second, and let a linear readout make the best of it:

    subtract     L(p) = min_m (1 - m p)² + (1 + m (1 - p))² = 2 - (2p - 1)² / (p² + (1 - p)²)
    name both    L(p) = ½ min_β E[-ln softmax(β z)_second],  z = p 1_first + (1 - p) 1_second,  p > ½

`one_reader` draws both for every p, `by_hand` the maps of heads that nobody had to train. `run(config)` trains several heads
against one head with as many entries as they have together: equally many weights, and both start from the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, uses
from seqcore.models.encoder import Embedding, FeedForward
from seqcore.models.heads import MultiHeadAttention, affine
from seqcore.probes.agreement import gap
from seqcore.record import Signal, Snapshot
from seqcore.runs import Facts, Run
from seqcore.tasks import Batch, Task
from seqcore.tasks.lookup import (
    EVEN_MIXTURE_LOSS,
    ONE_READ_LOSS,
    ONE_READ_SCORE,
    VALUES,
    PreviousAndNext,
    Subtract,
    TwoKeyQuestions,
    TwoKeys,
)
from seqcore.training import Trainer, configure_thread

Questions = PreviousAndNext | TwoKeyQuestions
TASKS: dict[str, Callable[[int], Questions]] = {
    "neighbours": PreviousAndNext,
    "two keys": lambda pairs: TwoKeys(pairs=pairs),
    "subtract": lambda pairs: Subtract(pairs=pairs),
}
ANSWERS = {"neighbours": ("previous", "next"), "two keys": ("first", "second"), "subtract": ("difference",)}
MOST_HEADS, MOST_ENTRIES = 8, 64
USUAL = 0  # as d_k or d_v: d_model / h
BATCH, HELD_OUT = 32, 256
# Even, so that p = ½ is not among them: there alone the order is lost, and the curve of "name both" has a hole.
SHARES = np.linspace(0, 1, 100)
SHARPNESS = 9.0  # the score of a key that a head built by hand looks for; all others score 0


@dataclass(frozen=True)
class Config(knobs.Repeated):
    heads: int = knob(
        2, "Heads h", 1, MOST_HEADS, group="Network", help="Raced against one head with as many entries as all of them."
    )
    width: int = knob(
        32,
        "Model size d_model",
        choices=(8, 12, 16, 24, 32, 48, 64),
        group="Network",
        help="Entries of a token's vector.",
    )
    d_k: int = knob(
        USUAL,
        "d_k of a head (0: d_model / h)",
        0,
        MOST_ENTRIES,
        group="Network",
        help="Entries of one head's query, and of its key. 0 is the usual choice d_model / h, rounded down.",
    )
    d_v: int = knob(
        USUAL,
        "d_v of a head (0: d_model / h)",
        0,
        MOST_ENTRIES,
        group="Network",
        help="Entries of one head's value, and of what it reads. 0 is the usual choice d_model / h, rounded down.",
    )
    readout: str = knob(
        "linear",
        "After the heads",
        choices=("linear", "feed-forward"),
        group="Network",
        help="A linear readout can only add up what was read. A feed-forward network in between can take it apart.",
    )
    task: str = knob("neighbours", "Task", choices=TASKS, group="Data")
    length: int = knob(12, "Sequence length T", 4, 20, group="Data", help="Tokens, or pairs to look things up in.")
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    steps: int = knob(300, "Training steps", 50, 1000, step=50, group="Training")

    @property
    def usual(self) -> int:
        """d_model / h, rounded down: the usual d_k and d_v."""
        return self.width // self.heads

    @property
    def key_size(self) -> int:
        """Entries of one head's query and key: d_k, or the usual number."""
        return self.d_k or self.usual

    @property
    def value_size(self) -> int:
        """Entries of one head's value and of what it reads: d_v, or the usual number."""
        return self.d_v or self.usual

    @property
    def offsets(self) -> tuple[int, ...]:
        """The places that are needed, relative to the one that asks: -1, 1, -2, 2 ..., one for each head, but at least two."""
        return tuple((place // 2 + 1) * (1 if place % 2 else -1) for place in range(max(self.heads, 2)))


class Reader(nn.Module):
    """x -> one attention layer -> readout: (batch, questions, answers, outputs). Nothing bypasses the attention.

    A task of tokens has an embedding with learned positions; in a lookup a question's two keys are embedded side by
    side, and a pair's key makes the key, its value the value.

    answers      how many numbers or symbols are due at every question
    d_k, d_v     entries of one head's query and key, and of its value
    feedforward  whether y + FFN(y) stands between the attention and the linear readout
    """

    def __init__(
        self,
        task: Questions,
        answers: int,
        width: int,
        heads: int,
        d_k: int,
        d_v: int,
        feedforward: bool,
        generator: torch.Generator,
    ):
        super().__init__()
        self.task = task
        memory, content = (width // 2, task.features) if isinstance(task, TwoKeyQuestions) else (None, None)
        self.attention = MultiHeadAttention(width, heads, d_k, d_v, memory, content, generator=generator)
        self.W_y, self.b_y = affine(answers * task.outputs, width, generator)
        if isinstance(task, TwoKeyQuestions):
            self.E = nn.Parameter(torch.randn(task.keys, width // 2, generator=generator))
        else:
            self.embedding = Embedding(task.inputs, width, "learned", task.length, generator)
        self.feedforward = FeedForward(width, 2 * width, generator) if feedforward else None

    def forward(self, x: Tensor, heads_on: Tensor | None = None) -> Tensor:
        """heads_on: (heads,) numbers that the heads' reads are multiplied by."""
        y = self.attention(*self._embedded(x), heads_on=heads_on)
        if self.feedforward is not None:
            y = y + self.feedforward(y)
        y = F.linear(y, self.W_y, self.b_y).unflatten(-1, (-1, self.task.outputs))
        return y if isinstance(self.task, TwoKeyQuestions) else y[:, self.task.at]

    def maps(self, x: Tensor) -> Tensor:
        """The attention weights, (batch, head, query, key)."""
        return self.attention.trace(*self._embedded(x))[1].weights

    def _embedded(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What queries, keys and values are made from: all three, or the queries' alone where it is the same for all."""
        if not isinstance(self.task, TwoKeyQuestions):
            return self.embedding(x), None, None
        queries, keys, values = self.task.parts(x)
        return (queries.unflatten(-1, (2, -1)) @ self.E).flatten(-2), keys @ self.E, values


@uses()
def one_reader(config: Config) -> Snapshot:
    """Signal alone (line, share in percent): the least error of one reader as a share of knowing nothing.

    fact blend: the least of "name both", which lies near p = ½.
    """
    alone = np.stack([subtract_alone(SHARES) / Subtract.baseline, both_alone(SHARES) / TwoKeys.baseline])
    ticks = {"line": ("subtract", "name both"), "share": (100 * SHARES).tolist()}
    return Snapshot(config, 0, [Signal("alone", ("line", "share"), alone, ticks)], {"blend": float(alone[1].min())})


@uses("heads", "length")
def by_hand(config: Config) -> Snapshot:
    """Signal weights (head, query, key) of one reader and of h heads, built by hand to look at h places, but at least two.

    facts: places, how many are needed; halves and sharp, the largest weight in the middle row of the one reader and of the
    first head, sharp None for h = 1, which is the one reader.
    """
    configure_thread()
    looks = [(offset,) for offset in config.offsets] if config.heads > 1 else []
    maps = torch.cat([built_by_hand(config.length, look) for look in ([config.offsets], looks) if look]).numpy()
    places, middle = range(1, config.length + 1), config.length // 2
    ticks = {"head": ("one reader", *_names(len(looks))), "query": places, "key": places}
    halves, *sharp = maps[:2, middle].max(axis=-1).tolist()
    facts = {"places": len(config.offsets), "halves": halves, "sharp": sharp[0] if sharp else None}
    return Snapshot(config, 0, [Signal("weights", ("head", "query", "key"), maps, ticks)], facts)


@uses("heads", "width", "d_k", "d_v", "length", "seed")
def sizes(config: Config) -> Snapshot:
    """The attention layer of these knobs, and what it makes of random numbers.

    facts: shapes (rows, columns) of x, of one head's Q, K, V, weights and z, of joined, the z of all heads side by side, of
    y, and of W_q, W_k, W_v, W_o as factors of a product on the right, (inputs, outputs); heads; biases and parameters, how
    many; usual, the parameters of one head with d_k = d_v = d_model, and so of every h that divides d_model with
    d_k = d_v = d_model / h; agreement, the largest difference of any output from torch's, and twin: whether that is
    torch.nn.MultiheadAttention, or, where torch has no layer of these sizes, `einsum` with scaled_dot_product_attention.
    """
    configure_thread()
    layer = MultiHeadAttention(
        config.width, config.heads, config.key_size, config.value_size, generator=stream(config.seed, "weights")
    )
    x = torch.randn(1, config.length, config.width, generator=stream(config.seed, "probe"))
    with torch.no_grad():
        y, steps = layer.trace(x)
        try:
            theirs, twin = layer.twin()(x, x, x, need_weights=False)[0], True
        except ValueError:
            theirs, twin = by_einsum(layer, x), False
    joined = steps.z.transpose(1, 2).flatten(2)
    made = dict(x=x, Q=steps.q, K=steps.k, V=steps.v, weights=steps.weights, z=steps.z, joined=joined, y=y)
    learned = dict(W_q=layer.W_q.T, W_k=layer.W_k.T, W_v=layer.W_v.T, W_o=layer.W_o.T)
    facts = {name: tuple(each.shape[-2:]) for name, each in (made | learned).items()} | {
        "heads": layer.heads,
        "biases": sum(len(bias) for bias in (layer.b_q, layer.b_k, layer.b_v, layer.b_o)),
        "parameters": _count(layer),
        "usual": _count(MultiHeadAttention(config.width, 1)),
        "agreement": gap(y, theirs),
        "twin": twin,
    }
    return Snapshot(config, 0, [], facts)


@uses("heads", "width", "d_k", "d_v", "readout", "task", "length", "rate", "steps", "seeds", "seed")
def run(config: Config) -> Run:
    """Train `config.heads` heads against one that has as many entries as all of them, h d_k and h d_v, and so as many
    weights. Arms: "1 head", "2 heads" ...; for h = 1 the first alone.

    Signals: loss, norm (arm, seed, step); right or, for numbers, explained (arm, seed, step): the share of questions
    with every answer right, or of the variance explained; weights (head, query, key) of the first seed's maps, the one
    head's first; without (off, answer): the same score for each answer of the first seed with one head switched off.
    facts: baseline, one_read and even_mixture (losses), one_read_score; alone and together, the score of one head and of
    several, the mean over seeds, together None for h = 1; event.
    """
    task = TASKS[config.task](config.length)
    numbers = task.unit == "squared error"
    held_out = task.batch(HELD_OUT, stream(config.seed, "probe"))
    answers = held_out.y.shape[-1]
    shown, queries = _shown(task, held_out.x[:1])
    measure = "explained" if numbers else "right"

    def trainer(seed: int, heads: int) -> Trainer:
        feedforward = config.readout == "feed-forward"
        # entries are shared out: all heads together have as many, and so all arms have the same weights
        d_k, d_v = (config.heads * size // heads for size in (config.key_size, config.value_size))
        reader = Reader(task, answers, config.width, heads, d_k, d_v, feedforward, stream(seed, "weights"))
        return Trainer(reader, lambda reader, batch: task.loss(reader(batch.x), batch), config.rate)

    @torch.no_grad()
    def look(arms: Arms) -> list[Signal | Facts]:
        scores = arms.each(lambda reader: _score(task, reader(held_out.x), held_out))
        firsts = list(arms.first.values())
        maps = torch.cat([reader.maps(shown)[0] for reader in firsts]).numpy()
        without = [_by_answer(task, firsts[-1](held_out.x, on), held_out) for on in _switches(config.heads)]
        names = ("one head alone", *(_names(config.heads) if len(firsts) > 1 else ()))
        keys = range(1, config.length + 1)
        off = {"off": ("all on", *(f"no {name}" for name in _names(config.heads))), "answer": ANSWERS[config.task]}
        alone, *together = scores.mean(axis=1).tolist()
        return [
            {"alone": alone, "together": together[0] if together else None},
            Signal(measure, ("arm", "seed"), scores, arms.ticks),
            Signal("weights", ("head", "query", "key"), maps, {"head": names, "query": queries, "key": keys}),
            Signal("without", ("off", "answer"), np.array(without), off),
        ]

    return train(
        config,
        {f"{heads} head{'s' * (heads > 1)}": partial(trainer, heads=heads) for heads in sorted({1, config.heads})},
        lambda seed, generator: task.batch(BATCH, generator),
        load=60,
        measures=[Measure(look, series=(measure,))],
        facts={
            "baseline": task.baseline,
            "one_read": Subtract.one_head_floor if numbers else ONE_READ_LOSS,
            "even_mixture": None if numbers else EVEN_MIXTURE_LOSS,
            "one_read_score": 0.5 if numbers else ONE_READ_SCORE,
        },
    )


def by_einsum(layer: MultiHeadAttention, x: Tensor) -> Tensor:
    """What the layer makes of x (batch, place, width), said another way, for any d_k and d_v: (batch, place, width)."""

    def cut(W: Tensor, b: Tensor) -> Tensor:
        W, b = W.unflatten(0, (layer.heads, -1)), b.unflatten(0, (layer.heads, 1, -1))
        return torch.einsum("btm,hdm->bhtd", x, W) + b

    z = F.scaled_dot_product_attention(cut(layer.W_q, layer.b_q), cut(layer.W_k, layer.b_k), cut(layer.W_v, layer.b_v))
    return torch.einsum("bhtd,mhd->btm", z, layer.W_o.unflatten(1, (layer.heads, -1))) + layer.b_o


def subtract_alone(p: np.ndarray) -> np.ndarray:
    """The least squared error of v_a - v_b, values N(0, 1), from p v_a + (1 - p) v_b times a number. Shape of p."""
    return 2 - (2 * p - 1) ** 2 / (p**2 + (1 - p) ** 2)


def both_alone(p: np.ndarray) -> np.ndarray:
    """The least nats a value, for naming first and second from p 1_first + (1 - p) 1_second with a linear readout.

    p (shares,), none of them ½. The values are symmetrical, and the loss convex in the readout, so that the best
    readout treats all values alike: logits β z. The value with the larger share costs nothing for β → ∞; this is
    the best β for the other one. The two are different in 15 of 16 cases.
    """
    large = np.maximum(p, 1 - p)[:, None]
    β = np.linspace(0, 60, 3001)
    # ln Σ_v exp(β z_v) - β z_second, with the second's logit taken out of the sum
    apart = np.log1p(np.exp(β * (2 * large - 1)) + (VALUES - 2) * np.exp(-β * (1 - large)))
    alike = np.log1p((VALUES - 1) * np.exp(-β))
    return ((1 - 1 / VALUES) * apart + alike / VALUES).min(axis=1) / 2


def built_by_hand(length: int, looks: Sequence[tuple[int, ...]]) -> Tensor:
    """The maps (head, query, key) of heads that look from every place at the places so far away.

    looks  a head each: its offsets. Places are one-hot keys; a query is SHARPNESS √d_k at every place it looks for, so
           that those score SHARPNESS and all others 0. A place that would lie outside is not looked for.
    """
    attention = MultiHeadAttention(length, len(looks), d_k=length, d_v=length)
    wanted = [
        torch.stack([torch.ones(max(length - abs(offset), 0)).diag(offset) for offset in offsets]).sum(0)
        for offsets in looks
    ]
    with torch.no_grad():
        for bias in (attention.b_q, attention.b_k):
            bias.zero_()
        attention.W_q.copy_(SHARPNESS * math.sqrt(length) * torch.cat([look.T for look in wanted]))
        attention.W_k.copy_(torch.eye(length).repeat(len(looks), 1))
        return attention.trace(torch.eye(length)[None])[1].weights[0]


def _shown(task: Questions, x: Tensor) -> tuple[Tensor, Sequence[int | str]]:
    """The row whose maps are drawn, and its queries' names. In a lookup the questions name the pairs in order, so that
    two heads that do their work draw a staircase.
    """
    if not isinstance(task, TwoKeyQuestions):
        return x, range(1, task.length + 1)
    asked = torch.arange(2 * task.questions).unflatten(0, (-1, 2)) % task.pairs
    x = x.clone()
    x[:, task.at, : 2 * task.keys] = x[:, asked, : task.keys].flatten(-2)
    return x, [f"{first} and {second}" for first, second in (asked + 1).tolist()]


def _count(layer: nn.Module) -> int:
    return sum(weights.numel() for weights in layer.parameters())


def _names(heads: int) -> list[str]:
    return [f"head {i + 1}" for i in range(heads)]


def _switches(heads: int) -> Tensor:
    """(1 + heads, heads): all on, then one after the other off."""
    return torch.cat([torch.ones(1, heads), 1 - torch.eye(heads)])


def _score(task: Task, outputs: Tensor, batch: Batch) -> float:
    """The share of questions with every answer right, or of the variance explained."""
    score = task.score(outputs, batch)
    return 1 - score / task.baseline if task.unit == "squared error" else score


def _by_answer(task: Task, outputs: Tensor, batch: Batch) -> list[float]:
    """The same for each answer alone; numbers count as one answer."""
    if task.unit == "squared error":
        return [_score(task, outputs, batch)]
    return (outputs.argmax(-1) == batch.y).float().mean((0, 1)).tolist()
