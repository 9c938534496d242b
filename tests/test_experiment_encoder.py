"""The encoder's experiment: who hears of a change, what padding does, and which stacks learn."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from seqcore.experiments import encoder, last
from seqcore.experiments.encoder import (
    ARMS,
    LENGTHS,
    Config,
    block,
    gradient,
    layer_norm,
    normalise,
    padding,
    run,
    source,
    stack,
    stages,
    step,
)

SMALL = Config(layers=2, heads=1, width=16, feedforward=16, length=4, steps=50, seeds=1)
RESIDUAL = [arm for arm in ARMS if ARMS[arm].residual]


@pytest.mark.parametrize("arm", ARMS)
def test_attention_tells_every_position_and_the_feed_forward_network_only_its_own(arm):
    moved = np.isfinite(block(Config())["moved"].sel(arm=arm).values)
    attention, feedforward = moved
    assert attention.all()
    assert np.array_equal(feedforward, np.eye(8, dtype=bool)), "elsewhere not one bit is different"


def test_the_change_starts_at_its_own_token_and_is_everywhere_after_the_first_attention():
    travel = np.isfinite(stack(Config())["travel"].sel(arm="residual + pre-norm").values)
    assert np.array_equal(travel[0], np.eye(8, dtype=bool))
    assert travel[1:].all()


def test_with_a_residual_the_changed_place_stays_the_one_that_moves_most():
    travel = stack(Config())["travel"]
    for arm in ARMS:
        end = travel.sel(arm=arm).values[-1]
        own, others = end.diagonal(), end[~np.eye(8, dtype=bool)]
        apart = own.mean() - others.mean()
        assert apart > 0.8 if ARMS[arm].residual else abs(apart) < 0.1, f"{arm}: {apart:+.2f} decades"


def test_padding_that_is_masked_changes_nothing_and_padding_that_is_seen_does():
    padded = padding(Config())["padded"]
    masked, seen = padded.values
    assert padded.ticks["length"] == LENGTHS
    assert masked.max() < 1e-5 < 0.01 < seen.min()


def test_our_layer_is_the_one_of_torch():
    assert block(Config()).facts["agreement"] < 1e-5


@pytest.mark.parametrize("arm", ARMS)
def test_the_stages_of_a_layer_end_in_what_the_layer_itself_gives(arm):
    config = Config(layers=3)
    states = stages(config)["states"].sel(arm=arm)
    _, trail = encoder._encoder(config, arm, config.seed).trace(encoder._tokens(config))
    for number, steps in enumerate(trail, 1):
        for stage, state in (("x", steps.x), ("attention after", steps.mixed), ("feed-forward after", steps.y)):
            ours = states.sel(layer=number, stage=stage).values
            np.testing.assert_allclose(ours, state[0].detach().numpy(), atol=1e-5, err_msg=f"{number}: {stage}")


def test_layer_norm_sets_the_root_mean_square_to_one_and_the_sum_keeps_the_input():
    picture = stages(Config())
    pre, post, bare = (
        step(picture, arm, 2, 3).facts["rms"] for arm in ("residual + pre-norm", "residual + post-norm", "nothing")
    )
    assert pre["attention before"] == pytest.approx(1, abs=1e-3)
    assert post["attention after"] == pytest.approx(1, abs=1e-3)
    assert pre["attention after"] == pre["attention sum"] != pytest.approx(1, abs=0.01)
    assert bare["feed-forward after"] < 0.5 < pre["feed-forward after"]
    states = picture["states"].sel(arm="residual + pre-norm", layer=1)
    x, f, joined = (states.sel(stage=name).values for name in ("x", "attention f", "attention sum"))
    np.testing.assert_allclose(joined, x + f, rtol=1e-6)


def test_the_lines_on_screen_compute_what_torch_computes():
    generator = torch.Generator().manual_seed(3)
    x, gamma, beta = (torch.randn(*size, generator=generator) for size in ((5, 7, 16), (16,), (16,)))
    names = {"x": 3 * x + 2, "gamma": gamma, "beta": beta, "eps": encoder.EPSILON}
    exec(source(), names)
    wanted = F.layer_norm(3 * x + 2, (16,), gamma, beta)
    torch.testing.assert_close(names["y"], wanted)
    torch.testing.assert_close(layer_norm(3 * x + 2, gamma, beta).y, wanted)
    assert len(source().splitlines()) == 4
    assert torch.nn.LayerNorm(16).eps == encoder.EPSILON


@pytest.mark.parametrize("sublayer", encoder.SUBLAYERS)
def test_the_digits_of_a_layer_norm_are_those_of_the_encoder(sublayer):
    picture = stages(Config())
    done = normalise(picture, 3, sublayer, 2)
    before, after = done["x"].values
    facts = done.facts
    assert facts["gap"] < 1e-6
    assert facts["mean"] == pytest.approx(before.mean(), abs=1e-6)
    assert facts["variance"] == pytest.approx(before.var(), rel=1e-5)
    assert (after.mean(), after.var()) == pytest.approx((0, 1), abs=1e-4)
    np.testing.assert_array_equal(after, np.float32(facts["y"]))
    assert set(facts["gamma"]) == {1.0}
    assert set(facts["beta"]) == {0.0}


@pytest.mark.parametrize(("layers", "bare"), [(4, -2.5), (8, -6.5)])
def test_without_a_way_around_the_sublayers_the_first_layer_gets_no_gradient(layers, bare):
    decades = gradient(Config(layers=layers, seeds=4)).facts["decades"]
    assert decades["nothing"] < bare
    assert all(abs(decades[arm]) < 0.3 for arm in RESIDUAL), decades
    assert -1.2 < decades["norm only"] < -0.1


@pytest.mark.slow
def test_four_layers_learn_with_a_residual_and_only_with_it():
    final = last(run(Config(seeds=1)))
    right = final["right"]
    assert list(final.facts["learned"].values()) == pytest.approx(right.values[..., -1].mean(1))
    for arm in RESIDUAL:
        assert right.sel(arm=arm).values[:, -1].min() >= 0.95, arm
    assert right.sel(arm="norm only").values[:, -1].max() <= 0.5
    assert right.sel(arm="nothing").values[:, -1].max() <= 0.4
    for arm in ARMS:
        mirrored = [np.fliplr(layer).trace() / 8 for layer in final["weights"].sel(arm=arm).values]
        assert max(mirrored) > 0.8 if arm in RESIDUAL else max(mirrored) < 0.2, f"{arm}: {mirrored}"


@pytest.mark.slow
def test_pre_and_post_norm_differ_at_a_high_rate():
    right = last(run(Config(rate=0.02, seeds=1)))["right"]
    assert right.sel(arm="residual + pre-norm").values[0, -1] >= 0.9
    assert right.sel(arm="residual + post-norm").values[0, -1] <= 0.6


@pytest.mark.slow
def test_one_layer_learns_whatever_stands_around_it():
    right = last(run(Config(layers=1, seeds=1)))["right"].values[:, 0, -1]
    assert right.min() >= 0.9


def test_nothing_is_learned_before_the_first_moment_and_all_of_it_at_the_last():
    moments = list(run(SMALL))
    assert moments[0].step == 0
    assert moments[-1].step == SMALL.steps == moments[-1]["right"].ticks["step"][-1]
    assert 30 <= len(moments) <= 120
    assert {"baseline", "event"} <= set(moments[0].facts)


def test_the_gradient_of_the_first_moment_is_that_of_the_instant_picture():
    np.testing.assert_allclose(next(iter(run(SMALL)))["by_layer"].values, gradient(SMALL)["by_layer"].values, rtol=1e-4)


def test_heads_that_are_no_choice_are_named_with_the_ones_there_are():
    with pytest.raises(ValueError, match="heads = 3 is not one of 1, 2, 4, 8"):
        Config(heads=3)
