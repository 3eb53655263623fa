"""A new epoch begins while the server runs: whoever may have missed something is told."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from geventchat.client.connection import Connection
from geventchat.client.events import Gap, Reconnected
from geventchat.server.timeline.memory import MemoryTimeline
from tests.conversations.chat import Chat, chatting
from tests.conversations.devices import private_room, registered
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Rich, of
from tests.conversations.test_marks import mark, said


class Forgetful(MemoryTimeline):
    """Keeps records, and can lose everything as an engine that is flushed."""

    kept: dict[tuple[str, str], bytes]

    def records(self, kind: str) -> list[tuple[str, bytes]]:
        return [(number, value) for (each, number), value in self.kept.items() if each == kind]

    def keep(self, changes: Any) -> None:
        for kind, number, value in changes:
            if value is None:
                self.kept.pop((kind, number), None)
            else:
                self.kept[kind, number] = value


@pytest.fixture
def chat(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    monkeypatch.setattr(Forgetful, "kept", {}, raising=False)
    monkeypatch.setattr("geventchat.server.timeline.registry.MemoryTimeline", Forgetful)
    with chatting(options=options) as chat:
        yield chat


def lose_everything(chat: Chat, *, records: bool = False) -> None:
    """Begin an epoch in which there is nothing yet."""
    timeline = chat.server._timeline
    assert isinstance(timeline, Forgetful)
    fresh = MemoryTimeline(lambda _: None, posts_per_room=100, total_bytes=1 << 20)
    for name in ("_tops", "_changes", "_topics", "_listed", "_rooms", "_by_size", "epoch"):
        setattr(timeline, name, getattr(fresh, name))
    if records:
        timeline.kept.clear()
    timeline.epoch_changed()


def cursor(peer: Rich, position: int) -> dict[str, Any]:
    return {"lobby": {"epoch": of("joined", peer.greeting)[0]["epoch"], "position": position}}


def test_rich_clients_come_back_and_hear_that_there_is_a_gap(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    said(ann, "one", "two")
    bob.posts(2)
    lose_everything(chat)
    byes = [peer.closing()[-1] for peer in (ann, bob)]
    assert {(bye["code"], bye["reconnect"]) for bye in byes} == {("storage", True)}
    assert all(200 <= bye["after_ms"] <= 3_000 for bye in byes)
    again = chat.rich("Ann", client=ann.client, rooms=cursor(ann, 2))
    joined = of("joined", again.greeting)[0]
    assert (again.nick, joined["recovered"], joined["position"]) == ("Ann", False, 0)
    assert joined["count"] == 1
    assert said(again, "three") == 1


def test_plain_clients_get_a_line_and_are_closed(chat: Chat) -> None:
    plain = chat.plain()
    lose_everything(chat)
    (line,) = plain.rest()
    assert line.startswith(b"* geventchat: The server's storage has changed")


def test_a_message_under_way_is_acknowledged_or_sent_again(chat: Chat) -> None:
    with Connection(*chat.address, nick="Ann") as ann, gevent.Timeout(20):
        assert ann.say("lobby", "one") == 1
        lose_everything(chat)
        ann.send("lobby", "two")
        seen = []
        for event in ann:
            seen.append(event)
            if getattr(event, "text", None) == "two":
                break
        assert any(isinstance(event, Reconnected) for event in seen)
        assert any(isinstance(event, Gap) for event in seen)
    assert chat.server._timeline.position("lobby") == 1


def test_no_room_keeps_a_position_of_the_former_epoch(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["lobby", "tea"])
    said(ann, *map(str, range(5)), room="tea")
    lose_everything(chat)
    again = chat.rich("Ann", client=ann.client, rooms=["lobby", "tea"])
    assert {each["position"] for each in of("joined", again.greeting)} == {0}
    bob = chat.rich("Bob", rooms=["tea"])
    assert said(again, "new", room="tea") == 1
    assert bob.posts(1)[0]["position"] == 1


def test_marks_begin_anew_and_count_what_comes(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    said(bob, "one", "ann two", "three")
    lose_everything(chat)
    settled(chat)
    bob = chat.rich(account={"session": bob.welcome["session"]})
    said(bob, "ann four", "five")
    again = chat.rich(account={"session": ann.welcome["session"]})
    assert mark(again) == (0, 2, 1)


def test_accounts_and_private_rooms_outlast_it_and_are_stored_again(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    private_room(chat, "attic", ann, bob, history="joined", private=True)
    said(ann, "one", room="attic")
    timeline = chat.server._timeline
    assert isinstance(timeline, Forgetful)
    before = stable(timeline.kept)
    lose_everything(chat, records=True)
    settled(chat)
    assert stable(timeline.kept).keys() == before.keys()
    ann, bob = (chat.rich(account={"session": each.welcome["session"]}) for each in (ann, bob))
    assert said(ann, "two", room="attic") == 1
    assert [post["text"] for post in bob.posts(1, "attic")] == ["two"]


def test_a_record_that_was_deleted_since_an_older_store_is_deleted_again(chat: Chat) -> None:
    (ann,) = registered(chat, "Ann")
    timeline = chat.server._timeline
    assert isinstance(timeline, Forgetful)
    older = dict(timeline.kept)
    (login,) = ann.ask("sessions")["sessions"]
    ann.ask("revoke", session=login["id"])
    after = stable(timeline.kept)
    assert after != stable(older)
    timeline.kept.update(older)
    lose_everything(chat)
    settled(chat)
    assert stable(timeline.kept).keys() == after.keys()


def test_conversations_go_on(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    room = ann.ask("direct", to="Bob", text="hello", key="k")["room"]
    lose_everything(chat)
    settled(chat)
    ann, bob = (chat.rich(account={"session": each.welcome["session"]}) for each in (ann, bob))
    sent = ann.ask("direct", to="Bob", text="again", key="l")
    assert (sent["room"], sent["position"]) == (room, 1)
    assert [post["text"] for post in bob.posts(1, room)] == ["again"]


def test_operators_and_rules_are_not_concerned(chat: Chat) -> None:
    ann = chat.rich("Ann")
    ann.ask("admin", action="freeze", target="tea", token=TOKEN)
    lose_everything(chat)
    bob = chat.rich("Bob", rooms=["tea"])
    assert bob.ask("say", room="tea", text="hi")["code"] == "forbidden"


def settled(chat: Chat) -> None:
    """Wait until everything has adapted to the epoch."""
    adopting = chat.server._hub._adopting
    assert adopting is not None
    adopting.join(20)
    assert adopting.successful()


def stable(kept: dict[tuple[str, str], bytes]) -> dict[tuple[str, str], bytes]:
    return {place: value for place, value in kept.items() if place[0] != "counted"}
