"""The LSTM page: gates near one keep, a bias decides where they begin, and trained gates can be read."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from seqcore.experiments import last
from seqcore.experiments.lstm import GATES, Config, before, gate_map, loudest, run, step, story
from seqcore.symbols import SYMBOLS

SMALL = Config(length=12, hidden=4, steps=50, seeds=2)
RESET = Config(task="reset", length=40, hidden=1, forget_bias=1.0, rate=0.03, steps=400, seeds=8, seed=300)
HOLD = RESET.but(task="hold", hidden=2, forget_bias=3.0)


@pytest.fixture(scope="module")
def latched():
    return last(run(Config(seed=200, seeds=5)))


def test_forget_gates_at_a_half_keep_nothing_over_60_steps_and_a_bias_of_6_keeps_most():
    facts = before(Config()).facts
    assert 1e-19 < facts["left_at_zero"] < 1e-15, "about one half to the power of 59"
    assert 0.8 < facts["left"] < 0.95


def test_half_life_follows_the_bias():
    first = before(Config())
    measured, theory = np.median(first["half"].values, axis=0), first["half_theory"].values
    assert theory[0] == pytest.approx(1.0)
    assert measured == pytest.approx(theory, rel=0.1)


def test_the_forget_gates_alone_are_not_the_whole_gradient():
    first = before(Config())
    total, direct = (np.median(first[name].pick(bias="bias 0").values[:, -1]) for name in ("highway", "direct"))
    assert total > 100 * direct
    assert total < 1e-9, "and yet it vanishes"


@pytest.mark.slow
def test_the_latch_is_learned_with_forget_bias_6_and_never_with_0(latched):
    score = latched["score"]
    assert (score.pick(arm="bias 6").values >= 0.95).all(), score.values
    # 128 rows: three standard deviations above chance are 0.36
    assert (score.pick(arm="bias 0").values <= 0.36).all(), score.values
    assert np.median(score.pick(arm="bias 0").values) <= 0.3


@pytest.mark.slow
@pytest.mark.parametrize(("config", "least"), [(RESET, 0.6), (HOLD, 0.45)])
def test_the_forget_gate_closes_at_a_mark(config, least):
    final = last(run(config))
    at_mark, elsewhere = final["forget"].values
    assert (elsewhere - at_mark >= least).all(), elsewhere - at_mark
    assert (final["score"].values <= 0.1 * final.facts["baseline"]).all()


@pytest.mark.slow
def test_a_single_cell_that_learned_to_reset_holds_the_target():
    final = last(run(RESET.but(seeds=1)))
    target, answer = (final["told"].pick(told=name).values[0] for name in ("target", "answer"))
    cell = final["inside"].pick(gate="c").values[0, :, 0]
    assert abs(np.corrcoef(cell, target)[0, 1]) >= 0.95
    assert np.abs(answer - target).max() < 0.4


@pytest.mark.parametrize(("task", "arms"), [("latch", 2), ("reset", 1), ("hold", 1)])
def test_one_step_taken_apart_obeys_the_equations(task, arms):
    config = SMALL.but(task=task)
    assert len(config.arms) == arms
    moment = next(run(config))
    arm = list(config.arms)[-1]
    taken = step(moment, arm, 5, 2)
    v, sums = taken.facts, taken["parts"].values.sum(axis=1)
    opened = 1 / (1 + np.exp(-sums[[0, 1, 3]]))
    assert (v["i"], v["f"], v["o"]) == pytest.approx(opened, abs=1e-5)
    assert v["g"] == pytest.approx(np.tanh(sums[2]), abs=1e-5)
    assert v["c"] == pytest.approx(v["kept"] + v["written"], abs=1e-5)
    assert v["kept"] == pytest.approx(v["f"] * v["c_before"])
    assert v["h"] == pytest.approx(v["o"] * np.tanh(v["c"]), abs=1e-5)
    assert step(moment, arm, 4, 2).facts["c"] == v["c_before"]
    assert step(moment, arm, 0, 2).facts["c_before"] == 0


def test_the_story_of_a_unit_shows_what_was_written_not_the_input_gate_alone():
    moment = next(run(SMALL.but(task="hold")))
    told = story(moment, "bias 6", loudest(moment, "bias 6"))
    assert told.ticks["line"][:4] == ("value", "mark", "target", "answer")
    i, g, written = (told.pick(line=name).values for name in ("input i", "candidate g", "written i·g"))
    assert written == pytest.approx(i * g)
    assert told.pick(line="mark").values[0] == 1


def test_arms_differ_in_their_forget_bias_only():
    parts = next(run(SMALL))["parts"].values
    difference = parts[1] - parts[0]
    assert difference[1, 2] == pytest.approx(6.0), "gate f, part b"
    assert (difference[[0, 2, 3], 2] == 0).all()
    assert (difference[:, 0] == 0).all(), "the same W_x"


def test_four_threads_that_train_at_once_see_equal_numbers():
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: list(run(SMALL)), range(4)))
    assert all(moments == runs[0] for moments in runs[1:])
    assert runs[0] != list(run(SMALL.but(seed=1)))


def test_what_is_drawn_stands_in_the_glossary():
    moment = next(run(SMALL))
    drawn = [moment["highway"], moment["direct"], moment["loss"], story(moment, "bias 6", 0)]
    drawn += [gate_map(moment, "bias 6", gate) for gate in GATES[:4]]
    assert {signal.name for signal in drawn} <= set(SYMBOLS)


@pytest.mark.parametrize("end", [0, -1])
def test_both_corners_of_the_config_begin(end):
    corner = Config(**{name: knob.corners[end] for name, knob in Config.knobs().items()})
    assert before(corner).facts["agreement"] < 1e-5
    moment = next(run(corner))
    assert moment.step == 0
    assert moment["inside"].values.shape[-1] == min(corner.hidden, 32)
