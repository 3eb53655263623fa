"""/top: the ten busiest rooms and slowest clients, at any number of them."""

import time
from collections import Counter
from collections.abc import Callable

import gevent
import pytest

from geventchat.protocol.admin import SlowClient
from geventchat.protocol.errors import FULL
from geventchat.protocol.events import Post
from geventchat.server.chat.hub import Hub
from geventchat.server.chat.room import Room
from geventchat.server.chat.turn import Pending
from geventchat.server.ops import top as tops
from geventchat.server.ops.metrics import Metrics
from geventchat.server.ops.top import MOST, answer_top, top, top_of_all
from geventchat.server.session.session import Session
from tests.server.hub_harness import Harness, link_of
from tests.server.joined import Joined, Store
from tests.server.links import FakeLink


def visit(harness: Harness, room: str) -> Session:
    """Add a client in one room and the lobby."""
    session = harness.session()
    harness.hub.add(session)
    harness.hub.go_live(harness.hub.join(session, room))
    return session


def say(harness: Harness, session: Session, room: str, times: int = 1) -> None:
    for _ in range(times):
        harness.say(session, "hi", room)
    harness.timeline.store()
    harness.timeline.deliver_next()


def fill(harness: Harness, count: int) -> None:
    """Add guests; the n-th has n bytes queued."""
    for size in range(count):
        session = harness.session(FakeLink(room=0))
        session.locked_out = FULL  # in no room
        harness.hub.add(session)
        session.outbox.put(bytes(size))


def test_the_busiest_rooms_come_first_and_quiet_ones_are_left_out() -> None:
    harness = Harness()
    for name, times in (("one", 10), ("two", 20), ("none", 0)):
        say(harness, visit(harness, name), name, times)
    rooms = top(harness.hub).rooms
    assert [(room.room, room.members) for room in rooms] == [("two", 1), ("one", 1)]
    assert rooms[0].messages_per_second > rooms[1].messages_per_second > 0


def test_a_rate_converges_for_a_steady_room_and_decays() -> None:
    room, author = Room("one", 0, ""), Harness().session()
    for second in range(1, 61):
        author._unacknowledged += 2
        for position in (2 * second - 1, 2 * second):
            pending = Pending(author, None, 0.0)
            room.post(Post("one", position, "ann", 0, "hi"), pending)
        turn = room.begin_turn()
        assert turn is not None
        turn.began = float(second)
        room.reach(1)
    assert 1.9 < room.rate(60.5) < 2.1
    assert 0.5 < room.rate(65.5) < 1
    assert room.rate(180) < 1e-9


def test_a_quiet_room_has_no_rate() -> None:
    assert Room("quiet", 7, "").rate(time.perf_counter()) == 0


def test_the_slowest_clients_come_first_and_up_to_date_ones_are_left_out() -> None:
    harness = Harness()
    level, slow = visit(harness, "one"), visit(harness, "one")
    link_of(slow).room = 0
    slow.put(b"x" * 100)
    slow.nick = "sam"
    assert top(harness.hub).clients == [SlowClient("sam", "nowhere", "none", slow.outbox.size)]
    assert level.outbox.size == 0


def test_the_list_is_bounded() -> None:
    harness = Harness()
    fill(harness, 3 * MOST)
    sizes = [client.outbox_bytes for client in top(harness.hub).clients]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == MOST
    assert sizes[0] == max(session.outbox.size for session in harness.hub.sessions)


@pytest.mark.parametrize(
    "look", [top, lambda hub: Metrics(hub, Counter(), Counter(), Counter()).text()]
)
def test_listing_all_sessions_does_not_block_the_hub(look: Callable[[Hub], object]) -> None:
    harness = Harness()
    fill(harness, 3_000)
    served: list[float] = []

    def other() -> None:
        while True:
            served.append(time.perf_counter())
            gevent.sleep(1e-9)

    greenlet = gevent.spawn(other)
    look(harness.hub)
    greenlet.kill()
    assert len(served) >= 5


def test_clients_may_connect_and_disconnect_meanwhile() -> None:
    harness = Harness()
    fill(harness, 1_000)

    def change() -> None:
        harness.hub.sessions.clear()
        visit(harness, "new")

    gevent.spawn(change)
    assert len(top(harness.hub).clients) == MOST
    assert [session.nick for session in harness.hub.sessions] == ["guest-1001"]
    assert top(harness.hub).rooms == []


def two_nodes() -> tuple[Store, Joined, Joined]:
    store = Store()
    one, two = Joined(store, "one"), Joined(store, "two")
    for node in (one, two):
        answer_top(node.hub)
    return store, one, two


def test_rooms_clients_and_loads_of_all_nodes_are_in_one_list() -> None:
    _, one, two = two_nodes()
    for node, count in ((one, 1), (two, 2)):
        sessions = [visit(node, "tea") for _ in range(count)]
        say(node, sessions[0], "tea")
        link_of(sessions[0]).room = 0
        sessions[0].put(b"x" * 100 * count)
    found = top_of_all(one.hub)
    assert [(room.room, room.members) for room in found.rooms] == [("tea", 3)]
    assert [client.outbox_bytes // 100 for client in found.clients] == [2, 1]
    assert [(node.name, node.connections) for node in found.nodes] == [("one", 1), ("two", 2)]
    assert found.silent == []


def test_a_node_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    store, one, _ = two_nodes()
    monkeypatch.setattr(tops, "_SECONDS", 0.01)
    store.deaf.add("two")
    found = top_of_all(one.hub)
    assert ([node.name for node in found.nodes], found.silent) == (["one"], ["two"])


def test_a_server_alone_asks_nobody_and_names_no_nodes() -> None:
    found = top_of_all(Harness().hub)
    assert (found.nodes, found.silent) == ([], [])
