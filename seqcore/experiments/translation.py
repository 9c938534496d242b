"""An encoder and a decoder learn to write a text anew, and find out by themselves where to look while they do.

    memory  = encoder(source)                                        (batch, source, width)
    p_t     = decoder(start, y_1 .. y_{t-1}; memory)                 the right symbols before it: teacher forcing
    p_t     = decoder(start, ŷ_1 .. ŷ_{t-1}; memory)                 its own symbols before it: running free
    A[t, s] = how much of the source's place s symbol t is read from       (output, input), each row adds up to one

What the pairs themselves say about where to look is measured without any model, symbol by symbol:

    known[t, s] = I(y_t; x_s) / H(y_t)                               0: place s tells nothing of symbol t; 1: everything
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore import knobs
from seqcore.knobs import knob
from seqcore.models.attention import causal
from seqcore.models.counts import entropy
from seqcore.models.decoder import DecoderLayer, Edit
from seqcore.models.encoder import EncoderLayer
from seqcore.models.transformer import Transformer, Written, decode
from seqcore.probes.attention import Alignment, alignment
from seqcore.record import Run, Signal
from seqcore.tasks import Batch
from seqcore.tasks.translation import (
    END,
    PAD,
    START,
    Dates,
    Reverse,
    Sort,
    SpelledNumbers,
    Translation,
    exact_match,
    shifted,
)
from seqcore.training import Trainer, events, pace, race, settle, trapezoid

# name -> task(length, shortest); only strings of digits have lengths to choose
TASKS: dict[str, Callable[[int, int], Translation]] = {
    "reverse": Reverse,
    "sort": Sort,
    "numbers": lambda length, shortest: SpelledNumbers(),
    "dates": lambda length, shortest: Dates(),
}
RULES: dict[str, Callable[[str], str]] = {
    "reverse": lambda text: text[::-1],
    "sort": lambda text: "".join(sorted(text)),
}
# a text to begin with
SAMPLES = {"reverse": "3141592653", "sort": "3141592653", "numbers": "three hundred and twelve", "dates": "7 mar 1998"}

FULL = "transformer"
BESIDE = ("no positions", "no padding mask", "nothing else")
PREFIXES = ("true prefix", "own prefix")
EXTRA = (0, 2, 4, 8, 16)  # columns of padding added to held-out rows that were written without any
COUNTED = 2_000  # pairs from which the instant picture is counted
HELD_OUT, SHOWN = 64, 6
MEASURES = 24  # how often in a run everything but the loss is measured, and the weights are kept
STEP_COST = 0.01  # of one arm and seed, per row, feature and symbol and layer, in the unit of `pace`


@dataclass(frozen=True)
class Config(knobs.Config):
    task: str = knob("reverse", "Task", choices=TASKS, group="Data")
    length: int = knob(8, "Longest string of digits", 4, 10, group="Data", help="For reverse and sort.")
    shorter: int = knob(
        0, "Strings may be shorter by", 0, 6, group="Data", help="For reverse and sort. 2 digits at least."
    )
    width: int = knob(64, "Model size d", choices=(32, 64), group="Network")
    heads: int = knob(1, "Heads", choices=(1, 2, 4), group="Network")
    encoder_layers: int = knob(1, "Encoder layers", 0, 2, group="Network")
    decoder_layers: int = knob(1, "Decoder layers", 1, 2, group="Network")
    positions: str = knob("sinusoidal", "Positions", choices=("sinusoidal", "learned"), group="Network")
    beside: str = knob("no positions", "Train beside it", choices=BESIDE, group="Training")
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.03, scale="log", group="Training")
    batch: int = knob(32, "Pairs in a batch", choices=(16, 32, 64), group="Training")
    steps: int = knob(300, "Training steps", 100, 1000, step=50, group="Training")
    seeds: int = knob(2, "Seeds", 1, 3, group="Repetition", help="How many models, each with its own weights and data.")
    seed: int = knob(0, "First seed", 0, 999, group="Repetition")

    @property
    def repetitions(self) -> range:
        """The seeds."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def shortest(self) -> int:
        """The fewest digits a string has."""
        return max(2, self.length - self.shorter)

    @property
    def d_k(self) -> int:
        """Features of a query and of a key."""
        return self.width // self.heads

    @property
    def sample(self) -> str:
        """A source to begin with."""
        return SAMPLES[self.task][: self.length] if self.task in RULES else SAMPLES[self.task]

    @property
    def arms(self) -> tuple[str, ...]:
        """What is trained side by side."""
        return (FULL, self.beside) if self.beside != "nothing else" else (FULL,)


def _task(config: Config) -> Translation:
    return _drawn(config.task, config.length, config.shortest) if config.task in RULES else _drawn(config.task, 0, 0)


@functools.lru_cache(maxsize=16)
def _drawn(name: str, length: int, shortest: int) -> Translation:
    """Tasks never change, and listing a century of dates takes a tenth of a second."""
    return TASKS[name](length, shortest)


def _model(config: Config, arm: str, generator: torch.Generator) -> Transformer:
    """A fresh model of an arm."""
    task = _task(config)
    return Transformer(
        task.inputs,
        task.outputs,
        config.width,
        config.heads,
        2 * config.width,
        config.encoder_layers,
        config.decoder_layers,
        positions="none" if arm == "no positions" else config.positions,
        limit=max(task.source_length, task.target_length) + max(EXTRA),
        generator=generator,
    )


def _lengths(arm: str, batch: Batch) -> Tensor | None:
    """What an arm is told about where its sources end."""
    return None if arm == "no padding mask" else batch.lengths


# --- the instant picture --------------------------------------------------------------------------------------------


@torch.no_grad()
def before(config: Config) -> Run:
    """What the pairs say, and what a model that has learned nothing does with them.

    Signals: known (output, input), counted in COUNTED pairs; untrained (output, input), the weights of the last layer's
    attention on the sample, the mean over heads, before training; mask (row, input), which places of some held-out
    sources are no padding.
    facts: pairs, held-out (source, target); written, what the untrained model makes of the sample; inputs and outputs, the
    longest source and target; ragged, whether sources differ in length; vocabulary, parameters; baseline in nats a
    symbol; agreement of an encoder and a decoder layer with torch.
    """
    settle()
    task = _task(config)
    pairs = task.batch(COUNTED, torch.Generator().manual_seed(config.seed))
    held_out = _held_out(config)
    model = _model(config, FULL, torch.Generator().manual_seed(config.seed))
    source = task.encode(config.sample)
    written = _write(task, model, FULL, source)
    outputs = tuple(range(1, task.target_length + 1))
    inputs = tuple(range(1, task.source_length + 1))
    shown = range(SHOWN)
    texts = [(task.decode(held_out.x[i]), task.decode(held_out.y[i])) for i in shown]
    seen = np.arange(task.source_length) < held_out.lengths[:SHOWN, None].numpy()
    signals = [
        Signal("known", ("output", "input"), known(pairs.x, pairs.y), {"output": outputs, "input": inputs}),
        Signal(
            "untrained",
            ("output", "input"),
            written.weights[0, -1].mean(0)[:, : len(config.sample)].numpy(),
            {"output": outputs, "input": tuple(config.sample)},
        ),
        Signal("mask", ("row", "input"), seen, {"row": tuple(text for text, _ in texts), "input": inputs}),
    ]
    facts = {
        "pairs": tuple(texts),
        "written": task.decode(written.tokens[0]),
        "inputs": task.source_length,
        "outputs": task.target_length,
        "ragged": bool((pairs.lengths < task.source_length).any()),
        "vocabulary": task.outputs,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "baseline": task.baseline,
        "agreement": _agreement(config, task),
    }
    return Run(config, 0, signals, facts)


def known(x: Tensor, y: Tensor) -> np.ndarray:
    """I(y_t; x_s) / H(y_t) of symbols y (pairs, output) and x (pairs, input), counted: (output, input), from 0 to 1.

    A symbol that is always the same has nothing to be known: 0. Counting overstates I by about
    (a - 1)(b - 1) / 2N nats from N pairs, where y_t and x_s take a and b different values.
    """
    V = int(max(x.max(), y.max())) + 1
    share = np.zeros((y.shape[1], x.shape[1]))
    for t, y_t in enumerate(y.T):
        own = entropy(np.bincount(y_t, minlength=V) / len(y))
        for s, x_s in enumerate(x.T if own > 0 else ()):
            both = np.bincount(y_t * V + x_s, minlength=V * V).reshape(V, V) / len(y)
            share[t, s] = (own + entropy(both.sum(0)) - entropy(both.ravel())) / own
    return share.clip(0, 1)


def _agreement(config: Config, task: Translation) -> float:
    """max |ours - torch.nn| over an encoder layer and a decoder layer of these sizes, the mask and all."""
    generator = torch.Generator().manual_seed(config.seed)
    sizes = (config.width, config.heads, 2 * config.width)
    encoder, decoder = EncoderLayer(*sizes, generator=generator), DecoderLayer(*sizes, generator=generator)
    x = torch.randn(2, task.source_length, config.width, generator=generator)
    y = torch.randn(2, task.target_length, config.width, generator=generator)
    memory = encoder.trace(x)[0]
    ours = decoder.trace(y, memory)[0]
    theirs = decoder.twin()(y, encoder.twin()(x), tgt_mask=~causal(task.target_length))
    return float((ours - theirs).abs().max())


# --- training -------------------------------------------------------------------------------------------------------


def run(config: Config) -> Iterator[Run]:
    """Train a transformer on pairs, and beside it one that lacks something, from equal weights, on equal batches.

    Signals, of which all but the loss are measured about MEASURES times, on held-out pairs:

    loss        (arm, seed, step)
    right, cost (arm, line, seed, step) the share of symbols and of whole answers that are right, and nats a symbol, with
                the true prefix and with its own
    parameters  (arm, parameter) of the first seed in half precision, from which `translate` translates; NaN at the end where
                an arm has fewer
    aligned     (arm, line, seed) for strings to reverse: the share of symbols that are read mostly from the right place,
                and the weight on it
    survives    (arm, extra) beside a model without padding mask: the share of whole answers that are right with so many
                columns of padding more

    facts: baseline, measured (the step of all signals but the loss), event.
    """
    settle()
    task = _task(config)
    schedule = trapezoid(config.steps)
    arms = {arm: [_trainer(config, task, arm, seed, schedule) for seed in config.repetitions] for arm in config.arms}
    held_out = _held_out(config)
    layers = config.encoder_layers + config.decoder_layers
    symbols = task.source_length + task.target_length
    work = STEP_COST * config.batch * config.width * symbols * layers / 2
    measured: list[tuple[int, np.ndarray]] = []
    pictures: list[Signal] = []
    for progress in race(
        arms,
        lambda generator: task.batch(config.batch, generator),
        steps=config.steps,
        every=pace(config.steps, len(arms) * config.seeds * work),
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        if progress.step >= len(measured) * config.steps / MEASURES or progress.step == config.steps:
            measured.append((progress.step, _measure(task, arms, held_out)))
            pictures = [*_curves(config, measured), *_kept(config, task, arms, held_out)]
        facts = {"baseline": task.baseline, "measured": measured[-1][0], "event": events(arms)}
        yield Run(config, progress.step, [progress.loss, *pictures], facts)


def _trainer(config: Config, task: Translation, arm: str, seed: int, schedule: Callable[[int], float]) -> Trainer:
    def loss(model: Transformer, batch: Batch) -> Tensor:
        return task.loss(model(batch.x, shifted(batch.y), _lengths(arm, batch)), batch)

    model = _model(config, arm, torch.Generator().manual_seed(seed))
    if arm != FULL:
        # Learned positions draw numbers of their own, after which all others would be different ones.
        model.load_state_dict(_model(config, FULL, torch.Generator().manual_seed(seed)).state_dict(), strict=False)
    return Trainer(model, loss, config.rate, clip=1.0, schedule=schedule)


def _held_out(config: Config) -> Batch:
    return _task(config).held_out(HELD_OUT, torch.Generator().manual_seed(config.seed + 10_000))


@torch.no_grad()
def _measure(task: Translation, arms: dict[str, list[Trainer]], held_out: Batch) -> np.ndarray:
    """(what, arm, seed): what the lines of `right` and then those of `cost` show."""
    numbers = [[_compare(task, trainer.model, arm, held_out) for trainer in trainers] for arm, trainers in arms.items()]
    return np.moveaxis(np.array(numbers), 2, 0)


def _compare(task: Translation, model: Transformer, arm: str, held_out: Batch) -> tuple[float, ...]:
    """Teacher forcing against running free, on the same pairs."""
    due = held_out.y != PAD
    taught = model(held_out.x, shifted(held_out.y), _lengths(arm, held_out))
    free = _write(task, model, arm, held_out)
    return (
        task.score(taught, held_out),
        float((free.tokens == held_out.y)[due].float().mean()),
        exact_match(free.tokens, held_out.y),
        float(task.loss(taught, held_out)),
        float(task.loss(free.probabilities.clamp_min(1e-12).log(), held_out)),
    )


def _write(task: Translation, model: Transformer, arm: str, batch: Batch, edit: Edit | None = None) -> Written:
    """The likeliest symbol each time, as many as the longest target has: whoever reads stops at the first END."""
    lengths = _lengths(arm, batch)
    return decode(model, batch.x, START, None, task.target_length, source_lengths=lengths, edit=edit)


def _curves(config: Config, measured: list[tuple[int, np.ndarray]]) -> list[Signal]:
    steps, numbers = zip(*measured)
    values = np.moveaxis(np.stack(numbers, axis=-1), 0, 1)  # (arm, what, seed, step)
    ticks = {"arm": config.arms, "seed": tuple(config.repetitions), "step": steps}
    axes = ("arm", "line", "seed", "step")
    return [
        Signal("right", axes, values[:, :3], ticks | {"line": (*PREFIXES, "whole answers")}),
        Signal("cost", axes, values[:, 3:], ticks | {"line": PREFIXES}),
    ]


@torch.no_grad()
def _kept(config: Config, task: Translation, arms: dict[str, list[Trainer]], held_out: Batch) -> list[Signal]:
    """What is not drawn by step: all weights of the first seed, and what only some configs have."""
    packed = [nn.utils.parameters_to_vector(trainers[0].model.parameters()).half() for trainers in arms.values()]
    # An arm may have fewer weights than another, where positions are learned.
    rows = nn.utils.rnn.pad_sequence(packed, batch_first=True, padding_value=torch.nan).numpy()
    signals = [Signal("parameters", ("arm", "parameter"), rows, {"arm": config.arms})]
    if isinstance(task, Reverse):
        found = [[_aligned(task, each.model, arm, held_out) for each in trainers] for arm, trainers in arms.items()]
        ticks = {"arm": config.arms, "line": Alignment._fields, "seed": tuple(config.repetitions)}
        signals.append(Signal("aligned", ("arm", "line", "seed"), np.moveaxis(np.array(found), 2, 1), ticks))
    if config.beside == "no padding mask":
        share = [
            [_padded(task, trainers[0].model, arm, held_out, extra) for extra in EXTRA]
            for arm, trainers in arms.items()
        ]
        signals.append(Signal("survives", ("arm", "extra"), share, {"arm": config.arms, "extra": EXTRA}))
    return signals


def _aligned(task: Reverse, model: Transformer, arm: str, held_out: Batch) -> Alignment:
    """How well the last layer, on the mean over its heads, looks where each symbol is copied from."""
    _, trail = model.trace(held_out.x, shifted(held_out.y), _lengths(arm, held_out))
    return alignment(trail.decoder[-1].cross.weights.mean(1), task.aligned(held_out))


def _padded(task: Translation, model: Transformer, arm: str, held_out: Batch, extra: int) -> float:
    """The share of whole answers that are right when sources have `extra` columns of padding more."""
    wider = held_out._replace(x=F.pad(held_out.x, (0, extra), value=PAD))
    return exact_match(_write(task, model, arm, wider).tokens, held_out.y)


# --- the reader's own text ------------------------------------------------------------------------------------------


def restore(run: Run, arm: str) -> Transformer:
    """The model of the first seed at a moment of `run`, from the weights the moment carries."""
    model = _model(run.config, arm, torch.Generator())
    packed = torch.from_numpy(run["parameters"].pick(arm=arm).values.astype(np.float32))
    nn.utils.vector_to_parameters(packed, model.parameters())
    return model


@torch.no_grad()
def translate(
    run: Run, arm: str, text: str, head: int = 0, extra: int = 0, row: int | None = None, place: int = 0
) -> Run:
    """What the model at a moment of `run` makes of a text, and what it makes of it when made to look elsewhere.

    head, row, place  while it writes symbol `row` (from 0), this head of the last layer may read the source at `place`
                      (from 0) alone; no such edit if row is None
    extra             columns of padding added to the source

    Signals: weights (output, input) of that head as the model reads by itself, and edited, as it was made to read; NaN after
    the end of the answer. facts: written, rewritten; wanted (None where only the pairs know).
    Raises ValueError for a text that the task's alphabet cannot write, or that is empty or too long.
    """
    settle()
    task = _task(run.config)
    model = restore(run, arm)
    source = task.encode(text)
    source = source._replace(x=F.pad(source.x, (0, extra), value=PAD))
    keys = source.x.shape[1]
    edit = None
    if row is not None:
        edit = Edit(run.config.decoder_layers - 1, head, row, F.one_hot(torch.tensor(place), keys))
    own, other = _write(task, model, arm, source), _write(task, model, arm, source, edit)
    ticks = {
        "output": tuple(range(1, task.target_length + 1)),
        "input": tuple("·" if symbol == PAD else task.vocabulary[symbol] for symbol in source.x[0].tolist()),
    }
    signals = [
        Signal(name, ("output", "input"), _until_end(written, head), ticks)
        for name, written in (("weights", own), ("edited", other))
    ]
    rule = RULES.get(run.config.task)
    facts = {
        "written": task.decode(own.tokens[0]),
        "rewritten": task.decode(other.tokens[0]),
        "wanted": rule(text.strip()) if rule else None,
    }
    return Run(run.config, run.step, signals, facts)


def _until_end(written: Written, head: int) -> np.ndarray:
    """(output, input) weights of a head of the last layer, NaN after the row that said END."""
    weights = written.weights[0, -1, head].numpy().copy()
    ends = (written.tokens[0] == END).nonzero()
    if len(ends):
        weights[int(ends[0]) + 1 :] = np.nan
    return weights
