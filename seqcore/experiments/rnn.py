"""Recurrent network: the state carries the past, and a model of characters learns what is worth carrying.

    a_t = W_x x_t + b_x + W_h h_{t-1} + b_h,   h_t = tanh(a_t)

`inside` is the untrained network on the sentence, and `echoes` what is left in its states of the first character. `run`
trains it to guess the next character of a text, beside the same network with its memory cut, W_h = 0. `step` takes one
unit of one time step of either apart, term by term; `source` is the lines of the model that compute a step.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, uses
from seqcore.models import RNN, Latent
from seqcore.probes.agreement import agreement
from seqcore.probes.held_out import lowest
from seqcore.record import Signal, Snapshot, Ticks
from seqcore.runs import Facts, Run
from seqcore.source import excerpt
from seqcore.tasks.story import STORY
from seqcore.tasks.text import Text, read, readable, visible
from seqcore.training import Trainer, configure_thread

BATCH, CLIP = 16, 1.0
UNITS_SHOWN = 32
ROWS_SAMPLED, SAMPLED = 6, 60  # six short samples cost as much time as one
KEPT, CUT = "RNN", "no memory"
READERS_TEXT = 5_000  # characters: it becomes part of the address

own_text = functools.partial(read, longest=READERS_TEXT)


@dataclass(frozen=True)
class Config(knobs.Repeated):
    length: int = knob(32, "Sequence length T", 4, 64, group="Network", help="Steps that are unrolled and trained.")
    hidden: int = knob(64, "Hidden size H", 2, 128, group="Network", help="Numbers in the state.")
    embedding: int = knob(16, "Embedding size E", 2, 32, group="Network", help="Numbers that stand for one character.")
    sentence: str = knobs.sentence("What the untrained network reads; new text goes on where it ends.")
    text: str = knob("", "Your own text", high=READERS_TEXT, group="Data", help="Empty: the story of the clock.")
    rate: float = knob(0.01, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    steps: int = knob(400, "Training steps", 50, 1000, step=50, group="Training")

    def check(self) -> None:
        _ = self.task  # a text that is too short says so itself

    @property
    def task(self) -> Text:
        """The text, the reader's or the story. Raises ValueError for one outside the limits of `Text`."""
        return Text(read(self.text) if self.text else STORY, self.length)


class Piece(NamedTuple):
    """What the pictures are drawn for: x (time,) symbols, and the text they stand for.

    text is one character longer than x: the last one is only guessed.
    """

    x: Tensor
    text: str


@uses("length", "hidden", "embedding", "sentence", "text", "seed")
def inside(config: Config) -> Snapshot:
    """The untrained network while it reads the sentence, and held-out text after it. Signals: those of `_inside`.

    facts: piece (text), vocabulary (size), agreement with torch.nn.
    """
    configure_thread()
    task = config.task
    piece = _piece(task, config.length, config.sentence)
    network = _network(config, task, config.seed, KEPT)
    facts = {
        "piece": piece.text,
        "vocabulary": task.inputs,
        "agreement": agreement(network.cell, network.features(piece.x[None])),
    }
    return Snapshot(config, 0, _inside(network, piece, task), facts)


@uses("length", "hidden", "embedding", "sentence", "text", "seeds", "seed")
def echoes(config: Config) -> Snapshot:
    """How much of a difference in the first character is left in later states, as a share of its size at first.

    Signal echo (arm, seed, time), the mean of ‖h_t - h'_t‖ over all other first characters, with every other character
    the same. fact last_audible: steps until 1 % is left, the median seed, or None.
    """
    configure_thread()
    task = config.task
    piece = _piece(task, config.length, config.sentence)
    values = [_echoes(config, task, piece, arm) for arm in (KEPT, CUT)]
    left = np.median(values[0], axis=0)
    audible = int(np.argmax(left < 0.01)) if (left < 0.01).any() else None
    ticks: dict[str, Ticks] = {"arm": (KEPT, CUT), "seed": config.repetitions}
    return Snapshot(config, 0, [Signal("echo", ("arm", "seed", "time"), values, ticks)], {"last_audible": audible})


@uses("length", "hidden", "embedding", "text", "rate", "steps", "seeds", "seed")
def run(config: Config) -> Run:
    """Train the network, and the one whose memory is cut, on the same windows from the same weights.

    Signals: loss, norm (arm, seed, step); perplexity (arm, seed, step) of the held-out text; echo (arm, seed, time) now
    and before training; those of `_inside` for the first seed.
    facts: baseline, event, piece; perplexities best (so far, at best_step), now, training and cut, medians over seeds;
    sample and cut_sample (text), words and cut_words (the share of sampled words that the text has, or None).
    """
    task = config.task
    piece = _piece(task, config.length)
    known = set(_words(config.text or STORY))
    untrained = _echoes(config, task, piece, KEPT)

    def trainer(seed: int, arm: str) -> Trainer:
        network = _network(config, task, seed, arm)
        return Trainer(network, lambda model, batch: task.loss(model(batch.x), batch), config.rate, clip=CLIP)

    def held_out(arms: Arms) -> Iterator[Signal]:
        perplexity = np.exp(arms.each(lambda network: _held_out(network, task)))
        yield Signal("perplexity", ("arm", "seed"), perplexity, arms.ticks)

    def reading(arms: Arms) -> Iterator[Signal]:
        now = [_echo(trainer.model, piece) for trainer in arms[KEPT]]
        yield Signal("echo", ("arm", "seed", "time"), [now, untrained], arms.ticks | {"arm": (KEPT, "untrained")})
        yield from _inside(arms.first[KEPT], piece, task)

    def writing(arms: Arms) -> Iterator[Facts]:
        sample, cut = (_sample(network, task, config.seed) for network in arms.first.values())
        words = {"words": _share_known(sample, known), "cut_words": _share_known(cut, known)}
        yield {"sample": sample, "cut_sample": cut, **words}

    def facts(moment: Snapshot) -> Facts:
        perplexity, loss = moment["perplexity"], moment["loss"].sel(arm=KEPT).values
        best = lowest(perplexity.sel(arm=KEPT))
        return {
            "baseline": task.baseline,
            "piece": piece.text,
            "best": best.value,
            "best_step": best.step,
            "now": float(np.median(perplexity.sel(arm=KEPT).values[:, -1])),
            "training": float(np.exp(np.median(loss[:, -1]))),
            "cut": lowest(perplexity.sel(arm=CUT)).value,
        }

    return train(
        config,
        {arm: functools.partial(trainer, arm=arm) for arm in (KEPT, CUT)},
        lambda seed, generator: task.batch(BATCH, generator),
        load=config.length,
        measures=[Measure(held_out, series=("perplexity",)), Measure(reading), Measure(writing)],
        facts=facts,
    )


def step(moment: Snapshot, time: int, unit: int) -> Snapshot:
    """One unit at one time step, taken apart. moment: one of `before` or `run`; unit counts from 0.

    Signal terms (line, term): weight, value and their product, for every input, b_x, every unit of h_{t-1}, and b_h.
    facts: read (W_x x), b_x, remembered (W_h h), b_h, their sum a, and h = tanh(a).
    """
    e, h = moment["e"], moment["states"]
    E, H = e.values.shape[1], h.values.shape[1]
    memory = h.values[time - 1] if time else np.zeros(H)
    value = np.concatenate([e.values[time], [1.0], memory, [1.0]])
    weight = moment["cell_weights"].values[unit]
    product = weight * value
    read_, b_x, remembered, b_h = (float(part.sum()) for part in np.split(product, [E, E + 1, E + 1 + H]))
    a = float(product.sum())
    terms = Signal(
        "terms",
        ("line", "term"),
        [weight, value, product],
        {"line": ("weight", "value", "product"), "term": moment["cell_weights"].ticks["term"]},
    )
    facts = {"read": read_, "b_x": b_x, "remembered": remembered, "b_h": b_h, "a": a, "h": math.tanh(a)}
    return Snapshot(moment.config, moment.step, [terms], {**facts, "time": time, "unit": unit})


def source() -> str:
    """The lines of `seqcore.models.rnn` that compute one time step, as they stand in the file."""
    return excerpt(RNN.trace, "a = ", "h = ")


def _network(config: Config, task: Text, seed: int, arm: str) -> Latent:
    """The network of a seed; where the memory is cut, W_h is zero and stays so."""
    generator = stream(seed, "weights")
    cell = RNN(config.embedding, config.hidden, generator=generator)
    network = Latent(cell, task.inputs, config.embedding, generator)
    if arm == CUT:
        cell.W_h.requires_grad_(False).zero_()
    return network


def _piece(task: Text, length: int, sentence: str = "") -> Piece:
    """`length` characters and the one after them: what the text has letters for of the sentence, then held-out text.

    The held-out text begins with the start of a word if there is room, and once more where it is too short.
    """
    symbols = torch.cat([task.held_out.x[0], task.held_out.y[0, -1:]])
    held_out = task.decode(symbols.tolist())
    start = held_out.find(" ") + 1
    text = held_out[start if start + length < len(held_out) else 0 :]
    between = " " if " " in task.vocabulary else ""
    text = between.join([*readable(sentence, task.vocabulary).split(), text])
    while len(text) <= length:
        text += between + held_out
    return Piece(task.encode(text[:length]), text[: length + 1])


def _inside(network: Latent, piece: Piece, task: Text) -> list[Signal]:
    """What a network does with the piece.

    h             (unit, time) the first units' states, for a picture; ticks of time are the characters
    states        (time, unit) all of them
    e             (time, feature) what it reads
    next          (time, symbol) its probabilities of what comes next
    cell_weights  (unit, term) W_x, b_x, W_h and b_h side by side
    """
    cell = network.cell
    with torch.no_grad():
        e = network.features(piece.x[None])
        y, trail = network.trace(piece.x[None])
        h = torch.stack([state.h[0] for state in trail])
        weights = torch.cat([cell.W_x, cell.b_x[:, None], cell.W_h, cell.b_h[:, None]], dim=1)
    H, E = cell.W_x.shape
    terms = (*(f"x{k}" for k in range(E)), "b_x", *(f"h{k}" for k in range(H)), "b_h")
    return [
        Signal("h", ("unit", "time"), h.T[:UNITS_SHOWN].numpy(), {"time": tuple(visible(piece.text[:-1]))}),
        Signal("states", ("time", "unit"), h.numpy()),
        Signal("e", ("time", "feature"), e[0].numpy()),
        Signal("next", ("time", "symbol"), y[0].softmax(-1).numpy(), {"symbol": task.vocabulary}),
        Signal("cell_weights", ("unit", "term"), weights.numpy(), {"term": terms}),
    ]


def _echoes(config: Config, task: Text, piece: Piece, arm: str) -> list[np.ndarray]:
    """The echo in the untrained network of every seed."""
    return [_echo(_network(config, task, seed, arm), piece) for seed in config.repetitions]


def _echo(network: Latent, piece: Piece) -> np.ndarray:
    x = piece.x.repeat(network.vocabulary, 1)
    x[:, 0] = torch.arange(network.vocabulary)
    with torch.no_grad():
        h = copy.deepcopy(network.cell).double()(network.features(x).double())
    apart = (h - h[piece.x[0]]).norm(dim=-1).mean(0)
    return (apart / apart[0]).numpy()


@torch.no_grad()
def _held_out(network: Latent, task: Text) -> float:
    """The loss over the whole held-out part, read from its first character to its last with one state."""
    return float(task.loss(network(task.held_out.x), task.held_out))


def _sample(network: Latent, task: Text, seed: int) -> str:
    """Free-running text: rows drawn after the commonest character, with the same luck at every moment of a run."""
    first = task.train.x.mode().values.expand(ROWS_SAMPLED, 1)
    drawn = network.sample(first, SAMPLED, torch.Generator().manual_seed(seed))
    return "\n".join(task.decode(row) for row in drawn.tolist())


def _words(text: str) -> list[str]:
    return [word for piece in text.split(" ") if (word := piece.strip(".,;:!?\"'()"))]


def _share_known(sample: str, known: set[str]) -> float | None:
    """The share of whole words of a sample that are among the known; None where it has none."""
    # a row may end in the middle of a word
    words = [word for row in sample.split("\n") for word in _words(row.rpartition(" ")[0])]
    return sum(word in known for word in words) / len(words) if words else None
