"""Who computes now: knobs before trainings, no more trainings than places, who came first is served first."""

import threading
import time

from view.desk import PATIENCE, Desk


def test_no_more_trainings_work_at_once_than_there_are_places():
    desk, now, most = Desk(places=2), [0], [0]

    def train():
        with desk.turn():
            now[0] += 1
            most[0] = max(most[0], now[0])
            time.sleep(0.02)
            now[0] -= 1

    threads = [threading.Thread(target=train) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 2


def test_a_training_waits_while_a_knob_is_answered_and_is_told_to_stop_when_one_comes():
    desk, order = Desk(places=1), []

    def train():
        with desk.turn():
            order.append("training")

    with desk.first():
        assert desk.wanted()
        worker = threading.Thread(target=train)
        worker.start()
        time.sleep(0.05)
        order.append("knob")
    worker.join()
    assert order == ["knob", "training"]
    assert not desk.wanted()


def test_knobs_that_never_end_do_not_starve_a_training():
    desk = Desk(places=1)
    start = time.perf_counter()
    with desk.first(), desk.turn() as stop:
        waited = time.perf_counter() - start
        assert desk.wanted()
        assert not stop(), "who has waited long may take the whole turn"
    assert PATIENCE <= waited < PATIENCE + 0.5
    with desk.turn() as stop, desk.first():
        assert stop(), "who has not, makes way"


def test_who_came_first_is_served_first():
    desk, served = Desk(places=1), []

    def train(name):
        with desk.turn():
            served.append(name)
            time.sleep(0.005)

    with desk.turn():
        threads = []
        for name in range(6):
            threads.append(threading.Thread(target=train, args=(name,)))
            threads[-1].start()
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert served == list(range(6))
