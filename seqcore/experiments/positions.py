"""Positions: attention alone sees a bag, and four ways to tell it where its tokens stand.

    f(P x) = P f(x)                  without positions, for every permutation P of the tokens
    PE(p) · PE(s) = Σ_i cos((p - s) ω_i)             depends on the distance alone
    PE(p + k) = R_k PE(p)                            the same rotation from every place
    (R_p q) · (R_s k) = q · (R_{s-p} k)              rotary: a score depends on the distance alone

`before(config)` measures all four. `run(config)` trains the same encoder with no, sinusoidal, learned and
rotary positions, and asks it about sequences longer than any it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqcore import knobs
from seqcore.knobs import knob, shorten
from seqcore.models.encoder import Encoder
from seqcore.models.positions import POSITIONS, rotate, shift, sinusoidal, wavelengths
from seqcore.record import Run, Signal
from seqcore.tasks import Batch, Task
from seqcore.tasks.order import MajorityHalf, MajorityWhole, PreviousToken, Reverse
from seqcore.training import Trainer, events, pace, race, settle

TASKS: dict[str, type[Task]] = {
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
    text: str = knob(
        "dog bites man", "Your words", high=120, group="Data", help="They are read forwards and backwards."
    )
    task: str = knob("reverse", "Task", choices=TASKS, group="Data")
    length: int = knob(10, "Sequence length L", 4, 16, group="Data", help="Of the training sequences.")
    mixed: bool = knob(False, "Train on all lengths from 2 to L", group="Data")
    width: int = knob(32, "Width d", choices=(16, 32, 64), group="Network")
    heads: int = knob(2, "Heads", choices=(1, 2, 4), group="Network")
    layers: int = knob(1, "Layers", 1, 3, group="Network")
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    steps: int = knob(200, "Training steps", 50, 1000, step=50, group="Training")

    def check(self) -> None:
        if not 2 <= len(self.words) <= WORDS:
            raise ValueError(f"text = {shorten(self.text)} has {len(self.words)} words, not 2 to {WORDS}")
        TASKS[self.task](self.length)  # which refuses a length that it cannot have

    @property
    def words(self) -> tuple[str, ...]:
        """The reader's words, in order."""
        return tuple(self.text.split())

    @property
    def tested(self) -> tuple[int, ...]:
        """The trained length, and about 1.25, 2 and 4 times as long."""
        return self.length, self.length + 2 * max(1, round(self.length / 8)), 2 * self.length, 4 * self.length


def before(config: Config) -> Run:
    """The instant picture; nothing is trained.

    Signals: reordered (positions, word), how far a word's vector moves when the words are read backwards, the median
    over seeds; PE (place, entry); stripes (line, p, s), products of places; wavelength (pair); rotation (k, after the
    turn, before the turn), which are axes with those names.
    facts: the largest move for each of POSITIONS, by its name; drift, how much PE(p) · PE(p + k) varies with p, and turn,
    |R_k PE(p) - PE(p + k)|, both the largest and in float64; rotary_drift; back, how far the rotary pair looks; longest
    and shortest (wavelengths); agreement with torch.
    """
    settle()
    moves = {name: np.median([_moves(config, name, seed) for seed in config.repetitions], axis=0) for name in POSITIONS}
    table = sinusoidal(PLACES, config.width, dtype=torch.float64)
    products = table[:NEAR] @ table[:NEAR].T / (config.width / 2)
    q = torch.randn(1, config.width, generator=_generator(config.seed), dtype=torch.float64)
    k = rotate(q, start=BACK)
    scores = rotate(q.expand(NEAR, -1)) @ rotate(k.expand(NEAR, -1)).T / q.square().sum()
    turns = torch.stack([shift(steps, config.width) for steps in SHIFTS])
    waves = wavelengths(config.width)
    signals = [
        Signal(
            "reordered",
            ("positions", "word"),
            np.array(list(moves.values())),
            {"positions": tuple(POSITIONS), "word": config.words},
        ),
        Signal("PE", ("place", "entry"), table.numpy()),
        Signal(
            "stripes",
            ("line", "p", "s"),
            torch.stack([products, scores]).numpy(),
            {"line": ("PE(p) · PE(s)", f"rotary: looks {BACK} back")},
        ),
        Signal("wavelength", ("pair",), waves.numpy()),
        Signal("rotation", ("k", "after the turn", "before the turn"), turns.numpy(), {"k": SHIFTS}),
    ]
    ahead = [table[:-steps] @ turn.T - table[steps:] for steps, turn in zip(SHIFTS, turns)]
    facts = {
        **{name: float(each.max()) for name, each in moves.items()},
        "drift": _along_diagonals(products),
        "rotary_drift": _along_diagonals(scores),
        "turn": max(float(gap.abs().max()) for gap in ahead),
        "back": BACK,
        "shortest": float(waves[0]),
        "longest": float(waves[-1]),
        "agreement": _agreement(config),
    }
    return Run(config, 0, signals, facts)


def run(config: Config) -> Iterator[Run]:
    """Train one encoder for each of POSITIONS.

    Signals: loss, norm (arm, seed, step); right (arm, seed, step) on held-out rows of the trained length; longer (arm,
    seed, length), the share of right answers on longer rows, at the places that no training row had; at the trained
    length, at all places; weights (arm, head, query, key) of the first layer, first seed, for one row.
    facts: baseline, chance, ceiling (the best share of right answers without positions), event.
    """
    settle()
    kind = TASKS[config.task]
    task = kind(config.length, shortest=2) if config.mixed else kind(config.length)
    arms = {
        name: [
            Trainer(
                _encoder(config, name, task.inputs, task.outputs, seed),
                lambda encoder, batch: task.loss(encoder(batch.x), batch),
                config.rate,
            )
            for seed in config.repetitions
        ]
        for name in POSITIONS
    }
    held_out = kind(config.length).batch(HELD_OUT, _generator(config.seed + 10_000))
    rows = {length: kind(length).batch(LONGER, _generator(config.seed + 20_000)) for length in config.tested}
    every = pace(config.steps, 80 * len(arms) * config.seeds * config.layers)
    ticks = {"arm": tuple(arms), "seed": tuple(config.repetitions)}
    scores: list[np.ndarray] = []
    longer = np.zeros(0)
    for progress in race(
        arms,
        lambda generator: task.batch(BATCH, generator),
        steps=config.steps,
        every=every,
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        scores.append(_over(arms, lambda encoder: _right(encoder, held_out)))
        # Long rows take as long as several steps, and their curve moves slowly.
        if len(scores) % 6 == 1 or progress.step == config.steps:
            longer = _over(arms, lambda encoder: [_right(encoder, rows[n], config.length) for n in config.tested])
        with torch.no_grad():
            maps = [each[0].model.trace(held_out.x[:1])[1][0].attention.weights[0] for each in arms.values()]
        places = tuple(range(1, config.length + 1))
        yield Run(
            config,
            progress.step,
            [
                progress.loss,
                progress.norm,
                Signal("right", progress.loss.axes, np.stack(scores, axis=-1), progress.loss.ticks),
                Signal("longer", ("arm", "seed", "length"), longer, {**ticks, "length": config.tested}),
                Signal(
                    "weights",
                    ("arm", "head", "query", "key"),
                    torch.stack(maps).numpy(),
                    {"arm": tuple(arms), "head": range(1, config.heads + 1), "query": places, "key": places},
                ),
            ],
            {
                "baseline": task.baseline,
                "chance": 1 / task.outputs,
                "ceiling": kind(config.length).ceiling,
                "event": events(arms),
            },
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
        generator=_generator(seed),
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


def _over(arms: dict[str, list[Trainer]], measure) -> np.ndarray:
    """(arm, seed, ...): a measure of every model."""
    return np.array([[measure(trainer.model) for trainer in trainers] for trainers in arms.values()])


def _right(encoder: Encoder, batch: Batch, start: int = 0) -> float:
    """The share of right answers from place `start` on; at all places where the rows end before it."""
    start = start if batch.x.shape[1] > start else 0
    with torch.no_grad():
        return float((encoder(batch.x).argmax(-1) == batch.y)[:, start:].float().mean())


def _along_diagonals(products: Tensor) -> float:
    """How much (p, s) products differ among pairs of equal distance: the largest range of a diagonal."""
    size = len(products)
    diagonals = (products.diagonal(offset) for offset in range(1 - size, size))
    return max(float(diagonal.max() - diagonal.min()) for diagonal in diagonals)


def _agreement(config: Config) -> float:
    """max |ours - torch.nn.TransformerEncoderLayer| for the first layer, on the reader's words with sinusoids."""
    symbols = _symbols(config.words)
    encoder = _encoder(config, "sinusoidal", int(symbols.max()) + 1, None, config.seed)
    with torch.no_grad():
        first = encoder.trace(symbols)[1][0]
        return float((first.y - encoder.layers[0].twin()(first.x)).abs().max())


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
