"""The chain rule on a text: what counting and a trained state say of one sentence, and what padding must not do.

    P(x_1 .. x_T) = Π_t P(x_t | x_1 .. x_{t-1})

`factors` and `orders` need no training: models that count, told apart by how much of the past they look at. `padding`
is a batch of phrases of different length. `run` trains a latent model, which sums the whole past up in a state, beside
a window model that sees the last τ characters, on the same batches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from seqcore import knobs
from seqcore.engine import Arms, Measure, stream, train
from seqcore.knobs import TEXT_LIMIT, knob, shorten, uses
from seqcore.models import GRU, LSTM, RNN, Autoregressive, CountModel, Counts, Latent, chain
from seqcore.probes.held_out import lowest
from seqcore.record import Signal, Snapshot
from seqcore.runs import Facts, Run
from seqcore.tasks import Batch, Task
from seqcore.tasks.story import STORY
from seqcore.tasks.text import Phrases, Text, read, readable, split, visible
from seqcore.training import Trainer, configure_thread

CELLS = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
WINDOW = "window τ"
LONGEST = 8  # characters: the longest context that is counted, besides the whole past
PHRASES, PHRASE = 8, 48  # rows of the padded batch, and characters kept of each
# columns of padding beyond the longest phrase; one makes sure that every phrase ends in ∅
EXTRA = (1, *range(5, 61, 5))
WRITTEN = 60  # characters that the latent model writes at every moment

own_text = functools.partial(read, longest=TEXT_LIMIT)


@dataclass(frozen=True)
class Config(knobs.Repeated):
    sentence: str = knobs.sentence("Letters that the text does not have are left out.")
    order: int = knob(
        3, "Order τ", 1, LONGEST, group="Data", help="How many characters back the τ-th order model looks."
    )
    smoothing: float = knob(
        0.1,
        "Smoothing α",
        0.0,
        1.0,
        step=0.01,
        group="Data",
        help="Added to every count. At 0, what was never seen is impossible.",
    )
    unseen: str = knob(
        "uniform",
        "After a context never seen",
        choices=("uniform", "shorter"),
        group="Data",
        help="Every character alike, or back off to a shorter context that was seen. Orders τ and below only.",
    )
    text: str = knob(STORY, "Text to learn from", group="Data", help="The first 85 % are learned from.")
    cell: str = knob("LSTM", "Latent model", choices=CELLS, group="Network")
    hidden: int = knob(64, "Hidden size H", 4, 128, group="Network")
    embedding: int = knob(16, "Embedding size E", 2, 32, group="Network")
    length: int = knob(32, "Sequence length T", 8, 64, group="Training", help="Characters in a window.")
    batch: int = knob(16, "Windows in a batch B", 2, 32, group="Training")
    rate: float = knob(0.01, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    clip: float = knob(1.0, "Clip the gradient norm at", 0.0, 10.0, step=0.1, group="Training", help="0 is off.")
    steps: int = knob(300, "Training steps", 50, 1000, step=50, group="Training")

    @property
    def corpus(self) -> str:
        """The text as it is learned: one line of composed characters."""
        return read(self.text)

    @property
    def letters(self) -> str:
        """What of the sentence the text has letters for."""
        return readable(self.sentence, self.corpus)

    def check(self) -> None:
        alphabet = Text(self.corpus, self.length, self.order).vocabulary
        Phrases(self.corpus, PHRASE)
        if len(self.letters) < 2:
            raise ValueError(
                f"sentence = {shorten(self.sentence)} has fewer than 2 of the {len(alphabet)} characters of the text, "
                f"which are {''.join(alphabet).strip()} and the space"
            )


# --- counting -------------------------------------------------------------------------------------------------------


@uses("sentence", "order", "smoothing", "unseen", "text")
def factors(config: Config) -> Snapshot:
    """The sentence, factor by factor. Signals: next, sofar (model, time) P(x_t | past) and its running product.

    facts: for each model its perplexity on the sentence by its name; product and log_sum of order τ.
    """
    models = {name: model.given(config.letters) for name, model in _counted(config).items()}
    chained = chain(models["order τ"])
    facts = {name: chain(given).perplexity for name, given in models.items()}
    facts |= {"product": chained.product, "log_sum": chained.log_sum}
    return Snapshot(config, 0, _sentence(config.letters, models), facts)


@uses("order", "smoothing", "unseen", "text")
def orders(config: Config) -> Snapshot:
    """Why the whole past teaches nothing, and that there is a best order.

    Signals: perplexity (line, order) of the text by counting; collapse (line, context) shares of contexts.
    facts: distinct and predictions, of the whole past; contexts of each length; best_order and best; references,
    perplexities to beat by name.
    """
    models, (train, held_out) = _counted(config), split(config.corpus)
    whole, windows = models["full history"].counts, models["order τ"].counts
    asked = slice(config.order, None)  # the same characters for every order
    counted = [CountModel(windows, order, config.smoothing, config.unseen) for order in range(LONGEST + 1)]
    perplexity = np.array([[chain(m.given(part)[asked]).perplexity for m in counted] for part in (train, held_out)])
    collapse = windows.collapse([held_out])
    best = int(np.argmin(perplexity[1]))
    references = {"counting, order 1": perplexity[1, 1], f"best of counting: order {best}": perplexity[1, best]}
    signals = [
        Signal("perplexity", ("line", "order"), perplexity, {"line": ("text it has read", "held-out text")}),
        Signal(
            "collapse",
            ("line", "context"),
            [collapse.once, collapse.unseen, collapse.impossible],
            {"line": ("seen once", "unseen", "impossible")},
        ),
    ]
    facts = {
        # the empty past is the same for every text: it is no history
        "distinct": int(whole.collapse([]).distinct[1:].sum()),
        "predictions": len(train) - 1,
        "contexts": tuple(collapse.distinct.tolist()),
        "best_order": best,
        "best": float(perplexity[1, best]),
        # without smoothing a model may find the text impossible: that is no reference
        "references": {name: float(value) for name, value in references.items() if np.isfinite(value)},
    }
    return Snapshot(config, 0, signals, facts)


def _counted(config: Config) -> dict[str, CountModel]:
    """The models that count the training part, by how much of the past they look at."""
    corpus = config.corpus
    train, alphabet = split(corpus)[0], sorted(set(corpus))
    windows = Counts([train], alphabet, LONGEST)
    return {
        "full history": CountModel(Counts([train], alphabet, None), None, config.smoothing),
        "order τ": CountModel(windows, config.order, config.smoothing, config.unseen),
        "order 1": CountModel(windows, 1, config.smoothing, config.unseen),
    }


def _sentence(sentence: str, given: Mapping[str, np.ndarray]) -> list[Signal]:
    """P(x_t | past) and the product so far, of every model."""
    probabilities, models = np.stack(list(given.values())), {"model": tuple(given)}
    letters, places = tuple(visible(sentence)), range(1, len(sentence) + 1)
    return [
        Signal("next", ("model", "time"), probabilities, models | {"time": letters}),
        Signal("sofar", ("model", "time"), probabilities.cumprod(axis=1), models | {"time": places}),
    ]


# --- padding --------------------------------------------------------------------------------------------------------


@uses("text", "cell", "hidden", "embedding", "seed")
def padding(config: Config) -> Snapshot:
    """A batch of phrases of different length, shortest first.

    Signals: mask (row, time); told (line, extra), the perplexity of the batch with its padding counted or left out.
    facts: rows, the batch as text; padded, its share of padding; those of `_differences`.
    """
    configure_thread()
    task = Phrases(config.corpus, PHRASE)
    drawn = task.batch(PHRASES, torch.Generator().manual_seed(config.seed))
    lengths = _lengths(task, drawn)
    order = lengths.argsort(stable=True)
    batch = Batch(drawn.x[order], drawn.y[order], lengths[order])
    mask = task.mask(batch).numpy().astype(float)
    width, pad = batch.x.shape[1] + 1, task.vocabulary[task.pad]
    facts = {"rows": "\n".join(visible(row).ljust(width, pad) for row in _rows(task, batch)), "padded": 1 - mask.mean()}
    signals = [Signal("mask", ("row", "time"), mask), _told(task, batch)]
    return Snapshot(config, 0, signals, facts | _differences(config, task, batch))


def _told(task: Phrases, batch: Batch) -> Signal:
    """What a model of order 1 that has counted the rows is told it costs on them.

    Averaged over the characters this is the same for every width of the batch. Averaged over all cells it
    falls with every column of padding, since what follows ∅ is known: ∅.
    """
    rows, told = _rows(task, batch), []
    for extra in EXTRA:
        wide = [row.ljust(batch.x.shape[1] + 1 + extra, task.vocabulary[task.pad]) for row in rows]
        model = CountModel(Counts(wide, task.vocabulary, 1), 1)
        # as for a network, the first character is only a context
        given = [model.given(row)[1:] for row in wide]
        characters = np.concatenate([each[: len(row) - 1] for each, row in zip(given, rows)])
        told.append([chain(np.concatenate(given)).perplexity, chain(characters).perplexity])
    lines = ("padding counted", "padding left out")
    return Signal("told", ("line", "extra"), np.transpose(told), {"line": lines, "extra": EXTRA})


def _differences(config: Config, task: Phrases, batch: Batch) -> dict[str, float]:
    """An untrained latent model reads the phrases one by one, without any padding, and as a padded batch.

    loss_gap          |difference| of the losses, with the padding left out
    gradient_gap      ‖g - g₀‖ / ‖g₀‖ of the gradients then
    gradient_counted  the same where the loss counts the padding
    In float64, so that what is left is rounding.
    """
    model, lengths = _latent(config, task.inputs, config.seed).double(), _lengths(task, batch)
    alone = [
        task.loss(model(batch.x[i : i + 1, :n]), Batch(batch.x[i : i + 1, :n], batch.y[i : i + 1, :n])) * n
        for i, n in enumerate(lengths.tolist())
    ]
    loss = torch.stack(alone).sum() / lengths.sum()
    outputs = model(batch.x, lengths=lengths)
    masked, counted = task.loss(outputs, batch), Task.loss(task, outputs, batch)
    g, g_masked, g_counted = (_gradient(each, model) for each in (loss, masked, counted))
    return {
        "loss_gap": abs(masked.item() - loss.item()),
        "gradient_gap": float((g_masked - g).norm() / g.norm()),
        "gradient_counted": float((g_counted - g).norm() / g.norm()),
    }


def _rows(task: Phrases, batch: Batch) -> list[str]:
    """The phrases of a batch, each at its own length."""
    rows, lengths = torch.cat([batch.x[:, :1], batch.y], dim=1), _lengths(task, batch)
    return ["".join(task.vocabulary[v] for v in row[: n + 1]) for row, n in zip(rows.tolist(), lengths.tolist())]


def _lengths(task: Phrases, batch: Batch) -> Tensor:
    """(batch,) how many answers each row has."""
    return task.mask(batch).sum(1)


def _gradient(loss: Tensor, model: nn.Module) -> Tensor:
    parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in parts])


# --- training -------------------------------------------------------------------------------------------------------


def run(config: Config) -> Run:
    """Train the latent model and the window model.

    Signals: loss, norm (arm, seed, step); perplexity (arm, seed, step) of the held-out text, best (arm, step) its lowest
    so far, the median over seeds; next, sofar (model, time) as in `factors`, with the latent model of the first seed.
    facts: baseline, event; best and best_at (its step) of the latent model; written, a text of its own; sentence, its
    perplexity on the sentence.
    """
    task = Text(config.corpus, config.length, config.order)
    models = _counted(config)
    counted = {name: model.given(config.letters) for name, model in models.items()}
    first = CountModel(models["order τ"].counts, 0).given(config.letters[:1])
    best = np.full(2, np.nan)

    def trainer(model: nn.Module) -> Trainer:
        return Trainer(
            model, lambda m, batch: task.loss(_answers(m, task, batch.x), batch), config.rate, clip=config.clip
        )

    def held_out(arms: Arms) -> Iterator[Signal]:
        perplexity = np.array([[_perplexity(trainer, task) for trainer in row] for row in arms.values()])
        np.fmin(best, np.median(perplexity, axis=1), out=best)
        yield Signal("perplexity", ("arm", "seed"), perplexity, arms.ticks)
        yield Signal("best", ("arm",), best, {"arm": tuple(arms)})

    def on_sentence(arms: Arms) -> Iterator[Signal | Facts]:
        latent = arms.first[config.cell]
        given = np.concatenate([first, _given(latent, task.encode(config.letters))])
        yield from _sentence(config.letters, {**counted, config.cell: given})
        yield {"sentence": chain(given).perplexity, "written": _write(latent, task, config.seed)}

    def facts(moment: Snapshot) -> Facts:
        low = lowest(moment["perplexity"].sel(arm=config.cell))
        return {"baseline": task.baseline, "best": low.value, "best_at": low.step}

    return train(
        config,
        {
            WINDOW: lambda seed: trainer(_window(config, task.inputs, seed)),
            config.cell: lambda seed: trainer(_latent(config, task.inputs, seed)),
        },
        lambda seed, generator: task.batch(config.batch, generator),
        load=config.length,
        moments=100,
        measures=[Measure(held_out, series=("perplexity", "best")), Measure(on_sentence)],
        facts=facts,
    )


def _latent(config: Config, vocabulary: int, seed: int) -> Latent:
    generator = stream(seed, "weights")
    cell = CELLS[config.cell](config.embedding, config.hidden, generator=generator)
    return Latent(cell, vocabulary, config.embedding, generator)


def _window(config: Config, vocabulary: int, seed: int) -> Autoregressive:
    return Autoregressive(config.order, config.hidden, vocabulary, config.embedding, stream(seed, "weights"))


def _answers(model: nn.Module, task: Text, x: Tensor) -> Tensor:
    """The logits of every character that has τ characters before it: (batch, answers, vocabulary)."""
    return model(x, at=task.at) if isinstance(model, Latent) else model(x)


@torch.no_grad()
def _perplexity(trainer: Trainer, task: Text) -> float:
    """Of the held-out text; NaN once the model has diverged."""
    if trainer.diverged is not None:
        return math.nan
    return float(task.loss(_answers(trainer.model, task, task.held_out.x), task.held_out).double().exp())


@torch.no_grad()
def _given(model: Latent, symbols: Tensor) -> np.ndarray:
    """P(x_t | x_1 .. x_{t-1}) of every symbol but the first: (time - 1,)."""
    logits = model(symbols[None, :-1])[0].double()
    return logits.softmax(-1).gather(1, symbols[1:, None])[:, 0].numpy()


def _write(model: Latent, task: Text, seed: int) -> str:
    """A text of the model's own, from the first character of the training part on; the same dice at every moment."""
    start = task.train.x[:, :1]
    return task.decode([int(start), *model.sample(start, WRITTEN, torch.Generator().manual_seed(seed))[0].tolist()])
