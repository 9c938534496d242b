"""The engine: the same batches for every arm, streams that do not meet, measures as often as they ask, places to pause."""

import itertools
import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from seqcore import knobs
from seqcore.engine import STREAMS, Measure, pace, stream, train
from seqcore.experiments import last
from seqcore.knobs import knob
from seqcore.record import Signal
from seqcore.training import Trainer


@dataclass(frozen=True)
class Config(knobs.Repeated):
    steps: int = knob(7, "Steps", 1, 100)


class Parabola(nn.Module):
    """One weight; the loss is (w - batch)²."""

    def __init__(self, w: float = 0.0):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))


def squared(model, batch):
    return (model.w - batch) ** 2


def drawn(seed, generator):
    return torch.rand((), generator=generator, dtype=torch.float64)


def trainer(seed, rate=0.01, optimiser="SGD"):
    return Trainer(Parabola(float(seed)), squared, rate, optimiser)


def weight(arms):
    yield Signal("h", ("arm", "seed"), arms.each(lambda model: model.w.item()), arms.ticks)


def test_all_arms_of_a_seed_see_the_same_batches_and_seeds_differ():
    seen = {}

    def remembering(arm):
        def loss(seed):
            def remember(model, batch):
                seen.setdefault((arm, seed), []).append(float(batch))
                return squared(model, batch)

            return remember

        return lambda seed: Trainer(Parabola(), loss(seed), 0.01)

    run = train(Config(seeds=2), {arm: remembering(arm) for arm in "xy"}, drawn, every=3)
    assert not seen, "nothing is computed before somebody asks"
    assert [snapshot.step for snapshot in run] == [0, 3, 6, 7]
    assert seen["x", 0] == seen["y", 0]
    assert seen["x", 0] != seen["x", 1]
    assert seen["x", 0][0] == seen["x", 0][1], "the untrained loss is that of the first batch"
    assert len(seen["x", 0]) == 1 + 7


def test_the_loss_of_a_moment_is_the_mean_since_the_moment_before():
    final = last(train(Config(steps=4, seeds=1, seed=5), {"a": lambda s: trainer(2, rate=0.0)}, drawn, every=2))
    batches = stream(5, "batches")
    expected = [(2 - drawn(5, batches).item()) ** 2 for _ in range(4)]
    assert final["loss"].values[0, 0, 1:].tolist() == pytest.approx([np.mean(expected[:2]), np.mean(expected[2:])])
    assert final["loss"].axes == ("arm", "seed", "step")
    assert final["loss"].ticks["step"] == (0, 2, 4)


def test_streams_of_two_purposes_never_meet():
    seeds = range(1_000 + 8)
    used = [seed + offset for offset in STREAMS.values() for seed in seeds[:1_000]]
    assert len(used) == len(set(used))
    assert stream(3, "weights").initial_seed() != stream(3, "batches").initial_seed()
    with pytest.raises(KeyError):
        stream(0, "luck")


def test_a_measure_is_taken_as_often_as_it_asks_and_shown_until_the_next_time():
    taken = []

    def seldom(arms):
        taken.append(len(taken))
        yield Signal("v", ("arm",), np.full(len(arms), taken[-1]))
        yield {"told": taken[-1]}

    measures = [Measure(weight, series=("h",)), Measure(seldom, times=5)]
    snapshots = list(train(Config(steps=60, seeds=1), {"a": trainer}, drawn, every=2, measures=measures))
    assert len(snapshots) == 31
    assert len(taken) == 6, "five times, and at the end"
    assert [s.facts["told"] for s in snapshots[:7]] == [0, 0, 0, 0, 0, 0, 1]
    assert all(s["v"].values[0] == s.facts["told"] for s in snapshots)
    assert snapshots[-1]["h"].values.shape == (1, 1, 31)
    assert snapshots[3]["h"] == Signal("h", ("arm", "seed", "step"), snapshots[-1]["h"].values[..., :4],
                                       {"arm": ("a",), "seed": (0,), "step": (0, 2, 4, 6)})  # fmt: skip


def test_an_arm_that_diverges_is_told_and_the_others_go_on():
    arms = {"wild": lambda seed: trainer(9, rate=100.0), "tame": trainer}
    final = last(train(Config(steps=20, seeds=2), arms, drawn, every=5))
    assert final.facts["event"].startswith("wild: diverged at step ")
    assert final.step == 20
    assert np.isnan(final["loss"].sel(arm="wild").values[:, -1]).all()
    assert np.isfinite(final["loss"].sel(arm="tame").values).all()


def test_a_training_in_which_everything_diverges_ends_by_itself():
    final = last(train(Config(steps=100, seeds=1), {"wild": lambda seed: trainer(9, rate=100.0)}, drawn, every=5))
    assert final.step < 100


def test_a_long_moment_can_be_left_between_two_steps():
    run = train(Config(steps=100, seeds=1), {"a": trainer}, drawn, every=100)
    run.advance()
    assert run.steps == (0,)
    for _ in range(99):
        assert run.advance(60, stop=lambda: True) == 0
    assert run.steps == (0,)
    run.advance()
    assert run.steps == (0, 100)


def test_four_threads_train_at_once_and_nothing_is_warned_or_mixed_up():
    # one seed of two diverges, so that means over nothing are taken in every thread
    arms = {"wild": lambda seed: trainer(seed, rate=100.0), "tame": trainer}
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as threads:
        warnings.simplefilter("error")
        runs = list(threads.map(lambda _: list(train(Config(steps=40, seeds=2), arms, drawn, every=1)), range(4)))
    assert all(run == runs[0] for run in runs[1:])


def test_pace_keeps_moments_few_and_waits_short():
    assert pace(600, load=100) == 10
    assert pace(600, load=1000) == 3
    assert pace(600, load=1e9) == 1
    assert pace(20, load=1) == 1


def test_facts_may_follow_from_the_moment():
    run = train(
        Config(steps=3, seeds=1),
        {"a": trainer},
        drawn,
        every=1,
        facts=lambda s: {"first": float(s["loss"].values[0, 0, 0])},
    )
    firsts = {snapshot.facts["first"] for snapshot in run}
    assert len(firsts) == 1
    assert not math.isnan(firsts.pop())


def test_the_same_config_gives_equal_moments_and_another_seed_others():
    runs = [list(train(Config(seed=seed, seeds=1), {"a": trainer}, drawn, every=2)) for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert all(one != other for one, other in itertools.zip_longest(runs[0], runs[2]))
