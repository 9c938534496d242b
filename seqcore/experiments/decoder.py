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
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import knob, uses
from seqcore.models.attention import causal
from seqcore.models.decoder import Decoder, DecoderLayer
from seqcore.models.transformer import Transformer, Written, extend
from seqcore.probes.agreement import gap
from seqcore.probes.layers import PARTS, rms, through
from seqcore.record import Signal, Snapshot
from seqcore.runs import Run
from seqcore.tasks import Batch, Task
from seqcore.tasks.markov import MarkovSource
from seqcore.tasks.translation import START, Reverse, exact_match, shifted
from seqcore.training import Trainer, configure_thread, trapezoid
from seqcore.weights import pack, unpack

ARMS = {"causal mask": True, "no mask": False}
BATCH, HELD_OUT = 32, 64
SUBLAYERS = ("attention", "cross", "feed-forward")
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
    width: int = knob(32, "Model size d_model", choices=(16, 32, 64), group="Network")
    heads: int = knob(1, "Heads h", choices=(1, 2, 4), group="Network")
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

    task: MarkovSource

    def __init__(self, config: Config):
        self.config = config
        source = stream(config.seed, "weights")
        self.task = MarkovSource.drawn(config.symbols, config.order, config.sharpness, config.length, source)
        self.first = config.order + 1

    def model(self, causal: bool, generator: torch.Generator) -> Decoder:
        c = self.config
        return Decoder(
            c.symbols, c.width, c.heads, 2 * c.width, c.layers, causal=causal, cross=False, generator=generator
        )

    def decoder(self, model: nn.Module) -> Decoder:
        assert isinstance(model, Decoder)
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

    task: Reverse
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
        assert isinstance(model, Transformer)
        return model.decoder

    def memory(self, model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(model, Transformer)
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


CASES: dict[str, Callable[[Config], Case]] = {"Markov source": Continuing, "reverse": Reversing}


# --- before training ------------------------------------------------------------------------------------------------


SOURCE = ("task", "length", "symbols", "order", "sharpness", "seed")
NETWORK = ("width", "heads", "layers")


@uses(*SOURCE, *NETWORK)
@torch.no_grad()
def sight(config: Config) -> Snapshot:
    """What the mask lets through, measured on untrained models of equal weights.

    Signals: visible (query, key); moved (arm, position, changed): log₁₀ of how far an output moves, as a share of its
    length, when one token is changed; NaN where not one bit moves.
    facts: leak and leak_open, the largest such share at places before the change.
    """
    configure_thread()
    case = CASES[config.task](config)
    batch = case.held_out(1, stream(config.seed, "probe"))
    share = np.stack([_moved(case, case.model(mask, stream(config.seed, "weights")), batch) for mask in ARMS.values()])
    leak, leak_open = (float(np.triu(each, 1).max()) for each in share)
    T = share.shape[-1]
    places = range(1, T + 1)
    ticks = {"arm": tuple(ARMS), "position": places, "changed": places}
    decades = np.log10(share, out=np.full_like(share, np.nan), where=share > 0)
    signals = [
        Signal("visible", ("query", "key"), causal(T).numpy(), {"query": places, "key": places}),
        Signal("moved", ("arm", "position", "changed"), decades, ticks),
    ]
    return Snapshot(config, 0, signals, {"leak": leak, "leak_open": leak_open})


@uses(*SOURCE, *NETWORK)
@torch.no_grad()
def sizes(config: Config) -> Snapshot:
    """The decoder with its mask in numbers, and no signals.

    facts: time, source (0 without an encoder) and vocabulary, sizes; parameters; baseline and floor in nats; cache, the
    largest difference between probabilities with kept keys and values and those computed anew; agreement of a decoder layer.
    """
    configure_thread()
    case = CASES[config.task](config)
    batch = case.held_out(1, stream(config.seed, "probe"))
    model = case.model(True, stream(config.seed, "weights"))
    memory, T = case.memory(model, batch), case.shown(batch).shape[1]
    facts = {
        "time": T,
        "source": 0 if memory is None else memory.shape[1],
        "vocabulary": case.task.outputs,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "baseline": case.task.baseline,
        "floor": case.task.floor,
        "cache": _cache_gap(case, model, batch, *_write(case, model, batch)),
        "agreement": _agreement(config, T),
    }
    return Snapshot(config, 0, [], facts)


@uses(*SOURCE, *NETWORK)
@torch.no_grad()
def stages(config: Config) -> Snapshot:
    """Every stage of every layer of the fresh decoder with its mask, for one row.

    Signals: states (layer, stage, position, unit); the stages are "x", then each of SUBLAYERS that there is with each of
    PARTS: "attention before" and so on. weights (layer, query, key) of self-attention, and with an encoder look
    (layer, query, key) of attention on its memory; both the mean over heads.
    facts: tokens, the row as text; source, how many places the memory has, and memory, its root mean square (0 and None
    without an encoder); feedforward, units inside a layer's feed-forward network.
    """
    configure_thread()
    case = CASES[config.task](config)
    batch = case.held_out(1, stream(config.seed, "probe"))
    model = case.model(True, stream(config.seed, "weights"))
    decoder, memory, tokens = case.decoder(model), case.memory(model, batch), case.shown(batch)
    trail = decoder.trace(tokens, memory)[1]
    T = tokens.shape[1]
    states = np.stack([_stages(layer, steps.x, memory) for layer, steps in zip(decoder.layers, trail)])
    places = range(1, T + 1)
    layers = {"layer": range(1, config.layers + 1)}
    names = ("x", *(f"{sub} {part}" for sub in SUBLAYERS if sub != "cross" or memory is not None for part in PARTS))
    signals = [
        Signal("states", ("layer", "stage", "position", "unit"), states, layers | dict(stage=names, position=places))
    ]
    axes = ("layer", "query", "key")
    seen = np.stack([steps.attention.weights[0].mean(0).numpy() for steps in trail])
    signals.append(Signal("weights", axes, seen, layers | dict(query=places, key=places)))
    read = [steps.cross.weights[0].mean(0).numpy() for steps in trail if steps.cross is not None]
    if memory is not None:
        signals.append(
            Signal("look", axes, np.stack(read), layers | dict(query=places, key=range(1, memory.shape[1] + 1)))
        )
    facts = {
        "tokens": tuple(case.task.vocabulary[token] for token in tokens[0].tolist()),
        "source": 0 if memory is None else memory.shape[1],
        "memory": None if memory is None else float(memory.square().mean().sqrt()),
        "feedforward": len(decoder.layers[0].feedforward.b_1),
    }
    return Snapshot(config, 0, signals, facts)


def step(moment: Snapshot, layer: int, position: int) -> Snapshot:
    """One token in one layer, of a moment of `stages`; layer and position count from 1.

    facts: rms, stage -> root mean square of the token's vector; T, S (0 without an encoder), d, heads and feedforward;
    memory; seen and read, (key, weight) of the largest weight of either attention, read is None without an encoder;
    layer, position, token. ValueError for a layer or position that there is not.
    """
    config, states = moment.config, moment["states"].sel(layer=layer, position=position)
    largest = {}
    for name in ("weights", "look"):
        row = moment[name].sel(layer=layer, query=position).values if name in moment else None
        largest[name] = None if row is None else (int(row.argmax()) + 1, float(row.max()))
    facts = {
        "rms": dict(zip(states.ticks["stage"], rms(states.values).tolist())),
        "T": len(moment.facts["tokens"]),
        "S": moment.facts["source"],
        "d": config.width,
        "heads": config.heads,
        "feedforward": moment.facts["feedforward"],
        "memory": moment.facts["memory"],
        "seen": largest["weights"],
        "read": largest["look"],
        "layer": layer,
        "position": position,
        "token": moment.facts["tokens"][position - 1],
    }
    return Snapshot(config, 0, [], facts)


def _stages(layer: DecoderLayer, x: Tensor, memory: Tensor | None) -> np.ndarray:
    """(stage, position, unit): what a layer makes of x (1, time, width)."""
    mask = causal(x.shape[1]) if layer.causal else None
    made = [x, *through(layer.around_attention, lambda x: layer.attention(x, mask=mask), x)]
    if layer.cross is not None and layer.around_cross is not None:
        cross = layer.cross
        made += through(layer.around_cross, lambda x: cross(x, memory), made[-1])
    made += through(layer.around_feedforward, layer.feedforward, made[-1])
    return torch.cat(made).numpy()


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
    generator = stream(config.seed, "weights")
    layer = DecoderLayer(config.width, config.heads, 2 * config.width, generator=generator)
    x, memory = (torch.randn(2, T, config.width, generator=generator) for _ in range(2))
    return gap(layer.trace(x, memory)[0], layer.twin()(x, memory, tgt_mask=~causal(T)))


# --- training -------------------------------------------------------------------------------------------------------


@uses(*SOURCE, *NETWORK, "rate", "steps", "seeds")
def run(config: Config) -> Run:
    """Train with the mask and without, from equal weights, on equal batches.

    Signals: loss, norm (arm, seed, step); trained and honest (arm, seed, step), both on held-out rows, and where an answer is
    right or wrong right (arm, seed, step), the share of held-out rows that it writes without a mistake when it writes alone;
    weights (arm, head, query, key) of the last layer's self-attention for one held-out row; parameters (arm, parameter) of
    the first seed, from which `write` writes.
    facts: baseline, floor, measured (the step of all signals but loss and norm), event.
    """
    case = CASES[config.task](config)
    schedule = trapezoid(config.steps)
    batch = case.held_out(HELD_OUT, stream(config.seed, "probe"))
    numbers: dict[str, Callable[[nn.Module], float]] = {
        "trained": lambda model: float(_trained(case, model, batch)),
        "honest": lambda model: float(_honest(case, model, batch)),
    }
    if isinstance(case, Reversing):
        numbers["right"] = lambda model: exact_match(_write(case, model, batch)[0].tokens, batch.y)

    def trainer(seed: int, mask: bool) -> Trainer:
        model = case.model(mask, stream(seed, "weights"))
        return Trainer(model, partial(_trained, case), config.rate, clip=1.0, schedule=schedule)

    @torch.no_grad()
    def look(arms: Arms) -> list[Signal]:
        curves = [Signal(name, ("arm", "seed"), arms.each(of), arms.ticks) for name, of in numbers.items()]
        return [*curves, _maps(case, arms.first, batch), pack(arms.first)]

    return train(
        config,
        {name: partial(trainer, mask=mask) for name, mask in ARMS.items()},
        lambda seed, generator: case.task.batch(BATCH, generator),
        load=STEP_COST * config.layers * config.width * config.length,
        measures=[Measure(look, series=tuple(numbers), times=MEASURES)],
        facts=lambda moment: {
            "baseline": case.task.baseline,
            "floor": case.task.floor,
            "measured": moment["honest"].ticks["step"][-1],
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


def _maps(case: Case, models: dict[str, nn.Module], batch: Batch) -> Signal:
    """Where each model looks in the first row."""
    row = Batch(batch.x[:1], batch.y[:1])
    tokens = case.shown(row)
    traces = [case.decoder(model).trace(tokens, case.memory(model, row))[1] for model in models.values()]
    maps = [trail[-1].attention.weights[0] for trail in traces]
    names = tuple(case.task.vocabulary[token] for token in tokens[0].tolist())
    ticks = {"arm": tuple(models), "query": names, "key": names}
    return Signal("weights", ("arm", "head", "query", "key"), torch.stack(maps).numpy(), ticks)


# --- writing --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def write(moment: Snapshot, arm: str, temperature: float | None = None, draw: int = 0) -> Snapshot:
    """What one arm writes, symbol by symbol, by the weights that a moment of `run` carries: the newest one.

    temperature  None for the likeliest symbol each time, otherwise one is drawn; draw  the seed to draw from

    Signals: taken (line, time, symbol): the distribution each symbol was taken from, beside the truth: the source's own
    distribution after these very symbols, or 1 on the right digit.
    facts: prompt, text, and for reversed digits wanted; cache, the largest difference to probabilities that were computed
    anew (None without a mask: there is no cache then, since every new symbol changes the old states).
    Raises ValueError for a moment without weights.
    """
    configure_thread()
    config = moment.config
    case = CASES[config.task](config)
    model = unpack(moment, arm, case.model(ARMS[arm], torch.Generator()))
    batch = case.held_out(1, stream(config.seed, "probe"))
    written, row = _write(case, model, batch, temperature, torch.Generator().manual_seed(draw))
    steps = written.tokens.shape[1]
    values = np.stack([written.probabilities[0].numpy(), case.truth(batch, row[0])])
    ticks = {
        "line": (arm, "truth"),
        "time": range(case.first, case.first + steps),
        "symbol": case.task.vocabulary,
    }
    facts = {
        "prompt": case.text(batch.x[0] if isinstance(case, Reversing) else row[0, : case.first - 1]),
        "text": case.text(written.tokens[0]),
        "wanted": case.text(batch.y[0]) if isinstance(case, Reversing) else None,
        "cache": _cache_gap(case, model, batch, written, row, temperature) if ARMS[arm] else None,
    }
    return Snapshot(config, moment.step, [Signal("taken", ("line", "time", "symbol"), values, ticks)], facts)


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
    return gap((logits / (temperature or 1.0)).softmax(-1), written.probabilities)
