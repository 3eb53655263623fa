"""Messages that are taken at once, where they were read: only those that cannot wait."""

from collections.abc import Callable, Iterator

import gevent
import pytest

from geventchat.protocol.errors import KICKED
from geventchat.server.session.session import Session
from tests.server.hub_harness import Harness, heard, link_of
from tests.server.switches import never_switches

SAY = b'{"type":"say","room":"lobby","text":"hi"}'
HELLO = b'\x1e{"type":"hello","version":1,"client":"a-client-of-these-tests"}'


@pytest.fixture
def harness() -> Harness:
    return Harness()


@pytest.fixture(params=["plain", "rich"])
def session(harness: Harness, request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session that has taken its first frame and waits for more."""
    session = harness.session()
    running = gevent.spawn(session.run)
    link_of(session).say(HELLO if request.param == "rich" else b"first")
    _until(lambda: link_of(session).at_once is not None and link_of(session).listening)
    harness.timeline.store()
    harness.timeline.deliver_next()
    yield session
    running.kill()


def _until(true: Callable[[], bool]) -> None:
    with gevent.Timeout(20):
        while not true():
            gevent.sleep(1e-9)


def _take(session: Session, frame: bytes) -> bool:
    at_once = link_of(session).at_once
    assert at_once is not None
    with never_switches():
        return at_once(frame)


def _say(session: Session) -> bytes:
    return SAY if session.rich else b"hi"


def test_a_message_is_submitted_at_once(harness: Harness, session: Session) -> None:
    assert _take(session, _say(session))
    assert [each.text for each in harness.timeline._submitted] == ["hi"]


def test_an_ended_session_takes_nothing(harness: Harness, session: Session) -> None:
    session.end(KICKED)
    assert not _take(session, _say(session))
    assert harness.timeline._submitted == []


def test_a_message_that_would_wait_for_verdicts_is_left_to_the_reader(
    harness: Harness, session: Session
) -> None:
    for _ in range(63):
        assert _take(session, _say(session))
    assert not _take(session, _say(session))
    harness.timeline.store()
    harness.timeline.deliver_next()
    assert _take(session, _say(session))


def test_what_is_refused_is_answered_once(session: Session) -> None:
    if not session.rich:
        return
    before = len(heard(session))
    assert _take(session, SAY.replace(b"lobby", b"elsewhere"))
    (answer,) = heard(session)[before:]
    assert b"not_joined" in answer


@pytest.mark.parametrize(
    "frame", [b"q", b"\xff", HELLO, b"{}", b'{"type":"ping"}', b'{"type":"leave","room":"lobby"}']
)
def test_what_is_no_message_is_left_to_the_reader(
    harness: Harness, session: Session, frame: bytes
) -> None:
    if session.rich or not frame.startswith(b"{"):
        before = len(heard(session))
        assert not _take(session, frame)
        assert len(heard(session)) == before
        assert harness.timeline._submitted == []
