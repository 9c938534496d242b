"""Markov chains: the table of a text, its powers and its walks; and sources that tell which order is enough.

    P(x_1 .. x_T) = P(x_1) Π_t P(x_t | x_{t-1})

`factors`, `table` and `walk` show the first-order chain of a text, and what each order writes; `orders` the loss of orders
0 to 8 on a source whose true order and best possible loss are known. `run` lets the data of that source arrive, and
counts again after every chunk.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from seqcore import knobs
from seqcore.engine import stream
from seqcore.knobs import LONGEST_SENTENCE, TEXT_LIMIT, knob, uses
from seqcore.models import CountModel, Counts, MarkovChain, chain, entropy
from seqcore.record import Signal, Snapshot, Ticks
from seqcore.runs import Reading, Run
from seqcore.tasks.markov import MarkovSource
from seqcore.tasks.story import STORY
from seqcore.tasks.text import read, readable, visible
from seqcore.training import configure_thread

LONGEST = 8  # the highest order that is counted
ARMS = (0, 1, 2, 3, 4, 6, 8)  # orders whose lines are drawn while data arrive
HELD_OUT = 1_000  # symbols of the source that no model has counted
WALK = 100  # characters that each order writes, and steps of the walk
POWERS = 16  # steps of the chain whose distributions are drawn
STARTS = 6  # characters that the chain is started from: the most frequent
WRITERS = (0, 1, 2, 4, 8)  # orders that write
SHOWN = 40  # characters of the text in the matrix; of more, the most frequent
FIRST, MOMENTS = 8, 70  # symbols of the first chunk, and how many chunks

own_text = functools.partial(read, longest=TEXT_LIMIT)


@dataclass(frozen=True)
class Config(knobs.Repeated):
    sentence: str = knobs.sentence("Letters that the text does not have are left out.", "Your text")
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
        _ = self.corpus  # a text that cannot be read says so itself


# --- the text -------------------------------------------------------------------------------------------------------


@uses("sentence", "text")
def factors(config: Config) -> Snapshot:
    """The sentence, factor by factor: π of the first character, then entries of P.

    Signals: next, sofar (time). facts: sentence, what of it the text has letters for, or the text's beginning if that is
    nothing; product, log_sum and perplexity; never, the first pair of characters that the text does not have, or "".
    """
    table, vocabulary = _chain(config)
    sentence = readable(config.sentence, vocabulary) or config.corpus[:LONGEST_SENTENCE]
    given = table.given([vocabulary.index(character) for character in sentence])
    signals = [
        Signal("next", ("time",), given, {"time": tuple(visible(sentence))}),
        Signal("sofar", ("time",), given.cumprod(), {"time": range(1, len(sentence) + 1)}),
    ]
    never = next((visible(sentence[t - 1 : t + 1]) for t in range(1, len(sentence)) if not given[t]), "")
    return Snapshot(config, 0, signals, {"sentence": sentence, "never": never, **chain(given)._asdict()})


@uses("text")
def table(config: Config) -> Snapshot:
    """The chain's matrix, and how it forgets where it began.

    Signals: P (this, next); settling (start, to, n), rows of Pⁿ, and stays (to), the stationary distribution; forgetting
    (n), how much of the start is left, and its theory, envelope (n) = |λ₂|ⁿ.
    facts: rate and unigram, entropies of the chain in nats; closed and periodic, as `MarkovChain` tells them; pace, |λ₂|;
    hidden, characters that the pictures leave out.
    """
    made, vocabulary = _chain(config)
    stays, powers = made.stationary(), made.powers(POWERS)
    shown, starts = _shown(stays), _frequent(stays)[:STARTS]
    names = np.array([visible(character) for character in vocabulary])
    to = {"to": tuple(names[shown])}
    # half the L1 distance: the largest difference in the probability of anything
    forgetting = np.abs(powers - stays).sum(-1).max(-1) / 2
    second = float(np.append(np.sort(np.abs(np.linalg.eigvals(made.P)))[::-1], 0.0)[1])
    signals = [
        Signal("P", ("this", "next"), made.P[np.ix_(shown, shown)], {"this": to["to"], "next": to["to"]}),
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
    facts = {
        "rate": made.entropy_rate(),
        "unigram": float(entropy(CountModel(_counts(config, 0), 0).next(""))),
        "closed": made.closed,
        "periodic": made.periodic,
        "pace": second,
        "hidden": len(names) - len(shown),
    }
    return Snapshot(config, 0, signals, facts)


@uses("text", "seed")
def walk(config: Config) -> Snapshot:
    """A chain that walks. Signal taken (time, to), the row of P that each step was drawn from.

    facts: walk, a text; "order n", a text of each order in WRITERS.
    """
    made, vocabulary = _chain(config)
    shown = _shown(made.stationary())
    steps = made.sample(WALK, torch.Generator().manual_seed(config.seed))
    counts = _counts(config, LONGEST)
    to = tuple(visible(vocabulary[place]) for place in shown)
    facts = {f"order {order}": _write(counts, order, config.seed) for order in WRITERS}
    facts["walk"] = visible("".join(vocabulary[step] for step in steps))
    return Snapshot(config, 0, [Signal("taken", ("time", "to"), made.P[steps[:-1]][:, shown], {"to": to})], facts)


def _counts(config: Config, longest: int) -> Counts:
    corpus = config.corpus
    return Counts([corpus], sorted(set(corpus)), longest)


def _chain(config: Config) -> tuple[MarkovChain, tuple[str, ...]]:
    """The first-order chain of the text, and its characters."""
    counts = _counts(config, 1)
    return MarkovChain.of(CountModel(counts, 1)), counts.vocabulary


def _frequent(stays: np.ndarray) -> np.ndarray:
    """Places of all characters, the most frequent first."""
    return np.argsort(-stays, kind="stable")


def _shown(stays: np.ndarray) -> np.ndarray:
    """Places of the characters that are drawn, in their order."""
    return np.sort(_frequent(stays)[:SHOWN])


def _write(counts: Counts, order: int, seed: int) -> str:
    """A text drawn from the counts of one order; all orders throw the same dice."""
    model = CountModel(counts, order, unseen="shorter")
    text = ""
    for u in torch.rand(WALK, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).tolist():
        ends = model.next(text[-LONGEST:]).cumsum()
        text += counts.vocabulary[int(np.searchsorted(ends, u * ends[-1], side="right"))]
    return text


# --- the source -----------------------------------------------------------------------------------------------------


@uses("order", "symbols", "sharpness", "learned", "smoothing", "unseen", "seeds", "seed")
def orders(config: Config) -> Snapshot:
    """Which order predicts the source. Signal orders (line, seed, order), the loss on what was counted and on new symbols.

    facts: baseline and floor of the source; orders, the losses on new symbols, the median over seeds; best_order.
    """
    source = _source(config, config.learned)
    losses = np.array([_losses(config, source, row, config.learned) for row in _rows(config, source)])
    ticks = {"line": ("symbols it has counted", "new symbols"), "seed": tuple(config.repetitions)}
    new = np.median(losses[:, 1], axis=0)
    facts = {
        "baseline": source.baseline,
        "floor": source.floor,
        "best_order": int(np.argmin(new)),
        "orders": tuple(new.tolist()),
    }
    return Snapshot(config, 0, [Signal("orders", ("line", "seed", "order"), losses.transpose(1, 0, 2), ticks)], facts)


@uses("order", "symbols", "sharpness", "smoothing", "unseen", "steps", "seeds", "seed")
def run(config: Config) -> Run:
    """Let the symbols of the source arrive, and count again after every chunk of them. A step is a symbol.

    Signals: loss (arm, seed, step) of some orders on new symbols; orders (seed, order) of all of them at this moment;
    ladder (order, step) the same at every moment so far, the median over seeds.
    facts: baseline, floor; best_order.
    """
    source = _source(config, config.steps)
    arms: Ticks = tuple(f"order {order}" for order in ARMS)
    seeds: Ticks = config.repetitions

    def readings() -> Iterator[Reading | None]:
        configure_thread()
        rows = _rows(config, source)
        for n in config.chunks:
            losses = []
            for row in rows:
                losses.append(_losses(config, source, row, n)[1])
                yield None
            orders = np.array(losses)  # (seed, order)
            middle = np.median(orders, axis=0)
            yield Reading(
                n,
                [
                    Signal("loss", ("arm", "seed"), orders.T[list(ARMS)], {"arm": arms, "seed": seeds}),
                    Signal("ladder", ("order",), middle),
                ],
                [Signal("orders", ("seed", "order"), orders, {"seed": seeds})],
                {"best_order": int(np.argmin(middle))},
            )

    return Run(config, readings(), config.steps, {"baseline": source.baseline, "floor": source.floor})


def _source(config: Config, symbols: int) -> MarkovSource:
    """The source, in rows of so many symbols to count and the new ones after them."""
    generator = stream(config.seed, "weights")
    return MarkovSource.drawn(config.symbols, config.order, config.sharpness, symbols + HELD_OUT, generator)


def _rows(config: Config, source: MarkovSource) -> list[list[int]]:
    """The symbols of every seed."""
    return source.batch(config.seeds, stream(config.seed, "batches")).x.tolist()


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
