"""The chain rule on a text: what counting and a trained state say of one sentence, and what padding must not do.

    P(x_1 .. x_T) = Π_t P(x_t | x_1 .. x_{t-1})

`before(config)` needs no training: models that count, told apart by how much of the past they look at, and
a batch of phrases of different length. `run(config)` trains a latent model, which sums the whole past up in
a state, beside a window model that sees the last τ characters, on the same batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from seqcore import knobs
from seqcore.knobs import knob, shorten
from seqcore.models.autoregressive import Autoregressive
from seqcore.models.counts import CountModel, Counts, chain
from seqcore.models.gru import GRU
from seqcore.models.latent import Latent
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN
from seqcore.record import Run, Signal
from seqcore.tasks import Batch, Task
from seqcore.tasks.story import STORY
from seqcore.tasks.text import Phrases, Text, read, split
from seqcore.training import Trainer, events, pace, race, settle

CELLS = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
LONGEST = 8  # characters: the longest context that is counted, besides the whole past
LONGEST_SENTENCE = 48  # characters, so that each has its bar
PHRASES, PHRASE = 8, 48  # rows of the padded batch, and characters kept of each
EXTRA = (
    1,
    *range(5, 61, 5),
)  # columns of padding beyond the longest phrase; one makes sure that every phrase ends in ∅
WRITTEN = 60  # characters that the latent model writes at every moment
SPACE = "␣"


@dataclass(frozen=True)
class Config(knobs.Repeated):
    sentence: str = knob("the miller met her on the bridge", "Sentence", high=LONGEST_SENTENCE, group="Data")
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
    length: int = knob(32, "Characters in a window T", 8, 64, group="Training")
    batch: int = knob(16, "Windows in a batch B", 2, 32, group="Training")
    rate: float = knob(0.01, "Learning rate", 1e-4, 0.1, scale="log", group="Training")
    clip: float = knob(1.0, "Clip the gradient norm at", 0.0, 10.0, step=0.1, group="Training", help="0 is off.")
    steps: int = knob(300, "Training steps", 50, 1000, step=50, group="Training")

    @property
    def corpus(self) -> str:
        """The text as it is learned: one line of composed characters."""
        return read(self.text)

    def check(self) -> None:
        alphabet = Text(self.corpus, self.length, self.order).vocabulary
        Phrases(self.corpus, PHRASE)
        if len(self.sentence) < 2:
            raise ValueError(f"sentence = {self.sentence!r} has fewer than 2 characters")
        for character in self.sentence:
            if character not in alphabet:
                raise ValueError(
                    f"sentence = {shorten(self.sentence)}: {character!r} is not one of the {len(alphabet)} characters "
                    f"of the text, which are {''.join(alphabet).strip()} and the space"
                )


def fit(raw: bytes) -> str:
    """A reader's file as a text for the knob. Raises ValueError as `read`, and where it is longer than the knob allows."""
    text, limit = read(raw), int(Config.knobs()["text"].high)
    if len(text) > limit:
        raise ValueError(f"text has length {len(text):,}, more than {limit:,} characters")
    return text


def before(config: Config) -> Run:
    """The instant picture.

    Signals: next, sofar (model, time) P(x_t | past) of the sentence and its running product; perplexity (line, order) of
    the text by counting; collapse (line, context) shares of contexts; mask (row, time) and told (line, extra), the perplexity
    of a padded batch with its padding counted or left out.
    facts: for each model its perplexity on the sentence by its name; product and log_sum of order τ; alphabet; distinct
    and predictions, of the whole past; contexts of each length; best_order and best; references, perplexities to beat by
    name; rows, the padded batch as text; padded, its share of padding; the three of `_padding`.
    """
    settle()
    train, held_out = split(config.corpus)
    models = _counted(config, train)
    given = np.stack([model.given(config.sentence) for model in models.values()])
    whole, windows = (models[name].counts for name in ("full history", "order τ"))
    asked = slice(config.order, None)  # the same characters for every order
    orders = [CountModel(windows, order, config.smoothing, config.unseen) for order in range(LONGEST + 1)]
    perplexity = np.array([[chain(m.given(part)[asked]).perplexity for m in orders] for part in (train, held_out)])
    collapse = windows.collapse([held_out])
    best = int(np.argmin(perplexity[1]))
    chained = chain(given[list(models).index("order τ")])
    signals = [
        *_sentence(config.sentence, dict(zip(models, given))),
        Signal("perplexity", ("line", "order"), perplexity, {"line": ("text it has read", "held-out text")}),
        Signal(
            "collapse",
            ("line", "context"),
            [collapse.once, collapse.unseen, collapse.impossible],
            {"line": ("seen once", "unseen", "impossible")},
        ),
        *_padded(config),
    ]
    facts = {
        **{name: chain(row).perplexity for name, row in zip(models, given)},
        "alphabet": "".join(windows.vocabulary),
        "product": chained.product,
        "log_sum": chained.log_sum,
        # the empty past is the same for every text: it is no history
        "distinct": int(whole.collapse([]).distinct[1:].sum()),
        "predictions": len(train) - 1,
        "contexts": tuple(collapse.distinct.tolist()),
        "best_order": best,
        "best": float(perplexity[1, best]),
        # without smoothing a model may find the text impossible: that is no reference
        "references": {
            name: float(value)
            for name, value in [
                ("counting, order 1", perplexity[1, 1]),
                (f"best of counting: order {best}", perplexity[1, best]),
            ]
            if np.isfinite(value)
        },
        **_padding(config),
    }
    return Run(config, 0, signals, facts)


def run(config: Config) -> Iterator[Run]:
    """Train the latent model and the window model.

    Signals: loss, norm (arm, seed, step); perplexity (arm, seed, step) of the held-out text, best (arm, step) its lowest
    so far, the median over seeds; next, sofar (model, time) as in `before`, with the latent model of the first seed.
    facts: baseline, event; best and best_at (its step) of the latent model; written, a text of its own; sentence, its
    perplexity on the sentence.
    """
    settle()
    task = Text(config.corpus, config.length, config.order)
    train, _ = split(config.corpus)
    models = _counted(config, train)
    count = {name: model.given(config.sentence) for name, model in models.items()}
    first = CountModel(models["order τ"].counts, 0).given(config.sentence[:1])
    arms = {
        "window τ": [_trainer(config, task, _window(config, task, seed)) for seed in config.repetitions],
        config.cell: [_trainer(config, task, _latent(config, task.inputs, seed)) for seed in config.repetitions],
    }
    latent = arms[config.cell][0].model
    every = pace(config.steps, 2 * config.seeds * config.length, moments=100)
    held: list[np.ndarray] = []
    for progress in race(
        arms,
        lambda generator: task.batch(config.batch, generator),
        steps=config.steps,
        every=every,
        seeds=[seed + 1_000 for seed in config.repetitions],
    ):
        held.append(np.array([[_held_out(trainer, task) for trainer in row] for row in arms.values()]))
        perplexity = np.stack(held, axis=-1)
        best = np.median(np.fmin.accumulate(perplexity, axis=-1), axis=1)
        given = np.concatenate([first, _given(latent, task.encode(config.sentence))])
        ticks = progress.loss.ticks
        yield Run(
            config,
            progress.step,
            [
                progress.loss,
                progress.norm,
                Signal("perplexity", progress.loss.axes, perplexity, ticks),
                Signal("best", ("arm", "step"), best, {"arm": ticks["arm"], "step": ticks["step"]}),
                *_sentence(config.sentence, {**count, config.cell: given}),
            ],
            {
                "baseline": task.baseline,
                "event": events(arms),
                "best": float(best[-1, -1]),
                "best_at": int(ticks["step"][np.argmax(best[-1] == best[-1, -1])]),
                "sentence": chain(given).perplexity,
                "written": _write(latent, task, config.seed),
            },
        )


# --- the sentence ---------------------------------------------------------------------------------------------------


def _counted(config: Config, train: str) -> dict[str, CountModel]:
    """The models that count, by how much of the past they look at."""
    alphabet = sorted(set(config.corpus))
    windows = Counts([train], alphabet, LONGEST)
    return {
        "full history": CountModel(Counts([train], alphabet, None), None, config.smoothing),
        "order τ": CountModel(windows, config.order, config.smoothing, config.unseen),
        "order 1": CountModel(windows, 1, config.smoothing, config.unseen),
    }


def _sentence(sentence: str, given: Mapping[str, np.ndarray]) -> list[Signal]:
    """P(x_t | past) and the product so far, of every model."""
    probabilities, names = np.stack(list(given.values())), tuple(given)
    letters = tuple(sentence.replace(" ", SPACE))
    return [
        Signal("next", ("model", "time"), probabilities, {"model": names, "time": letters}),
        Signal(
            "sofar",
            ("model", "time"),
            probabilities.cumprod(axis=1),
            {"model": names, "time": tuple(range(1, len(sentence) + 1))},
        ),
    ]


# --- padding --------------------------------------------------------------------------------------------------------


def _drawn(config: Config) -> tuple[Phrases, Batch]:
    """A batch of phrases, shortest first."""
    task = Phrases(config.corpus, PHRASE)
    batch = task.batch(PHRASES, torch.Generator().manual_seed(config.seed))
    order = batch.lengths.argsort(stable=True)
    return task, Batch(*(part[order] for part in batch))


def _padded(config: Config) -> list[Signal]:
    """The mask of the batch, and what a model of order 1 that has counted its rows is told it costs on them.

    Averaged over the characters this is the same for every width of the batch. Averaged over all cells it
    falls with every column of padding, since what follows ∅ is known: ∅.
    """
    task, batch = _drawn(config)
    rows, told = _rows(task, batch), []
    for extra in EXTRA:
        wide = [row.ljust(batch.x.shape[1] + 1 + extra, task.vocabulary[task.pad]) for row in rows]
        model = CountModel(Counts(wide, task.vocabulary, 1), 1)
        # as for a network, the first character is only a context
        given = [model.given(row)[1:] for row in wide]
        characters = np.concatenate([each[: len(row) - 1] for each, row in zip(given, rows)])
        told.append([chain(np.concatenate(given)).perplexity, chain(characters).perplexity])
    return [
        Signal("mask", ("row", "time"), task.mask(batch).numpy().astype(float)),
        Signal(
            "told",
            ("line", "extra"),
            np.transpose(told),
            {"line": ("padding counted", "padding left out"), "extra": EXTRA},
        ),
    ]


def _padding(config: Config) -> dict[str, float | str]:
    """An untrained latent model reads the phrases one by one, without any padding, and as a padded batch.

    loss_gap          |difference| of the losses, with the padding left out
    gradient_gap      ‖g - g₀‖ / ‖g₀‖ of the gradients then
    gradient_counted  the same where the loss counts the padding
    In float64, so that what is left is rounding.
    """
    task, batch = _drawn(config)
    model = _latent(config, task.inputs, config.seed).double()
    alone = [
        task.loss(model(batch.x[i : i + 1, :n]), Batch(batch.x[i : i + 1, :n], batch.y[i : i + 1, :n])) * n
        for i, n in enumerate(batch.lengths.tolist())
    ]
    loss = sum(alone) / batch.lengths.sum()
    outputs = model(batch.x, lengths=batch.lengths)
    masked, counted = task.loss(outputs, batch), Task.loss(task, outputs, batch)
    g, g_masked, g_counted = (_gradient(each, model) for each in (loss, masked, counted))
    width = batch.x.shape[1] + 1
    return {
        "rows": "\n".join(
            row.replace(" ", SPACE).ljust(width, task.vocabulary[task.pad]) for row in _rows(task, batch)
        ),
        "padded": 1 - float(task.mask(batch).double().mean()),
        "loss_gap": abs(masked.item() - loss.item()),
        "gradient_gap": float((g_masked - g).norm() / g.norm()),
        "gradient_counted": float((g_counted - g).norm() / g.norm()),
    }


def _rows(task: Phrases, batch: Batch) -> list[str]:
    """The phrases of a batch, each at its own length."""
    rows = torch.cat([batch.x[:, :1], batch.y], dim=1)
    return ["".join(task.vocabulary[v] for v in row[: n + 1]) for row, n in zip(rows.tolist(), batch.lengths.tolist())]


def _gradient(loss: Tensor, model: nn.Module) -> Tensor:
    return torch.cat(
        [each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)]
    )


# --- the trained models ---------------------------------------------------------------------------------------------


def _latent(config: Config, vocabulary: int, seed: int) -> Latent:
    generator = torch.Generator().manual_seed(seed)
    cell = CELLS[config.cell](config.embedding, config.hidden, generator=generator)
    return Latent(cell, vocabulary, config.embedding, generator)


def _window(config: Config, task: Text, seed: int) -> Autoregressive:
    generator = torch.Generator().manual_seed(seed)
    return Autoregressive(config.order, config.hidden, task.inputs, config.embedding, generator)


def _answers(model: nn.Module, task: Text, x: Tensor) -> Tensor:
    """The logits of every character that has τ characters before it: (batch, answers, vocabulary)."""
    return model(x, at=task.at) if isinstance(model, Latent) else model(x)


def _trainer(config: Config, task: Text, model: nn.Module) -> Trainer:
    return Trainer(
        model, lambda model, batch: task.loss(_answers(model, task, batch.x), batch), config.rate, clip=config.clip
    )


@torch.no_grad()
def _held_out(trainer: Trainer, task: Text) -> float:
    """Perplexity of the held-out text; NaN once the model has diverged."""
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
    generator = torch.Generator().manual_seed(seed)
    start = task.train.x[:, :1]
    return task.decode([start.item(), *model.sample(start, WRITTEN, generator)[0].tolist()])
