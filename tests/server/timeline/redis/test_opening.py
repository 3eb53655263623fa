"""Rooms that many ask for at the same time are read together."""

import signal

import gevent
import pytest

from geventchat.protocol.errors import REPLACED, Ending, Refused
from geventchat.server.timeline.redis.opening import Openings
from geventchat.server.timeline.redis.reader import Reader
from geventchat.server.timeline.redis.scripts import Script
from tests.engines import RunningEngine
from tests.server.switches import let_run
from tests.server.timeline.redis.conftest import Connect

_OPEN = Script("open")
_SECONDS = 20


def calls(engine: RunningEngine, command: str) -> int:
    """Return how often an engine was sent a command, by its own count."""
    for line in engine.call("INFO", "commandstats").decode().splitlines():
        if line.startswith(f"cmdstat_{command}:"):
            return int(line.partition("calls=")[2].partition(",")[0])
    return 0


def test_those_who_ask_for_one_room_meanwhile_share_a_read(
    own: RunningEngine, connect: Connect
) -> None:
    reader = Reader(connect(own))
    reader.open("tea")  # so that the engine knows the script
    before = calls(own, "evalsha")
    own.signal(signal.SIGSTOP)
    asking = [gevent.spawn(reader.open, "tea") for _ in range(500)]
    let_run()
    own.signal(signal.SIGCONT)
    gevent.joinall(asking, timeout=_SECONDS, raise_error=True)
    assert {each.get().top for each in asking} == {0}
    assert calls(own, "evalsha") - before == 2  # the first asked alone


def test_each_of_many_rooms_gets_its_own_state(engine: RunningEngine, connect: Connect) -> None:
    connection = connect(engine)
    for number in range(300):
        connection.call("HSET", "{gc}:topics", f"room{number}", f"about {number}")
    reader = Reader(connection)
    asking = [gevent.spawn(reader.open, f"room{number}") for number in range(300)]
    gevent.joinall(asking, timeout=_SECONDS, raise_error=True)
    assert [each.get().topic for each in asking] == [f"about {number}" for number in range(300)]


def test_a_damaged_room_is_refused_alone(engine: RunningEngine, connect: Connect) -> None:
    connection = connect(engine)
    connection.call("SET", "{gc}:room:bad", "not a stream")
    reader = Reader(connection)
    reader.open("good")
    asking = {room: gevent.spawn(reader.open, room) for room in ("good", "bad", "better")}
    gevent.joinall([*asking.values()], timeout=_SECONDS)
    assert asking["good"].value
    assert asking["better"].value
    assert isinstance(asking["bad"].exception, Refused)


@pytest.mark.parametrize("end", [gevent.GreenletExit(), Ending(REPLACED)])
def test_who_has_to_end_while_reading_for_others_does_not_take_them_along(
    own: RunningEngine, connect: Connect, end: BaseException
) -> None:
    openings = Openings(connect(own), _OPEN)
    openings.ask("tea")
    openings._turn.acquire(_SECONDS)  # so that all of them ask before anyone reads
    first, *others = [gevent.spawn(openings.ask, room) for room in ("tea", "tea", "milk")]
    let_run()
    own.call("CLIENT", "PAUSE", "300", "ALL")  # what is sent now is answered later
    openings._turn.release()
    let_run()
    others.append(gevent.spawn(openings.ask, "tea"))  # for whom the first does not read
    let_run()
    first.kill(end)
    gevent.joinall(others, timeout=_SECONDS, raise_error=True)
    assert all(each.get()[0] == 0 for each in others)
