"""The decoder's experiment: what its mask lets through, and what becomes of one without."""

import numpy as np
import pytest

from seqcore.engine import stream
from seqcore.experiments import last
from seqcore.experiments.decoder import ARMS, CASES, Config, run, sight, sizes, stages, step, write
from seqcore.runs import RUN_BYTES

SMALL = Config(length=6, width=16, steps=100, seeds=1)
REVERSE = Config(task="reverse", length=8, width=64, rate=0.003, seeds=1)
TASKS = ["Markov source", "reverse"]
CORNERS = [
    dict(length=4, symbols=2, order=1, sharpness=0.0, width=16, heads=1, layers=1, seeds=1),
    dict(length=32, symbols=8, order=2, sharpness=4.0, width=64, heads=4, layers=3, seeds=1, rate=0.1),
]


@pytest.fixture(scope="module")
def learned():
    return last(run(Config(seeds=2)))


@pytest.mark.parametrize("task", TASKS)
def test_with_the_mask_not_one_bit_moves_before_the_change_and_without_it_all_outputs_move(task):
    first = sight(Config(task=task, heads=2, layers=2))
    masked, open_ = (np.isfinite(first["moved"].sel(arm=arm).values) for arm in ARMS)
    assert np.array_equal(masked, np.tril(np.ones_like(masked)))
    assert np.array_equal(masked, first["visible"].values)
    assert open_.all()
    assert first.facts["leak"] == 0 < 0.001 < first.facts["leak_open"]


@pytest.mark.parametrize("task", TASKS)
def test_our_layer_is_the_one_of_torch_and_kept_keys_change_nothing(task):
    facts = sizes(Config(task=task, heads=4)).facts
    assert facts["agreement"] < 1e-5
    assert facts["cache"] < 1e-5


@pytest.mark.parametrize("task", TASKS)
def test_the_stages_of_a_layer_end_in_what_the_layer_itself_gives(task):
    config = Config(task=task, layers=2, heads=2, length=6)
    picture, case = stages(config), CASES[task](config)
    batch = case.held_out(1, stream(config.seed, "probe"))
    model = case.model(True, stream(config.seed, "weights"))
    _, trail = case.decoder(model).trace(case.shown(batch), case.memory(model, batch))
    for number, steps in enumerate(trail, 1):
        ends = {"x": steps.x, "attention after": steps.mixed, "feed-forward after": steps.y}
        ends |= {"cross after": steps.informed} if task == "reverse" else {}
        for stage, state in ends.items():
            ours = picture["states"].sel(layer=number, stage=stage).values
            np.testing.assert_allclose(ours, state[0].detach().numpy(), atol=1e-5, err_msg=f"{number}: {stage}")


def test_one_place_sees_nothing_after_itself_and_all_of_the_source():
    picture = stages(Config(task="reverse", length=8, width=64))
    for position in range(1, 10):
        facts = step(picture, 1, position).facts
        assert facts["seen"][0] <= position
        assert facts["read"][1] >= 1 / facts["S"]
        assert facts["S"] == 8
        assert facts["T"] == 9
    assert picture["look"].values.sum(-1) == pytest.approx(1)
    assert step(picture, 1, 1).facts["seen"] == (1, 1.0)
    alone = step(stages(Config()), 1, 3).facts
    assert (alone["S"], alone["memory"], alone["read"]) == (0, None, None)


@pytest.mark.slow
def test_below_the_floor_there_is_one_explanation(learned):
    floor, baseline = learned.facts["floor"], learned.facts["baseline"]
    masked, open_ = (learned["trained"].sel(arm=arm).values[:, -1] for arm in ARMS)
    honest_masked, honest_open = (learned["honest"].sel(arm=arm).values[:, -1] for arm in ARMS)
    assert open_.max() < floor / 4, "it saw the answers"
    assert honest_open.min() > 2 * baseline, "and knows less than nothing without them"
    assert abs(honest_masked - floor).max() < 0.1
    np.testing.assert_allclose(masked, honest_masked, atol=1e-5)


@pytest.mark.slow
def test_without_a_mask_the_last_layer_looks_at_the_answer(learned):
    weights = learned["weights"].isel(head=0)
    one_ahead = {arm: np.diagonal(weights.sel(arm=arm).values, 1).mean() for arm in ARMS}
    assert one_ahead["causal mask"] == 0
    assert one_ahead["no mask"] > 0.4


@pytest.mark.slow
def test_without_a_mask_coin_tosses_seem_foretold():
    final = last(run(Config(sharpness=0.0, seeds=1, steps=250)))
    assert final.facts["floor"] == pytest.approx(np.log(4))
    masked, open_ = final["trained"].values[:, 0, -1]
    assert masked > 0.97 * final.facts["floor"]
    assert open_ < 0.25 * final.facts["floor"]


@pytest.mark.slow
def test_a_tiny_loss_and_not_one_answer_right():
    training = run(REVERSE)
    final = last(training)
    trained, right = final["trained"].values[:, 0, -1], final["right"].values[:, 0, -1]
    assert trained.max() <= 0.02
    assert right[0] >= 0.97
    assert right[1] <= 0.05
    told = write(final, "causal mask").facts
    assert told["text"] == told["wanted"] == told["prompt"][::-1]
    assert training.nbytes < RUN_BYTES / 4, "the whole training, with its pictures and its weights"


def test_it_writes_the_likeliest_symbols_or_draws_them_and_kept_keys_change_nothing():
    moment = last(run(SMALL))
    greedy = write(moment, "causal mask")
    symbols = greedy["taken"].sel(line="causal mask").values.argmax(-1)
    assert greedy.facts["text"] == "".join(map(str, symbols))
    assert greedy.facts["cache"] < 1e-5
    assert greedy["taken"].values.sum(-1) == pytest.approx(1)
    assert write(moment, "no mask").facts["cache"] is None, "there is nothing to keep"
    drawn = {write(moment, "causal mask", 1.0, draw).facts["text"] for draw in range(5)}
    assert len(drawn) > 1
    assert write(moment, "causal mask", 0.01, 3).facts["text"] == greedy.facts["text"], "cold draws are the likeliest"


def test_the_truth_beside_it_is_the_source_itself():
    moment = next(iter(run(SMALL)))
    told = write(moment, "causal mask", 1.0, 1)
    truth = told["taken"].sel(line="truth").values
    again = write(moment, "no mask", 1.0, 1)
    row, other = (each.facts["prompt"] + each.facts["text"] for each in (told, again))
    contexts = {row[t : t + 2]: truth[t] for t in range(4)}
    for t in range(4):
        if other[t : t + 2] in contexts:
            np.testing.assert_allclose(again["taken"].sel(line="truth").values[t], contexts[other[t : t + 2]])


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("corner", CORNERS)
def test_at_every_corner_of_the_knobs_the_mask_holds_and_it_can_write(task, corner):
    config = Config(task=task, **corner)
    assert sight(config).facts["leak"] == 0
    told = write(next(iter(run(config))), "no mask", 3.0, 99)
    places = config.length - config.order if task == "Markov source" else config.length + 1
    assert len(told["taken"].ticks["time"]) == places


def test_the_weights_are_those_of_the_newest_moment_and_an_older_one_says_that_it_has_none():
    trained = run(SMALL)
    moments = list(trained)
    assert moments[-1].facts["measured"] == SMALL.steps
    assert ["parameters" in trained.at(step) for step in trained.steps[-2:]] == [False, True]
    with pytest.raises(ValueError, match="step = 0 has no weights any more"):
        write(trained.at(0), "no mask")


def test_heads_that_are_no_choice_are_named_with_the_ones_there_are():
    with pytest.raises(ValueError, match="heads = 3 is not one of 1, 2, 4"):
        Config(heads=3)
