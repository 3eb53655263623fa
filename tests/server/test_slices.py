"""Expensive work of many greenlets: a part of each round, in the order in which they asked."""

import time
from collections import Counter

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from geventchat.server.slices import RoundBudget, in_slices, pause

SECONDS = 0.002


def work(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_many_greenlets_do_not_all_work_in_one_round() -> None:
    budget = RoundBudget()
    loop = gevent.get_hub().loop
    rounds: Counter[int] = Counter()

    def request() -> None:
        for _ in range(3):
            budget.wait(SECONDS)
            rounds[loop.iteration] += 1
            work(SECONDS / 2)

    gevent.joinall([gevent.spawn(request) for _ in range(20)], timeout=30, raise_error=True)
    assert rounds.total() == 60
    assert max(rounds.values()) <= 2


def test_nobody_is_overtaken_who_waits() -> None:
    budget = RoundBudget()
    done: list[int] = []

    def request(number: int) -> None:
        for _ in range(3):
            budget.wait(0)
            done.append(number)

    gevent.joinall([gevent.spawn(request, each) for each in range(10)], timeout=20)
    # The first asks again before the others ask at all.
    assert done == [0, *range(10), *range(10), *range(1, 10)]


def test_work_that_is_alone_does_not_wait() -> None:
    budget = RoundBudget()
    gevent.sleep(0)
    switched = Event()
    gevent.spawn(switched.set)
    budget.wait(SECONDS)
    budget.wait(SECONDS)
    assert not switched.is_set()


def test_one_that_ends_while_it_waits_stops_nobody() -> None:
    budget = RoundBudget()
    done: list[int] = []

    def request(number: int) -> None:
        budget.wait(0)
        done.append(number)

    for killed in (1, 3):
        done.clear()
        waiting = [gevent.spawn(request, number) for number in range(5)]
        gevent.spawn(waiting[killed].kill, block=False)
        gevent.joinall(waiting, timeout=30, raise_error=True)
        assert done == [number for number in range(5) if number != killed]
    assert not budget._queue


@pytest.mark.parametrize("count", [0, 1, 499, 500, 1_501])
def test_items_come_in_slices_between_which_others_run(count: int) -> None:
    switched = Event()
    gevent.spawn(switched.set)
    assert list(in_slices(range(count))) == list(range(count))
    assert switched.is_set() == (count >= 500)


def test_what_is_readable_is_read_before_a_pause_ends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = gevent.spawn(ours.recv, 1)
        gevent.sleep(0)  # it waits
        for _ in range(3):
            theirs.send(b"x")
            pause()
            assert reader.ready()
            reader = gevent.spawn(ours.recv, 1)
            gevent.sleep(0)
        reader.kill()
