"""The training loop: the same batches for every arm, clipping as written, divergence as an event."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from seqcore.training import Trainer, events, pace, race


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


def test_all_arms_of_a_seed_see_the_same_batches_and_seeds_differ():
    seen = {}

    def remember(name):
        def loss(model, batch):
            seen.setdefault(name, []).append(float(batch))
            return squared(model, batch)

        return loss

    arms = {arm: [Trainer(Parabola(0.0), remember((arm, s)), 0.01) for s in (0, 1)] for arm in ("x", "y")}
    draw = lambda generator: torch.rand((), generator=generator)  # noqa: E731
    progress = list(race(arms, draw, steps=7, every=3, seeds=[10, 11]))
    assert [p.step for p in progress] == [0, 3, 6, 7]
    assert seen["x", 0] == seen["y", 0]
    assert seen["x", 0] != seen["x", 1]
    assert seen["x", 0][0] == seen["x", 0][1], "the untrained loss is that of the first batch"
    assert len(seen["x", 0]) == 1 + 7


def test_the_loss_of_a_moment_is_the_mean_since_the_moment_before():
    trainer = Trainer(Parabola(2.0), squared, 0.0, "SGD")
    *_, final = race({"a": [trainer]}, lambda g: torch.rand((), generator=g), steps=4, every=2, seeds=[5])
    batches = torch.Generator().manual_seed(5)
    expected = [(2 - torch.rand((), generator=batches).item()) ** 2 for _ in range(4)]
    assert final.loss.values[0, 0, 1:].tolist() == pytest.approx([np.mean(expected[:2]), np.mean(expected[2:])])


def test_an_unknown_optimiser_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="optimiser = 'RMSprop' is not one of Adam, SGD"):
        Trainer(Parabola(0.0), squared, 0.1, "RMSprop")


def test_pace_keeps_moments_few_and_waits_short():
    assert pace(600, load=100) == 10
    assert pace(600, load=1000) == 3
    assert pace(600, load=1e9) == 1
    assert pace(20, load=1) == 1
