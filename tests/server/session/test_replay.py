"""Who catches up hears all it has missed, and holds up nobody else meanwhile."""

import gevent
import pytest

from geventchat.protocol import events
from geventchat.protocol.errors import Ending
from geventchat.protocol.requests import Cursor
from geventchat.server.session import replay
from geventchat.server.session import session as session_module
from geventchat.server.session.replay import enter
from tests.server.house import House, heard, link_of


def test_other_clients_are_served_between_the_pages_of_a_replay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fast client of 100,000 posts had the server to itself for 60 ms."""
    monkeypatch.setattr(session_module, "SLICE_SECONDS", -1.0)  # every page is a slice
    house = House()
    session = house.session(rich=True)
    link_of(session).heard = 0.0
    for number in range(10):
        house.say(session, f"{number}" * (200 << 10), "attic")
    house.timeline.store()
    session.rooms = house.hub.add(session)
    member = house.hub.join(session, "attic")
    seen = set()
    reader = gevent.spawn(enter, session, member, Cursor(house.timeline.epoch, 0), None)
    with gevent.Timeout(5):
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
    house = House()
    session = house.session(rich=True)
    session.rooms = house.hub.add(session)
    member = house.hub.join(session, "attic")
    house.say(session, "one", "attic")
    house.timeline.store()  # and never handed on
    with gevent.Timeout(5), pytest.raises(Ending) as ended:
        enter(session, member, Cursor(house.timeline.epoch, 1), None)
    assert ended.value.reason.code == "internal"
    assert heard(session) == []
