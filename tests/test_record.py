"""Signals and runs: named, immutable, comparable, picklable."""

import pickle

import numpy as np
import pytest

from seqcore.knobs import Repeated
from seqcore.record import Signal, Snapshot

WEIGHTS = Signal("weights", ("head", "key"), [[0.25, 0.75], [0.5, 0.5]], {"key": ("a", "b")})


def test_a_signal_keeps_a_copy_that_nobody_can_change():
    values = np.zeros(3)
    signal = Signal("h", ("time",), values)
    values[0] = 7
    assert signal.values[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        signal.values[0] = 1
    with pytest.raises(AttributeError):
        signal.name = "other"
    with pytest.raises(TypeError):
        signal.ticks["time"] = (5, 6, 7)


def test_isel_takes_axes_away_by_place_and_sel_by_name():
    assert WEIGHTS.isel(head=0).values.tolist() == [0.25, 0.75]
    assert WEIGHTS.isel(head=-1).axes == ("key",)
    assert WEIGHTS.sel(key="b").values.tolist() == [0.75, 0.5]
    assert float(WEIGHTS.sel(key="b", head=1).values) == 0.5
    assert WEIGHTS.ticks["head"] == range(2), "a range, however long the axis is"


def test_what_a_signal_does_not_have_is_named():
    with pytest.raises(KeyError, match=r"weights has no axis \['layer'\]; its axes are \('head', 'key'\)"):
        WEIGHTS.isel(layer=0)
    with pytest.raises(IndexError):
        WEIGHTS.isel(head=2)
    with pytest.raises(ValueError, match=r"'z' is not on axis 'key', which has \('a', 'b'\)"):
        WEIGHTS.sel(key="z")


@pytest.mark.parametrize(
    ("axes", "values", "ticks", "message"),
    [
        (("time",), [[1.0]], {}, "name 1 dimensions, values have 2"),
        (("time", "time"), [[1.0]], {}, "name one axis twice"),
        (("time",), [1.0], {"unit": (1,)}, r"ticks for \['unit'\]"),
        (("time",), [1.0, 2.0], {"time": (1,)}, "1 ticks for axis 'time' of length 2"),
    ],
)
def test_axes_values_and_ticks_have_to_fit(axes, values, ticks, message):
    with pytest.raises(ValueError, match=message):
        Signal("h", axes, values, ticks)


def test_signals_compare_by_what_they_hold_and_nan_equals_nan():
    assert Signal("h", ("t",), [1.0, np.nan]) == Signal("h", ("t",), [1.0, np.nan])
    assert Signal("h", ("t",), [1.0, 2.0]) != Signal("h", ("t",), [1.0, 3.0])
    assert Signal("h", ("t",), [1.0]) != Signal("h", ("u",), [1.0])


def test_a_snapshot_names_the_signals_it_has():
    run = Snapshot(Repeated(), 3, [WEIGHTS], {"baseline": 0.5})
    assert run["weights"] is WEIGHTS
    with pytest.raises(KeyError, match="no signal 'gates'; this moment has weights"):
        run["gates"]
    with pytest.raises(TypeError):
        run.facts["baseline"] = 0
    with pytest.raises(AttributeError):
        run.step = 4


def test_runs_survive_pickling_and_stay_read_only():
    run = Snapshot(Repeated(seeds=2), 3, [WEIGHTS], {"event": ""})
    again = pickle.loads(pickle.dumps(run))
    assert again == run
    assert again != Snapshot(Repeated(seeds=2), 4, [WEIGHTS], {"event": ""})
    assert not again["weights"].values.flags.writeable


def test_a_part_is_found_again_at_another_moment_by_tick_or_by_index():
    def moment(arms, values):
        return Snapshot(None, 0, [Signal("loss", ("arm", "step"), values, {"arm": arms})])

    one, other = moment(("a", "b"), [[1, 2], [3, 4]]), moment(("b", "a"), [[5, 6, 7], [8, 9, 10]])
    assert one["loss"].sel(arm="a").again(other) == other["loss"].sel(arm="a"), "by its name, not by its place"
    assert one["loss"].isel(step=-1).again(other).values.tolist() == [7, 10]
    assert one["loss"].isel(step=0).sel(arm="b").again(other).values == 5
    assert one["loss"].again(other) is other["loss"]
    with pytest.raises(ValueError, match="not on axis"):
        one["loss"].sel(arm="b").again(moment(("c",), [[1, 2]]))
