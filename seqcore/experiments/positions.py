"""Positions: attention alone sees a bag, and four ways to tell it where its tokens stand.

    f(P x) = P f(x)                  without positions, for every permutation P of the tokens
    PE(p) · PE(s) = Σ_i cos((p - s) ω_i)             depends on the distance alone
    PE(p + k) = R_kᵀ PE(p)                           the same turn from every place
    (R_p q) · (R_s k) = q · (R_{s-p} k)              rotary: a score depends on the distance alone

`bag`, `products` and `turn` measure all four. `run(config)` trains the same encoder with no, sinusoidal, learned and
rotary positions, and asks it about sequences longer than any it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, shorten, uses
from seqcore.models.encoder import Encoder
from seqcore.models.positions import POSITIONS, frequencies, rotate, shift, sinusoidal, wavelengths
from seqcore.probes.agreement import gap
from seqcore.record import Signal, Snapshot
from seqcore.runs import Facts, Run, checkpoint
from seqcore.source import excerpt
from seqcore.tasks import Batch
from seqcore.tasks.order import MajorityHalf, MajorityWhole, PreviousToken, Rearrangement, Reverse
from seqcore.training import Trainer, configure_thread

TASKS: dict[str, type[Rearrangement] | type[MajorityHalf] | type[MajorityWhole]] = {
    "reverse": Reverse,
    "previous token": PreviousToken,
    "which half": MajorityHalf,
    "majority": MajorityWhole,
}
BATCH, HELD_OUT, LONGER = 32, 48, 40
PLACES = 48  # rows of the table that is drawn
NEAR = 24  # places whose products with each other are drawn
BACK = 3  # places that the rotary pair of query and key looks back
SHIFTS = (1, 2, 4, 8, 16)
WORDS = 16


@dataclass(frozen=True)
class Config(knobs.Repeated):
    seeds: int = knob(
        2, "Seeds", 1, 8, group="Repetition", help="How many encoders, each with its own weights and data."
    )
    sentence: str = knobs.sentence("Its words are read forwards and backwards.")
    task: str = knob("reverse", "Task", choices=TASKS, group="Data")
    length: int = knob(10, "Sequence length L", 4, 16, group="Data", help="Of the training sequences.")
    mixed: bool = knob(False, "Train on all lengths from 2 to L", group="Data")
    width: int = knob(32, "Model size d_model", choices=(16, 32, 64), group="Network")
    heads: int = knob(2, "Heads h", choices=(1, 2, 4), group="Network")
    layers: int = knob(1, "Layers", 1, 3, group="Network")
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    steps: int = knob(200, "Training steps", 50, 1000, step=50, group="Training")

    def check(self) -> None:
        if not 2 <= len(self.words) <= WORDS:
            raise ValueError(f"sentence = {shorten(self.sentence)} has {len(self.words)} words, not 2 to {WORDS}")
        TASKS[self.task](self.length)  # which refuses a length that it cannot have

    @property
    def words(self) -> tuple[str, ...]:
        """The reader's words, in order."""
        return tuple(self.sentence.split())

    @property
    def tested(self) -> tuple[int, ...]:
        """The trained length, and about 1.25, 2 and 4 times as long."""
        return self.length, self.length + 2 * max(1, round(self.length / 8)), 2 * self.length, 4 * self.length


@uses("sentence", "width", "heads", "layers", "seeds", "seed")
def bag(config: Config) -> Snapshot:
    """Signal reordered (positions, word): how far a word's vector moves when an untrained encoder reads the words backwards,
    the median over seeds. facts: the largest move for each of POSITIONS, by its name; agreement with torch.
    """
    configure_thread()
    moves = {}
    for name in POSITIONS:
        moves[name] = np.median([_moves(config, name, seed) for seed in config.repetitions], axis=0)
        checkpoint()
    ticks = {"positions": tuple(POSITIONS), "word": config.words}
    signal = Signal("reordered", ("positions", "word"), list(moves.values()), ticks)
    symbols = _symbols(config.words)
    encoder = _encoder(config, "sinusoidal", int(symbols.max()) + 1, None, config.seed)
    with torch.no_grad():
        first = encoder.trace(symbols)[1][0]
        agreement = gap(first.y, encoder.layers[0].twin()(first.x))
    facts = {name: float(each.max()) for name, each in moves.items()}
    return Snapshot(config, 0, [signal], facts | {"agreement": agreement})


@uses("width")
def table(config: Config) -> Snapshot:
    """Signals: PE (place, entry); wavelength (pair). facts: shortest and longest of these."""
    waves = wavelengths(config.width)
    rows = sinusoidal(PLACES, config.width, dtype=torch.float64)
    signals = [Signal("PE", ("place", "entry"), rows.numpy()), Signal("wavelength", ("pair",), waves.numpy())]
    return Snapshot(config, 0, signals, {"shortest": float(waves[0]), "longest": float(waves[-1])})


def one_entry(config: Config, place: int, entry: int) -> Snapshot:
    """One number of `table` followed: no signals; facts place, entry, pair, width, omega, angle = place · omega, and value."""
    omega = float(frequencies(config.width)[entry // 2])
    value = float(sinusoidal(1, config.width, place, torch.float64)[0, entry])
    facts = {"place": place, "entry": entry, "pair": entry // 2, "width": config.width, "omega": omega}
    return Snapshot(config, 0, [], facts | {"angle": place * omega, "value": value})


def source() -> dict[str, str]:
    """The lines of `seqcore.models.positions` as they stand in the file: those that compute ω, PE, and the rotation R_kᵀ."""
    return {
        "omega": excerpt(frequencies, "return "),
        "PE": excerpt(sinusoidal, "angles = ", "return "),
        "rotation": excerpt(shift, "angles = ", "return "),
    }


@uses("width", "seed")
def products(config: Config) -> Snapshot:
    """Signal stripes (line, p, s): PE(p) · PE(s), and rotary scores of a query and a key that is found BACK places back.

    facts: drift and rotary_drift, how much each varies along a diagonal, in float64; back.
    """
    rows = sinusoidal(NEAR, config.width, dtype=torch.float64)
    places = rows @ rows.T / (config.width / 2)
    q = torch.randn(1, config.width, generator=stream(config.seed, "weights"), dtype=torch.float64)
    k = rotate(q, start=BACK)
    scores = rotate(q.expand(NEAR, -1)) @ rotate(k.expand(NEAR, -1)).T / q.square().sum()
    lines = {"line": ("PE(p) · PE(s)", f"rotary: looks {BACK} back")}
    signal = Signal("stripes", ("line", "p", "s"), torch.stack([places, scores]).numpy(), lines)
    facts = {"drift": _along_diagonals(places), "rotary_drift": _along_diagonals(scores), "back": BACK}
    return Snapshot(config, 0, [signal], facts)


@uses("width")
def turn(config: Config) -> Snapshot:
    """Signal rotation (k, after the turn, before the turn). fact turn: the largest |R_kᵀ PE(p) - PE(p + k)|, in float64."""
    rows = sinusoidal(PLACES, config.width, dtype=torch.float64)
    turns = torch.stack([shift(steps, config.width) for steps in SHIFTS])
    signal = Signal("rotation", ("k", "after the turn", "before the turn"), turns.numpy(), {"k": SHIFTS})
    gaps = [gap(rows[:-steps] @ turn.T, rows[steps:]) for steps, turn in zip(SHIFTS, turns)]
    return Snapshot(config, 0, [signal], {"turn": max(gaps)})


def one_turn(config: Config, k: int, place: int, pair: int) -> Snapshot:
    """One pair of entries of PE(place) turned by the rotation for k places: no signals.

    facts: place, k, pair, omega, angle = k · omega; block (2 × 2) of the rotation; before and after (2 × 1), the pair at
    `place`, and `block` times that pair.
    """
    rows = slice(2 * pair, 2 * pair + 2)
    omega = float(frequencies(config.width)[pair])
    before = sinusoidal(1, config.width, place, torch.float64)[0, rows, None]
    block = shift(k, config.width)[rows, rows]
    facts = {"place": place, "k": k, "pair": pair, "omega": omega, "angle": k * omega}
    numbers = {"block": block.tolist(), "before": before.tolist(), "after": (block @ before).tolist()}
    return Snapshot(config, 0, [], facts | numbers)


@uses("task", "length", "mixed", "width", "heads", "layers", "rate", "steps", "seeds", "seed")
def run(config: Config) -> Run:
    """Train one encoder for each of POSITIONS.

    Signals: loss, norm (arm, seed, step); right (arm, seed, step) on held-out rows of the trained length; longer (arm,
    seed, length), the share of right answers on longer rows, at the places that no training row had; at the trained
    length, at all places; weights (arm, head, query, key) of the first layer, first seed, for one row.
    facts: baseline, chance, ceiling (the best share of right answers without positions), bag (the share that the encoder
    without them gets right, the mean over seeds), event.
    """
    kind = TASKS[config.task]
    task = kind(config.length, shortest=2) if config.mixed else kind(config.length)
    held_out = kind(config.length).batch(HELD_OUT, stream(config.seed, "probe"))
    rows = {length: kind(length).batch(LONGER, stream(config.seed, "test")) for length in config.tested}
    places = range(1, config.length + 1)

    def trainer(seed: int, positions: str) -> Trainer:
        encoder = _encoder(config, positions, task.inputs, task.outputs, seed)
        return Trainer(encoder, lambda encoder, batch: task.loss(encoder(batch.x), batch), config.rate)

    @torch.no_grad()
    def look(arms: Arms) -> list[Signal | Facts]:
        right = arms.each(lambda encoder: _right(encoder, held_out))
        maps = [encoder.trace(held_out.x[:1])[1][0].attention.weights[0] for encoder in arms.first.values()]
        ticks = {"arm": tuple(arms), "head": range(1, config.heads + 1), "query": places, "key": places}
        return [
            {"bag": float(right[list(arms).index("none")].mean())},
            Signal("right", ("arm", "seed"), right, arms.ticks),
            Signal("weights", ("arm", "head", "query", "key"), torch.stack(maps).numpy(), ticks),
        ]

    def look_further(arms: Arms) -> list[Signal]:
        longer = arms.each(lambda encoder: [_right(encoder, rows[n], config.length) for n in config.tested])
        return [Signal("longer", ("arm", "seed", "length"), longer, {**arms.ticks, "length": config.tested})]

    return train(
        config,
        {name: partial(trainer, positions=name) for name in POSITIONS},
        lambda seed, generator: task.batch(BATCH, generator),
        load=80 * config.layers,
        # Long rows take as long as several steps, and their curve moves slowly.
        measures=[Measure(look, series=("right",)), Measure(look_further, times=10)],
        facts={"baseline": task.baseline, "chance": 1 / task.outputs, "ceiling": kind(config.length).ceiling},
    )


def _encoder(config: Config, positions: str, inputs: int, outputs: int | None, seed: int) -> Encoder:
    """The encoder that all arms share but for their positions; their common weights are equal."""
    return Encoder(
        inputs,
        config.width,
        config.heads,
        2 * config.width,
        config.layers,
        outputs,
        positions=positions,
        limit=max(config.tested[-1], WORDS),
        generator=stream(seed, "weights"),
    )


def _moves(config: Config, positions: str, seed: int) -> np.ndarray:
    """(words,): how far each word's vector moves, in its largest entry, when an untrained encoder reads backwards."""
    symbols = _symbols(config.words)
    encoder = _encoder(config, positions, int(symbols.max()) + 1, None, seed)
    with torch.no_grad():
        forwards, backwards = encoder(symbols), encoder(symbols.flip(1)).flip(1)
    return (forwards - backwards).abs().amax(-1)[0].numpy()


def _symbols(words: Sequence[str]) -> Tensor:
    """(1, words): a number for each different word."""
    known = {word: number for number, word in enumerate(dict.fromkeys(words))}
    return torch.tensor([[known[word] for word in words]])


@torch.no_grad()
def _right(encoder: Encoder, batch: Batch, start: int = 0) -> float:
    """The share of right answers from place `start` on; at all places where the rows end before it."""
    start = start if batch.x.shape[1] > start else 0
    return float((encoder(batch.x).argmax(-1) == batch.y)[:, start:].float().mean())


def _along_diagonals(products: Tensor) -> float:
    """How much (p, s) products differ among pairs of equal distance: the largest range of a diagonal."""
    size = len(products)
    diagonals = (products.diagonal(offset) for offset in range(1 - size, size))
    return max(float(diagonal.max() - diagonal.min()) for diagonal in diagonals)
