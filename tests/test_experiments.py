"""What every experiment promises, whichever it is: a new module in `seqcore/experiments` is held to it too."""

import importlib
import inspect
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest

from seqcore.experiments import names
from seqcore.record import Snapshot
from seqcore.runs import NEWEST, RUN_BYTES, Run
from seqcore.symbols import AXES, SYMBOLS

BEGINNING = 4  # moments
ENDS = pytest.mark.parametrize("end", [pytest.param(0, id="low"), pytest.param(-1, id="high", marks=pytest.mark.slow)])


def made_by(module, kind):
    """The public functions of a module that say they return this kind."""
    own = [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]
    own = [each for each in own if inspect.isfunction(each) and not each.__name__.startswith("_")]
    return [each for each in own if inspect.signature(each).return_annotation == kind]


def pictures_of(module):
    """Those that declare the knobs they depend on."""
    return [picture for picture in made_by(module, "Snapshot") if hasattr(picture, "uses")]


def turned(Config, **values):
    """The config with these knobs; where knobs do not fit each other, those that stand last go back to their default."""
    order = list(values)
    while True:
        try:
            return Config(**{name: values[name] for name in order})
        except ValueError:
            order.pop()


def corner(Config, end):
    """Every knob at one of its ends, but for texts; one seed, since eight only do the same eight times."""
    ends = {name: knob.corners[end] for name, knob in Config.knobs().items() if knob.kind != "text"}
    return turned(Config, **ends | {"seeds": 1})


def small(Config):
    """As little work as the knobs allow, twice."""
    least = {name: knob.low for name, knob in Config.knobs().items() if knob.kind == "whole"}
    return turned(Config, **least | {"seeds": 2, "seed": 0})


def check_names(moment):
    for signal in moment.signals.values():
        assert signal.name in SYMBOLS, signal.name
        assert set(signal.axes) <= set(AXES), signal.axes


MODULES = [importlib.import_module(f"seqcore.experiments.{name}") for name in names()]
PICTURES = [(module, picture) for module in MODULES for picture in pictures_of(module)]
RUNS = [(module, run) for module in MODULES for run in made_by(module, "Run")]


def by_name(value):
    return getattr(value, "__name__", str(value)).rpartition(".")[2]


@ENDS
@pytest.mark.parametrize(("module", "picture"), PICTURES, ids=by_name)
def test_a_picture_bears_both_corners_of_its_knobs_in_words_of_the_glossary(module, picture, end):
    made = picture(corner(module.Config, end))
    assert isinstance(made, Snapshot)
    assert made.step == 0
    check_names(made)


@pytest.mark.parametrize(("module", "picture"), PICTURES, ids=by_name)
def test_a_picture_depends_on_the_knobs_it_names_and_on_no_other(module, picture):
    config = small(module.Config)
    others = {n: k.corners for n, k in config.knobs().items() if n not in picture.uses and k.kind != "text"}
    turns = {n: ends[-1] if getattr(config, n) == ends[0] else ends[0] for n, ends in others.items()}
    named = {n: getattr(config, n) for n in picture.uses}
    assert picture(config) == picture(turned(module.Config, **named, **turns))


@ENDS
@pytest.mark.parametrize(("module", "run"), RUNS, ids=by_name)
def test_a_training_begins_at_both_corners_in_words_of_the_glossary(module, run, end):
    log = run(corner(module.Config, end))
    assert isinstance(log, Run)
    assert not log.steps, "nothing is computed before somebody asks"
    first = next(iter(log))
    assert first.step == 0
    assert first.signals
    check_names(first)
    assert log.log_bytes < RUN_BYTES


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize(("module", "run"), RUNS, ids=by_name)
def test_equal_configs_train_alike_in_four_threads_and_another_seed_otherwise(module, run):
    config = small(module.Config)
    if run(config).personal:
        pytest.skip("it measures time, which is never the same")

    def beginning(config):
        return list(islice(run(config), BEGINNING))

    with ThreadPoolExecutor(4) as threads:
        mine, *others = threads.map(beginning, [config] * 4)
    assert all(other == mine for other in others)
    again = beginning(config.but(seed=1))
    assert any(one.signals != other.signals for one, other in zip(mine, again))


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.parametrize(("module", "run"), RUNS, ids=by_name)
def test_a_run_only_grows_and_what_was_read_stays(module, run):
    log = run(small(module.Config))
    moments = list(log)
    steps = [moment.step for moment in moments]
    assert steps == sorted(set(steps))
    assert steps[0] == 0
    assert log.done
    assert steps[-1] == log.total
    assert log.log_bytes < RUN_BYTES
    for moment in moments:
        again = log.at(moment.step) if moment.step in log.steps else moment
        for name, signal in moment.signals.items():
            if name not in NEWEST:
                assert again[name] == signal, name
            if signal.axes[-1] == "step":
                late = moments[-1][name].values[..., : signal.values.shape[-1]]
                assert np.array_equal(signal.values, late, equal_nan=True), name
