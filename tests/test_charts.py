"""Charts name the fields of their rows, whatever the values, and their specification follows from names alone."""

import json

import numpy as np
import pytest

from seqcore.record import Signal
from view import charts, theme

STEPS = {"arm": ("with", "without"), "seed": (0, 1, 2), "step": (0, 10, 20, 30)}
LOSS = Signal("loss", ("arm", "seed", "step"), np.arange(1.0, 25.0).reshape(2, 3, 4), STEPS)
MAP = Signal("h", ("time", "unit"), np.linspace(-1, 1, 12).reshape(3, 4))
BARS = Signal("loss", ("arm", "step"), np.ones((2, 4)), {k: STEPS[k] for k in ("arm", "step")})
LINES = dict(x="step", colour="arm", log=True, across=(0, 30))

CASES = {
    "curve": (charts.curve, LOSS, LINES),
    "curve of one seed": (charts.curve, LOSS.at(seed=0), LINES),
    "curve of one line": (charts.curve, LOSS.at(arm=0), dict(x="step")),
    "heat map": (charts.heat, MAP, dict(x="time", y="unit")),
    "heat map that grows": (
        charts.heat,
        Signal("history", ("step", "lag"), np.zeros((2, 3))),
        dict(x="step", y="lag", across=(0, 9)),
    ),
    "heat map with digits": (charts.heat, MAP, dict(x="time", y="unit", digits=True, span=(-1, 1))),
    "heat maps side by side": (
        charts.heat,
        Signal("weights", ("head", "query", "key"), np.full((2, 3, 3), 1 / 3), {"head": ("one", "two")}),
        dict(x="key", y="query", beside="head"),
    ),
    "bars": (charts.bars, BARS, dict(x="step", colour="arm", rules={"floor": 0.5})),
}
VALUES = {
    "as they are": lambda values: values,
    "constant": np.ones_like,
    "not a number": lambda values: np.full_like(values, np.nan),
    "infinite": lambda values: np.full_like(values, np.inf),
    "zero": np.zeros_like,
}


def fields(specification) -> set[str]:
    """Every field an encoding names, wherever it stands."""
    if isinstance(specification, dict):
        own = {specification["field"]} if isinstance(specification.get("field"), str) else set()
        return own.union(*(fields(part) for part in specification.values()))
    if isinstance(specification, list):
        return set().union(*(fields(part) for part in specification))
    return set()


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("case", CASES)
def test_a_chart_names_fields_that_its_rows_have(case, values):
    chart, signal, options = CASES[case]
    changed = Signal(signal.name, signal.axes, VALUES[values](signal.values), signal.ticks)
    specification = chart(changed, **options).to_dict()
    rows = chart.rows(changed, **options)
    own = {"name", "at"} if "rules" in options else set()
    assert fields(specification) - own <= set(rows.columns)
    assert np.isfinite(rows.select_dtypes("number").to_numpy()).all()
    assert charts.describe(chart, rows, changed, **options)


@pytest.mark.parametrize("case", CASES)
def test_the_specification_does_not_depend_on_values(case):
    chart, signal, options = CASES[case]
    changed = Signal(signal.name, signal.axes, signal.values * 3 + 1, signal.ticks)

    def bare(signal):
        made = chart(signal, **options)
        made.data = charts.alt.NamedData("rows")
        return json.dumps(made.to_dict(), sort_keys=True)

    assert bare(signal) == bare(changed)


def test_one_cell_and_one_point_are_charts_too():
    one = Signal("h", ("time", "unit"), [[0.5]])
    assert charts.heat(one, x="time", y="unit").to_dict()
    assert charts.heat.rows(one, x="time", y="unit", span=(-1, 1))["value"].tolist() == [0.5]
    assert charts.curve(Signal("loss", ("step",), [1.0]), x="step").to_dict()


def test_rows_hold_the_median_and_the_range_over_seeds():
    rows = charts.line_rows(LOSS, x="step", colour="arm")
    middle = rows[rows["kind"] == "measured"]
    first = middle[(middle["colour"] == "with") & (middle["x"] == 0)].iloc[0]
    assert (first["low"], first["middle"], first["high"]) == (1, 5, 9)
    assert set(rows["kind"]) == {"measured", "seed 0", "seed 1", "seed 2"}


def test_a_seed_that_has_diverged_leaves_the_median_to_the_others():
    values = LOSS.values.copy()
    values[0, 0, :] = np.nan
    rows = charts.line_rows(Signal("loss", LOSS.axes, values, LOSS.ticks), x="step", colour="arm")
    first = rows[(rows["kind"] == "measured") & (rows["colour"] == "with") & (rows["x"] == 0)].iloc[0]
    assert (first["low"], first["middle"], first["high"]) == (5, 7, 9)


def test_a_logarithmic_axis_is_drawn_in_decades_and_leaves_out_zero():
    signal = Signal("gradient", ("lag",), [1.0, 1e-3, 0.0, 1e-300])
    rows = charts.line_rows(signal, x="lag", log=True)
    assert rows["middle"].tolist() == pytest.approx([0, -3, -300])
    assert rows["value"].tolist() == pytest.approx([1, 1e-3, 1e-300])


def test_long_lines_are_thinned_and_keep_their_ends():
    rows = charts.line_rows(Signal("loss", ("step",), np.arange(5000.0)), x="step")
    assert len(rows) == charts.POINTS
    assert (rows["x"].iloc[0], rows["x"].iloc[-1]) == (0, 4999)


def test_repeated_words_keep_their_own_places():
    words = ("the", "cat", "the")
    weights = Signal("h", ("query", "key"), np.eye(3), {"query": words, "key": words})
    rows = charts.cell_rows(weights, x="key", y="query", span=(-1, 1))
    assert len(rows) == 9
    assert rows["x"].nunique() == 3


def test_maps_side_by_side_keep_their_cells_and_leave_a_column_between():
    maps = Signal("weights", ("head", "query", "key"), np.arange(8.0).reshape(2, 2, 2), {"key": ("a", "b")})
    rows = charts.cell_rows(maps, x="key", y="query", beside="head")
    assert rows[rows["y"] == 1][["x", "across", "value"]].to_numpy().tolist() == [
        [0, "a", 2.0],
        [1, "b", 3.0],
        [3, "a", 6.0],
        [4, "b", 7.0],
    ]


def test_the_colours_of_a_signed_map_are_as_strong_on_either_side():
    rows = charts.cell_rows(Signal("h", ("time", "unit"), [[-0.4, 0.9]]), x="unit", y="time")
    assert rows[rows["cell"]]["value"].tolist() == [-0.4, 0.9]
    assert rows[~rows["cell"]]["value"].tolist() == [-0.9, 0.9]


def test_large_heat_maps_are_drawn_on_a_canvas():
    big = Signal("h", ("time", "unit"), np.zeros((25, 25)))
    assert charts.heat(big, x="time", y="unit").to_dict()["usermeta"]["embedOptions"]["renderer"] == "canvas"
    assert "usermeta" not in charts.heat(MAP, x="time", y="unit").to_dict()


@pytest.mark.parametrize(
    ("chart", "options"),
    [(charts.curve, dict(x="step")), (charts.heat, dict(x="step", y="arm")), (charts.bars, dict(x="step"))],
)
def test_axes_that_a_chart_cannot_draw_are_named(chart, options):
    with pytest.raises(ValueError, match=r"loss has axes \('arm', 'seed', 'step'\)"):
        chart(LOSS, **options)


def test_while_training_the_words_hold_no_numbers_and_afterwards_they_do():
    during = charts.describe(charts.curve, None, LOSS, **LINES)
    assert not any(sign.isdigit() for sign in during)
    assert "with goes from 5 to 8" in charts.describe(charts.curve, charts.line_rows(LOSS, **LINES), LOSS, **LINES)


def test_one_name_has_one_colour_and_strangers_get_others():
    assert theme.colours(["LSTM", "RNN"]) == [theme.MEANING["LSTM"], theme.MEANING["RNN"]]
    assert len(set(theme.colours(["tanh", "a", "b", "c"]))) == 4


def test_a_table_holds_the_whole_signal():
    table = charts.table(LOSS)
    assert list(table.columns) == ["arm", "seed", "step", "loss"]
    assert len(table) == LOSS.values.size
    assert table.iloc[0].tolist() == ["with", 0, 0, 1.0]
