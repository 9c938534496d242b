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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, uses
from seqcore.models.attention import causal
from seqcore.models.counts import entropy
from seqcore.models.decoder import DecoderLayer, Edit
from seqcore.models.encoder import EncoderLayer
from seqcore.models.transformer import Transformer, Written, decode
from seqcore.probes.agreement import gap
from seqcore.probes.attention import Alignment, alignment
from seqcore.probes.layers import rms
from seqcore.record import Signal, Snapshot
from seqcore.runs import Run
from seqcore.tasks import Batch
from seqcore.tasks.translation import (
    END,
    PAD,
    SPECIAL,
    START,
    Dates,
    Reverse,
    Sort,
    SpelledNumbers,
    Translation,
    exact_match,
    shifted,
)
from seqcore.training import Trainer, configure_thread, trapezoid
from seqcore.weights import pack, unpack

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
class Config(knobs.Repeated):
    task: str = knob("reverse", "Task", choices=TASKS, group="Data")
    length: int = knob(
        8, "Sequence length T", 4, 10, group="Data", help="Of the longest string of digits, to reverse or to sort."
    )
    shorter: int = knob(
        0, "Strings may be shorter by", 0, 6, group="Data", help="For reverse and sort. 2 digits at least."
    )
    width: int = knob(64, "Model size d_model", choices=(32, 64), group="Network")
    heads: int = knob(1, "Heads h", choices=(1, 2, 4), group="Network")
    encoder_layers: int = knob(1, "Encoder layers", 0, 2, group="Network")
    decoder_layers: int = knob(1, "Decoder layers", 1, 2, group="Network")
    positions: str = knob("sinusoidal", "Positions", choices=("sinusoidal", "learned"), group="Network")
    beside: str = knob("no positions", "Train beside it", choices=BESIDE, group="Training")
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.03, scale="log", group="Training")
    batch: int = knob(32, "Pairs in a batch", choices=(16, 32, 64), group="Training")
    steps: int = knob(300, "Training steps", 100, 1000, step=50, group="Training")
    seeds: int = knob(2, "Seeds", 1, 3, group="Repetition", help="How many models, each with its own weights and data.")

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


def _model(config: Config, arm: str, seed: int) -> Transformer:
    """A fresh model of an arm. Equal seeds give equal weights, wherever two arms both have them."""
    task = _task(config)

    def made(positions: str) -> Transformer:
        return Transformer(
            task.inputs,
            task.outputs,
            config.width,
            config.heads,
            2 * config.width,
            config.encoder_layers,
            config.decoder_layers,
            positions=positions,
            limit=max(task.source_length, task.target_length) + max(EXTRA),
            generator=stream(seed, "weights"),
        )

    if arm != "no positions":
        return made(config.positions)
    model = made("none")
    # Learned positions draw numbers of their own, after which all others would be different ones.
    model.load_state_dict(made(config.positions).state_dict(), strict=False)
    return model


def _held_out(config: Config) -> Batch:
    return _task(config).held_out(HELD_OUT, stream(config.seed, "probe"))


def _lengths(arm: str, batch: Batch) -> Tensor | None:
    """What an arm is told about where its sources end."""
    return None if arm == "no padding mask" else batch.lengths


# --- before training ------------------------------------------------------------------------------------------------


DATA = ("task", "length", "shorter", "seed")
NETWORK = ("width", "heads", "encoder_layers", "decoder_layers", "positions")


@uses(*DATA)
def pairs(config: Config) -> Snapshot:
    """What the pairs of texts say before there is any model.

    Signals: known (output, input), counted in COUNTED pairs; mask (row, input), which places of some held-out sources are no
    padding. facts: pairs, held-out (source, target); inputs and outputs, the longest source and target; ragged, whether
    sources differ in length; characters of the source and of the target; baseline in nats a symbol.
    """
    task, held_out = _task(config), _held_out(config)
    counted = task.batch(COUNTED, stream(config.seed, "weights"))
    places = {"output": range(1, task.target_length + 1), "input": range(1, task.source_length + 1)}
    texts = [(task.decode(held_out.x[i]), task.decode(held_out.y[i])) for i in range(SHOWN)]
    # a row ends where padding begins
    seen = (held_out.x[:SHOWN] != PAD).numpy()
    signals = [
        Signal("known", ("output", "input"), known(counted.x, counted.y), places),
        Signal("mask", ("row", "input"), seen, {"row": tuple(text for text, _ in texts), "input": places["input"]}),
    ]
    facts = {
        "pairs": tuple(texts),
        "inputs": task.source_length,
        "outputs": task.target_length,
        "ragged": bool((counted.x == PAD).any()),
        "characters": tuple("".join(task.vocabulary[i] for i in _used(symbols)) for symbols in (counted.x, counted.y)),
        "baseline": task.baseline,
    }
    return Snapshot(config, 0, signals, facts)


@uses("seed")
def examples(config: Config) -> Snapshot:
    """One held-out pair of every task at its usual sizes. fact examples: task -> (source, target)."""
    found = {}
    for name in TASKS:
        task = _task(Config(task=name))
        one = task.held_out(1, stream(config.seed, "probe"))
        found[name] = task.decode(one.x[0]), task.decode(one.y[0])
    return Snapshot(config, 0, [], {"examples": found})


@uses(*DATA, *NETWORK)
@torch.no_grad()
def untrained(config: Config) -> Snapshot:
    """What a model that has learned nothing does with the sample.

    Signal untrained (output, input), the weights of the last layer's attention, the mean over heads. facts: written, what it
    makes of the sample; vocabulary, parameters; agreement of an encoder and a decoder layer with torch.
    """
    configure_thread()
    task = _task(config)
    model = _model(config, FULL, config.seed)
    written = _write(task, model, FULL, task.encode(config.sample))
    assert written.weights is not None, "it reads a memory"
    weights = written.weights[0, -1].mean(0)[:, : len(config.sample)].numpy()
    ticks = {"output": range(1, task.target_length + 1), "input": tuple(config.sample)}
    facts = {
        "written": task.decode(written.tokens[0]),
        "vocabulary": task.outputs,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "agreement": _agreement(config, task),
    }
    return Snapshot(config, 0, [Signal("untrained", ("output", "input"), weights, ticks)], facts)


@uses(*DATA, *NETWORK)
@torch.no_grad()
def stack(config: Config) -> Snapshot:
    """One pass through the whole untrained model, which reads the sample and what it has written itself.

    Signals: weights (output, input) of the last layer's attention on the memory, the mean over heads; taken (output, symbol),
    the distribution each symbol was taken from.
    facts: read and wrote, stage -> the root mean square of each place's vector, a tuple; the stages are "embedding", the sums
    after each sublayer, as in "1 self-attention", and "memory" or "last norm". written, the symbols up to the end sign; d,
    heads, feedforward, encoder_layers, decoder_layers, sizes of the model.
    """
    configure_thread()
    task = _task(config)
    model = _model(config, FULL, config.seed)
    source = task.encode(config.sample).x[:, : len(config.sample)]
    tokens = decode(model, source, START, None, task.target_length).tokens
    ends = (tokens[0] == END).nonzero()
    tokens = tokens[:, : int(ends[0]) + 1] if len(ends) else tokens
    logits, trail = model.trace(source, shifted(tokens))
    encoded = {"embedding": model.encoder.embedding(source)}
    for number, read in enumerate(trail.encoder, 1):
        encoded |= {f"{number} self-attention": read.mixed, f"{number} feed-forward": read.y}
    encoded["memory"] = model.encoder.last(list(encoded.values())[-1])
    decoded = {"embedding": trail.decoder[0].x}
    for number, wrote in enumerate(trail.decoder, 1):
        decoded |= {f"{number} masked self-attention": wrote.mixed, f"{number} cross-attention": wrote.informed}
        decoded[f"{number} feed-forward"] = wrote.y
    decoded["last norm"] = model.decoder.last(trail.decoder[-1].y)
    cross = trail.decoder[-1].cross
    assert cross is not None, "it reads a memory"
    outputs, inputs = range(1, tokens.shape[1] + 1), tuple(config.sample)
    chances = logits[0].softmax(-1).numpy()
    signals = [
        Signal("weights", ("output", "input"), cross.weights[0].mean(0).numpy(), {"output": outputs, "input": inputs}),
        Signal("taken", ("output", "symbol"), chances, {"output": outputs, "symbol": task.vocabulary}),
    ]
    facts = {
        "read": {stage: tuple(rms(state[0].numpy()).tolist()) for stage, state in encoded.items()},
        "wrote": {stage: tuple(rms(state[0].numpy()).tolist()) for stage, state in decoded.items()},
        "written": tuple(task.vocabulary[token] for token in tokens[0].tolist()),
        "d": model.decoder.W_y.shape[1],
        "heads": model.decoder.heads,
        "feedforward": len(model.decoder.layers[0].feedforward.b_1),
        "encoder_layers": len(model.encoder.layers),
        "decoder_layers": len(model.decoder.layers),
    }
    return Snapshot(config, 0, signals, facts)


def writing(moment: Snapshot, symbol: int) -> Snapshot:
    """What stands where while the model of a moment of `stack` writes one symbol, counted from 1.

    facts: source, its characters; before, the symbols that the decoder is given; next, the likeliest symbol, and
    probability; read and wrote, stage -> root mean square of the whole tensor (S, d) or (T, d); weights, on each place of the
    source; symbol, S, T, d, heads, d_k, feedforward, vocabulary, encoder_layers, decoder_layers. ValueError for a symbol that
    there is not.
    """
    facts, chances = moment.facts, moment["taken"].sel(output=symbol)
    best = int(chances.values.argmax())

    def whole(places: Mapping[str, tuple[float, ...]], count: int) -> dict[str, float]:
        return {stage: float(rms(np.array(values[:count]))) for stage, values in places.items()}

    source = moment["weights"].ticks["input"]
    return Snapshot(
        moment.config,
        0,
        [],
        {
            **{name: facts[name] for name in ("d", "heads", "feedforward", "encoder_layers", "decoder_layers")},
            "source": source,
            "before": (SPECIAL[START], *facts["written"][: symbol - 1]),
            "next": chances.ticks["symbol"][best],
            "probability": float(chances.values[best]),
            "read": whole(facts["read"], len(source)),
            "wrote": whole(facts["wrote"], symbol),
            "weights": tuple(moment["weights"].sel(output=symbol).values.tolist()),
            "symbol": symbol,
            "S": len(source),
            "T": symbol,
            "d_k": facts["d"] // facts["heads"],
            "vocabulary": len(chances.values),
        },
    )


def _used(symbols: Tensor) -> list[int]:
    """The characters among symbols: neither padding, nor the signs for start and end."""
    return [symbol for symbol in symbols.unique().tolist() if symbol > END]


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
    generator = stream(config.seed, "weights")
    sizes = (config.width, config.heads, 2 * config.width)
    encoder, decoder = EncoderLayer(*sizes, generator=generator), DecoderLayer(*sizes, generator=generator)
    x = torch.randn(2, task.source_length, config.width, generator=generator)
    y = torch.randn(2, task.target_length, config.width, generator=generator)
    memory = encoder.trace(x)[0]
    theirs = decoder.twin()(y, encoder.twin()(x), tgt_mask=~causal(task.target_length))
    return gap(decoder.trace(y, memory)[0], theirs)


# --- training -------------------------------------------------------------------------------------------------------


@uses(*DATA, *NETWORK, "beside", "rate", "batch", "steps", "seeds")
def run(config: Config) -> Run:
    """Train a transformer on pairs, and beside it one that lacks something, from equal weights, on equal batches.

    Signals, of which all but loss and norm are measured about MEASURES times, on held-out pairs:

    loss, norm  (arm, seed, step)
    right, cost (arm, line, seed, step) the share of symbols and of whole answers that are right, and nats a symbol, with
                the true prefix and with its own
    parameters  (arm, parameter) of the first seed, from which `translate` translates
    aligned     (arm, line, seed) for strings to reverse: the share of symbols that are read mostly from the right place,
                and the weight on it
    survives    (arm, extra) beside a model without padding mask: the share of whole answers that are right with so many
                columns of padding more

    facts: baseline, measured (the step of all signals but loss and norm), event.
    """
    task, held_out = _task(config), _held_out(config)
    schedule = trapezoid(config.steps)
    layers = config.encoder_layers + config.decoder_layers
    symbols = task.source_length + task.target_length

    def trainer(seed: int, arm: str) -> Trainer:
        def loss(model: nn.Module, batch: Batch) -> Tensor:
            return task.loss(model(batch.x, shifted(batch.y), _lengths(arm, batch)), batch)

        return Trainer(_model(config, arm, seed), loss, config.rate, clip=1.0, schedule=schedule)

    @torch.no_grad()
    def look(arms: Arms) -> list[Signal]:
        def each(of: Callable[[str, Transformer], Any]) -> np.ndarray:
            return np.array([[of(arm, trainer.model) for trainer in row] for arm, row in arms.items()])

        numbers = np.moveaxis(each(lambda arm, model: _compare(task, model, arm, held_out)), 2, 1)  # (arm, line, seed)
        axes, ticks = ("arm", "line", "seed"), arms.ticks
        signals = [
            Signal("right", axes, numbers[:, :3], ticks | {"line": (*PREFIXES, "whole answers")}),
            Signal("cost", axes, numbers[:, 3:], ticks | {"line": PREFIXES}),
            pack(arms.first),
        ]
        if isinstance(task, Reverse):
            found = np.moveaxis(each(lambda arm, model: _aligned(task, model, arm, held_out)), 2, 1)
            signals.append(Signal("aligned", axes, found, ticks | {"line": Alignment._fields}))
        if config.beside == "no padding mask":
            share = [[_padded(task, m, arm, held_out, extra) for extra in EXTRA] for arm, m in arms.first.items()]
            signals.append(Signal("survives", ("arm", "extra"), share, {"arm": tuple(arms), "extra": EXTRA}))
        return signals

    return train(
        config,
        {arm: partial(trainer, arm=arm) for arm in config.arms},
        lambda seed, generator: task.batch(config.batch, generator),
        load=STEP_COST * config.batch * config.width * symbols * layers / 2,
        measures=[Measure(look, series=("right", "cost"), times=MEASURES)],
        facts=lambda moment: {"baseline": task.baseline, "measured": moment["right"].ticks["step"][-1]},
    )


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


def _aligned(task: Reverse, model: Transformer, arm: str, held_out: Batch) -> Alignment:
    """How well the last layer, on the mean over its heads, looks where each symbol is copied from."""
    _, trail = model.trace(held_out.x, shifted(held_out.y), _lengths(arm, held_out))
    cross = trail.decoder[-1].cross
    assert cross is not None, "it reads a memory"
    return alignment(cross.weights.mean(1), task.aligned(held_out))


def _padded(task: Translation, model: Transformer, arm: str, held_out: Batch, extra: int) -> float:
    """The share of whole answers that are right when sources have `extra` columns of padding more."""
    wider = held_out._replace(x=F.pad(held_out.x, (0, extra), value=PAD))
    return exact_match(_write(task, model, arm, wider).tokens, held_out.y)


# --- the reader's own text ------------------------------------------------------------------------------------------


def restore(moment: Snapshot, arm: str) -> Transformer:
    """The model of the first seed, from the weights that a moment of `run` carries: the newest one. ValueError without."""
    return unpack(moment, arm, _model(moment.config, arm, moment.config.seed))


@torch.no_grad()
def translate(
    moment: Snapshot, arm: str, text: str, head: int = 0, extra: int = 0, row: int | None = None, place: int = 0
) -> Snapshot:
    """What the model of a moment of `run` makes of a text, and what it makes of it when made to look elsewhere.

    head, row, place  while it writes symbol `row` (from 0), this head of the last layer may read the source at `place`
                      (from 0) alone; no such edit if row is None
    extra             columns of padding added to the source

    Signals: weights (output, input) of that head as the model reads by itself, and edited, as it was made to read; NaN after
    the end of the answer. facts: written, rewritten; wanted (None where only the pairs know).
    Raises ValueError for a text that the task's alphabet cannot write, or that is empty or too long, and for a moment without
    weights.
    """
    configure_thread()
    config = moment.config
    task = _task(config)
    model = restore(moment, arm)
    source = task.encode(text)
    source = source._replace(x=F.pad(source.x, (0, extra), value=PAD))
    keys = source.x.shape[1]
    edit = None
    if row is not None:
        edit = Edit(config.decoder_layers - 1, head, row, F.one_hot(torch.tensor(place), keys))
    own, other = _write(task, model, arm, source), _write(task, model, arm, source, edit)
    ticks = {
        "output": range(1, task.target_length + 1),
        "input": tuple("·" if symbol == PAD else task.vocabulary[symbol] for symbol in source.x[0].tolist()),
    }
    signals = [
        Signal(name, ("output", "input"), _until_end(written, head), ticks)
        for name, written in (("weights", own), ("edited", other))
    ]
    rule = RULES.get(config.task)
    facts = {
        "written": task.decode(own.tokens[0]),
        "rewritten": task.decode(other.tokens[0]),
        "wanted": rule(text.strip()) if rule else None,
    }
    return Snapshot(config, moment.step, signals, facts)


def _until_end(written: Written, head: int) -> np.ndarray:
    """(output, input) weights of a head of the last layer, NaN after the row that said END."""
    assert written.weights is not None, "it reads a memory"
    weights = written.weights[0, -1, head].numpy().copy()
    ends = (written.tokens[0] == END).nonzero()
    if len(ends):
        weights[int(ends[0]) + 1 :] = np.nan
    return weights
