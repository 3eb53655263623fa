"""A native thread for the disk."""

import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.monkey import get_original

from geventchat.server.timeline.sqlite.native import NativeThread

_allocate_lock: Any = get_original("_thread", "allocate_lock")


@pytest.fixture
def thread() -> Iterator[NativeThread]:
    thread = NativeThread()
    yield thread
    assert thread.close(time.monotonic() + 20)


def test_functions_run_in_the_order_in_which_they_were_given(thread: NativeThread) -> None:
    ran: list[int] = []
    waiters = [thread.spawn(ran.append, number) for number in range(100)]
    assert [waiter.get() for waiter in waiters] == [None] * 100
    assert ran == list(range(100))


def test_an_exception_is_the_outcome_and_the_next_function_runs(thread: NativeThread) -> None:
    failed, next_one = thread.spawn(int, "x"), thread.spawn(int, "7")
    assert isinstance(failed.get(), ValueError)
    assert next_one.get() == 7


def test_the_event_loop_runs_while_a_function_does(thread: NativeThread) -> None:
    lock = _allocate_lock()
    lock.acquire()
    gevent.spawn_later(0.001, lock.release)
    assert thread.run(lock.acquire) is True


def test_everyone_gets_the_outcome_of_their_own_function_though_others_waited_no_longer(
    thread: NativeThread,
) -> None:
    lock = _allocate_lock()
    lock.acquire()
    late = gevent.spawn(thread.run, lock.acquire)
    mine = gevent.spawn(thread.run, int, "7")
    gevent.idle()
    late.kill()
    lock.release()
    assert mine.get(timeout=20) == 7


def test_closing_ends_within_its_time_if_the_thread_hangs() -> None:
    thread, lock = NativeThread(), _allocate_lock()
    lock.acquire()
    hangs = thread.spawn(lock.acquire)
    assert not thread.close(time.monotonic())
    lock.release()
    assert hangs.get() is True
    assert thread.close(time.monotonic() + 20)
