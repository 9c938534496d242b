"""Transformer decoder (Vaswani et al. 2017, section 3.1): writes one symbol after the other, each from those before.

    embedded = E[tokens] + PE                            (batch, time, width)
    mixed    = around(attention)(x), masked              (batch, time, width)     a position sees none after it
    informed = around(attention)(mixed, memory)          (batch, time, width)     and reads what the encoder knows
    y        = around(feed-forward)(informed)            (batch, time, width)
    logits   = y W_yᵀ + b_y                              (batch, time, vocabulary)   of the token that comes next

What stands around a sublayer, and the feed-forward network, are those of `seqcore.models.encoder`. Without a memory
the second line falls away: a decoder alone is a language model.

Since no position sees a later one, what was computed for it stays true when more tokens come: their keys and values
are kept (the "KV cache"), so that each new token costs one step and not the whole sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqcore.models.attention import Steps, causal, padding
from seqcore.models.encoder import Around, Embedding, FeedForward, like_layer, like_weights
from seqcore.models.heads import MultiHeadAttention, affine
from seqcore.models.positions import LIMIT
from seqcore.models.rnn import share


class DecoderSteps(NamedTuple):
    """One layer: its input x, the steps of both attentions (batch, head, ...), and the states after every sublayer.

    x, mixed, informed, y: (batch, time, width). Without a memory `cross` is None and `informed` is `mixed`.
    attention.k and attention.v hold the keys and values of all time steps so far, those of earlier calls first.
    """

    x: Tensor
    attention: Steps
    mixed: Tensor
    cross: Steps | None
    informed: Tensor
    y: Tensor


class Edit(NamedTuple):
    """Weights to read the memory with instead of the model's own, in one row of one map; the same for a whole batch.

    layer, head  of the attention on the memory, from 0
    row          the time step of the query, from 0: it is the one that says the token at time row + 1
    weights      (key,) one for every step of the memory
    """

    layer: int
    head: int
    row: int
    weights: Tensor

    def put(self, weights: Tensor, start: int) -> Tensor:
        """The weights (batch, head, query, key) of queries from time `start` on, with the row in its place."""
        row = self.row - start
        if not 0 <= row < weights.shape[2]:
            return weights
        edited = weights.clone()
        edited[:, self.head, row] = self.weights.to(weights)
        return edited


class DecoderLayer(nn.Module):
    """x: (batch, time, width) -> y: (batch, time, width).

    width, heads, feedforward, norm, positions, generator   as in EncoderLayer
    causal  whether a position is kept from seeing later ones; False is for seeing what goes wrong
    cross   whether there is a memory to read

    Raises ValueError as EncoderLayer does, and for a memory without cross or the other way round.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feedforward: int,
        norm: str = "pre",
        causal: bool = True,
        cross: bool = True,
        positions: str = "none",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.causal = causal
        self.attention = MultiHeadAttention(width, heads, positions=positions, generator=generator)
        self.cross = MultiHeadAttention(width, heads, generator=generator) if cross else None
        self.feedforward = FeedForward(width, feedforward, generator)
        self.around_attention = Around(width, norm)
        self.around_cross = Around(width, norm) if cross else None
        self.around_feedforward = Around(width, norm)

    def forward(self, x: Tensor, memory: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
        """memory: (batch, key, width); seen: (batch, query or 1, key) truths, True where it may be read."""
        reader = self._reader(memory)
        mask = causal(x.shape[1]) if self.causal else None
        x = self.around_attention(x, lambda x: self.attention(x, mask=mask))
        if reader is not None:
            around, attention = reader
            x = around(x, lambda x: attention(x, memory, mask=seen))
        return self.around_feedforward(x, self.feedforward)

    def trace(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        seen: Tensor | None = None,
        past: DecoderSteps | None = None,
        reread: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, DecoderSteps]:
        """The same, with what happened inside.

        past    steps of the time before x, from an earlier call: their keys and values are used again
        reread  weights (batch, head, query, key) on the memory -> the weights to read it with instead
        """
        reader = self._reader(memory)
        if past is not None and not self.causal:
            raise ValueError("past = steps of an earlier call, but without causal = True later tokens change them")
        past_attention, past_cross = (past.attention, past.cross) if past else (None, None)
        mask = causal(x.shape[1], elapsed(past)) if self.causal else None
        read, attention = self.attention.trace(self.around_attention.before(x), mask=mask, past=past_attention)
        mixed = self.around_attention.join(x, read)
        informed, cross = mixed, None
        if reader is not None:
            around, reading = reader
            read, cross = reading.trace(around.before(mixed), memory, mask=seen, past=past_cross, reread=reread)
            informed = around.join(mixed, read)
        y = self.around_feedforward(informed, self.feedforward)
        return y, DecoderSteps(x, attention, mixed, cross, informed, y)

    def twin(self) -> nn.TransformerDecoderLayer:
        """torch.nn.TransformerDecoderLayer with these weights; its masks are True where nothing may be seen.

        Raises ValueError for what torch does not have: no memory, no norm, rotary positions.
        """
        if self.cross is None or self.around_cross is None:
            raise ValueError("torch.nn.TransformerDecoderLayer always reads a memory: cross = False has no twin")
        arounds = {"norm1": self.around_attention, "norm2": self.around_cross, "norm3": self.around_feedforward}
        twin = nn.TransformerDecoderLayer(**like_layer(self.attention, self.feedforward, self.around_attention))
        twin.self_attn, twin.multihead_attn = self.attention.twin(), self.cross.twin()
        return share(twin.to(self.attention.W_o), **like_weights(self.feedforward, arounds))

    def _reader(self, memory: Tensor | None) -> tuple[Around, MultiHeadAttention] | None:
        """The attention on the memory and what stands around it, or None; ValueError where the memory says otherwise."""
        if (memory is None) != (self.cross is None):
            have, need = ("no memory", True) if memory is None else ("a memory", False)
            raise ValueError(f"the decoder was given {have}, but made with cross = {need}")
        return None if self.cross is None or self.around_cross is None else (self.around_cross, self.cross)


def elapsed(past: DecoderSteps | None) -> int:
    """How many time steps came before, in earlier calls."""
    return 0 if past is None else past.attention.k.shape[2]


def up_to(lengths: Tensor | None, memory: Tensor | None) -> Tensor | None:
    """The mask (batch, 1, key) of a memory whose rows end at these lengths; None where no lengths are given."""
    if lengths is None:
        return None
    if memory is None:
        raise ValueError(f"lengths = {lengths.tolist()} are given, but no memory that could have them")
    return padding(lengths, memory.shape[1])


class Decoder(nn.Module):
    """tokens: (batch, time) -> logits: (batch, time, vocabulary) of the token after each.

    vocabulary  how many symbols there are
    layers      how many, at least 1, each as in DecoderLayer
    positions   a name in POSITIONS
    limit       most time steps that learned positions can tell apart

    Raises ValueError as its layers do, and for layers < 1.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        heads: int,
        feedforward: int,
        layers: int,
        norm: str = "pre",
        causal: bool = True,
        cross: bool = True,
        positions: str = "sinusoidal",
        limit: int = LIMIT,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers = {layers} is less than 1")
        self.heads, self.causal = heads, causal
        made = [
            DecoderLayer(width, heads, feedforward, norm, causal, cross, positions, generator) for _ in range(layers)
        ]
        self.layers = cast("Sequence[DecoderLayer]", nn.ModuleList(made))  # as in the encoder
        self.last = Around(width, norm).before
        self.W_y, self.b_y = affine(vocabulary, width, generator)
        # Drawn last, as in the encoder.
        self.embedding = Embedding(vocabulary, width, positions, limit, generator)

    def forward(self, tokens: Tensor, memory: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """memory: (batch, key, width) and lengths: (batch,), up to which each of its rows may be read."""
        seen = up_to(lengths, memory)
        y = self.embedding(tokens)
        for layer in self.layers:
            y = layer(y, memory, seen)
        return F.linear(self.last(y), self.W_y, self.b_y)

    def trace(
        self,
        tokens: Tensor,
        memory: Tensor | None = None,
        lengths: Tensor | None = None,
        past: list[DecoderSteps] | None = None,
        edit: Edit | None = None,
    ) -> tuple[Tensor, list[DecoderSteps]]:
        """The same, with a `DecoderSteps` a layer.

        past  the trail of the tokens before these, from an earlier call: only the new tokens are computed
        edit  weights to read the memory with, in one row of one map

        Raises ValueError for an edit outside the maps there are, or a past that later tokens would change.
        """
        pasts: Sequence[DecoderSteps | None] = [None] * len(self.layers) if past is None else past
        start = elapsed(pasts[0])
        rereads = {} if edit is None else {self._checked(edit, memory).layer: lambda weights: edit.put(weights, start)}
        seen = up_to(lengths, memory)
        y, trail = self.embedding(tokens, start), []
        for i, layer in enumerate(self.layers):
            y, steps = layer.trace(y, memory, seen, pasts[i], rereads.get(i))
            trail.append(steps)
        return F.linear(self.last(y), self.W_y, self.b_y), trail

    def _checked(self, edit: Edit, memory: Tensor | None) -> Edit:
        for name, value, count in [("layer", edit.layer, len(self.layers)), ("head", edit.head, self.heads)]:
            if not 0 <= value < count:
                raise ValueError(f"edit.{name} = {value} is not between 0 and {count - 1}")
        if edit.row < 0:
            raise ValueError(f"edit.row = {edit.row} is less than 0")
        keys = 0 if memory is None else memory.shape[1]
        if edit.weights.shape != (keys,):
            raise ValueError(f"edit.weights has shape {tuple(edit.weights.shape)}; the memory has {keys} steps")
        return edit
