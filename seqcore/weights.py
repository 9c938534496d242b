"""All weights of a model as one row of numbers: a moment of a run can carry its models, and a reader have them back.

    pack({"causal mask": model, ...})      Signal parameters (arm, parameter), in half precision
    unpack(moment, "causal mask", fresh)   fresh, with the weights that the moment carries

Half precision is enough to write and to translate; it is not enough to go on training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from seqcore.record import Signal, Snapshot

Model = TypeVar("Model", bound=nn.Module)


def pack(models: Mapping[str, nn.Module]) -> Signal:
    """The weights of every model, one after the other; NaN at the end of a row where a model has fewer than another."""
    rows = [nn.utils.parameters_to_vector(model.parameters()).detach().half() for model in models.values()]
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=torch.nan)
    return Signal("parameters", ("arm", "parameter"), padded.numpy(), {"arm": tuple(models)})


def unpack(moment: Snapshot, arm: str, model: Model) -> Model:
    """A model made like the one of that arm, given the weights that the moment carries.

    Raises ValueError for a moment without weights: a run keeps those of its newest moment only.
    """
    if "parameters" not in moment:
        raise ValueError(f"step = {moment.step} has no weights any more: they are kept of the newest moment only")
    row = moment["parameters"].sel(arm=arm).values.astype(np.float32)
    nn.utils.vector_to_parameters(torch.from_numpy(row), model.parameters())
    return model
