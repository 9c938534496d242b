"""Rewinding in the browser: a chart that rests holds the rows of every moment, each as that moment alone would be drawn."""

import numpy as np
import pytest

from seqcore.record import Signal
from seqcore.runs import Run
from view import charts, rewind

CURVE = (charts.curve, "loss", dict(x="step", colour="arm"))
MAP = (charts.heat, "weights", dict(x="key", y="query", digits=True))


@pytest.fixture(autouse=True)
def no_session(monkeypatch):
    monkeypatch.setattr(rewind.st, "session_state", {})


@pytest.fixture(scope="module")
def run() -> Run:
    from seqcore.experiments import attention

    made = attention.related(attention.Config(steps=50, seeds=2))
    while not made.done:
        made.advance(1.0)
    return made


def resting(run: Run, step: int) -> rewind.Rest:
    moment = run.at(step)
    return rewind.Rest(run, "an experiment.run", moment, rewind.stops(run.steps, moment.step))


def chosen(table, moment: int) -> list[dict]:
    """What the browser draws of a table at a moment: its own two frame rows, and the rows of that moment."""
    rows = table.drop_columns(["moments", "training"]).to_pylist()
    rows = rows[2 * moment : 2 * moment + 2] + [
        row for row in rows if row["moment"] == moment and row["kind"] != "frame"
    ]
    return [{name: value for name, value in row.items() if name != "moment"} for row in rows]


@pytest.mark.parametrize(("chart", "name", "options"), [CURVE, MAP], ids=["curve", "map"])
def test_every_moment_is_there_as_it_is_drawn_alone(run, chart, name, options):
    rest = resting(run, run.steps[-1])
    table = rewind.moments(rest, chart, [rest.moment[name]], options, chart.rows(rest.moment[name], **options))
    assert table["moments"][0].as_py() == len(rest.steps) > 10
    for number in (0, 7, len(rest.steps) - 1):
        alone = chart.rows(run.at(rest.steps[number])[name], **options).to_pylist()
        assert str(chosen(table, number)) == str(alone)


def test_a_part_of_a_signal_is_the_same_part_at_all_moments(run):
    rest = resting(run, run.steps[3])
    part = rest.moment["weights"].isel(query=2)
    options = dict(x="key")
    table = rewind.moments(rest, charts.bars, [part], options, charts.bars.rows(part, **options))
    first = charts.bars.rows(run.at(0)["weights"].isel(query=2), **options)
    assert str(chosen(table, 0)) == str(first.to_pylist())


def test_a_signal_that_is_no_part_of_the_moment_waits_for_the_server(run):
    rest = resting(run, run.steps[-1])
    other = Signal("weights", ("query", "key"), np.eye(8))
    rows = charts.heat.rows(other, x="key", y="query")
    assert rewind.moments(rest, charts.heat, [other], dict(x="key", y="query"), rows) is rows
    unknown = Signal("z", ("query", "entry"), np.eye(8))
    rows = charts.heat.rows(unknown, x="entry", y="query")
    assert rewind.moments(rest, charts.heat, [unknown], dict(x="entry", y="query"), rows) is rows


def test_too_many_rows_wait_for_the_server_and_each_moment_has_its_own(run, monkeypatch):
    monkeypatch.setattr(rewind, "ROWS", 100)
    chart, name, options = MAP
    for step in run.steps[-2:]:
        rest = resting(run, step)
        rows = chart.rows(rest.moment[name], **options)
        assert rewind.moments(rest, chart, [rest.moment[name]], options, rows) is rows


def test_a_table_is_made_once_for_all_moments_it_holds(run):
    chart, name, options = MAP
    last, before = (resting(run, run.steps[place]) for place in (-1, 4))
    tables = [
        rewind.moments(rest, chart, [rest.moment[name]], options, chart.rows(rest.moment[name], **options))
        for rest in (last, before)
    ]
    assert last.steps == before.steps
    assert tables[0] is tables[1]


@pytest.mark.parametrize("now", [0, 41, 400])
def test_a_slider_has_few_stops_and_the_one_that_is_looked_at(now):
    stops = rewind.stops(range(401), now)
    assert {0, now, 400} <= set(stops)
    assert rewind.MOST <= len(stops) <= rewind.MOST + 1
    assert list(stops) == sorted(stops)
    assert rewind.stops((0, 5), 5) == (0, 5)


def test_another_training_with_the_same_steps_has_tables_of_its_own(run):
    from seqcore.experiments import attention

    chart, name, options = MAP
    other = attention.related(attention.Config(steps=50, seeds=2, seed=5))
    while not other.done:
        other.advance(1.0)
    assert other.steps == run.steps
    tables = [
        rewind.moments(rest, chart, [rest.moment[name]], options, chart.rows(rest.moment[name], **options))
        for rest in (resting(run, run.steps[-1]), resting(other, other.steps[-1]))
    ]
    assert str(chosen(tables[0], 5)) != str(chosen(tables[1], 5))
