"""Encoder layers against torch.nn: forward and backward of a pre-norm layer, float32, one thread, batch 32, 4 heads.

Both sides have the same weights and inputs, a gradient for every output, and gradients wanted for the weights. Torch's
layer is in training mode without dropout.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import torch

from bench import compare
from seqcore.models.encoder import EncoderLayer

TIMES = 20, 50, 100, 200, 400
WIDTHS = 16, 32, 64
BATCH, HEADS = 32, 4


def report() -> Iterator[str]:
    """A row a size: milliseconds of torch.nn, and how many times faster ours is. The last rows are over all sizes."""
    ratios = []
    yield "| time | width | nn.TransformerEncoderLayer ms | ours |"
    yield "|---|---|---|---|"
    for T in TIMES:
        for width in WIDTHS:
            pair = compare(*both(T, width))
            ratios.append(pair.ratio)
            yield f"| {T} | {width} | {pair.theirs * 1e3:.2f} | {pair.ratio:.2f}x |"
    yield f"| median | | | {statistics.median(ratios):.2f}x |"
    yield f"| lowest | | | {min(ratios):.2f}x |"


def both(T: int, width: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """One training step without the optimiser, by our layer and by torch's."""
    generator = torch.Generator().manual_seed(0)
    ours = EncoderLayer(width, HEADS, 2 * width, generator=generator)
    twin = ours.twin()
    x = torch.randn(BATCH, T, width, generator=generator)
    dy = torch.randn(BATCH, T, width, generator=generator)

    def by_ours():
        ours.zero_grad()
        ours(x).backward(dy)

    def by_torch():
        twin.zero_grad()
        twin(x).backward(dy)

    return by_ours, by_torch
