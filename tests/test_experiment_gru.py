"""The GRU beside the LSTM: what its gate keeps, what it learns, and that the digits on screen are the model's."""

import numpy as np
import pytest
import torch
from parity import gap, noise

from seqcore.experiments import last
from seqcore.experiments.gru import (
    PLAIN,
    Config,
    carried,
    clock,
    inside,
    leaks,
    lstm_step,
    parts,
    recall_source,
    run,
    sizes,
    source,
    step,
)
from seqcore.models.gru import CONVENTIONS, GRU

SMALL = Config(length=10, hidden=4, steps=50, seeds=2)


@pytest.mark.slow
def test_a_bias_of_two_learns_the_latch_and_no_bias_stays_at_chance():
    final = last(run(Config(steps=400, seeds=1, seed=100, forget_bias=6.0)))
    score = final.facts["score"]
    assert score["GRU"] >= 0.95
    assert score["LSTM"] >= 0.95
    assert score[PLAIN] <= 0.4
    lives, heard = final["half_life"], final["reach"]
    assert heard.sel(arm="GRU").values[0, -1] > 1e-2, "the answer hears the first step"
    assert lives.sel(arm="GRU").values.max() > 60, "a few units keep a cue longer than the sequence"
    assert np.median(lives.sel(arm="GRU").values) < 15, "most units do not"
    assert np.median(lives.sel(arm="LSTM").values) > 60, "the LSTM opens nearly all"
    assert heard.sel(arm=PLAIN).values[0, -1] < 1e-6


def test_an_untrained_memory_leaks_as_its_bias_says():
    first = leaks(Config(seeds=2))
    for arm, expected in first.facts["expected"].items():
        assert first.facts["half_life"][arm] == pytest.approx(expected, rel=0.1)
        assert first["kept"].sel(arm=arm).values == pytest.approx(
            np.broadcast_to(first["expected"].sel(arm=arm).values, (2, 31)), abs=0.05
        )
    assert first.facts["expected"]["GRU"] == pytest.approx(5.46, abs=0.01)


def test_every_gate_and_every_candidate_is_a_block_as_large_as_an_rnn():
    weights = sizes(Config()).facts["weights"]
    assert weights["GRU"] * 4 == weights["LSTM"] * 3 == weights["RNN"] * 12
    assert inside(Config()).facts["agreement"] <= 1e-5


def test_the_clock_measures_every_cell():
    took = clock(SMALL)["milliseconds"]
    assert took.ticks["arm"] == ("RNN", "GRU", "LSTM")
    assert (took.values > 0).all()


def test_a_bias_of_zero_leaves_one_gru():
    assert leaks(SMALL.but(update_bias=0.0))["kept"].ticks["arm"] == ("GRU", "LSTM")
    first = next(iter(run(SMALL.but(update_bias=0.0))))
    assert first["update"].ticks["arm"] == ("GRU",)


@pytest.mark.parametrize("convention", ["torch", "paper"])
def test_gates_for_all_times_at_once_are_the_trace(convention):
    cell = GRU(2, 5, 1.0, convention, torch.Generator().manual_seed(1)).double()
    x = noise(3, 7, 2).detach()
    seen, (_, trail) = parts(cell, x), cell.trace(x)
    for name in ("h", "r", "z", "n"):
        assert gap(getattr(seen, name), torch.stack([getattr(state, name) for state in trail], dim=1)) <= 1e-12


def test_the_two_conventions_are_different_functions_and_only_one_has_a_twin():
    torch_, paper = inside(SMALL), inside(SMALL.but(convention="paper"))
    assert torch_.facts["conventions"] == pytest.approx(paper.facts["conventions"])
    assert torch_.facts["conventions"] > 1e-3
    assert paper.facts["agreement"] is None


def logistic(a: float) -> float:
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("convention", ["torch", "paper"])
@pytest.mark.parametrize("time", [0, 3])
def test_one_unit_taken_apart_adds_up(convention, time):
    moment = inside(SMALL.but(convention=convention))
    taken = step(moment, time, 1)
    v = taken.facts
    (x_r, h_r), (x_z, h_z), (x_n, h_n) = taken["sums"].values.tolist()
    assert v["r"] == pytest.approx(logistic(x_r + h_r), abs=1e-6)
    assert v["z"] == pytest.approx(logistic(x_z + h_z), abs=1e-6)
    assert v["past"] == pytest.approx(v["r"] * h_n if convention == "torch" else h_n, abs=1e-6)
    assert v["n"] == pytest.approx(np.tanh(x_n + v["past"]), abs=1e-6)
    assert v["kept"] == pytest.approx(v["z"] * v["h_before"], abs=1e-6)
    assert v["h"] == pytest.approx(v["written"] + v["kept"], abs=1e-6)
    assert (v["h_before"] == 0) == (time == 0), "before the first step the state is zero"
    assert v["h"] == moment["h"].sel(arm="GRU").values[time, 1]


def test_the_lstm_beside_it_reads_the_same_row():
    moment = inside(SMALL)
    gru, lstm = step(moment, 0, 1).facts, lstm_step(moment, 3, 1).facts
    assert gru["read"].startswith("cue "), "the latch begins with its cue"
    assert step(moment, 3, 1).facts["read"] == lstm["read"]
    assert lstm["c"] == pytest.approx(lstm["kept"] + lstm["written"], abs=1e-6)
    assert lstm["h"] == pytest.approx(lstm["o"] * np.tanh(lstm["c"]), abs=1e-6)
    assert lstm["kept"] == pytest.approx(lstm["f"] * lstm_step(moment, 2, 1).facts["c"], abs=1e-6)
    assert lstm_step(moment, 0, 1).facts["c_before"] == 0
    other = lstm_step(inside(SMALL.but(forget_bias=0.0)), 3, 1).facts
    assert other["f"] < lstm["f"], "it has the bias of the knob"


def computed(code: str, convention: str, cell: GRU, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """h after one step, by the lines of a text."""
    names = dict(torch=torch, x=x[:, None], t=0, h=h, recall=eval(f"lambda h, r, W, b: {recall_source(convention)}"))
    for name in ("W_x", "W_h", "b_x", "b_h"):
        names |= {f"{name}{gate}": part for gate, part in zip("rzn", getattr(cell, name).detach().chunk(3))}
    exec(code, names)
    return names["h"]


def test_the_lines_on_screen_compute_what_a_gru_cell_of_torch_does():
    cell = GRU(3, 5, 1.0, generator=torch.Generator().manual_seed(2)).double()
    twin = torch.nn.GRUCell(3, 5).double()
    twin.load_state_dict(
        dict(weight_ih=cell.W_x, weight_hh=cell.W_h, bias_ih=cell.b_x, bias_hh=cell.b_h),
    )
    x, h = noise(4, 3).detach(), noise(4, 5, seed=1).detach()
    expected = twin(x, h).detach()
    assert source().count("\n") == 3
    assert gap(computed(source(), "torch", cell, x, h), expected) <= 1e-12
    assert gap(computed(source(), "paper", cell, x, h), expected) > 1e-3, "r before the product is another function"
    wrong = source().replace("(1 - z) * n + z * h", "z * n + (1 - z) * h")
    assert gap(computed(wrong, "torch", cell, x, h), expected) > 1e-3, "z that lets in is not what torch does"


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_words_for_recall_are_its_code(convention):
    h, r, W, b = noise(2, 3), noise(2, 3, seed=1), noise(3, 3, seed=2), noise(3, seed=3)
    assert torch.equal(eval(recall_source(convention)), CONVENTIONS[convention](h, r, W, b))


def test_training_begins_with_the_cells_of_the_picture():
    first, picture = next(iter(run(SMALL))), inside(SMALL)
    assert all(first[name] == picture[name] for name in ("update", "reset", "candidate", "h", "sums", "x"))
    assert step(first, 4, 2).facts == step(picture, 4, 2).facts


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize("task", ["latch", "first token", "temporal order"])
def test_every_task_runs_to_its_end(task):
    moments = list(run(SMALL.but(task=task)))
    assert [moments[0].step, moments[-1].step] == [0, 50]
    assert moments[-1].facts["baseline"] == pytest.approx(np.log(4))
    assert set(moments[-1].facts["score"]) == {PLAIN, "GRU", "LSTM"}


def test_what_a_unit_carries_is_what_the_drawings_say_step_by_step():
    moment = inside(Config(hidden=4))
    lines = carried(moment, 2)
    for time in (0, 5, 20):
        lstm, own = lstm_step(moment, time, 2).facts, step(moment, time, 2).facts
        told = {line: lines.sel(line=line).values[time] for line in lines.ticks["line"]}
        assert told == pytest.approx({"LSTM c": lstm["c"], "LSTM h": lstm["h"], "GRU h": own["h"]})
