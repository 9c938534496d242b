"""Transformer encoder (Vaswani et al. 2017, section 3.1): every position reads all others, layer by layer.

    embedded = E[x] + PE                                (batch, time, width)
    mixed    = around(attention)(x)                     (batch, time, width)     positions exchange what they know
    y        = around(feed-forward)(mixed)              (batch, time, width)     each position thinks for itself
    FFN(x)   = max(0, x W_1ᵀ + b_1) W_2ᵀ + b_2          W_1 (feedforward, width), W_2 (width, feedforward)

What stands around a sublayer f:

    post     LN(x + f(x))        Vaswani et al. 2017
    pre      x + f(LN(x))        Xiong et al. 2020; a last LN follows the last layer
    none     x + f(x)

and without the residual connection (He et al. 2016), for comparison, the same without "x +". LN is layer
normalisation (Ba et al. 2016). No dropout: the data are drawn afresh, and what is on screen should be all there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore.models.attention import Steps, padding
from seqcore.models.heads import MultiHeadAttention, affine
from seqcore.models.positions import LIMIT, scheme
from seqcore.models.rnn import share, until

NORMS = ("pre", "post", "none")


class EncoderSteps(NamedTuple):
    """One layer: its input x, the attention's steps (batch, head, ...), and the states after either sublayer.

    x, mixed, y: (batch, time, width). y is the next layer's x.
    """

    x: Tensor
    attention: Steps
    mixed: Tensor
    y: Tensor


class Around(nn.Module):
    """What stands around a sublayer f: x -> join(x, f(before(x))), where join(x, f_x) = after(x + f_x).

    norm      "pre" and "post" say which of before and after is LN, "none" that neither is; ValueError for any other
    residual  whether join adds x, or forgets it
    """

    def __init__(self, width: int, norm: str, residual: bool = True):
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm = {norm!r} is not one of {', '.join(NORMS)}")
        self.residual = residual
        self.before = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        self.after = nn.LayerNorm(width) if norm == "post" else nn.Identity()

    def forward(self, x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        return self.join(x, f(self.before(x)))

    def join(self, x: Tensor, f_x: Tensor) -> Tensor:
        return self.after(x + f_x if self.residual else f_x)


class FeedForward(nn.Module):
    """x: (..., width) -> (..., width), the same small network at every position; `feedforward` units inside."""

    def __init__(self, width: int, feedforward: int, generator: torch.Generator | None = None):
        super().__init__()
        if feedforward < 1:
            raise ValueError(f"feedforward = {feedforward} is less than 1")
        self.W_1, self.b_1 = affine(feedforward, width, generator)
        self.W_2, self.b_2 = affine(width, feedforward, generator)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.W_1, self.b_1).relu(), self.W_2, self.b_2)


class EncoderLayer(nn.Module):
    """x: (batch, time, width) -> y: (batch, time, width).

    heads        of its attention; must divide the width
    feedforward  units inside the feed-forward network
    norm         "pre", "post" or "none": where layer normalisation stands
    residual     whether a sublayer's input is added to its output
    positions    a name in POSITIONS, of which "rotary" acts in every layer
    generator    where the initial weights come from: torch.nn.Linear's defaults

    Raises ValueError for heads that do not divide the width, an unknown norm, or feedforward below 1.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feedforward: int,
        norm: str = "pre",
        residual: bool = True,
        positions: str = "none",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.attention = MultiHeadAttention(width, heads, positions=positions, generator=generator)
        self.feedforward = FeedForward(width, feedforward, generator)
        self.around_attention = Around(width, norm, residual)
        self.around_feedforward = Around(width, norm, residual)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: (query, key) or (batch, query, key) truths, True where the query may see the key."""
        mixed = self.around_attention(x, lambda x: self.attention(x, mask=mask))
        return self.around_feedforward(mixed, self.feedforward)

    def trace(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, EncoderSteps]:
        """The same, with what happened inside."""
        read, attention = self.attention.trace(self.around_attention.before(x), mask=mask)
        mixed = self.around_attention.join(x, read)
        y = self.around_feedforward(mixed, self.feedforward)
        return y, EncoderSteps(x, attention, mixed, y)

    def twin(self) -> nn.TransformerEncoderLayer:
        """torch.nn.TransformerEncoderLayer with these weights.

        Raises ValueError without residual connection or norm, and for rotary positions, which torch does not have.
        """
        arounds = {"norm1": self.around_attention, "norm2": self.around_feedforward}
        twin = nn.TransformerEncoderLayer(**like_layer(self.attention, self.feedforward, self.around_attention))
        twin.self_attn = self.attention.twin()
        return share(twin.to(self.attention.W_o), **like_weights(self.feedforward, arounds))


def like_layer(attention: MultiHeadAttention, feedforward: FeedForward, around: Around) -> dict[str, Any]:
    """How a torch.nn twin is told the sizes of a layer, and where its layer normalisation stands.

    Raises ValueError for a surrounding that torch does not have.
    """
    width, units = feedforward.W_2.shape
    pre, post = (isinstance(module, nn.LayerNorm) for module in (around.before, around.after))
    if not around.residual or not (pre or post):
        raise ValueError("torch.nn has layers with residual connections and layer normalisation only")
    return dict(
        d_model=width,
        nhead=attention.heads,
        dim_feedforward=units,
        dropout=0.0,
        batch_first=True,
        norm_first=pre,
    )


def like_weights(feedforward: FeedForward, arounds: dict[str, Around]) -> dict[str, Tensor]:
    """The weights of a layer but for its attention, by their names in a torch.nn twin."""
    weights: dict[str, Tensor] = {
        "linear1.weight": feedforward.W_1,
        "linear1.bias": feedforward.b_1,
        "linear2.weight": feedforward.W_2,
        "linear2.bias": feedforward.b_2,
    }
    for name, around in arounds.items():
        norm = around.before if isinstance(around.before, nn.LayerNorm) else around.after
        weights |= {f"{name}.{key}": weight for key, weight in norm.named_parameters()}
    return weights


class Embedding(nn.Module):
    """x: (batch, time) symbols, or (batch, time, inputs) numbers -> E[x] + PE or x E + PE: (batch, time, width).

    E (inputs, width) is drawn from N(0, 1), as torch.nn.Embedding's: its rows are as long as those of the positions,
    so that the factor √width of section 3.4 is not needed.
    """

    def __init__(self, inputs: int, width: int, positions: str, limit: int, generator: torch.Generator | None = None):
        super().__init__()
        if inputs < 1:
            raise ValueError(f"inputs = {inputs} is less than 1")
        self.E = nn.Parameter(torch.randn(inputs, width, generator=generator))
        self.positions = scheme(positions).added(limit, width, generator)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        return self.positions(x @ self.E if x.is_floating_point() else F.embedding(x, self.E), start)


class Encoder(nn.Module):
    """x: (batch, time) symbols, or (batch, time, inputs) numbers -> y: (batch, time, width), or with a readout
    (batch, time, outputs).

    inputs     size of the vocabulary, or features of x
    layers     how many, each as in EncoderLayer; 0 leaves the embedding alone
    outputs    of the linear readout y W_yᵀ + b_y; none if not given
    positions  a name in POSITIONS
    limit      most time steps that learned positions can tell apart

    Two encoders from equal generators have equal weights wherever both have them, whatever their norm, residual,
    heads and positions. Raises ValueError as its layers do, and for layers < 0.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        heads: int,
        feedforward: int,
        layers: int,
        outputs: int | None = None,
        norm: str = "pre",
        residual: bool = True,
        positions: str = "sinusoidal",
        limit: int = LIMIT,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if layers < 0:
            raise ValueError(f"layers = {layers} is less than 0")
        made = [EncoderLayer(width, heads, feedforward, norm, residual, positions, generator) for _ in range(layers)]
        # torch does not say of what class the members of a ModuleList are
        self.layers = cast("Sequence[EncoderLayer]", nn.ModuleList(made))
        self.last = Around(width, norm).before
        self.W_y: nn.Parameter | None
        self.b_y: nn.Parameter | None
        self.W_y, self.b_y = affine(outputs, width, generator) if outputs else (None, None)
        # Drawn last: learned positions are more numbers, which must not change the weights above.
        self.embedding = Embedding(inputs, width, positions, limit, generator)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """lengths: (batch,) of whole numbers: steps after a row's length are not seen, and their outputs are zero."""
        mask = None if lengths is None else padding(lengths, x.shape[1])
        y = self.embedding(x)
        for layer in self.layers:
            y = layer(y, mask)
        return self._finish(y, lengths)

    def trace(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, list[EncoderSteps]]:
        """The same, with an `EncoderSteps` a layer."""
        mask = None if lengths is None else padding(lengths, x.shape[1])
        y, trail = self.embedding(x), []
        for layer in self.layers:
            y, steps = layer.trace(y, mask)
            trail.append(steps)
        return self._finish(y, lengths), trail

    def _finish(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        y = self.last(y)
        y = y if self.W_y is None else F.linear(y, self.W_y, self.b_y)
        return y if lengths is None else y * until(lengths, y)
