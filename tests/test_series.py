"""Series: their noise and their swing are what they say, and a reader's table is read or refused by name."""

import math
import statistics
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from seqcore.tasks.series import NOISE, SERIES, Series, ar2, read, sine, split, standardised, two_tones

COUNT = list(range(60))


def drawn(kind, length=1000, seed=0):
    return kind(length, torch.Generator().manual_seed(seed))


def table(header, row, rows=60):
    """A table with the same row again and again, i being the number of the row."""
    return "\n".join([header, *(row.format(i=i) for i in range(rows))])


def test_the_sine_is_a_sine_and_noise():
    t = torch.arange(1, 20_001).double()
    noise = drawn(sine, 20_000) - torch.sin(0.01 * t)
    assert float(noise.std()) == pytest.approx(NOISE, rel=0.02)
    assert abs(float((noise[1:] * noise[:-1]).mean())) <= 0.001


def test_two_tones_have_the_periods_25_and_11_in_the_ratio_2_to_1():
    x = drawn(two_tones, 275 * 20)
    power = torch.fft.rfft(x).abs() / (len(x) / 2)
    tones = {len(x) // period: amplitude for period, amplitude in [(25, 1.0), (11, 0.5)]}
    assert set(power.topk(2).indices.tolist()) == set(tones)
    for tone, amplitude in tones.items():
        assert float(power[tone]) == pytest.approx(amplitude, abs=0.02)


def test_ar2_leaves_only_its_noise_unexplained_and_is_stationary():
    x = drawn(ar2, 50_000)
    noise = x[2:] - 1.8 * x[1:-1] + 0.9 * x[:-2]
    assert float(noise.std()) == pytest.approx(NOISE, rel=0.02)
    # the Yule-Walker equations of an AR(2): σ² (1 - φ2) / ((1 + φ2) ((1 - φ2)² - φ1²))
    variance = NOISE**2 * 1.9 / (0.1 * (1.9**2 - 1.8**2))
    assert float(x.var()) == pytest.approx(variance, rel=0.1)
    first = torch.stack([drawn(ar2, 2, seed)[0] for seed in range(300)])
    assert float(first.var()) == pytest.approx(variance, rel=0.25)


@pytest.mark.parametrize("name", SERIES)
def test_series_follow_their_generator_in_any_thread(name):
    with ThreadPoolExecutor(4) as pool:
        series = list(pool.map(lambda _: drawn(SERIES[name]), range(4)))
    assert all(torch.equal(one, series[0]) for one in series)
    assert not torch.equal(drawn(SERIES[name], seed=1), series[0])


@pytest.mark.parametrize(("length", "window"), [(1, 1), (32, 1), (8, 8), (32, 5)])
def test_the_answer_is_the_next_number_from_the_first_full_window_on(length, window):
    task = Series(torch.arange(1000.0), length, window)
    x, y, _ = task.batch(500, torch.Generator().manual_seed(0))
    assert x.shape == (500, length, 1)
    assert y.shape == (500, length - window + 1)
    assert torch.equal(y, x[:, task.at, 0] + 1)
    assert y.max() <= 599
    assert task.baseline == pytest.approx(statistics.pvariance(range(600)))


@pytest.mark.parametrize("window", [1, 4, 256])
def test_the_held_out_answers_are_the_same_for_every_window(window):
    task = Series(torch.arange(1000.0), 256, window)
    assert task.held_out.y[0].tolist() == list(range(600, 1000))
    assert torch.equal(task.held_out.y, task.held_out.x[:, task.at, 0] + 1)
    x, y, _ = task.ahead(3)
    assert (x.shape, y.shape) == ((398, window, 1), (398, 3))
    assert torch.equal(y, x[:, -1:, 0] + torch.tensor([1.0, 2.0, 3.0]))
    assert y[0].tolist() == [600, 601, 602]
    assert y[-1].tolist() == [997, 998, 999]


def test_standardised_values_have_mean_0_and_variance_1_where_they_are_learned():
    values = standardised(1e6 + 300 * drawn(ar2))
    train, held_out = split(values)
    assert (len(train), len(held_out)) == (600, 400)
    assert float(train.mean()) == pytest.approx(0, abs=1e-9)
    assert Series(values, 16).baseline == pytest.approx(1)


@pytest.mark.parametrize(
    ("raw", "columns"),
    [
        (table("value", "{i}"), {"value": COUNT}),
        (table("0", "{i}", 59), {"column 1": [0, *range(59)]}),
        (table("t,x", "{i},-{i}.5e0"), {"t": COUNT, "x": [-i - 0.5 for i in COUNT]}),
        (table("day;x;y", "1 may;{i},5;+{i}"), {"x": [i + 0.5 for i in COUNT], "y": COUNT}),
        (table("day\tx", "1 may\t{i},25"), {"x": [i + 0.25 for i in COUNT]}),
        (table("x", "{i},5"), {"x": [i + 0.5 for i in COUNT]}),
        (table("x", '"{i},5"'), {"x": [i + 0.5 for i in COUNT]}),
        (table('"a, b",c', '"1, 2",{i}'), {"c": COUNT}),
        (table("x,x,", "{i},{i},{i}"), {"x": COUNT, "x (2)": COUNT, "column 3": COUNT}),
        ("\r\n" + table(" x ", " {i} ").replace("\n", "\r\n\r\n,\r\n"), {"x": COUNT}),
        (table("größe;x", "a;{i}").encode("utf-16"), {"x": COUNT}),
        (table("größe", "{i}").encode("latin-1"), {"größe": COUNT}),
        (table("größe", "{i}").encode("utf-8-sig"), {"größe": COUNT}),
    ],
)
def test_a_table_is_read_with_its_separator_header_and_decimal_sign(raw, columns):
    assert {name: values.tolist() for name, values in read(raw).columns.items()} == columns


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "the table has 0 rows of values, not from 50 to 20,000"),
        (b"\x00", "rows of values, not from 50"),
        (table("x", "{i}", 49), "the table has 49 rows"),
        (table("x", "{i}", 20_001), "the table has 20,001 rows"),
        ("1" * 4_000_001, "4,000,001 characters, more than 4,000,000"),
        (table("x" + ",y" * 100, "{i}" + ",1" * 100), "101 columns, more than 100"),
        (table("name", "ann"), "no column of the table is a series: name: line 2 holds no number but 'ann'"),
        (table("x", "{i}").replace("\n7\n", "\nNaN\n"), "x: line 9 holds no number but 'NaN'"),
        (table("x", "{i}").replace("\n7\n", "\n1e999\n"), "x: line 9 holds no number but '1e999'"),
        (table("x", "{i}").replace("\n7\n", "\n1.000,5\n"), "x: line 9 holds no number but '1.000,5'"),
        (table("t,x", "{i},1").replace("\n7,1", "\n7,1,5"), "line 9 has 3 cells, more than the 2 of the first row"),
        (table("x", "{i}") + '\n"' + "y" * 200_000, "cannot be read: field larger"),
    ],
)
def test_an_unfit_table_is_refused_with_the_limit_or_the_line(raw, message):
    with pytest.raises(ValueError, match=message):
        read(raw)


@pytest.mark.parametrize("row", ["7,", "7"])
def test_a_column_with_a_gap_is_refused_and_the_others_are_read(row):
    columns, refused = read(table("t,x", "{i},1").replace("\n7,1", f"\n{row}"))
    assert columns["t"].tolist() == COUNT
    assert refused == {"x": "x: line 9 holds no number but ''"}


def test_a_series_that_does_not_fit_is_refused_by_name():
    values = drawn(sine, 100)
    for make, message in [
        (lambda: Series(values, 0), "length = 0 is less than 1"),
        (lambda: Series(values, 4, window=5), "length = 4 is less than 5"),
        (lambda: Series(values, 60), "training part of the series has 60 values, not more than length = 60"),
        (lambda: Series(values, 4).ahead(41), "steps = 41 is not from 1 to 40"),
        (lambda: Series(values, 4).ahead(0), "steps = 0 is not from 1 to 40"),
        (lambda: standardised(torch.ones(100)), "standard deviation 0"),
        (lambda: standardised(1e300 * values), "standard deviation inf"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()


def test_the_largest_table_that_is_allowed_is_read():
    columns, _ = read(table("x", "{i}", 20_000))
    assert len(columns["x"]) == 20_000
    assert math.isfinite(Series(standardised(columns["x"]), 16).baseline)


def test_a_million_columns_are_refused_before_they_are_taken_apart():
    wide = ",".join(["1"] * 1_000_000)
    tracemalloc.start()
    with pytest.raises(ValueError, match="1,000,000 columns, more than 100"):
        read("\n".join([wide, wide]))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5 * len(wide), "the text itself twice, and no cell"
