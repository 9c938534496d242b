"""The autoregressive page's claims: the U over windows, forecasts that feed on themselves, and learning by heart."""

import numpy as np
import pytest

from seqcore.experiments import last
from seqcore.experiments.autoregressive import OWN, TEXT, Config, column, fitted, forecasts, own, own_text, run, windows
from seqcore.knobs import TEXT_LIMIT
from seqcore.tasks.series import NOISE

FRESH = {"seed": 100, "seeds": 8}


def held_out(config):
    """τ -> the median held-out error of the instant picture."""
    signal = windows(config)["squared_error"].sel(part="held out")
    return dict(zip(signal.ticks["tau"], np.median(signal.values, axis=0)))


def ahead(config):
    """k -> the median error of the chosen window's forecasts, (steps,) from one step on."""
    signal = forecasts(config)["ahead"].sel(arm=f"τ = {config.tau}")
    return np.median(signal.values, axis=0)


def test_on_the_sine_a_short_window_sees_too_little_and_a_long_one_learns_the_noise():
    error = held_out(Config(data="sine", **FRESH))
    assert error[1] / error[16] >= 1.3
    assert error[256] / error[16] >= 1.9
    assert min(error.values()) >= 0.9 * NOISE**2


def test_four_values_cannot_tell_two_tones_apart_and_sixteen_can():
    error = held_out(Config(tau=4, **FRESH))
    assert error[4] / error[16] >= 1.6
    forecast = ahead(Config(tau=4, **FRESH))
    assert forecast[15] / forecast[0] >= 5
    assert ahead(Config(tau=16, **FRESH))[15] <= 0.1


def test_forecasts_of_the_sine_get_worse_the_further_they_look():
    forecast = ahead(Config(data="sine", tau=4, **FRESH))
    assert forecast[63] / forecast[0] >= 3.5


def test_two_weights_are_all_there_is_to_an_ar2():
    config = Config(data="AR(2)", tau=2, length=2000, **FRESH)
    assert fitted(config)["coefficients"].values == pytest.approx([1.8, -0.9], abs=0.05)
    error = held_out(config)
    assert error[2] <= 1.15 * NOISE**2
    assert error[1] / error[2] >= 3
    assert min(error[tau] for tau in error if tau > 2) >= 0.97 * error[2]


def test_no_line_predicts_chaos_and_a_hidden_layer_does():
    config = Config(data=OWN, tau=4, rate=0.01, seeds=1)
    assert min(held_out(config).values()) >= 0.4
    assert last(run(config)).facts["best τ = 1"] <= 0.02


def test_fitted_errors_only_fall_and_the_network_is_a_convolution():
    errors = windows(Config(seeds=2))["squared_error"].sel(part="fitted").values
    assert (np.diff(np.median(errors, axis=0)) < 0).all()
    assert fitted(Config()).facts["agreement"] <= 1e-10
    assert fitted(Config(data=TEXT, tau=4)).facts["agreement"] <= 1e-5


def test_counting_a_text_has_its_best_window_in_the_middle():
    perplexity = windows(Config(data=TEXT, tau=4))["perplexity"].sel(part="held out").values
    assert 5.2 <= perplexity.min() <= 5.6
    assert perplexity[-1] / perplexity.min() >= 1.8


@pytest.mark.slow
def test_networks_for_text_have_their_best_window_in_the_middle():
    text = Config(data=TEXT, hidden=64, seed=100, seeds=1, steps=400)
    short, long = (last(run(text.but(tau=tau))).facts for tau in (4, 8))
    assert short["best τ = 4"] <= 5.6
    assert short["best τ = 1"] >= 6.5
    assert long["best τ = 32"] >= 8.5


@pytest.mark.slow
def test_a_long_window_learns_the_noise_by_heart():
    config = Config(data="AR(2)", seed=100, seeds=1)
    final = last(run(config))
    loss = {arm: final["loss"].sel(arm=arm).values[0, -5:].mean() for arm in final["loss"].ticks["arm"]}
    error = {arm: final["held_out"].sel(arm=arm).values[0, -1] for arm in loss}
    assert loss["τ = 64"] <= NOISE**2 / 2, "below what an honest prediction can reach"
    assert error["τ = 64"] >= 2 * error["τ = 4"]


def test_free_running_agrees_with_teacher_forcing_at_the_first_step_only():
    series = fitted(Config())["series"].sel(arm="τ = 16")
    start = series.ticks["time"].index(1)
    teacher, free = (series.sel(line=line).values for line in ("teacher forcing", "free running"))
    assert teacher[start] == pytest.approx(free[start])
    assert not np.isclose(teacher[start + 1 :], free[start + 1 :]).any()
    assert np.isnan(teacher[:start]).all()


@pytest.mark.parametrize(
    "config",
    [
        Config(data=OWN, tau=90),
        Config(data=TEXT, tau=256, hidden=0, seeds=8),
        Config(data=OWN, tau=1, numbers="\n".join(str(n % 7) for n in range(50))),
        Config(data=TEXT, tau=1, text="abcdefghij" * 5),
    ],
    ids=["own", "text", "short series", "short text"],
)
def test_own_data_begin_with_the_longest_window_and_with_the_shortest_data(config):
    for picture in (fitted, windows, forecasts):
        assert picture(config).step == 0
    assert next(iter(run(config))).step == 0


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"data": OWN, "numbers": ""}, "rows of values, not from 50"),
        ({"data": OWN, "numbers": "\n".join(["3"] * 60)}, "standard deviation 0"),
        ({"data": OWN, "numbers": "\n".join(["1", "two"] * 60)}, "holds no number but 'two'"),
        ({"data": OWN, "tau": 91}, "tau = 91 is more than 90, the longest window that own numbers has room for"),
        ({"data": "sine", "length": 200, "tau": 61}, "tau = 61 is more than 60"),
        ({"data": TEXT, "text": "too short"}, "text has length 9, not from 50"),
    ],
)
def test_impossible_data_and_windows_are_named(knobs, told):
    with pytest.raises(ValueError, match=told):
        Config(**knobs)


def test_of_a_table_the_first_column_that_does_not_count_up_is_taken():
    table = "year,sales\n" + "\n".join(f"{1900 + t},{t % 12}" for t in range(60))
    name, values = own(column(table.encode()))
    assert name == "sales"
    assert values.tolist() == [t % 12 for t in range(60)]
    Config(data=OWN, numbers=column(table.encode()))


def test_of_a_long_series_the_last_numbers_are_kept_and_it_says_so():
    table = "load\n" + "\n".join(f"{1000 + (t * 37 % 100) / 7:.9f}" for t in range(9000))
    made = column(table.encode())
    name, values = own(made)
    assert 0.9 * TEXT_LIMIT <= len(made) <= TEXT_LIMIT
    assert name == f"load (the last {len(values)} of 9000)"
    assert values[-1].item() == pytest.approx(1000 + (8999 * 37 % 100) / 7, abs=0.01)


def test_a_piece_of_text_is_guessed_character_by_character():
    piece = fitted(Config(data=TEXT, tau=4))
    assert piece["next"].values.shape == (40,)
    assert ((piece["next"].values > 0) & (piece["next"].values <= 1)).all()
    assert "".join(piece["next"].ticks["time"]).replace("␣", " ") in Config().text
    assert not forecasts(Config(data=TEXT, tau=4)).signals, "a text is not a number"


def test_a_text_too_long_for_an_address_is_refused():
    assert own_text(b"a  b\n" * 20) == ("a b " * 20).strip()
    with pytest.raises(ValueError, match="length 11,999, more than 10,000"):
        own_text(b"abc " * 3000)
