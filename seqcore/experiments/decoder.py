"""A decoder with and without its causal mask: what a position may see, and what one learns that sees too much.

    M[q, k]    = 1 where k ≤ q                                         (query, key)
    trained    = mean_t -ln p(x_{t+1} | what position t is shown)      all positions of a row at once
    honest     = mean_t -ln p(x_{t+1} | x_1 .. x_t)                    one forward pass a prefix: nothing else is there
    with the mask the two are one number; without it the first can be anything

Two tasks: a Markov source, whose entropy no honest loss can be below, written by a decoder alone; and strings of digits
to reverse, written by a decoder that also reads an encoder's memory, whose answers can be counted as right or wrong.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore import knobs
from seqcore.knobs import knob
from seqcore.models.attention import causal
from seqcore.models.decoder import Decoder, DecoderLayer
from seqcore.models.transformer import Transformer, Written, extend
from seqcore.record import Run, Signal
from seqcore.tasks import Batch, Task
from seqcore.tasks.markov import MarkovSource
from seqcore.tasks.translation import START, Reverse, exact_match, shifted
from seqcore.training import Trainer, events, pace, race, settle, trapezoid

ARMS = {"causal mask": True, "no mask": False}
BATCH, HELD_OUT = 32, 64
MEASURES = 24  # how often in a run the honest loss is measured: it costs a forward pass for every prefix
STEP_COST = 0.3  # of one arm and seed, per feature and token, in the unit of `pace`


@dataclass(frozen=True)
class Config(knobs.Repeated):
    task: str = knob("Markov source", "Task", choices=("Markov source", "reverse"), group="Data")
    length: int = knob(
        16, "Sequence length T", 4, 32, group="Data", help="Symbols of the source, or digits to reverse."
    )
    symbols: int = knob(4, "Symbols V", 2, 8, group="Data", help="Of the Markov source.")
    order: int = knob(2, "Order of the source", 1, 2, group="Data", help="How many symbols the next one depends on.")
    sharpness: float = knob(
        1.5, "Sharpness of the source", 0.0, 4.0, step=0.1, group="Data", help="0: pure noise. 4: nearly one successor."
    )
    width: int = knob(32, "Model size d", choices=(16, 32, 64), group="Network")
    heads: int = knob(1, "Heads", choices=(1, 2, 4), group="Network")
    layers: int = knob(1, "Decoder layers", 1, 3, group="Network")
    rate: float = knob(0.01, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    steps: int = knob(400, "Training steps", 100, 1000, step=50, group="Training")

    @property
    def d_k(self) -> int:
        """Features of a query and of a key."""
        return self.width // self.heads


class Case(abc.ABC):
    """One task and the models that are made for it.

    task   with its batches, its baseline and its floor
    first  the place of the first symbol that is written
    """

    task: Task
    first: int

    @abc.abstractmethod
    def model(self, causal: bool, generator: torch.Generator) -> nn.Module:
        """A fresh model. Equal generators give equal weights, mask or not."""

    @abc.abstractmethod
    def decoder(self, model: nn.Module) -> Decoder:
        """The part of the model that writes."""

    @abc.abstractmethod
    def memory(self, model: nn.Module, batch: Batch) -> Tensor | None:
        """(batch, source, width) what the decoder may read besides its own symbols, or None."""

    @abc.abstractmethod
    def shown(self, batch: Batch) -> Tensor:
        """(batch, time) the symbols the decoder is given while it is taught."""

    @abc.abstractmethod
    def held_out(self, size: int, generator: torch.Generator) -> Batch:
        """Rows that no model is trained on."""

    @abc.abstractmethod
    def prompt(self, batch: Batch) -> tuple[Tensor, int]:
        """What writing begins with, (batch, time) symbols, and how many steps it goes on."""

    @abc.abstractmethod
    def truth(self, batch: Batch, row: Tensor) -> np.ndarray:
        """(step, vocabulary) the right distribution of every symbol of row (prompt and all) that is not in the prompt."""

    @abc.abstractmethod
    def text(self, symbols: Tensor) -> str:
        """Symbols (time,) as people read them."""


class Continuing(Case):
    """A decoder alone goes on with the symbols of a Markov source."""

    def __init__(self, config: Config):
        self.config = config
        source = torch.Generator().manual_seed(config.seed)
        self.task = MarkovSource.drawn(config.symbols, config.order, config.sharpness, config.length, source)
        self.first = config.order + 1

    def model(self, causal: bool, generator: torch.Generator) -> Decoder:
        c = self.config
        return Decoder(
            c.symbols, c.width, c.heads, 2 * c.width, c.layers, causal=causal, cross=False, generator=generator
        )

    def decoder(self, model: nn.Module) -> Decoder:
        return model

    def memory(self, model: nn.Module, batch: Batch) -> None:
        return None

    def shown(self, batch: Batch) -> Tensor:
        return batch.x

    def held_out(self, size: int, generator: torch.Generator) -> Batch:
        return self.task.batch(size, generator)

    def prompt(self, batch: Batch) -> tuple[Tensor, int]:
        order = self.config.order
        return batch.x[:, :order], self.config.length - order

    def truth(self, batch: Batch, row: Tensor) -> np.ndarray:
        order = self.config.order
        contexts = row.unfold(0, order, 1)[:-1]
        return self.task.transitions[tuple(contexts.T.numpy())]

    def text(self, symbols: Tensor) -> str:
        return "".join(self.task.vocabulary[symbol] for symbol in symbols.tolist())


class Reversing(Case):
    """An encoder reads digits, a decoder writes them from last to first."""

    first = 1

    def __init__(self, config: Config):
        self.config = config
        self.task = Reverse(config.length)

    def model(self, causal: bool, generator: torch.Generator) -> Transformer:
        c, V = self.config, self.task.outputs
        return Transformer(
            V, V, c.width, c.heads, 2 * c.width, decoder_layers=c.layers, causal=causal, generator=generator
        )

    def decoder(self, model: nn.Module) -> Decoder:
        return model.decoder

    def memory(self, model: nn.Module, batch: Batch) -> Tensor:
        return model.encoder(batch.x)

    def shown(self, batch: Batch) -> Tensor:
        return shifted(batch.y)

    def held_out(self, size: int, generator: torch.Generator) -> Batch:
        return self.task.held_out(size, generator)

    def prompt(self, batch: Batch) -> tuple[Tensor, int]:
        return torch.full((len(batch.x), 1), START), self.task.target_length

    def truth(self, batch: Batch, row: Tensor) -> np.ndarray:
        return F.one_hot(batch.y[0], self.task.outputs).numpy()

    def text(self, symbols: Tensor) -> str:
        return self.task.decode(symbols)


CASES: dict[str, type[Case]] = {"Markov source": Continuing, "reverse": Reversing}


# --- the instant picture --------------------------------------------------------------------------------------------


@torch.no_grad()
def before(config: Config) -> Run:
    """What the mask lets through, measured on untrained models of equal weights.

    Signals: visible (query, key); moved (arm, position, changed): log₁₀ of how far an output moves, as a share of its
    length, when one token is changed; NaN where not one bit moves.
    facts: leak and leak_open, the largest such share at places before the change; cache, the largest difference between
    probabilities with kept keys and values and those computed anew; source and vocabulary, sizes; parameters; baseline
    and floor in nats; agreement of a decoder layer with torch.
    """
    settle()
    case = CASES[config.task](config)
    batch = case.held_out(1, torch.Generator().manual_seed(config.seed + 10_000))
    models = {name: case.model(mask, torch.Generator().manual_seed(config.seed)) for name, mask in ARMS.items()}
    share = np.stack([_moved(case, model, batch) for model in models.values()])
    leak, leak_open = (float(np.triu(each, 1).max()) for each in share)
    T = share.shape[-1]
    places = tuple(range(1, T + 1))
    with np.errstate(divide="ignore"):
        decades = np.where(share > 0, np.log10(share), np.nan)
    signals = [
        Signal("visible", ("query", "key"), causal(T).numpy(), {"query": places, "key": places}),
        Signal(
            "moved",
            ("arm", "position", "changed"),
            decades,
            {"arm": tuple(models), "position": places, "changed": places},
        ),
    ]
    memory = case.memory(models["causal mask"], batch)
    facts = {
        "leak": leak,
        "leak_open": leak_open,
        "cache": _cache_gap(case, models["causal mask"], batch, *_write(case, models["causal mask"], batch)),
        "time": T,
        "source": 0 if memory is None else memory.shape[1],
        "vocabulary": case.task.outputs,
        "parameters": sum(weight.numel() for weight in models["causal mask"].parameters()),
        "baseline": case.task.baseline,
        "floor": case.task.floor,
        "agreement": _agreement(config, T),
    }
    return Run(config, 0, signals, facts)


def _moved(case: Case, model: nn.Module, batch: Batch) -> np.ndarray:
    """(position, changed): how far each logit vector moves, as a share of its length, when one token is another."""
    decoder, memory, tokens = case.decoder(model), case.memory(model, batch), case.shown(batch)
    before = decoder(tokens, memory)[0]
    columns = []
    for i in range(tokens.shape[1]):
        other = tokens.clone()
        other[0, i] = (other[0, i] + 1) % case.task.inputs
        # One row at a time: in a batch a product's rounding may depend on the row's place in it.
        columns.append((decoder(other, memory)[0] - before).norm(dim=-1) / before.norm(dim=-1))
    return torch.stack(columns, 1).numpy().astype(float)


def _agreement(config: Config, T: int) -> float:
    """max |ours - torch.nn.TransformerDecoderLayer| of a decoder layer of these sizes."""
    generator = torch.Generator().manual_seed(config.seed)
    layer = DecoderLayer(config.width, config.heads, 2 * config.width, generator=generator)
    x, memory = (torch.randn(2, T, config.width, generator=generator) for _ in range(2))
    return float((layer.trace(x, memory)[0] - layer.twin()(x, memory, tgt_mask=~causal(T))).abs().max())


# --- training -------------------------------------------------------------------------------------------------------


def run(config: Config) -> Iterator[Run]:
    """Train with the mask and without, from equal weights, on equal batches.

    Signals: loss (arm, seed, step); trained and honest (arm, seed, step), both on held-out rows; weights
    (arm, head, query, key) of the last layer's self-attention for one held-out row; parameters (arm, parameter) of the
    first seed, in half precision, from which `write` writes; and where an answer is right or wrong
    right (arm, seed, step), the share of held-out rows it writes without a mistake when it writes alone.
    facts: baseline, floor, measured (the step of all signals but loss), event.
    """
    settle()
    case = CASES[config.task](config)
    schedule = trapezoid(config.steps)
    arms = {
        name: [
            Trainer(
                case.model(mask, torch.Generator().manual_seed(seed)),
                lambda model, batch: _trained(case, model, batch),
                config.rate,
                clip=1.0,
                schedule=schedule,
            )
            for seed in config.repetitions
        ]
        for name, mask in ARMS.items()
    }
    batch = case.held_out(HELD_OUT, torch.Generator().manual_seed(config.seed + 10_000))
    every = pace(config.steps, STEP_COST * len(arms) * config.seeds * config.layers * config.width * config.length)
    measured: list[tuple[int, np.ndarray]] = []
    pictures: list[Signal] = []
    for progress in race(
        arms,
        lambda generator: case.task.batch(BATCH, generator),
        steps=config.steps,
        every=every,
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        if progress.step >= len(measured) * config.steps / MEASURES or progress.step == config.steps:
            measured.append((progress.step, _measure(case, arms, batch)))
            pictures = [*_curves(config, case, arms, measured), *_pictures(case, arms, batch)]
        yield Run(
            config,
            progress.step,
            [progress.loss, *pictures],
            {
                "baseline": case.task.baseline,
                "floor": case.task.floor,
                "measured": measured[-1][0],
                "event": events(arms),
            },
        )


def _trained(case: Case, model: nn.Module, batch: Batch) -> Tensor:
    """The loss that training sees: all positions of a row at once."""
    logits = case.decoder(model)(case.shown(batch), case.memory(model, batch))
    return case.task.loss(logits[:, case.task.at], batch)


def _honest(case: Case, model: nn.Module, batch: Batch) -> Tensor:
    """The loss where every symbol is guessed from the symbols before it, and nothing else is there."""
    decoder, memory, tokens = case.decoder(model), case.memory(model, batch), case.shown(batch)
    prefixes = range(1, tokens.shape[1] + 1)[case.task.at]
    return case.task.loss(torch.stack([decoder(tokens[:, :t], memory)[:, -1] for t in prefixes], 1), batch)


@torch.no_grad()
def _measure(case: Case, arms: dict[str, list[Trainer]], batch: Batch) -> np.ndarray:
    """(what, arm, seed): trained loss, honest loss, and the share of rows written without a mistake."""
    numbers = [
        [
            (_trained(case, model, batch), _honest(case, model, batch), _exact(case, model, batch))
            for model in (trainer.model for trainer in trainers)
        ]
        for trainers in arms.values()
    ]
    return np.moveaxis(np.array(numbers, dtype=float), 2, 0)


def _exact(case: Case, model: nn.Module, batch: Batch) -> float:
    """The share of rows that it writes right, alone; NaN for a source, which may go on in more than one way."""
    if isinstance(case, Continuing):
        return math.nan
    written, _ = _write(case, model, batch)
    return exact_match(written.tokens, batch.y)


def _curves(config: Config, case: Case, arms: dict, measured: list[tuple[int, np.ndarray]]) -> list[Signal]:
    steps, numbers = zip(*measured)
    ticks = {"arm": tuple(arms), "seed": tuple(config.repetitions), "step": steps}
    values = np.stack(numbers, axis=-1)
    names = ("trained", "honest") if isinstance(case, Continuing) else ("trained", "honest", "right")
    return [Signal(name, ("arm", "seed", "step"), curve, ticks) for name, curve in zip(names, values)]


@torch.no_grad()
def _pictures(case: Case, arms: dict[str, list[Trainer]], batch: Batch) -> list[Signal]:
    """Of the first seed: where each arm looks in the first row, and all its weights."""
    models = [trainers[0].model for trainers in arms.values()]
    row = Batch(batch.x[:1], batch.y[:1])
    tokens = case.shown(row)
    maps = [case.decoder(model).trace(tokens, case.memory(model, row))[1][-1].attention.weights[0] for model in models]
    names = tuple(case.task.vocabulary[token] for token in tokens[0].tolist())
    packed = [nn.utils.parameters_to_vector(model.parameters()).half() for model in models]
    return [
        Signal(
            "weights",
            ("arm", "head", "query", "key"),
            torch.stack(maps).numpy(),
            {"arm": tuple(arms), "query": names, "key": names},
        ),
        Signal("parameters", ("arm", "parameter"), torch.stack(packed).numpy(), {"arm": tuple(arms)}),
    ]


# --- writing --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def write(run: Run, arm: str, temperature: float | None = None, draw: int = 0) -> Run:
    """What one arm of a moment of `run` writes, symbol by symbol, by the weights that the moment carries.

    temperature  None for the likeliest symbol each time, otherwise one is drawn; draw  the seed to draw from

    Signals: taken (line, time, symbol): the distribution each symbol was taken from, beside the truth: the source's own
    distribution after these very symbols, or 1 on the right digit.
    facts: prompt, text, and for reversed digits wanted; cache, the largest difference to probabilities that were computed
    anew (None without a mask: there is no cache then, since every new symbol changes the old states).
    """
    settle()
    config = run.config
    case = CASES[config.task](config)
    model = case.model(ARMS[arm], torch.Generator())
    packed = torch.from_numpy(np.array(run["parameters"].pick(arm=arm).values, dtype=np.float32))
    nn.utils.vector_to_parameters(packed, model.parameters())
    batch = case.held_out(1, torch.Generator().manual_seed(config.seed + 10_000))
    written, row = _write(case, model, batch, temperature, torch.Generator().manual_seed(draw))
    steps = written.tokens.shape[1]
    values = np.stack([written.probabilities[0].numpy(), case.truth(batch, row[0])])
    ticks = {
        "line": (arm, "truth"),
        "time": tuple(range(case.first, case.first + steps)),
        "symbol": case.task.vocabulary,
    }
    facts = {
        "prompt": case.text(batch.x[0] if isinstance(case, Reversing) else row[0, : case.first - 1]),
        "text": case.text(written.tokens[0]),
        "wanted": case.text(batch.y[0]) if isinstance(case, Reversing) else None,
        "cache": _cache_gap(case, model, batch, written, row, temperature) if ARMS[arm] else None,
    }
    return Run(config, run.step, [Signal("taken", ("line", "time", "symbol"), values, ticks)], facts)


def _write(
    case: Case,
    model: nn.Module,
    batch: Batch,
    temperature: float | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Written, Tensor]:
    """What the model writes to each row of the batch, and the prompts with it, (batch, time) symbols."""
    prompt, steps = case.prompt(batch)
    written = extend(case.decoder(model), prompt, None, steps, temperature, generator, case.memory(model, batch))
    return written, torch.cat([prompt, written.tokens], 1)


def _cache_gap(
    case: Case, model: nn.Module, batch: Batch, written: Written, row: Tensor, temperature: float | None = None
) -> float:
    """max |p with kept keys and values - p computed anew from all symbols|."""
    logits = case.decoder(model)(row[:, :-1], case.memory(model, batch))[:, -written.tokens.shape[1] :]
    return float(((logits / (temperature or 1.0)).softmax(-1) - written.probabilities).abs().max())
