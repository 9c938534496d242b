"""One model on its way down: clipping as written, divergence as an event."""

import math

import pytest
import torch
from torch import nn

from seqcore.training import Trainer, events


class Parabola(nn.Module):
    """One weight; the loss is (w - batch)²."""

    def __init__(self, w: float):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))


def squared(model, batch):
    return (model.w - batch) ** 2


def test_one_step_of_sgd_is_the_formula_and_clipping_scales_the_gradient():
    free, clipped = Trainer(Parabola(3.0), squared, 0.1, "SGD"), Trainer(Parabola(3.0), squared, 0.1, "SGD", clip=1.5)
    assert free.step(1.0) == (4.0, 4.0)
    assert free.model.w.item() == pytest.approx(3 - 0.1 * 4)
    assert clipped.step(1.0) == (4.0, 4.0), "the norm is told as it was before clipping"
    assert clipped.model.w.item() == pytest.approx(3 - 0.1 * 1.5, abs=1e-6)


def test_a_diverged_trainer_names_its_step_and_touches_nothing_more():
    trainer = Trainer(Parabola(1.0), squared, 5.0, "SGD")
    while trainer.diverged is None:
        trainer.step(0.0)
    weight, at = trainer.model.w.item(), trainer.diverged
    assert at == trainer.steps
    assert all(math.isnan(number) for number in trainer.step(0.0))
    assert trainer.model.w.item() == weight
    assert events({"a": [trainer], "b": []}) == f"a: diverged at step {at} (1 of 1 seeds)"


def test_an_unknown_optimiser_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="optimiser = 'RMSprop' is not one of Adam, SGD"):
        Trainer(Parabola(0.0), squared, 0.1, "RMSprop")
