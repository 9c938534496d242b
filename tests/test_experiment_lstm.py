"""The LSTM page: gates near one keep, a bias decides where they begin, and trained gates can be read."""

import numpy as np
import pytest
import torch

from seqcore.experiments import last
from seqcore.experiments.lstm import (
    GATES,
    Config,
    at_work,
    half_lives,
    memory,
    road,
    run,
    run_marked,
    six_lines,
    source,
    step,
    strongest,
)
from seqcore.models.lstm import LSTM

SMALL = Config(length=12, hidden=4, steps=50, seeds=2)
RESET = Config(seeds=8, seed=300)
HOLD = RESET.but(task="hold", cells=2)
PICTURES = (at_work, memory, road, half_lives, six_lines)


@pytest.fixture(scope="module")
def latched():
    return last(run(Config(seed=200, seeds=5)))


# --- before training -------------------------------------------------------------------------------------------------


def test_forget_gates_at_a_half_keep_nothing_over_60_steps_and_a_bias_of_6_keeps_most():
    facts = memory(Config()).facts
    assert 1e-19 < facts["left_at_zero"] < 1e-15, "about one half to the power of 59"
    assert 0.8 < facts["left"] < 0.95


@pytest.mark.parametrize("seed", [0, 700])
def test_what_the_forget_gates_leave_is_what_their_product_lets_through_backwards(seed):
    config = Config(seed=seed)
    kept, direct = memory(config)["kept"], road(config)["direct"]
    assert (kept.values[..., 0] == 1).all()
    assert (np.diff(kept.values, axis=-1) < 0).all()
    for bias in ("bias 0", "bias 6"):
        assert kept.sel(bias=bias).values[:, -1] == pytest.approx(direct.sel(bias=bias).values[:, -1], rel=1e-5)


def test_half_life_follows_the_bias():
    first = half_lives(Config())
    measured, theory = np.median(first["half"].values, axis=0), first["half_theory"].values
    assert theory[0] == pytest.approx(1.0)
    assert measured == pytest.approx(theory, rel=0.1)


@pytest.mark.parametrize("seed", [0, 700])
def test_from_bias_2_on_one_more_makes_memory_last_e_times_as_long(seed):
    half = np.median(half_lives(Config(seed=seed))["half"].values, axis=0)
    assert half[3:] / half[2:-1] == pytest.approx(np.e, rel=0.1)


def test_the_forget_gates_alone_are_not_the_whole_gradient():
    first = road(Config())
    total, direct = (np.median(first[name].sel(bias="bias 0").values[:, -1]) for name in ("highway", "direct"))
    assert total > 100 * direct
    assert total < 1e-9, "and yet it vanishes"


def test_the_mission_has_one_answer_which_the_half_life_tells():
    left = {bias: memory(Config(length=100, forget_bias=bias)).facts["left"] for bias in np.arange(-2, 8.5, 0.5)}
    reached = [bias for bias, share in left.items() if share >= 0.5]
    assert reached == [bias for bias in left if bias >= reached[0]], "more bias keeps more"
    assert reached[0] - np.log(99 / np.log(2)) == pytest.approx(0, abs=0.5)


def test_the_lines_on_the_page_are_the_six_equations_and_compute_what_torch_does():
    left, _, _ = zip(*(line.partition(" = ") for line in source().splitlines()))
    assert left == ("i", "f", "g", "o", "c", "h")
    cell, x = LSTM(3, 2, generator=torch.Generator().manual_seed(0)), torch.randn(4, 1, 3)
    names = {"torch": torch, "x": x, "t": 0, "h": torch.zeros(4, 2), "c": torch.zeros(4, 2)}
    for gate, *weights in zip("ifgo", *(each.chunk(4) for each in (cell.W_x, cell.W_h, cell.b_x + cell.b_h))):
        names |= {f"W_x{gate}": weights[0], f"W_h{gate}": weights[1], f"b_{gate}": weights[2]}
    exec(source(), names)
    assert torch.allclose(names["h"], cell(x)[:, 0], atol=1e-6)
    assert 0 < six_lines(Config()).facts["agreement"] < 1e-5, "the equations, not torch's own kernel against itself"


# --- one unit taken apart --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [at_work, lambda config: next(iter(run_marked(config)))], ids=["untrained", "trained"])
def test_one_step_taken_apart_obeys_the_equations(make):
    moment = make(SMALL.but(task="hold", cells=3))
    unit = moment.facts.get("unit", 2)
    taken = step(moment, 5, unit)
    v, sums = taken.facts, taken["sums"].values.sum(axis=1)
    opened = 1 / (1 + np.exp(-sums[[0, 1, 3]]))
    assert (v["i"], v["f"], v["o"]) == pytest.approx(opened, abs=1e-5)
    assert v["g"] == pytest.approx(np.tanh(sums[2]), abs=1e-5)
    assert v["c"] == pytest.approx(v["kept"] + v["written"], abs=1e-5)
    assert v["kept"] == pytest.approx(v["f"] * v["c_before"])
    assert v["h"] == pytest.approx(v["o"] * np.tanh(v["c"]), abs=1e-5)
    assert step(moment, 4, unit).facts["c"] == v["c_before"]
    assert step(moment, 0, unit).facts["c_before"] == 0


def test_the_story_of_a_unit_shows_what_was_written_not_the_input_gate_alone():
    told = next(iter(run_marked(SMALL.but(task="hold"))))["story"]
    assert told.ticks["line"][:4] == ("value", "mark", "target", "answer")
    i, g, written = (told.sel(line=name).values for name in ("input i", "candidate g", "written i·g"))
    assert written == pytest.approx(i * g)
    assert told.sel(line="mark").values[0] == 1


def test_arms_differ_in_their_forget_bias_only():
    assert SMALL.arms == {"bias 0": 0.0, "bias 6": 6.0}
    assert list(SMALL.but(forget_bias=0.0).arms) == ["bias 0"]
    one, other = (at_work(SMALL.but(forget_bias=bias))["sums"] for bias in (0.0, 6.0))
    difference = other.values - one.values
    assert difference[1, 2] == pytest.approx(6.0), "gate f, part b"
    assert (difference[[0, 2, 3], 2] == 0).all()
    assert (difference[:, 0] == 0).all(), "the same W_x"


# --- trained ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_latch_is_learned_with_forget_bias_6_and_never_with_0(latched):
    score = latched["right"]
    assert (score.sel(arm="bias 6").values >= 0.95).all(), score.values
    # 128 rows: three standard deviations above chance are 0.36
    assert (score.sel(arm="bias 0").values <= 0.36).all(), score.values
    assert np.median(score.sel(arm="bias 0").values) <= 0.3


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"hidden": 64}, {"rate": 0.03}], ids=str)
def test_neither_more_units_nor_a_larger_rate_learns_the_latch_with_bias_0(change):
    score = last(run(Config(forget_bias=0.0, seeds=8, seed=900, **change)))["right"].values
    assert (score <= 0.36).all(), score


@pytest.mark.slow
@pytest.mark.parametrize(("config", "least"), [(RESET, 0.6), (HOLD, 0.45), (HOLD.but(start=3.0), 0.45)])
def test_the_forget_gate_closes_at_a_mark(config, least):
    final = last(run_marked(config))
    at_mark, elsewhere = final["forget"].values[..., -1]
    assert (elsewhere - at_mark >= least).all(), elsewhere - at_mark
    assert (final["held_out"].values <= 0.1 * final.facts["baseline"]).all()


@pytest.mark.slow
def test_a_single_cell_that_learned_to_reset_holds_the_target():
    final = last(run_marked(RESET.but(seeds=1)))
    target, answer = (final["story"].sel(line=name).values for name in ("target", "answer"))
    cell = final["inside"].sel(gate="c", unit=0).values
    assert abs(np.corrcoef(cell, target)[0, 1]) >= 0.95
    assert np.abs(answer - target).max() < 0.4


def contrast(config: Config) -> np.ndarray:
    """(seed,): how much further the forget gate is open elsewhere than at marks, after the training."""
    at_mark, elsewhere = last(run_marked(config))["forget"].values[..., -1]
    return elsewhere - at_mark


@pytest.mark.slow
def test_a_gate_that_starts_fully_open_does_not_always_learn_to_close():
    usual, wide = (contrast(RESET.but(seed=900, start=start)) for start in (1.0, 6.0))
    assert (usual > 0.5).all(), usual
    assert 1 <= (wide < 0.1).sum() < len(wide) / 2, wide


@pytest.mark.slow
def test_each_gate_closes_less_where_many_units_share_the_work():
    few, many = (np.median(contrast(HOLD.but(seed=900, cells=cells))) for cells in (2, 16))
    assert many < few - 0.15


# --- as all experiments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [0, -1])
def test_both_corners_of_the_config_begin(end):
    corner = Config(**{name: knob.corners[end] for name, knob in Config.knobs().items()})
    for picture in PICTURES:
        for signal in picture(corner).signals.values():
            assert np.isfinite(signal.values).all(), signal.name
    assert six_lines(corner).facts["agreement"] < 1e-5
    assert at_work(corner)["inside"].values.shape == (len(GATES), corner.length, min(corner.hidden, 32))
    assert next(iter(run(corner))).step == 0
    marked = next(iter(run_marked(corner)))
    assert step(marked, marked.facts["look_at"], marked.facts["unit"]).facts["time"] < corner.length


def test_a_long_training_is_kept_in_less_than_two_megabytes():
    config = Config(length=100, steps=1000, cells=16, seeds=1, hidden=4)
    for make in (run, run_marked):
        moment = next(iter(make(config)))
        assert sum(moment[name].values.nbytes for name in moment.signals) < 2_000_000 / 120


def test_the_strongest_unit_is_one_that_is_shown():
    for hidden in (1, 64):
        moment = at_work(SMALL.but(hidden=hidden))
        assert strongest(moment) in moment["inside"].ticks["unit"]
