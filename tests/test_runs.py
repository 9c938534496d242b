"""Runs and their store: append-only, bounded, shared, and honest about what went wrong."""

import itertools
import threading
import time

import numpy as np
import pytest

from seqcore.knobs import Repeated, uses
from seqcore.record import Signal, Snapshot
from seqcore.runs import MOMENTS, RUN_BYTES, UNFINISHED, Cancelled, Reading, Run, Store, cancelled_if, checkpoint


def readings(count, pause=0.0, size=3):
    for step in range(count):
        time.sleep(pause)
        yield Reading(step, [Signal("loss", ("arm",), [float(step)])], [Signal("h", ("unit",), np.full(size, step))])


def test_nothing_happens_until_somebody_asks():
    asked = []

    def slow():
        asked.append(True)
        yield from readings(2)

    run = Run(Repeated(), slow(), 1)
    assert not asked
    assert run.steps == ()
    assert run.advance() == 1
    assert asked
    assert run.steps == (0,)


def test_a_moment_shows_the_series_so_far_and_later_ones_do_not_change_it():
    run = Run(Repeated(), readings(50), 49)
    run.advance()
    run.advance()
    early = run.last
    assert early["loss"].values.tolist() == [[0.0, 1.0]]
    final = list(run)[-1]
    assert early["loss"].values.tolist() == [[0.0, 1.0]]
    assert final["loss"].values.tolist() == [[float(step) for step in range(50)]]
    assert final["loss"].ticks["step"] == tuple(range(50))
    assert run.at(1) == early
    assert run.at(30)["h"].values.tolist() == [30, 30, 30]
    with pytest.raises(ValueError, match="read-only"):
        early["loss"].values[0, 0] = 7


def test_it_ends_by_itself_and_asking_more_changes_nothing():
    run = Run(Repeated(), readings(5), 4)
    run.advance(10)
    assert run.done
    assert run.error is None
    assert run.steps == (0, 1, 2, 3, 4)
    assert run.advance(10) == 0


def test_a_tick_is_over_soon_after_its_time():
    run = Run(Repeated(), readings(100, pause=0.01), 99)
    run.advance(0.05)
    assert 2 <= len(run.steps) <= 6


def test_of_many_moments_the_first_the_last_and_even_ones_between_are_kept_and_every_reading_of_a_series():
    run = Run(Repeated(), readings(1000), 999)
    run.advance(60)
    assert len(run.steps) <= MOMENTS + 1
    assert run.steps[0] == 0
    assert run.steps[-1] == 999
    assert len({late - early for early, late in itertools.pairwise(run.steps[:-1])}) == 1
    assert run.last["loss"].values.shape == (1, 1000)
    assert run.at(run.steps[3])["loss"].values.shape == (1, run.steps[3] + 1)


def test_a_run_is_bounded_in_bytes_whatever_its_pictures_weigh():
    run = Run(Repeated(), readings(100, size=100_000), 99)
    run.advance(60)
    assert run.nbytes < 1.3 * RUN_BYTES
    assert len(run.steps) >= 5


def test_labels_of_a_million_weights_cost_nothing_and_only_the_newest_weights_are_kept():
    def heavy():
        for step in range(30):
            yield Reading(step, pictures=[Signal("parameters", ("parameter",), np.full(1_000_000, step, np.float16))])

    run = Run(Repeated(), heavy(), 29)
    run.advance(60)
    assert run.nbytes < 2_100_000
    assert "parameters" not in run.at(3)
    assert run.last["parameters"].values[0] == 29
    assert isinstance(run.last["parameters"].ticks["parameter"], range)


def test_labels_that_stay_the_same_are_kept_once():
    def lettered():
        for step in range(4):
            yield Reading(
                step, pictures=[Signal("h", ("unit",), np.zeros(3), {"unit": tuple(f"u{k}" for k in range(3))})]
            )

    run = Run(Repeated(), lettered(), 3)
    run.advance(1)
    assert run.at(0)["h"].ticks["unit"] is run.at(3)["h"].ticks["unit"]


def failing(after):
    yield from readings(after)
    raise ArithmeticError("the task is empty")


def test_an_experiment_that_raises_keeps_its_error_and_what_was_measured_until_then():
    run = Run(Repeated(), failing(3), 10)
    run.advance(10)
    assert run.done
    assert str(run.error) == "the task is empty"
    assert run.steps == (0, 1, 2)
    with pytest.raises(ArithmeticError, match="the task is empty"):
        list(run)
    at_once = Run(Repeated(), failing(0), 10)
    at_once.advance()
    assert at_once.error is not None
    assert at_once.steps == ()
    with pytest.raises(ValueError, match="nothing was measured"):
        _ = at_once.last


def test_a_second_thread_is_sent_away_at_once_unless_it_waits():
    run = Run(Repeated(), readings(4, pause=0.2), 3)
    worker = threading.Thread(target=run.advance, args=(0.3,))
    worker.start()
    time.sleep(0.05)
    start = time.perf_counter()
    assert run.advance(1) == 0
    assert time.perf_counter() - start < 0.1
    assert run.advance(wait=True) == 1, "who waits gets a reading of its own"
    worker.join()
    assert run.steps == (0, 1, 2)


def test_many_threads_look_while_one_lets_it_grow():
    run, wrong, over = Run(Repeated(), readings(60), 59), [], threading.Event()

    def look():
        while not over.is_set():
            for step in run.steps[-3:]:
                seen = run.at(step)
                if seen["loss"].values[0, -1] != seen.step or seen["h"].values[0] != seen.step:
                    wrong.append(seen.step)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for each in lookers:
        each.start()
    run.advance(30)
    over.set()
    for each in lookers:
        each.join()
    assert run.done
    assert not wrong


# --- the store ------------------------------------------------------------------------------------------------------


def experiment(config):
    return Run(config, readings(3), 2)


def clocked(config):
    return Run(config, readings(3), 2, personal=True)


def test_two_readers_of_one_config_get_one_run_and_other_configs_others():
    store = Store()
    assert store.run(experiment, Repeated(), "one") is store.run(experiment, Repeated(), "other")
    assert store.run(experiment, Repeated(seed=1), "one") is not store.run(experiment, Repeated(), "one")


def test_a_run_that_measures_time_belongs_to_one_reader():
    store = Store()
    mine = store.run(clocked, Repeated(), "me")
    assert store.run(clocked, Repeated(), "me") is mine
    assert store.run(clocked, Repeated(), "you") is not mine
    store.forget(clocked, Repeated(), "me")
    assert store.run(clocked, Repeated(), "me") is not mine


def heavy(config):
    return Run(config, readings(1, size=5_000), 0)


def test_what_was_not_looked_at_for_the_longest_time_goes_first():
    store = Store(budget=100_000)

    def look(seed):
        """Train a run that nobody keeps, and look at it once more."""
        run = store.run(heavy, Repeated(seed=seed))
        run.advance()
        store.run(heavy, Repeated(seed=seed))

    for seed in (0, 1, 0):
        look(seed)
    look(2)
    look(3)
    assert store.nbytes <= 100_000
    kept = [key[1].seed for key in store._kept]
    assert 1 not in kept, "it was the oldest"
    assert kept[-1] == 3


def test_a_run_that_somebody_holds_is_found_again_though_it_had_to_go():
    store = Store(budget=100_000)
    mine = store.run(heavy, Repeated(seed=9))
    mine.advance()
    for seed in range(4):
        store.run(heavy, Repeated(seed=seed)).advance()
        store.run(heavy, Repeated(seed=seed))
    assert store.run(heavy, Repeated(seed=9)) is mine


def test_trainings_that_have_not_ended_are_few_and_count_with_their_models():
    store = Store()

    def begun(config):
        run = Run(config, readings(5), 4, working=lambda: 1_000_000)
        run.advance()
        return run

    assert begun(Repeated()).nbytes > 1_000_000
    for seed in range(40):
        store.run(begun, Repeated(seed=seed))
    assert len(store._kept) == UNFINISHED
    ended = begun(Repeated())
    list(ended)
    assert ended.nbytes < 10_000


def test_a_picture_that_stands_in_many_moments_is_counted_once():
    picture = Signal("h", ("unit",), np.zeros(100_000))

    def seldom():
        for step in range(60):
            yield Reading(step, pictures=[picture])

    run = Run(Repeated(), seldom(), 59)
    run.advance(60)
    assert len(run.steps) == 60
    assert run.nbytes < 1_000_000


def test_a_first_moment_that_nobody_waits_for_is_given_up_and_made_anew_for_the_next():
    left, made = threading.Event(), []

    def slow():
        made.append(1)
        if len(made) == 1:
            left.set()
        checkpoint()
        yield from readings(2)
        checkpoint()

    run = Run(Repeated(), slow, 1)
    with pytest.raises(Cancelled), cancelled_if(left.is_set):
        run.advance(wait=True)
    assert not run.done
    assert run.error is None
    assert run.advance(wait=True) == 1
    assert len(made) == 2
    with cancelled_if(lambda: True):
        run.advance(60)
    assert run.done, "what comes after the first moment is for all who look"
    assert run.error is None


@uses("seed")
def seeded(config):
    calls.append(config)
    time.sleep(0.05)
    return Snapshot(config, 0, [Signal("h", ("unit",), [float(config.seed)])])


calls: list = []


def test_a_picture_is_computed_once_for_the_knobs_it_uses_also_by_four_threads_at_once():
    calls.clear()
    store, made = Store(), []
    threads = [
        threading.Thread(target=lambda n=n: made.append(store.picture(seeded, Repeated(seeds=n + 1)))) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [Repeated()], "a knob that is not declared is at its default"
    assert all(each is made[0] for each in made)
    store.picture(seeded, Repeated(seed=3))
    assert len(calls) == 2


def test_a_picture_that_raises_raises_for_everybody_and_is_tried_again():
    store, tries = Store(), []

    def broken(config):
        tries.append(1)
        raise ArithmeticError("no")

    for _ in range(2):
        with pytest.raises(ArithmeticError):
            store.picture(broken, Repeated())
    assert len(tries) == 2


def test_whoever_has_left_is_not_computed_for_any_further():
    left, parts = threading.Event(), []

    def long(config):
        for part in range(10):
            checkpoint()
            parts.append(part)
            if part == 2:
                left.set()
        return Snapshot(config, 0, [])

    store = Store()
    with pytest.raises(Cancelled), cancelled_if(left.is_set):
        store.picture(long, Repeated())
    assert parts == [0, 1, 2]
    assert store.picture(long, Repeated()).step == 0, "a later reader gets it whole"
