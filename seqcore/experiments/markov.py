"""Markov chains: the table of a text, its powers and its walks; and sources that tell which order is enough.

`before(config)` counts: the first-order chain of a text, what each order writes, and the loss of orders 0 to 8
on a source whose true order and best possible loss are known. `run(config)` lets the data of that source
arrive, and counts again after every chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from seqcore import knobs
from seqcore.knobs import knob
from seqcore.models.counts import CountModel, Counts, MarkovChain, entropy
from seqcore.record import Run, Signal
from seqcore.tasks.markov import MarkovSource
from seqcore.tasks.story import STORY
from seqcore.tasks.text import read
from seqcore.training import settle

LONGEST = 8  # the highest order that is counted
ARMS = (0, 1, 2, 3, 4, 6, 8)  # orders whose lines are drawn while data arrive
HELD_OUT = 1_000  # symbols of the source that no model has counted
WALK = 100  # characters that each order writes, and steps of the walk
POWERS = 16  # steps of the chain whose distributions are drawn
STARTS = 6  # characters that the chain is started from: the most frequent
WRITERS = (0, 1, 2, 4, 8)  # orders that write
SHOWN = 40  # characters of the text in the matrix; of more, the most frequent
FIRST, MOMENTS = 8, 70  # symbols of the first chunk, and how many chunks
SPACE = "␣"


@dataclass(frozen=True)
class Config(knobs.Repeated):
    text: str = knob(STORY, "Text", group="Your text")
    order: int = knob(2, "True order k of the source", 1, 4, group="Source")
    symbols: int = knob(4, "Symbols V of the source", 2, 4, group="Source")
    sharpness: float = knob(
        2.0,
        "Sharpness",
        0.0,
        5.0,
        step=0.1,
        group="Source",
        help="How sure the source is of its next symbol. 0 is pure noise.",
    )
    learned: int = knob(500, "Symbols to learn from N", 50, 5_000, scale="log", group="Counting")
    smoothing: float = knob(
        0.1, "Smoothing α", 0.01, 2.0, step=0.01, group="Counting", help="Added to every count of the source's models."
    )
    unseen: str = knob(
        "uniform",
        "After a context never seen",
        choices=("uniform", "shorter"),
        group="Counting",
        help="Every symbol alike, or back off to a shorter context that was seen.",
    )
    steps: int = knob(3_000, "Symbols that arrive", 500, 10_000, step=500, group="Counting")

    @property
    def corpus(self) -> str:
        """The text as it is counted: one line of composed characters."""
        return read(self.text)

    @property
    def chunks(self) -> tuple[int, ...]:
        """How many symbols have arrived at every moment: more and more at a time, since counts change ever more slowly."""
        return (0, *np.unique(np.geomspace(FIRST, self.steps, MOMENTS).round().astype(int)).tolist())

    def check(self) -> None:
        _ = self.corpus


def fit(raw: bytes) -> str:
    """A reader's file as a text for the knob. Raises ValueError as `read`, and where it is longer than the knob allows."""
    text, limit = read(raw), int(Config.knobs()["text"].high)
    if len(text) > limit:
        raise ValueError(f"text has length {len(text):,}, more than {limit:,} characters")
    return text


def before(config: Config) -> Run:
    """The instant picture.

    Signals of the text's chain: P (this, next); taken (time, to), the row of P that each step of a walk was drawn from;
    settling (start, to, n), rows of Pⁿ, and stays (to), the stationary distribution; forgetting (n), how much of the
    start is left, and its theory, envelope (n) = |λ₂|ⁿ.
    Signal of the source: orders (line, seed, order), the loss of every order on the symbols it has counted and on new ones.
    facts: rate and unigram, entropies of the chain in nats; closed and periodic, as `MarkovChain` tells them; pace, |λ₂|;
    walk, a text; "order n", a text of each order in WRITERS; hidden, characters that the pictures leave out; baseline and
    floor of the source; best_order, the lowest on new symbols, the median over seeds.
    """
    settle()
    corpus = config.corpus
    counts = Counts([corpus], sorted(set(corpus)), LONGEST)
    source = _source(config, config.learned)
    orders = np.array([_losses(config, source, row, config.learned) for row in _rows(config, source)])
    facts = {
        **{f"order {order}": _write(counts, order, config.seed) for order in WRITERS},
        "unigram": float(entropy(CountModel(counts, 0).next(""))),
        "baseline": source.baseline,
        "floor": source.floor,
        "best_order": int(np.argmin(np.median(orders[:, 1], axis=0))),
    }
    lines = {"line": ("symbols it has counted", "new symbols"), "seed": tuple(config.repetitions)}
    signals, told = _chain(config, counts)
    return Run(
        config,
        0,
        [*signals, Signal("orders", ("line", "seed", "order"), orders.transpose(1, 0, 2), lines)],
        {**told, **facts},
    )


def run(config: Config) -> Iterator[Run]:
    """Let the symbols of the source arrive, and count again after every chunk of them. A step is a symbol.

    Signals: loss (arm, seed, step) of some orders on new symbols; orders (seed, order) of all of them at this moment;
    ladder (order, step) the same at every moment so far, the median over seeds.
    facts: baseline, floor, event; best_order.
    """
    settle()
    source = _source(config, config.steps)
    rows = _rows(config, source)
    seeds, seen, losses = tuple(config.repetitions), [], []
    for n in config.chunks:
        seen.append(n)
        losses.append([_losses(config, source, row, n)[1] for row in rows])
        each = np.array(losses).transpose(2, 1, 0)  # (order, seed, step)
        middle = np.median(each, axis=1)
        yield Run(
            config,
            n,
            [
                Signal(
                    "loss",
                    ("arm", "seed", "step"),
                    each[list(ARMS)],
                    {"arm": tuple(f"order {order}" for order in ARMS), "seed": seeds, "step": tuple(seen)},
                ),
                Signal("orders", ("seed", "order"), each[:, :, -1].T, {"seed": seeds}),
                Signal("ladder", ("order", "step"), middle, {"step": tuple(seen)}),
            ],
            {
                "baseline": source.baseline,
                "floor": source.floor,
                "event": "",
                "best_order": int(np.argmin(middle[:, -1])),
            },
        )


# --- the text -------------------------------------------------------------------------------------------------------


def _chain(config: Config, counts: Counts) -> tuple[list[Signal], dict]:
    """The first-order chain of a text: its matrix, a walk, and how it forgets where it began."""
    chain = MarkovChain.of(CountModel(counts, 1))
    stays = chain.stationary()
    frequent = np.argsort(-stays, kind="stable")
    shown, starts = np.sort(frequent[:SHOWN]), frequent[:STARTS]
    names = np.array([symbol.replace(" ", SPACE) for symbol in counts.vocabulary])
    to = {"to": tuple(names[shown])}
    powers = chain.powers(POWERS)
    # half the L1 distance: the largest difference in the probability of anything
    forgetting = np.abs(powers - stays).sum(-1).max(-1) / 2
    second = float(np.append(np.sort(np.abs(np.linalg.eigvals(chain.P)))[::-1], 0.0)[1])
    walk = chain.sample(WALK, torch.Generator().manual_seed(config.seed))
    signals = [
        Signal(
            "P",
            ("this", "next"),
            chain.P[np.ix_(shown, shown)],
            {"this": tuple(names[shown]), "next": tuple(names[shown])},
        ),
        Signal("taken", ("time", "to"), chain.P[walk[:-1]][:, shown], to),
        Signal(
            "settling",
            ("start", "to", "n"),
            powers[:, starts][:, :, shown].transpose(1, 2, 0),
            {"start": tuple(names[starts]), **to},
        ),
        Signal("stays", ("to",), stays[shown], to),
        Signal("forgetting", ("n",), forgetting),
        Signal("envelope", ("n",), second ** np.arange(POWERS + 1.0)),
    ]
    told = {
        "rate": chain.entropy_rate(),
        "closed": chain.closed,
        "periodic": chain.periodic,
        "pace": second,
        "walk": "".join(names[walk]),
        "hidden": len(names) - len(shown),
    }
    return signals, told


def _write(counts: Counts, order: int, seed: int) -> str:
    """A text drawn from the counts of one order; all orders throw the same dice."""
    model = CountModel(counts, order, unseen="shorter")
    text = ""
    for u in torch.rand(WALK, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).tolist():
        ends = model.next(text[-LONGEST:]).cumsum()
        text += counts.vocabulary[int(np.searchsorted(ends, u * ends[-1], side="right"))]
    return text


# --- the source -----------------------------------------------------------------------------------------------------


def _source(config: Config, symbols: int) -> MarkovSource:
    """The source, in rows of so many symbols to count and the new ones after them."""
    generator = torch.Generator().manual_seed(config.seed)
    return MarkovSource.drawn(config.symbols, config.order, config.sharpness, symbols + HELD_OUT, generator)


def _rows(config: Config, source: MarkovSource) -> list[list[int]]:
    """The symbols of every seed."""
    return source.batch(config.seeds, torch.Generator().manual_seed(config.seed + 1_000)).x.tolist()


def _losses(config: Config, source: MarkovSource, row: list[int], n: int) -> np.ndarray:
    """(2, orders): the loss of each order on the first n symbols, which it has counted, and on the last HELD_OUT, in nats.

    The second is the floor plus what the source itself, asked for the same symbols, does better: new symbols that
    happen to be easy or hard then move no model above or below its place.
    """
    known, new = row[:n], row[-HELD_OUT:]
    counts = Counts([known], range(config.symbols), LONGEST)
    asked = slice(LONGEST, None)
    truth = np.log(_truth(source, new)[LONGEST - source.order :]).mean()
    losses = []
    for order in range(LONGEST + 1):
        model = CountModel(counts, order, config.smoothing, config.unseen)
        own = -np.log(model.given(known)[asked]).mean() if n > LONGEST else np.nan
        losses.append((own, source.floor + truth - np.log(model.given(new)[asked]).mean()))
    return np.transpose(losses)


def _truth(source: MarkovSource, symbols: list[int]) -> np.ndarray:
    """P(x_t | the last k) of every symbol with k before it, as the source draws them."""
    windows = np.lib.stride_tricks.sliding_window_view(np.array(symbols), source.order + 1)
    return source.transitions[tuple(windows.T)]
