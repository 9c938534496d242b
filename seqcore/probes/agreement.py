"""How far ours is from torch.nn: the largest difference between a model and its twin, which has the same weights.

agreement = max |model(x) - model.twin()(x)|
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def gap(ours: Tensor, theirs: Tensor) -> float:
    """max |ours - theirs|."""
    return float((ours - theirs).abs().max())


@torch.no_grad()
def agreement(model: Any, *inputs: Tensor) -> float | None:
    """The gap between a model and its twin on the same inputs; None where torch has no such network.

    model  any module with `twin()`, which raises ValueError where there is none
    """
    try:
        twin = model.twin()
    except ValueError:
        return None
    theirs = twin(*inputs)
    # torch's cells also return their last state
    return gap(model(*inputs), theirs[0] if isinstance(theirs, tuple) else theirs)
