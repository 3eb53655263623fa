"""Two servers on one engine: the members of a room notice nothing of who is where."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import gevent
import pytest

from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.peers import Rich, of
from tests.engines import running


@pytest.fixture
def two() -> Iterator[tuple[Chat, Chat]]:
    """Return two servers on one engine."""
    with running("valkey") as engine, ExitStack() as stack:
        one, other = (stack.enter_context(chatting(engine.url, clock=True)) for _ in range(2))
        yield one, other


def until(holds: Callable[[], object]) -> None:
    with gevent.Timeout(20):
        while not holds():
            gevent.sleep(0.01)


def members(peer: Rich, room: str = "lobby") -> tuple[int, list[str]]:
    """Return how many are in a room, and who."""
    answer = peer.ask("who", room=room)
    return answer["count"], sorted(answer["nicks"])


def test_a_room_has_the_members_of_both_nodes(two: tuple[Chat, Chat]) -> None:
    one, other = two
    ann, eve = one.rich("Ann"), other.rich("Eve")
    until(lambda: members(ann) == members(eve) == (2, ["Ann", "Eve"]))
    eve.ask("join", room="tea")
    eve.ask("topic", room="tea", topic="Green")
    until(lambda: len(ann.ask("rooms")["rooms"]) == 2)
    lobby, tea = ann.ask("rooms")["rooms"]
    assert (lobby["name"], lobby["members"]) == ("lobby", 2)
    assert (tea["name"], tea["members"], tea["topic"]) == ("tea", 1, "Green")


def test_who_comes_is_renamed_is_typing_and_goes_is_heard_on_both(two: tuple[Chat, Chat]) -> None:
    one, other = two
    eve = other.rich("Eve")
    ann = one.rich("Ann")
    eve.hear(lambda event: event.get("event") == "join" and event["nick"] == "Ann")
    ann.ask("nick", nick="Anna")
    eve.hear(lambda event: event.get("new_nick") == "Anna")
    ann.tell("typing", room="lobby")
    eve.hear(lambda event: event == {"type": "typing", "room": "lobby", "nick": "Anna"})
    ann.ask("leave", room="lobby")
    eve.hear(lambda event: event.get("event") == "leave" and event["nick"] == "Anna")


def test_who_comes_back_to_another_node_as_theirs_ends_has_not_left(
    two: tuple[Chat, Chat],
) -> None:
    one, other = two
    eve = other.rich("Eve")
    ann, bob = one.rich("Ann", client="a-client-that-comes-back"), one.rich("Bob")
    until(lambda: members(eve) == (3, ["Ann", "Bob", "Eve"]))
    eve.pong()
    one.server.stop()
    assert ann.closing()[-1]["code"] == bob.closing()[-1]["code"] == "shutdown"
    again = other.rich("Ann", client="a-client-that-comes-back")
    assert members(again) == (3, ["Ann", "Bob", "Eve"])
    assert of("presence", eve.pong()) == []
    until(lambda: not other.server._hub.timeline.nodes.others)
    other.advance_clock(1_000)
    (left,) = of("presence", eve.hear(lambda event: event.get("event") == "leave"))
    assert left["nick"] == "Bob"
    assert members(again) == (2, ["Ann", "Eve"])


def test_a_lost_client_that_comes_back_to_another_node_was_never_away(
    two: tuple[Chat, Chat],
) -> None:
    one, other = two
    eve, ann = other.rich("Eve"), one.rich("Ann", client="a-client-that-is-lost", rooms=["lobby"])
    eve.hear(lambda event: event.get("event") == "join" and event["nick"] == "Ann")
    drop(ann)
    other.rich(client="a-client-that-is-lost", rooms=[])
    left = eve.hear(lambda event: event.get("event") == "leave")
    assert [(each["event"], each["nick"]) for each in of("presence", left)] == [("leave", "Ann")]
    until(lambda: members(eve) == (1, ["Eve"]))
