"""Replay: a member receives all missed posts, and other clients are not delayed."""

import gevent
import pytest

from geventchat.protocol import events
from geventchat.protocol.errors import Ending
from geventchat.protocol.requests import Cursor
from geventchat.server.session import replay
from geventchat.server.session import session as session_module
from geventchat.server.session.replay import enter
from tests.server.hub_harness import Harness, heard, link_of


def test_other_clients_are_served_between_the_pages_of_a_replay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A replay of 100,000 posts to a fast client blocked the server for 60 ms."""
    monkeypatch.setattr(session_module, "SLICE_SECONDS", -1.0)  # every page is a slice
    harness = Harness()
    session = harness.session(rich=True)
    link_of(session).heard = 0.0
    for number in range(10):
        harness.say(session, f"{number}" * (200 << 10), "attic")
    harness.timeline.store()
    session.rooms = harness.hub.add(session)
    member = harness.hub.join(session, "attic")
    seen = set()
    reader = gevent.spawn(enter, session, member, Cursor(harness.timeline.epoch, 0), None)
    with gevent.Timeout(20):
        while not reader.dead:
            gevent.sleep(1e-9)
            seen.add(len(link_of(session).offered))
    assert len(seen) > 8
    posts = [events.decode(frame) for frame in heard(session)]
    assert [post.position for post in posts if isinstance(post, events.Post)] == list(range(1, 11))


def test_a_turn_that_never_ends_is_not_waited_for_without_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who comes back having heard it on another connection is told to come again."""
    monkeypatch.setattr(replay, "_TURN_SECONDS", 0.001)
    harness = Harness()
    session = harness.session(rich=True)
    session.rooms = harness.hub.add(session)
    member = harness.hub.join(session, "attic")
    harness.say(session, "one", "attic")
    harness.timeline.store()  # and never handed on
    with gevent.Timeout(20), pytest.raises(Ending) as ended:
        enter(session, member, Cursor(harness.timeline.epoch, 1), None)
    assert ended.value.reason.code == "internal"
    assert heard(session) == []
