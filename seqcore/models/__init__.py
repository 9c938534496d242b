"""The equations, one idea a file. Every model is `y = model(x)`, `y, trail = model.trace(x)`, `model.twin()`.

    from seqcore.models import GRU, EncoderLayer, attend

A name is fetched from its file when it is first used: importing this package alone does not load torch. The
`State` of a time step differs from cell to cell and stays in its file, as do the tables of options.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Attended",
    "Attention",
    "Autoregressive",
    "CountModel",
    "Counts",
    "Decoder",
    "DecoderLayer",
    "DecoderSteps",
    "Edit",
    "Embedding",
    "Encoder",
    "EncoderLayer",
    "EncoderSteps",
    "FeedForward",
    "Latent",
    "MarkovChain",
    "MultiHeadAttention",
    "Readout",
    "Steps",
    "Trail",
    "Transformer",
    "Written",
    "attend",
    "causal",
    "chain",
    "decode",
    "draw",
    "entropy",
    "extend",
    "frequencies",
    "padding",
    "rotate",
    "shift",
    "sinusoidal",
    "wavelengths",
    "windows",
]

if TYPE_CHECKING:
    from seqcore.models.attention import Attended, Attention, Steps, attend, causal, padding
    from seqcore.models.autoregressive import Autoregressive, draw, windows
    from seqcore.models.counts import CountModel, Counts, MarkovChain, chain, entropy
    from seqcore.models.decoder import Decoder, DecoderLayer, DecoderSteps, Edit
    from seqcore.models.encoder import Embedding, Encoder, EncoderLayer, EncoderSteps, FeedForward
    from seqcore.models.gru import GRU
    from seqcore.models.heads import MultiHeadAttention
    from seqcore.models.latent import Latent, Readout
    from seqcore.models.lstm import LSTM
    from seqcore.models.positions import frequencies, rotate, shift, sinusoidal, wavelengths
    from seqcore.models.rnn import RNN
    from seqcore.models.transformer import Trail, Transformer, Written, decode, extend
else:
    # The same at run time, file -> names. Hidden from type checkers, to which a `__getattr__` would say
    # that there is a model of every name.
    _FILES = {
        "attention": ("Attended", "Attention", "Steps", "attend", "causal", "padding"),
        "autoregressive": ("Autoregressive", "draw", "windows"),
        "counts": ("CountModel", "Counts", "MarkovChain", "chain", "entropy"),
        "decoder": ("Decoder", "DecoderLayer", "DecoderSteps", "Edit"),
        "encoder": ("Embedding", "Encoder", "EncoderLayer", "EncoderSteps", "FeedForward"),
        "gru": ("GRU",),
        "heads": ("MultiHeadAttention",),
        "latent": ("Latent", "Readout"),
        "lstm": ("LSTM",),
        "positions": ("frequencies", "rotate", "shift", "sinusoidal", "wavelengths"),
        "rnn": ("RNN",),
        "transformer": ("Trail", "Transformer", "Written", "decode", "extend"),
    }
    _FILE_OF = {name: file for file, names in _FILES.items() for name in names}

    def __getattr__(name: str) -> object:
        if name not in _FILE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_FILE_OF[name]}"), name)
        globals()[name] = found  # so that the next use does not come here
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
