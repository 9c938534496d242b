"""Recurrent kernels against torch.nn: forward and backward, float32, one thread, batch 32, 8 inputs.

Both sides have the same weights and inputs, a gradient for every output, and gradients wanted for the weights.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import torch
from torch import nn

from bench import compare
from seqcore.models.gru import GRU
from seqcore.models.lstm import LSTM
from seqcore.models.rnn import RNN

TIMES = 20, 50, 100, 200, 400
HIDDEN = 16, 32, 64
BATCH, INPUTS = 32, 8


def report() -> Iterator[str]:
    """A row a size: milliseconds of torch.nn, and how many times faster ours is. The last rows are over all sizes."""
    models = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}
    ratios = {name: [] for name in models}
    yield "| time | hidden |" + "".join(f" nn.{name} ms | ours |" for name in models)
    yield "|---|---|" + "---|---|" * len(models)
    for T in TIMES:
        for H in HIDDEN:
            cells = []
            for name, model in models.items():
                pair = compare(*both(model, T, H))
                ratios[name].append(pair.ratio)
                cells.append(f" {pair.theirs * 1e3:.2f} | {pair.ratio:.2f}x |")
            yield f"| {T} | {H} |" + "".join(cells)
    for word, over in {"median": statistics.median, "lowest": min}.items():
        yield f"| {word} | |" + "".join(f" | {over(each):.2f}x |" for each in ratios.values())


def both(model: type[nn.Module], T: int, H: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """One training step without the optimiser, by our kernel and by torch's."""
    generator = torch.Generator().manual_seed(0)
    ours = model(INPUTS, H, generator=generator)
    twin = ours.twin()
    x = torch.randn(BATCH, T, INPUTS, generator=generator)
    dy = torch.randn(BATCH, T, H, generator=generator)

    def by_ours():
        ours.zero_grad()
        ours(x).backward(dy)

    def by_torch():
        twin.zero_grad()
        twin(x)[0].backward(dy)

    return by_ours, by_torch
