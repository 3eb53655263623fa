"""Private rooms and conversations as they are kept, and as they are after a start."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from geventchat.protocol.errors import Refused
from geventchat.server.people.account import Account
from geventchat.server.people.conversations import Conversations
from geventchat.server.people.people import People
from geventchat.server.people.private import PrivateRoom
from geventchat.server.session.directs import open_unread
from geventchat.server.session.session import Session
from tests.server.record import Record, on_disk, say


class Kept:
    """A timeline on disk, and the people that a start loads from it."""

    def __init__(self, path: Path) -> None:
        self.record = Record(on_disk(path))
        self.people = People(self.record.timeline)

    def account(self, nick: str) -> Account:
        account = self.people.create(nick)
        self.people.save(account)
        return account

    def restarted(self) -> People:
        return People(self.record.timeline)


@pytest.fixture
def kept(tmp_path: Path) -> "Kept":
    return Kept(tmp_path / "chat.db")


def test_a_private_room_is_after_a_start_what_it_was(kept: Kept) -> None:
    ann, bob, cid = map(kept.account, ("Ann", "Bob", "Cid"))
    private = kept.people.create_private(ann, "plans", from_join=True)
    invitations = [kept.people.invite(each, private, "Ann") for each in (bob, cid)]
    joined = kept.people.join(bob, "plans", 7)
    joined.muted = 12
    kept.people.save(private, private.members[ann.id], *invitations)
    people = kept.restarted()
    again = people.private["plans"]
    assert (again.number, again.from_join) == (1, True)
    assert [each.account.nick for each in again.joined] == ["Ann", "Bob"]
    assert [each.nick for each in again.moderators] == ["Ann"]
    bobs = again.members[bob.id]
    assert (bobs.since, bobs.muted, people.hidden(bobs.account, "plans")) == (7, 12, 7)
    assert again.members[cid.id].invited_by == "Ann"
    assert people.create_private(people.accounts[ann.id], "more", from_join=False).number == 2
    kept.record.close()


def test_who_joined_first_becomes_moderator_whatever_the_clock_says(kept: Kept) -> None:
    ann, *others = [kept.account(nick) for nick in ("Ann", "Zoe", "Bob", "Mia")]
    private = kept.people.create_private(ann, "plans", from_join=False)
    for each in others:
        kept.people.invite(each, private, "Ann")
        kept.people.join(each, "plans")
    moderator = kept.people.leave(private.members[ann.id])
    assert moderator is private.members[others[0].id]
    assert kept.people.leave(private.members[others[1].id]) is None
    assert kept.people.leave(moderator) is private.members[others[2].id]
    kept.record.close()


def test_a_room_that_could_not_be_made_leaves_nothing(kept: Kept) -> None:
    ann = kept.account("Ann")
    private = kept.people.create_private(ann, "plans", from_join=False)
    membership = private.members[ann.id]
    kept.people.save(private, membership)
    kept.people.undo(private)
    kept.people.save(private, membership)
    assert not kept.people.has_members("plans")
    people = kept.restarted()
    assert people.private == {}
    assert people.accounts[ann.id].memberships == {}
    kept.record.close()


def test_nobody_joins_without_an_invitation(kept: Kept) -> None:
    ann, bob = map(kept.account, ("Ann", "Bob"))
    kept.people.create_private(ann, "plans", from_join=False)
    texts = set()
    for room in ("plans", kept.people.converse(ann, kept.account("Cid")).name, "@" + "A" * 16):
        for who in (bob, None):
            with pytest.raises(Refused) as refused:
                kept.people.check_join(who, room)
            texts.add((refused.value.code, refused.value.text))
    assert len(texts) == 1
    kept.record.close()


def test_what_was_said_opens_a_closed_conversation_even_if_a_kill_came_between(
    kept: Kept,
) -> None:
    """The post was on disk, and that it opened the conversation was not yet."""
    ann, bob = map(kept.account, ("Ann", "Bob"))
    conversation = kept.people.converse(ann, bob)
    kept.people.save(conversation, *conversation.members.values())
    kept.record.turn(say("one", room=conversation.name))
    opened = kept.restarted().private[conversation.name]
    assert [each.joined for each in opened.members.values()] == [True, True]
    assert opened.newest == 1
    closed = conversation.members[bob.id]
    closed.joined, closed.since = False, 1
    kept.people.save(closed)
    again = kept.restarted().private[conversation.name]
    assert {each.account.nick: each.joined for each in again.members.values()} == {
        "Ann": True,
        "Bob": False,
    }
    kept.record.turn(say("two", room=conversation.name))
    assert kept.restarted().private[conversation.name].members[bob.id].joined
    kept.record.close()


def test_a_start_opens_only_the_conversations_in_which_something_is_not_counted(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be a million."""
    ann = kept.account("Ann")
    made = [kept.people.converse(ann, kept.account(nick)) for nick in ("Bob", "Cid", "Dan")]
    for each in made:
        kept.people.save(each, *each.members.values())
    for conversation in made[:2]:
        kept.record.turn(say("counted", room=conversation.name))
    first = kept.restarted()
    first.catch_up()
    first.records.note().get()
    kept.record.turn(say("not counted", room=made[1].name))
    opened: list[str] = []
    timeline = kept.record.timeline
    open_room = timeline.open

    def note(room: str) -> None:
        opened.append(room)
        open_room(room)

    monkeypatch.setattr(timeline, "open", note)
    second = kept.restarted()
    second.catch_up()
    assert opened == [made[1].name]
    membership = second.accounts[ann.id].memberships[made[1].name]
    assert membership.mark(1, 2).unread == 2
    kept.record.close()


def test_after_a_start_conversations_have_their_order(kept: Kept) -> None:
    ann = kept.account("Ann")
    made = [kept.people.converse(ann, kept.account(nick)) for nick in ("Bob", "Cid", "Dan")]
    for each in made:
        kept.people.save(each, *each.members.values())
    for index in (1, 0):
        kept.record.turn(say("hello", room=made[index].name))
    people = kept.restarted()
    latest = [each.name for each in people.conversations.latest(people.accounts[ann.id])]
    known = [people.private[each.name] for each in made]
    assert latest == [each.name for each in sorted(known, key=lambda it: (-it.active, it.name))]
    assert [people.private[each.name].newest for each in made] == [1, 1, 0]
    kept.record.close()


def test_pages_of_conversations_continue_whatever_is_said_meanwhile() -> None:
    ann = Account("a", "Ann", 0)
    conversations = Conversations()
    rooms = [
        PrivateRoom(f"@{number}", 0, number, between=["a", str(number)]) for number in range(9)
    ]
    for time, room in enumerate(rooms):
        room.active = time + 1
        conversations.add(room)
    first = [room for room, _ in zip(conversations.latest(ann), range(4), strict=False)]
    assert first == rooms[:4:-1]
    conversations.said(rooms[0], 1, 50)
    place = first[-1].active, first[-1].name
    assert list(conversations.latest(ann, place)) == rooms[4:0:-1]
    assert next(conversations.latest(ann)) is rooms[0]
    assert list(conversations.latest(Account("b", "Bob", 0))) == []


def test_a_hello_does_not_look_at_every_conversation_of_an_account(kept: Kept) -> None:
    ann = kept.people.create("Ann")
    for number in range(1_500):
        kept.people.converse(ann, kept.people.create(f"Other{number}"))
    looked = 0

    class Counted(Conversations):
        def latest(
            self, account: Account, after: tuple[int, str] | None = None
        ) -> Iterator[PrivateRoom]:
            nonlocal looked
            for each in kept.people.conversations.latest(account, after):
                looked += 1
                yield each

    people = SimpleNamespace(conversations=Counted())
    session = SimpleNamespace(hub=SimpleNamespace(people=people), to_follow={})
    open_unread(cast("Session", session), ann)
    assert session.to_follow == {}
    assert looked == 1_000
