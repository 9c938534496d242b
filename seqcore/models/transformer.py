"""Transformer (Vaswani et al. 2017, figure 1): an encoder that reads a sequence, and a decoder that writes another.

    memory = encoder(source)                             (batch, source, width)
    logits = decoder(target_in, memory)                  (batch, target, vocabulary)
    p(next | source, written so far) = softmax(logits / temperature)

In training the decoder is given the true target, one step late ("teacher forcing"): it begins with a start symbol, and
every position says the next token, all at once. When it writes, it is given its own words, one after the other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqcore.models.decoder import Decoder, DecoderSteps, Edit
from seqcore.models.encoder import Encoder, EncoderSteps
from seqcore.models.positions import LIMIT


class Trail(NamedTuple):
    """The steps of every layer of the encoder, and of the decoder."""

    encoder: list[EncoderSteps]
    decoder: list[DecoderSteps]


class Written(NamedTuple):
    """What a decoder wrote.

    tokens         (batch, step) without the prompt; a row that has ended goes on with `end`
    probabilities  (batch, step, vocabulary): what each token was taken from
    weights        (batch, layer, head, step, key): how the memory was read to say each; None without a memory
    """

    tokens: Tensor
    probabilities: Tensor
    weights: Tensor | None


class Transformer(nn.Module):
    """source: (batch, time) symbols, target: (batch, time) symbols -> logits: (batch, time, target vocabulary).

    sources, targets   sizes of the two vocabularies
    width, heads, feedforward, norm, positions, limit   as in Encoder and Decoder
    encoder_layers     at least 0; decoder_layers at least 1
    causal             whether the decoder is kept from seeing later tokens
    generator          where the initial weights come from

    Raises ValueError as Encoder and Decoder do.
    """

    def __init__(
        self,
        sources: int,
        targets: int,
        width: int,
        heads: int,
        feedforward: int,
        encoder_layers: int = 1,
        decoder_layers: int = 1,
        norm: str = "pre",
        causal: bool = True,
        positions: str = "sinusoidal",
        limit: int = LIMIT,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        both: dict[str, Any] = dict(norm=norm, positions=positions, limit=limit, generator=generator)
        self.encoder = Encoder(sources, width, heads, feedforward, encoder_layers, **both)
        self.decoder = Decoder(targets, width, heads, feedforward, decoder_layers, causal=causal, **both)

    def forward(self, source: Tensor, target_in: Tensor, source_lengths: Tensor | None = None) -> Tensor:
        """Teacher forcing: the logits of the token after each of target_in.

        source_lengths: (batch,) of whole numbers, up to which a source is seen; all of it if not given
        """
        return self.decoder(target_in, self.encoder(source, source_lengths), source_lengths)

    def trace(
        self, source: Tensor, target_in: Tensor, source_lengths: Tensor | None = None, edit: Edit | None = None
    ) -> tuple[Tensor, Trail]:
        """The same, with the steps of every layer; `edit` replaces one row of one map of the attention on the source."""
        memory, encoder = self.encoder.trace(source, source_lengths)
        logits, decoder = self.decoder.trace(target_in, memory, source_lengths, edit=edit)
        return logits, Trail(encoder, decoder)


@torch.no_grad()
def decode(
    model: Transformer,
    source: Tensor,
    start: int,
    end: int | None,
    limit: int,
    temperature: float | None = None,
    generator: torch.Generator | None = None,
    source_lengths: Tensor | None = None,
    edit: Edit | None = None,
) -> Written:
    """Write a target for every source (batch, time), from the symbol `start` until all have said `end`, or `limit` steps.

    The likeliest token each time, or with a temperature one drawn from softmax(logits / temperature). Raises ValueError
    as `extend` does.
    """
    memory = model.encoder(source, source_lengths)
    prompt = torch.full((len(source), 1), start)
    return extend(model.decoder, prompt, end, limit, temperature, generator, memory, source_lengths, edit)


@torch.no_grad()
def extend(
    decoder: Decoder,
    prompt: Tensor,
    end: int | None,
    limit: int,
    temperature: float | None = None,
    generator: torch.Generator | None = None,
    memory: Tensor | None = None,
    lengths: Tensor | None = None,
    edit: Edit | None = None,
) -> Written:
    """What the decoder writes after the prompt (batch, time): until all rows have said `end`, or `limit` steps.

    end          the symbol that ends a row; None if there is none
    temperature  None for the likeliest token each time; otherwise one is drawn from softmax(logits / temperature)
    generator    to draw from
    memory, lengths, edit   as in Decoder

    A decoder that is not causal starts over at every step, since a new token changes what the old ones see. Raises
    ValueError for an empty prompt, limit < 1, a temperature that is not above 0 or comes without a generator.
    """
    _check(prompt, limit, temperature, generator)
    tokens, given, past = prompt, prompt, None
    probabilities: list[Tensor] = []
    weights: list[Tensor] = []
    ended = torch.zeros(len(prompt), 1, dtype=torch.bool)
    while len(probabilities) < limit and not ended.all():
        logits, trail = decoder.trace(given, memory, lengths, past, edit)
        p = (logits[:, -1] / (temperature or 1.0)).softmax(-1)
        token = p.argmax(-1, keepdim=True) if temperature is None else p.multinomial(1, generator=generator)
        if end is not None:
            token = token.masked_fill(ended, end)
            ended = ended | (token == end)
        tokens = torch.cat([tokens, token], 1)
        given, past = (token, trail) if decoder.causal else (tokens, None)
        probabilities.append(p)
        reading = [steps.cross.weights[:, :, -1] for steps in trail if steps.cross is not None]
        if reading:
            weights.append(torch.stack(reading, 1))
    return Written(
        tokens[:, prompt.shape[1] :],
        torch.stack(probabilities, 1),
        torch.stack(weights, 3) if weights else None,
    )


def _check(prompt: Tensor, limit: int, temperature: float | None, generator: torch.Generator | None) -> None:
    if not prompt.numel():
        raise ValueError(f"prompt has shape {tuple(prompt.shape)}; it needs at least one row of one token")
    if limit < 1:
        raise ValueError(f"limit = {limit} is less than 1")
    if temperature is not None and not temperature > 0:
        raise ValueError(f"temperature = {temperature} is not above 0")
    if temperature is not None and generator is None:
        raise ValueError(f"temperature = {temperature} draws tokens, but there is no generator to draw from")
