"""One connection over a network that loses, delays and cuts."""

from collections.abc import Iterator

import gevent
import pytest

from geventchat.server.timeline.redis.engine import Away, Engine, InDoubt
from tests.engines import RunningEngine
from tests.fault_proxy import FaultProxy, faults
from tests.server.timeline.redis.conftest import Connect, hurried


@pytest.fixture
def proxy(engine: RunningEngine) -> Iterator[FaultProxy]:
    with faults(engine.path) as proxy:
        yield proxy


@pytest.fixture
def line(proxy: FaultProxy, connect: Connect) -> Engine:
    """Return a connection through the proxy that has been made."""
    line = connect(proxy.url)
    line.call("PING")
    return line


def test_a_command_whose_answer_is_lost_is_in_doubt_and_not_sent_again(
    proxy: FaultProxy, line: Engine
) -> None:
    proxy.lose_answer("INCR", 2)
    assert line.call("INCR", "a") == 1
    with pytest.raises(InDoubt, match="closed"):
        line.call("INCR", "a")
    assert line.call("INCR", "a") == 3
    assert proxy.commands["INCR"] == 3


def test_an_answer_that_never_comes_ends_the_wait_and_the_connection(
    proxy: FaultProxy, line: Engine
) -> None:
    proxy.lose_answer("INCR", silently=True)
    with pytest.raises(InDoubt, match="in time"), hurried(line):
        line.call("INCR", "a")
    assert line.call("GET", "a") == b"1"


def test_an_answer_that_comes_too_late_is_given_to_nobody(proxy: FaultProxy, line: Engine) -> None:
    proxy.delay = 0.4
    with pytest.raises(InDoubt), hurried(line):
        line.call("ECHO", "late")
    proxy.delay = 0
    assert [line.call("ECHO", "mine") for _ in range(3)] == [b"mine"] * 3


def test_a_caller_that_gives_up_leaves_its_answer_to_nobody(
    proxy: FaultProxy, line: Engine
) -> None:
    proxy.delay = 0.05
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.02):
        line.call("ECHO", "given up")
    assert line.call("ECHO", "mine") == b"mine"


def test_answers_that_trickle_do_not_extend_the_limit(proxy: FaultProxy, line: Engine) -> None:
    proxy.delay = 0.1  # each is in time, all of them are not
    with pytest.raises(InDoubt, match="in time"), hurried(line, 0.3):
        line.pipeline([("INCR", "a")] * 10)


@pytest.mark.parametrize("after", [1, 20])
def test_a_command_that_is_cut_on_its_way_is_in_doubt_and_was_not_executed(
    after: int, proxy: FaultProxy, line: Engine
) -> None:
    proxy.cut_command(after)
    with pytest.raises(InDoubt):
        line.call("INCR", "counter")
    assert line.call("EXISTS", "counter") == 0


@pytest.mark.parametrize("after", [0, 1, 9])
def test_an_answer_that_is_cut_on_its_way_is_in_doubt(
    after: int, proxy: FaultProxy, line: Engine
) -> None:
    line.call("SET", "a", "0123456789")
    proxy.cut_answer(after)
    with pytest.raises(InDoubt):
        line.call("GET", "a")
    assert line.call("GET", "a") == b"0123456789"


def test_a_part_of_a_pipeline_that_was_answered_is_in_doubt_too(
    proxy: FaultProxy, line: Engine
) -> None:
    proxy.lose_answer("INCR", 2)
    with pytest.raises(InDoubt):
        line.pipeline([("INCR", "a"), ("INCR", "a"), ("INCR", "a")])
    assert line.call("GET", "a") == b"3"


def test_a_half_open_connection_is_noticed_by_its_first_command(
    proxy: FaultProxy, line: Engine
) -> None:
    proxy.half_open()
    with pytest.raises(InDoubt, match="in time"), hurried(line):
        line.call("INCR", "a")
    assert line.call("INCR", "a") == 1


def test_a_connection_that_was_cut_while_quiet_costs_nobody_a_command(
    proxy: FaultProxy, line: Engine
) -> None:
    proxy.cut()
    gevent.sleep(0)
    assert line.call("INCR", "a") == 1


def test_a_command_that_was_in_doubt_can_be_executed_later(
    proxy: FaultProxy, line: Engine, engine: RunningEngine
) -> None:
    proxy.open.clear()
    with hurried(line):
        with pytest.raises(InDoubt):
            line.call("RPUSH", "executed", "late")
        with pytest.raises(Away):
            line.call("RPUSH", "executed", "never")
    proxy.open.set()
    with gevent.Timeout(20):
        while not engine.call("EXISTS", "executed"):
            gevent.sleep(0.005)
    assert line.call("LRANGE", "executed", 0, -1) == [b"late"]


def test_a_black_hole_holds_up_each_command_no_longer_than_its_limit(
    proxy: FaultProxy, line: Engine
) -> None:
    proxy.open.clear()
    with hurried(line, 1):
        waiting = [gevent.spawn(line.call, "INCR", "a") for _ in range(20)]
        assert len(gevent.joinall(waiting, timeout=15)) == 20  # one by one they take 20 s
    assert [type(each.exception) for each in waiting] == [InDoubt] + [Away] * 19
