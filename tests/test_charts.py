"""A chart's specification and alt text follow from words; everything that a knob can change is in its rows."""

import json
import re

import altair as alt
import numpy as np
import pytest

from seqcore.record import Signal
from view import charts, theme
from view.charts.vega import alone

STEPS = {"arm": ("with", "without"), "seed": (0, 1, 2), "step": (0, 10, 20, 30)}
LOSS = Signal("loss", ("arm", "seed", "step"), np.arange(1.0, 25.0).reshape(2, 3, 4), STEPS)
MAP = Signal("h", ("time", "unit"), np.linspace(-1, 1, 12).reshape(3, 4))
BARS = Signal("loss", ("arm", "step"), np.ones((2, 4)), {axis: STEPS[axis] for axis in ("arm", "step")})
MAPS = Signal("weights", ("head", "query", "key"), np.full((2, 3, 3), 1 / 3), {"head": ("one", "two")})
HISTORY = Signal("history", ("step", "lag"), np.arange(6.0).reshape(2, 3), {"step": (0, 5)})
THEORY = Signal("trained", ("arm", "step"), np.ones((2, 4)), {axis: STEPS[axis] for axis in ("arm", "step")})

CASES = {
    "curve": (charts.curve, (LOSS,), dict(x="step", colour="arm", log=True, across=(0, 30))),
    "curve with a theory and rules": (charts.curve, (LOSS, THEORY), dict(x="step", colour="arm", rules={"floor": 0.5})),
    "curve of one seed": (charts.curve, (LOSS.isel(seed=0),), dict(x="step", colour="arm", span=(0, 9))),
    "curve of one line": (charts.curve, (LOSS.isel(arm=0),), dict(x="step", every_seed=True)),
    "curve over doublings": (charts.curve, (LOSS,), dict(x="step", colour="arm", log_x=True)),
    "heat map": (charts.heat, (MAP,), dict(x="time", y="unit")),
    "heat map that grows": (charts.heat, (HISTORY,), dict(x="step", y="lag", across=(0, 9), large=True)),
    "heat map with digits": (charts.heat, (MAP,), dict(x="time", y="unit", digits=True, span=(-1, 1), frame=1)),
    "heat maps side by side": (charts.heat, (MAPS,), dict(x="key", y="query", beside="head")),
    "bars": (charts.bars, (BARS,), dict(x="step", colour="arm", rules={"floor": 0.5})),
    "bars of one colour": (charts.bars, (BARS.isel(arm=0),), dict(x="step", span=(0, 2))),
}
VALUES = {
    "as they are": lambda values: values,
    "constant": np.ones_like,
    "not a number": lambda values: np.full_like(values, np.nan),
    "infinite": lambda values: np.full_like(values, np.inf),
    "zero": np.zeros_like,
    "tiny": lambda values: values * 1e-300,
}


def names_of(signals) -> tuple[str, ...]:
    return tuple(signal.name for signal in signals)


def larger(signal: Signal) -> Signal:
    """Another signal of the same name and axes: longer, with other ticks and other values."""
    words = {"arm": "a line called {}", "head": "head {}"}
    shape = [length + 3 for length in signal.values.shape]
    ticks = {
        axis: tuple(words[axis].format(index) for index in range(length)) if axis in words else range(7, 7 + length)
        for axis, length in zip(signal.axes, shape)
    }
    return Signal(signal.name, signal.axes, np.random.default_rng(0).normal(3, 9, shape), ticks)


def turned(options: dict) -> dict:
    """The same options with other numbers."""
    numbers = {"span": (-3, 40), "across": (2, 50), "rules": {"another": 3.0, "one more": 4.0}, "frame": 2}
    return {name: numbers.get(name, value) for name, value in options.items()}


def fields(specification) -> set[str]:
    """Every column an encoding or an expression names, wherever it stands."""
    text = json.dumps(specification)
    made = set(re.findall(r'"as": "(\w+)"', text))
    return (
        {*re.findall(r'"field": "(\w+)"', text), *re.findall(r"(?:datum|frame\[\d\])\.(?!datum)(\w+)", text)}
        - made
        - {"value", "moment"}
    )


def kinds(rows) -> dict[str, list[dict]]:
    """The rows of each kind."""
    found = {}
    for row in rows.to_pylist():
        found.setdefault(row["kind"], []).append(row)
    return found


# --- the words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_the_specification_and_the_alt_text_do_not_change_with_any_size_tick_name_or_limit(case):
    chart, signals, options = CASES[case]
    others, other_options = tuple(larger(signal) for signal in signals), turned(options)
    assert chart.rows(*others, **other_options).num_rows > 2
    for of in (chart.specification, chart.alt):
        assert json.dumps(of(names=names_of(signals), **options)) == json.dumps(
            of(names=names_of(others), **other_options)
        )
    assert not any(sign.isdigit() for sign in chart.alt(names_of(signals), **options).replace("log₁₀", ""))


@pytest.mark.parametrize("case", CASES)
def test_a_specification_is_vega_lite_without_numbers_of_the_signal(case):
    chart, signals, options = CASES[case]
    specification = chart.specification(names_of(signals), **options)
    alt.Chart.from_dict(json.loads(json.dumps(alone(specification))))
    assert specification is chart.specification(names_of(signals), **options), "it is made once"
    assert not {"with", "without", "one", "two", "floor"} & set(re.findall(r'"(\w+)"', json.dumps(specification)))


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("case", CASES)
def test_a_chart_names_columns_that_its_rows_have_whatever_the_values(case, values):
    chart, signals, options = CASES[case]
    changed = [Signal(s.name, s.axes, VALUES[values](s.values.astype(float)), s.ticks) for s in signals]
    rows, names = chart.rows(*changed, **options), names_of(signals)
    assert fields(chart.specification(names, **options)) <= set(rows.column_names)
    first, second = rows.to_pylist()[:2]
    assert (first["kind"], second["kind"]) == ("frame", "frame")
    for end in {"x", "y", "left", "top", "value"} & set(rows.column_names):
        assert -np.inf < first[end] < second[end] < np.inf
    for column in rows.column_names:
        if str(rows[column].type) == "double":
            assert np.isfinite(rows[column].drop_null().to_numpy()).all()
    assert chart.told(rows, names, **options).startswith(chart.alt(names, **options))


def test_the_words_of_a_page_do_change_the_specification():
    def of(**options):
        return json.dumps(charts.curve.specification(("loss",), **{"x": "step"} | options))

    assert (
        len({of(), of(log=True), of(log_x=True), of(height=200), of(rules={}), of(x="lag"), of(every_seed=True)}) == 7
    )
    heat = charts.heat.specification
    assert heat(("h",), x="time", y="unit") != heat(("weights",), x="time", y="unit")


def test_no_layer_is_drawn_for_what_a_page_does_not_ask_for():
    plain = charts.curve.specification(("loss",), x="step")
    assert [layer["mark"]["type"] for layer in plain["layer"]] == ["area", "line", "rule"]
    assert len(charts.heat.specification(("h",), x="time", y="unit")["layer"]) == 1
    assert len(charts.bars.specification(("loss",), x="step")["layer"]) == 1


def test_marks_are_for_those_rows_alone_that_are_of_their_kind():
    for chart, signals, options in CASES.values():
        for layer in chart.specification(names_of(signals), **options)["layer"]:
            assert re.search(r"datum\.kind == |isValid\(datum\.", layer["transform"][0]["filter"])


def test_a_large_heat_map_is_painted_on_a_canvas():
    large = charts.heat.specification(("h",), x="time", y="unit", large=True)
    assert large["usermeta"]["embedOptions"]["renderer"] == "canvas"
    assert "usermeta" not in charts.heat.specification(("h",), x="time", y="unit")


def test_numbers_are_told_in_words():
    rows = charts.curve.rows(LOSS, THEORY, x="step", colour="arm", log=True)
    told = charts.curve.told(rows, ("loss", "trained"), x="step", colour="arm", log=True)
    assert told.startswith(
        "Lines of loss by training step. with goes from 5 to 8; without goes from 17 to 20; with, dashed,"
    )
    heat = charts.heat.told(charts.heat.rows(MAP, x="time", y="unit"), ("h",), x="time", y="unit")
    assert heat.endswith("From -1 to 1, which is at time step t 2, unit 3.")
    bars = charts.bars.told(charts.bars.rows(BARS, x="step", colour="arm"), ("loss",), x="step", colour="arm")
    assert "training step 10: without 1;" in bars


# --- lines ----------------------------------------------------------------------------------------------------------


def test_rows_hold_the_median_and_the_range_over_seeds():
    found = kinds(charts.curve.rows(LOSS, x="step", colour="arm"))
    first = found["line"][0]
    assert (first["line"], first["x"], first["low"], first["y"], first["high"]) == ("with", 0, 1, 5, 9)
    assert set(found) == {"frame", "line", "hover"}


def test_every_seed_has_its_own_line_where_a_page_asks_for_them():
    found = kinds(charts.curve.rows(LOSS, x="step", colour="arm", every_seed=True))
    assert {row["line"] for row in found["seed"]} == {f"{arm}, seed {n}" for arm in STEPS["arm"] for n in range(3)}
    assert "seed" not in kinds(charts.curve.rows(LOSS.isel(seed=0), x="step", colour="arm", every_seed=True))


def test_a_single_seed_has_no_range():
    found = kinds(charts.curve.rows(LOSS.isel(seed=0), x="step", colour="arm"))
    assert all(row["low"] is None and row["high"] is None for row in found["line"])


def test_a_seed_that_has_diverged_leaves_the_median_to_the_others():
    values = LOSS.values.copy()
    values[0, 0, :] = np.nan
    first = kinds(charts.curve.rows(Signal("loss", LOSS.axes, values, LOSS.ticks), x="step", colour="arm"))["line"][0]
    assert (first["low"], first["y"], first["high"]) == (5, 7, 9)


def test_a_seed_at_zero_ends_the_range_of_decades_at_the_median():
    values = LOSS.values.copy()
    values[0, 0, :] = 0.0
    signal = Signal("loss", LOSS.axes, values, LOSS.ticks)
    first = kinds(charts.curve.rows(signal, x="step", colour="arm", log=True))["line"][0]
    assert first["low"] == first["y"] == pytest.approx(np.log10(5))


def test_a_logarithmic_axis_is_drawn_in_decades_and_leaves_out_zero():
    signal = Signal("gradient", ("lag",), [1.0, 1e-3, 0.0, 1e-300])
    rows = kinds(charts.curve.rows(signal, x="lag", log=True))
    assert [row["y"] for row in rows["line"]] == pytest.approx([0, -3, -300])
    assert [row["told"] for row in rows["hover"]] == ["lag 0\n1", "lag 1\n0.001", "lag 3\n1e-300"]
    doublings = kinds(charts.curve.rows(signal, x="lag", log_x=True))
    assert [row["x"] for row in doublings["line"]] == [1, 2, 3]


def test_a_single_point_is_seen():
    for log_x in (False, True):
        found = kinds(charts.curve.rows(Signal("loss", ("step",), [2.0], {"step": (4,)}), x="step", log_x=log_x))
        assert [row["y"] for row in found["line"]] == [2, 2]
        assert found["line"][0]["x"] < 4 < found["line"][1]["x"]
        assert [row["x"] for row in found["hover"]] == [4]


@pytest.mark.parametrize("log_x", [False, True])
def test_long_lines_are_thinned_and_keep_their_ends(log_x):
    values = np.ones((4, 5000))
    rows = kinds(charts.curve.rows(Signal("loss", ("arm", "step"), values), x="step", colour="arm", log_x=log_x))
    line = [row["x"] for row in rows["line"] if row["line"] == "2"]
    assert len(line) <= 160
    assert (line[0], line[-1]) == (int(log_x), 4999)
    assert len(rows["hover"]) <= 40


def test_the_ends_of_the_axes_are_as_given_or_round():
    def frame(**options):
        low, high = charts.curve.rows(LOSS, x="step", colour="arm", **options).to_pylist()[:2]
        return (low["x"], high["x"]), (low["y"], high["y"])

    assert frame() == ((0, 30), (0, 24))
    assert frame(span=(0.5, 9), across=(0, 100)) == ((0, 100), (0.5, 9))
    assert frame(span=(0.01, 100), log=True)[1] == pytest.approx((-2, 2))
    assert frame(rules={"far": 47})[1] == (0, 50)
    assert frame(across=(0, 100), log_x=True)[0] == (10, 100), "zero has no place among doublings"


def test_horizontal_lines_have_names_and_those_without_a_place_are_left_out():
    rules = {"knows nothing": 20.0, "best possible": 2.0, "nearly": 2.01, "zero": 0.0, "none": np.nan}
    found = kinds(charts.curve.rows(LOSS, x="step", colour="arm", log=True, rules=rules))
    assert [row["told"] for row in found["rule"]] == ["knows nothing", "nearly · best possible", ""]
    assert "rule" not in kinds(charts.curve.rows(LOSS, x="step", colour="arm", span=(0, 1), rules=rules | {"zero": -1}))


def test_all_lines_are_told_at_a_place_that_is_pointed_at():
    hover = kinds(charts.curve.rows(LOSS, THEORY, x="step", colour="arm"))["hover"]
    assert hover[1]["told"].splitlines() == [
        "training step 10",
        "with: 6",
        "without: 18",
        "with, dashed: 1",
        "without, dashed: 1",
    ]


def test_a_legend_tells_lines_apart_and_a_single_one_needs_none():
    names = charts.curve.legend(LOSS, x="step", colour="arm")
    assert [(entry.name, entry.style) for entry in names] == [("with", "line"), ("without", "line")]
    tints = {row["line"]: row["tint"] for row in kinds(charts.curve.rows(LOSS, x="step", colour="arm"))["line"]}
    assert tints == {entry.name: entry.colour for entry in names}
    one = LOSS.isel(arm=0)
    assert charts.curve.legend(one, x="step") == []
    both = charts.curve.legend(one, THEORY.isel(arm=0), x="step")
    assert [(entry.name, entry.style) for entry in both] == [("measured", "line"), ("theory", "dashed")]


# --- heat maps ------------------------------------------------------------------------------------------------------


def test_repeated_words_keep_their_own_places():
    words = ("the", "cat", "the")
    weights = Signal("h", ("query", "key"), np.eye(3), {"query": words, "key": words})
    rows = charts.heat.rows(weights, x="key", y="query", span=(-1, 1))
    assert {(row["left"], row["top"]) for row in kinds(rows)["cell"]} == {(x, y) for x in range(3) for y in range(3)}
    assert [row["told"].split("\x1f") for row in kinds(rows)["frame"]] == [list(words)] * 2


def test_a_cell_that_is_no_number_leaves_a_hole_and_keeps_its_place():
    rows = kinds(charts.heat.rows(Signal("h", ("time", "unit"), [[1.0, np.nan], [np.inf, 2.0]]), x="unit", y="time"))
    assert [(row["left"], row["top"], row["value"]) for row in rows["cell"]] == [(0, 0, 1.0), (1, 1, 2.0)]
    assert (rows["frame"][1]["left"], rows["frame"][1]["top"]) == (2, 2)


def test_maps_side_by_side_keep_their_cells_and_leave_a_column_between():
    maps = Signal("weights", ("head", "query", "key"), np.arange(8.0).reshape(2, 2, 2), {"key": ("a", "b")})
    rows = kinds(charts.heat.rows(maps, x="key", y="query", beside="head"))
    second = [(row["left"], row["value"]) for row in rows["cell"] if row["top"] == 1]
    assert second == [(0, 2.0), (1, 3.0), (3, 6.0), (4, 7.0)]
    assert (rows["frame"][0]["right"], rows["frame"][0]["told"]) == (3, "0\x1f1")
    assert rows["cell"][-1]["told"].splitlines() == ["1", "key b", "query 1", "attention weight 7"]


def test_the_colours_of_a_signed_map_are_as_strong_on_either_side():
    def ends(name, values, **options):
        rows = charts.heat.rows(Signal(name, ("time", "unit"), values), x="unit", y="time", **options)
        return tuple(row["value"] for row in rows.to_pylist()[:2])

    assert ends("h", [[-0.4, 0.9]]) == (-0.9, 0.9)
    assert ends("h", [[-0.4, 0.9]], span=(-2, 2)) == (-2, 2)
    assert ends("weights", [[0.2, 0.3]]) == (0, 1)
    assert ends("moved", [[-4.0, -2.0]]) == (-4, -2)


def test_a_map_over_training_steps_reaches_from_step_to_step_and_is_thinned():
    rows = kinds(charts.heat.rows(HISTORY, x="step", y="lag", across=(0, 20)))
    assert [(row["left"], row["right"]) for row in rows["cell"][:2]] == [(0, 5), (5, 10)]
    assert (rows["frame"][0]["left"], rows["frame"][1]["left"]) == (0, 20)
    long = Signal("history", ("step", "lag"), np.zeros((500, 3)))
    assert len(kinds(charts.heat.rows(long, x="step", y="lag", across=(0, 500)))["cell"]) <= 60 * 3


def test_digits_are_written_where_there_is_room_and_can_be_read():
    rows = kinds(charts.heat.rows(MAP, x="unit", y="time", digits=True, span=(-1, 1)))["cell"]
    assert rows[0]["digits"] == "-1.00"
    assert rows[0]["ink"] == theme.INK_ON_COLOUR
    assert rows[6]["ink"] == theme.INK
    wide = Signal("h", ("time", "unit"), np.zeros((2, 30)))
    assert {row["digits"] for row in kinds(charts.heat.rows(wide, x="unit", y="time", digits=True))["cell"]} == {None}


def test_long_axes_name_some_of_their_places():
    def names(ticks, height=300):
        signal = Signal("h", ("time", "unit"), np.zeros((len(ticks), len(ticks))), {"time": ticks, "unit": ticks})
        first, second = charts.heat.rows(signal, x="unit", y="time", height=height).to_pylist()[:2]
        return (first["right"], first["told"].split("\x1f")), (first["bottom"], second["told"].split("\x1f"))

    assert names(range(100))[0] == (9, [str(tick) for tick in range(0, 100, 9)])
    assert names("a" * 64, height=140) == ((1, ["a"] * 64), (7, ["a"] * 10))
    assert names(["residual + pre-norm"] * 4)[0] == (1, ["residual +\npre-norm"] * 4)


# --- bars -----------------------------------------------------------------------------------------------------------


def test_bars_stand_in_groups_in_the_middle_of_their_places():
    rows = kinds(charts.bars.rows(BARS, x="step", colour="arm"))
    assert len(rows["bar"]) == 8
    assert [row["left"] for row in rows["bar"]] == pytest.approx([0.1, 1.1, 2.1, 3.1, 0.5, 1.5, 2.5, 3.5])
    assert all(row["right"] - row["left"] == pytest.approx(0.38) for row in rows["bar"])
    assert rows["frame"][0]["told"].split("\x1f") == ["0", "10", "20", "30"]
    assert [entry.style for entry in charts.bars.legend(BARS, x="step", colour="arm")] == ["square", "square"]


def test_a_bar_that_is_no_number_leaves_its_place_empty():
    signal = Signal("size", ("arm",), [1.0, np.nan, 3.0], {"arm": ("a", "b", "a")})
    rows = kinds(charts.bars.rows(signal, x="arm"))
    assert [row["left"] for row in rows["bar"]] == pytest.approx([0.1, 2.1])
    assert (rows["frame"][1]["left"], rows["frame"][0]["value"]) == (3, 0)


# --- all ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chart", "options"),
    [(charts.curve, dict(x="step")), (charts.heat, dict(x="step", y="arm")), (charts.bars, dict(x="step"))],
)
def test_axes_that_a_chart_cannot_draw_are_named_and_so_is_an_option_it_does_not_have(chart, options):
    with pytest.raises(ValueError, match=r"loss has axes \('arm', 'seed', 'step'\)"):
        chart.rows(LOSS, **options)
    with pytest.raises(TypeError, match="colur"):
        chart.rows(LOSS, colur="arm", **options)


def test_a_signal_without_a_single_value_is_an_empty_chart():
    assert charts.curve.rows(Signal("loss", ("step",), []), x="step").num_rows == 2
    assert charts.heat.rows(Signal("h", ("time", "unit"), np.zeros((0, 0))), x="time", y="unit").num_rows == 2
    assert charts.bars.rows(Signal("loss", ("step",), []), x="step").num_rows == 2


def test_one_name_has_one_colour_and_strangers_get_others():
    assert theme.colours(["LSTM", "RNN"]) == [theme.MEANING["LSTM"], theme.MEANING["RNN"]]
    assert len(set(theme.colours(["tanh", "a", "b", "c"]))) == 4


def test_a_table_holds_the_whole_signal():
    table = charts.table(LOSS)
    assert list(table.columns) == ["arm", "seed", "step", "loss"]
    assert len(table) == LOSS.values.size
    assert table.iloc[0].tolist() == ["with", 0, 0, 1.0]


@pytest.mark.parametrize("case", CASES)
def test_a_chart_is_one_of_altairs_with_its_rows_in_it(case):
    chart, signals, options = CASES[case]
    made = chart.altair(*signals, **options)
    written = made.to_dict()  # which checks it against the schema
    assert written["data"]["values"][0]["kind"] == "frame"
    assert len(written["data"]["values"]) == len(chart.rows(*signals, **options))
    assert "values" not in chart.specification([signal.name for signal in signals], **options)["data"]
