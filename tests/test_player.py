"""Playbacks: they wait to be asked, keep what was seen, and let only one thread turn the crank."""

import itertools
import threading
import time

import pytest

from seqcore.knobs import Repeated
from seqcore.record import Run
from view.player import LEAST_TICK, MOMENTS, PLAYBACKS, TICK, Playback, Shelf, budget


def moments(count, pause=0.0):
    for step in range(count):
        time.sleep(pause)
        yield Run(Repeated(), step, [])


def test_nothing_happens_until_somebody_asks():
    asked = []

    def runs():
        asked.append(True)
        yield from moments(2)

    playback = Playback(runs())
    assert not asked
    playback.advance(0)
    assert asked
    assert [moment.step for moment in playback.moments] == [0]


def test_it_ends_by_itself_and_stops_playing():
    playback = Playback(moments(5))
    playback.playing = True
    playback.advance(10)
    assert playback.done
    assert not playback.playing
    assert [moment.step for moment in playback.moments] == [0, 1, 2, 3, 4]
    playback.advance(10)
    assert len(playback.moments) == 5


def test_a_tick_is_over_soon_after_its_time():
    playback = Playback(moments(100, pause=0.01))
    playback.advance(0.05)
    assert 2 <= len(playback.moments) <= 6


def test_of_many_moments_the_first_the_last_and_even_ones_between_are_kept():
    playback = Playback(moments(1000))
    playback.advance(60)
    steps = [moment.step for moment in playback.moments]
    assert len(steps) <= MOMENTS + 1
    assert steps[0] == 0
    assert steps[-1] == 999
    gaps = {late - early for early, late in itertools.pairwise(steps[:-1])}
    assert len(gaps) == 1


def test_a_second_thread_is_sent_away_at_once():
    playback = Playback(moments(3, pause=0.2))
    worker = threading.Thread(target=playback.advance, args=(1,))
    worker.start()
    time.sleep(0.05)
    start = time.perf_counter()
    playback.advance(1)
    assert time.perf_counter() - start < 0.1
    worker.join()
    assert [moment.step for moment in playback.moments] == [0, 1, 2]


def experiment(config):
    yield from moments(3)


def test_a_finished_run_is_kept_and_an_unfinished_one_goes_when_a_knob_is_turned():
    shelf = Shelf()
    done, begun = Repeated(seed=1), Repeated(seed=2)
    finished = shelf.get(experiment, done)
    finished.advance(10)
    unfinished = shelf.get(experiment, begun)
    unfinished.advance(0)
    assert shelf.get(experiment, done) is finished
    assert not unfinished.playing
    assert shelf.get(experiment, begun) is not unfinished


def test_forgetting_starts_again_and_the_shelf_is_bounded():
    shelf = Shelf()
    first = shelf.get(experiment, Repeated())
    first.advance(10)
    shelf.forget(experiment, Repeated())
    assert shelf.get(experiment, Repeated()) is not first
    for seed in range(PLAYBACKS + 3):
        shelf.get(experiment, Repeated(seed=seed)).advance(10)
    assert shelf.get(experiment, Repeated(seed=0)).moments == []


def test_everybody_who_watches_gets_a_fair_share():
    alone = Playback(moments(1))
    assert budget(alone) == pytest.approx(TICK, rel=0.5)
    crowd = [Playback(moments(1)) for _ in range(20)]
    assert budget(crowd[0]) <= TICK
    assert min(budget(each) for each in crowd) == LEAST_TICK
