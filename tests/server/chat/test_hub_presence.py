"""Presence: what members hear of those who come, go, change their nick and come back."""

import pytest

from geventchat.protocol.errors import KICKED, LOST, QUIT, REPLACED, SLOW, Refused
from geventchat.protocol.events import Presence
from geventchat.server.chat import presence
from geventchat.server.chat.away import Away
from geventchat.server.session.session import Session
from geventchat.server.wire import JSON
from tests.server.hub_harness import Harness, forget, plain, rich, seen


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_the_join_and_leave_of_a_rich_member_are_announced(harness: Harness) -> None:
    anna = rich(harness, "anna")
    bert = rich(harness, "bert")
    assert seen(anna) == [Presence(room="lobby", nick="bert", event="join")]
    assert seen(bert) == []
    harness.hub.leave(bert.rooms["lobby"])
    assert seen(anna) == [Presence(room="lobby", nick="bert", event="leave")]
    assert anna.rooms["lobby"].room.count == 1


def test_the_join_of_a_plain_member_is_announced_once(harness: Harness) -> None:
    anna, guest = rich(harness, "anna"), plain(harness)
    room = anna.rooms["lobby"].room
    assert (seen(anna), room.count) == ([], 1)
    for _ in range(2):
        harness.hub.announce(guest.rooms["lobby"])
    harness.slice()
    assert seen(anna) == [Presence(room="lobby", nick=guest.nick, event="join")]
    assert room.count == 2
    harness.hub.remove(guest, LOST)
    assert seen(anna) == [Presence(room="lobby", nick=guest.nick, event="leave")]
    assert room.count == 1


def test_an_unannounced_plain_member_leaves_silently(harness: Harness) -> None:
    anna, guest = rich(harness, "anna"), plain(harness)
    member = guest.rooms["lobby"]
    harness.hub.remove(guest, LOST)
    harness.hub.announce(member)
    harness.slice()
    assert seen(anna) == []


def test_a_rename_is_announced_in_every_room_of_its_owner(harness: Harness) -> None:
    anna = rich(harness, "anna", "attic", "cellar")
    bert, carl = rich(harness, "bert", "attic"), rich(harness, "carl", "cellar")
    forget(anna, bert)
    assert harness.hub.rename(anna, "Hanna") == "Hanna"
    for other, room in ((bert, "attic"), (carl, "cellar")):
        assert seen(other) == [Presence(room=room, nick="anna", event="rename", new_nick="Hanna")]
    assert harness.hub.owners.find_rich("hanna") is anna
    assert rich(harness, "anna").nick == "anna"


def test_the_console_shows_who_is_who(harness: Harness) -> None:
    ann = rich(harness, "ann")
    guest, _ = harness.console.nicks.pop()
    harness.hub.remove(ann, LOST)
    back = rich(harness, "", client="ann")
    harness.hub.rename(back, "anna")
    assert guest.startswith("guest-")
    assert harness.console.nicks[0][0].startswith("guest-")  # the name under which it reconnected
    assert [nick for _, nick in harness.console.nicks] == ["ann", "anna"]


def test_a_drop_is_not_announced_while_the_nick_is_held(harness: Harness) -> None:
    anna, bert = rich(harness, "anna"), rich(harness, "bert")
    forget(anna)
    room = anna.rooms["lobby"].room
    harness.hub.remove(bert, LOST)
    assert (seen(anna), room.count) == ([], 2)
    with pytest.raises(Refused):
        harness.hub.owners.find_rich("bert")
    back = rich(harness, "", client="bert")
    assert (back.nick, seen(anna), room.count) == ("bert", [], 2)
    assert harness.hub.owners.find_rich("bert") is back


def test_a_held_nick_cannot_be_taken(harness: Harness) -> None:
    bert = rich(harness, "bert")
    harness.hub.remove(bert, SLOW)
    with pytest.raises(Refused) as refused:
        harness.hub.rename(rich(harness, "anna"), "bert")
    assert refused.value.code == "nick_in_use"


def test_a_bye_is_announced_at_once_and_frees_the_nick(harness: Harness) -> None:
    for reason in (QUIT, KICKED):
        anna, bert = rich(harness, "anna"), rich(harness, "bert")
        forget(anna)
        harness.hub.remove(bert, reason)
        assert seen(anna) == [Presence(room="lobby", nick="bert", event="leave")]
        assert harness.hub.rename(anna, "bert") == "bert"
        harness.hub.remove(anna, QUIT)


def test_when_a_hold_ends_the_leave_is_announced_and_the_nick_is_free(harness: Harness) -> None:
    anna, bert = rich(harness, "anna"), rich(harness, "bert")
    forget(anna)
    harness.hub.remove(bert, LOST)
    away = harness.hub.owners.clients[bert.client]
    assert isinstance(away, Away)
    harness.hub.tick(away.until - 0.001)
    assert seen(anna) == []
    harness.hub.tick(away.until)
    assert seen(anna) == [Presence(room="lobby", nick="bert", event="leave")]
    assert anna.rooms["lobby"].room.count == 1
    assert harness.hub.rename(anna, "bert") == "bert"


def test_a_returning_client_leaves_the_rooms_it_does_not_rejoin(harness: Harness) -> None:
    anna = rich(harness, "anna", "attic", "cellar")
    bert = rich(harness, "bert", "attic", "cellar")
    forget(anna)
    harness.hub.remove(bert, LOST)
    rich(harness, "", "attic", client="bert")
    assert seen(anna) == [Presence(room="cellar", nick="bert", event="leave")]


def return_to(harness: Harness, lost: Session, *rooms: str) -> Session:
    """Connect a lost client again, which has rejoined only some of its rooms until now."""
    back = plain(harness)
    harness.hub.authenticate(back, lost.client, JSON)
    for room in rooms:
        harness.hub.go_live(harness.hub.join(back, room))
    return back


def test_a_client_lost_while_it_returns_has_left_no_room_while_its_nick_is_held(
    harness: Harness,
) -> None:
    anna = rich(harness, "anna", "attic", "cellar")
    bert = rich(harness, "bert", "attic", "cellar")
    forget(anna)
    harness.hub.remove(bert, LOST)
    for rooms in ((), ("attic",), ("cellar",)):
        harness.hub.remove(return_to(harness, bert, *rooms), LOST)
    assert seen(anna) == []
    rich(harness, "", "attic", client="bert")
    assert seen(anna) == [Presence(room="cellar", nick="bert", event="leave")]
    assert [harness.hub.rooms[name].count for name in ("attic", "cellar")] == [2, 1]


def test_a_client_that_says_bye_while_it_returns_has_left_all_rooms(harness: Harness) -> None:
    anna = rich(harness, "anna", "attic", "cellar")
    bert = rich(harness, "bert", "attic", "cellar")
    forget(anna)
    harness.hub.remove(bert, LOST)
    harness.hub.remove(return_to(harness, bert, "attic"), QUIT)
    left = [Presence(room=room, nick="bert", event="leave") for room in ("cellar", "attic")]
    assert sorted(seen(anna), key=str) == sorted(left, key=str)


def test_a_client_that_never_rejoins_its_rooms_is_awaited_in_few(harness: Harness) -> None:
    limit = harness.limits.rooms_per_client
    keeper = rich(harness, "anna")
    lost = rich(harness, "bert")
    harness.hub.remove(lost, LOST)
    for turn in range(4):
        rooms = [f"room-{turn}-{number}" for number in range(limit)]
        harness.hub.remove(return_to(harness, lost, *rooms), LOST)
    away = harness.hub.owners.clients[lost.client]
    assert isinstance(away, Away)
    assert len(away.rooms) <= 2 * limit
    assert keeper.rooms["lobby"].room.count == 1


def test_whoever_hears_of_a_rename_hears_of_the_leave_that_followed(harness: Harness) -> None:
    """The leave was dropped, as there was nobody to hear it before the next one came."""
    bob = rich(harness, "Bob")
    room = harness.hub.rooms["lobby"]
    keeper = plain(harness)
    room.busy = True  # no turn begins
    harness.hub.rename(bob, "Rob")
    harness.hub.remove(bob, QUIT)
    ann = rich(harness, "Ann")
    room.busy = False
    harness.hub.delivery.add(room)
    harness.slice()
    heard_of = [(each.event, each.nick) for each in seen(ann) if isinstance(each, Presence)]
    assert heard_of == [("rename", "Bob"), ("leave", "Rob")]
    assert keeper in room.members


def test_a_client_returning_under_another_nick_is_renamed(harness: Harness) -> None:
    anna, bert = rich(harness, "anna"), rich(harness, "bert")
    forget(anna)
    harness.hub.remove(bert, LOST)
    rich(harness, "robert", client="bert")
    assert seen(anna) == [Presence(room="lobby", nick="bert", event="rename", new_nick="robert")]
    assert anna.rooms["lobby"].room.count == 2


def test_a_second_connection_silently_replaces_the_first(
    harness: Harness,
) -> None:
    anna, first = rich(harness, "anna"), rich(harness, "bert")
    forget(anna)
    second = rich(harness, "", client="bert")
    assert (first.ending, second.nick) == (REPLACED, "bert")
    harness.hub.remove(first, REPLACED)
    assert (seen(anna), anna.rooms["lobby"].room.count) == ([], 2)
    assert harness.hub.owners.find_rich("bert") is second


def test_a_crowded_room_hears_only_its_count_once_a_second(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "CROWDED", 3)
    monkeypatch.setattr(presence, "UNCROWDED", 2)
    anna, bert, carl = (rich(harness, nick) for nick in ("anna", "bert", "carl"))
    seen(anna)
    dora = rich(harness, "dora")
    harness.hub.rename(bert, "robert")
    assert seen(anna) == []
    harness.hub.tick(0)
    harness.hub.tick(0)
    assert seen(anna) == [Presence(room="lobby", count=4)]
    for each in (bert, carl):
        harness.hub.leave(each.rooms["lobby"])
    assert seen(anna) == []
    harness.hub.tick(0)
    assert seen(anna) == [Presence(room="lobby", count=2)]
    harness.hub.leave(dora.rooms["lobby"])  # below this number it is no longer crowded
    assert seen(anna) == [Presence(room="lobby", nick="dora", event="leave")]


def test_members_include_dropped_clients_whose_nick_is_held(harness: Harness) -> None:
    anna, bert = rich(harness, "anna"), rich(harness, "bert")
    plain(harness)
    harness.hub.remove(bert, LOST)
    room = anna.rooms["lobby"].room
    assert list(harness.hub.nicks_in(room, 500)) == ["anna", "bert"]
    assert list(harness.hub.nicks_in(room, 1)) == ["anna"]
    assert room.count == 2
