"""A reader's place in a run: two readers share the log and not the place, and a press is never lost."""

import threading
import time

import pytest

from seqcore.knobs import Repeated
from seqcore.record import Signal
from seqcore.runs import Reading, Run, Store
from view import player
from view.player import TICK, Cursor, Cursors, pause_after


def readings(count, pause=0.0):
    for step in range(count):
        time.sleep(pause)
        yield Reading(step, [Signal("loss", ("arm",), [float(step)])])


def experiment(config):
    return Run(config, readings(3), 2)


def clocked(config):
    return Run(config, readings(3), 2, personal=True)


@pytest.fixture
def store(monkeypatch):
    kept = Store()
    monkeypatch.setattr(player, "store", lambda: kept)
    return kept


def test_a_reader_steps_to_the_end_and_back_and_the_log_stays():
    cursor = Cursor(Run(Repeated(), readings(3), 2))
    cursor.begin()
    assert cursor.snapshot.step == 0
    for step in (1, 2, 2):
        cursor.forward()
        assert cursor.step == step
    cursor.forward()  # which finds out that there is no more
    assert cursor.finished
    cursor.step = 0
    assert not cursor.finished
    assert cursor.snapshot.step == 0
    cursor.forward()
    assert cursor.step == 1
    assert cursor.run.steps == (0, 1, 2)


def test_two_readers_of_one_config_share_the_run_and_have_places_of_their_own(store):
    mine, yours = Cursors().get(experiment, Repeated()), Cursors().get(experiment, Repeated())
    mine.begin()
    mine.forward()
    mine.forward()
    yours.begin()
    assert mine.run is yours.run
    assert (mine.step, yours.step) == (2, 0)
    yours.playing = True
    yours.tick(TICK)
    assert yours.step == 1, "what is in the log already is played, not trained"
    assert not mine.playing


def test_a_log_that_is_there_is_played_in_pictures_that_can_be_followed():
    run = Run(Repeated(), readings(100), 99)
    run.advance(60)
    cursor, pictures = Cursor(run), 0
    cursor.playing = True
    while cursor.going:
        cursor.tick(TICK)
        pictures += 1
    assert 45 <= pictures <= 100


def test_a_config_that_is_new_goes_on_playing_if_the_one_before_did(store):
    cursors = Cursors()
    first = cursors.get(experiment, Repeated())
    first.begin()
    first.playing = True
    second = cursors.get(experiment, Repeated(seed=1))
    assert second.playing
    assert not first.playing, "nothing that is not looked at trains"
    second.playing = False
    assert not cursors.get(experiment, Repeated(seed=2)).playing


def test_a_page_that_is_left_holds_no_run_and_goes_on_playing_when_the_reader_returns(store):
    cursors = Cursors()
    cursor = cursors.get(experiment, Repeated(), "here")
    cursor.begin()
    cursor.forward()
    cursor.playing = True
    cursors.get(clocked, Repeated(), "there")
    assert not cursor.playing
    assert list(cursors.open) == [player.name_of(clocked)]
    again = cursors.get(experiment, Repeated(), "here")
    assert (again.step, again.playing) == (1, True)
    store.clear()
    cursors.get(clocked, Repeated(), "there")
    assert cursors.get(experiment, Repeated(), "here").step == 0, "a run that had to go is begun again"


def test_a_reader_returns_to_the_place_left_and_a_new_reader_begins_at_the_beginning(store):
    mine = Cursors()
    cursor = mine.get(experiment, Repeated())
    cursor.begin()
    cursor.forward()
    mine.get(experiment, Repeated(seed=1))
    assert mine.get(experiment, Repeated()).step == 1
    assert Cursors().get(experiment, Repeated()).step == 0


def test_a_run_that_fails_shows_what_was_measured_until_then():
    def failing():
        yield from readings(2)
        raise ArithmeticError("no")

    cursor = Cursor(Run(Repeated(), failing(), 5))
    cursor.playing = True
    cursor.tick(1)
    cursor.tick(1)
    assert cursor.run.error is not None
    assert cursor.snapshot.step == 1


def test_a_press_during_a_tick_is_never_lost():
    run = Run(Repeated(), readings(400, pause=0.002), 399)
    cursor, stop = Cursor(run), threading.Event()

    def live():
        while not stop.is_set():
            if cursor.going:
                cursor.tick(0.01)
            time.sleep(0.0005)

    worker = threading.Thread(target=live)
    worker.start()
    try:
        for wanted in [True, False] * 40:
            cursor.playing = wanted
            time.sleep(0.003)
            assert cursor.playing is wanted
    finally:
        stop.set()
        worker.join()
    at = cursor.step
    cursor.forward()
    assert cursor.step > at


def test_a_step_waits_for_the_tick_of_another_reader():
    run = Run(Repeated(), readings(10, pause=0.1), 9)
    run.advance()
    other = threading.Thread(target=run.advance, args=(0.15,))
    other.start()
    cursor = Cursor(run)
    time.sleep(0.02)
    cursor.forward()
    other.join()
    assert cursor.step > 0


def test_the_more_play_the_longer_is_the_pause_and_the_tick_stays_what_it_is(monkeypatch):
    monkeypatch.setattr(player.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(player, "_playing", {})
    crowd = [Cursor(Run(Repeated(), readings(1), 0)) for _ in range(12)]
    pauses = [pause_after(each, 0.1) for each in crowd]
    assert pauses[0] == player.BREATH
    assert pauses == sorted(pauses)
    assert pauses[9] == pytest.approx(0.9 + player.BREATH)


def test_reset_during_a_tick_is_not_undone_by_it():
    run = Run(Repeated(), readings(20, pause=0.05), 19)
    cursor = Cursor(run)
    cursor.begin()
    for _ in range(5):
        cursor.press(True)
        ticking = threading.Thread(target=cursor.tick, args=(0.12,))
        ticking.start()
        time.sleep(0.03)
        cursor.press(False, 0)
        ticking.join()
        assert (cursor.step, cursor.playing) == (0, False)


def test_a_reader_who_looks_at_the_newest_weights_keeps_them_while_another_goes_on():
    def weighted():
        for step in range(5):
            yield Reading(step, pictures=[Signal("parameters", ("parameter",), [float(step)])])

    mine = Cursor(Run(Repeated(), weighted(), 4))
    mine.begin()
    assert "parameters" in mine.snapshot
    yours = Cursor(mine.run)
    yours.forward()
    yours.forward()
    assert "parameters" in mine.snapshot
    assert "parameters" not in mine.run.at(0)


def test_a_clock_of_one_session_is_never_anothers(store):
    first = Cursors()
    mine = first.get(clocked, Repeated())
    assert Cursors().get(clocked, Repeated()).run is not mine.run
    assert first.get(clocked, Repeated(), first.page).run is mine.run


def test_a_run_is_new_to_a_reader_once(store):
    cursors, other = Cursors(), Repeated(seeds=5)
    assert cursors.get(experiment, Repeated()).new
    assert not cursors.get(experiment, Repeated()).new
    assert cursors.get(experiment, other).new
    assert not cursors.get(experiment, Repeated()).new, "the reader was here before"
