"""Direct conversations of two accounts: stored, in order, for who is away as well."""

from itertools import count
from typing import Any

import pytest

from geventchat.protocol.errors import Refused
from geventchat.protocol.requests import Cursor
from geventchat.server.chat.room import Member
from geventchat.server.session import replay
from geventchat.server.session.session import Session
from tests.conversations.chat import Chat, chatting
from tests.conversations.control import Control
from tests.conversations.devices import code, register, registered, rooms, sign_in
from tests.conversations.peers import Rich, of, texts

_keys = count(1)


def conversation(ann: Rich, to: str, text: str = "hello") -> str:
    """Send a direct message; return the room of the conversation."""
    sent = ann.ask("direct", to=to, text=text, key=f"key-{next(_keys)}")
    assert sent["type"] == "sent", sent
    room: str = sent["room"]
    return room


def away(chat: Chat, peer: Rich) -> None:
    peer.socket.close()
    chat.wait_disconnected(peer)


def joined(peer: Rich) -> dict[str, Any]:
    """Return the next `joined`."""
    return peer.hear(lambda event: event["type"] == "joined")[-1]


def test_a_direct_message_is_a_post_in_a_room_of_the_two(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    ann.tell("direct", id="5", to="bob", text="Lunch?", key="tR4")
    heard = ann.hear(lambda event: event.get("id") == "5")
    opened, post, sent = heard[-3:]
    room = opened["room"]
    assert room.startswith("@")
    assert opened["private"]
    assert opened["with"] == {"nick": "Bob", "account": bob.welcome["account"]}
    assert (post["type"], post["room"], post["position"], post["key"]) == ("post", room, 1, "tR4")
    assert post["account"] == ann.welcome["account"]
    expected = {"to": "Bob", "room": room, "position": 1, "key": "tR4", "stored": True}
    assert sent == {"type": "sent", "id": "5", **expected}
    opened = joined(bob)
    assert (opened["room"], opened["with"]["nick"]) == (room, "Ann")
    assert texts(bob.posts(1)) == ["Lunch?"]


def test_it_opens_by_itself_on_all_connections_of_both(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    devices = [sign_in(chat, ann), sign_in(chat, bob), bob]
    room = conversation(ann, "Bob")
    for device in devices:
        assert joined(device)["room"] == room
        assert texts(device.posts(1)) == ["hello"]
    devices[1].say(room, "back")
    for device in (ann, *devices):
        assert texts(device.posts(1)) == ["back"]


def test_both_have_one_conversation_that_outlives_renames(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    room = conversation(ann, "Bob")
    bob.ask("nick", nick="Robert")
    assert conversation(bob, "Ann") == conversation(ann, "Robert") == room


def test_a_repetition_is_answered_like_the_first_and_stored_once(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    first = ann.ask("direct", to="Bob", text="once", key="k")
    again = ann.ask("direct", to="Bob", text="once", key="k")
    assert {**first, "id": again["id"]} == again
    assert code(ann, "direct", to="Bob", text="other", key="k") == "key_conflict"
    say = ann.ask("say", room=first["room"], text="once", key="k")
    assert (say["type"], say["position"]) == ("sent", 1)
    posts = bob.ask("history", room=first["room"], limit=10)["posts"]
    assert [post["text"] for post in posts] == ["once"]


def test_it_waits_for_who_is_away(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    away(stored_chat, bob)
    room = conversation(ann, "Bob", "one")
    ann.say(room, "two")
    ann.posts(1)
    back = sign_in(stored_chat, bob)
    assert rooms(back.greeting) == ["lobby", room]
    assert texts(back.greeting) == ["one", "two"]


def test_it_is_resumed_like_every_room(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    room = conversation(ann, "Bob", "one")
    epoch = joined(bob)["epoch"]
    (post,) = bob.posts(1)
    away(stored_chat, bob)
    ann.say(room, "two")
    ann.posts(1)
    cursors = {"lobby": None, room: {"epoch": epoch, "position": post["position"]}}
    back = sign_in(stored_chat, bob, rooms=cursors)
    (resumed,) = [each for each in of("joined", back.greeting) if each["room"] == room]
    assert resumed["recovered"] is True
    assert texts(back.greeting) == ["two"]


@pytest.mark.parametrize("who", ["guest to account", "account to guest", "guest to guest"])
def test_to_or_from_a_guest_it_is_live_and_says_so(chat: Chat, who: str) -> None:
    (ann,) = registered(chat, "Ann")
    phone = sign_in(chat, ann)
    gus, guy = chat.rich("Gus"), chat.rich("Guy")
    sender, to, hearing = {
        "guest to account": (gus, "Ann", [ann, phone]),
        "account to guest": (ann, "Gus", [gus]),
        "guest to guest": (gus, "Guy", [guy]),
    }[who]
    sent = sender.ask("direct", to=to, text="psst", key="k")
    assert sent == {"type": "sent", "id": sent["id"], "to": to, "stored": False}
    for peer in hearing:
        direct = peer.hear(lambda event: event["type"] == "direct")[-1]
        assert (direct["author"], direct["text"]) == (sender.nick, "psst")
        assert direct.get("account") == sender.welcome.get("account")


def test_a_guest_does_not_reach_who_is_away(chat: Chat) -> None:
    (ann,) = registered(chat, "Ann")
    away(chat, ann)
    assert code(chat.rich("Gus"), "direct", to="Ann", text="psst") == "no_such_nick"


# Opening and closing


def test_open_begins_a_conversation_that_the_other_does_not_notice(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    answer = ann.ask("open", **{"with": "bob"})
    assert (answer["type"], answer["with"]["nick"]) == ("joined", "Bob")
    assert ann.ask("open", **{"with": "bob"})["room"] == answer["room"]
    assert of("joined", bob.pong()) == []
    assert conversation(ann, "Bob") == answer["room"]
    assert joined(bob)["room"] == answer["room"]


def test_who_leaves_has_closed_it_until_something_new_is_said(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    phone = sign_in(stored_chat, bob)
    room = conversation(ann, "Bob", "one")
    for device in (bob, phone):
        device.posts(1)
    assert bob.ask("leave", room=room)["type"] == "left"
    left = phone.hear(lambda event: event["type"] == "left")[-1]
    assert (left["room"], left["reason"]) == (room, "elsewhere")
    assert room not in rooms(sign_in(stored_chat, bob).greeting)
    ann.say(room, "two")
    for device in (bob, phone):
        assert joined(device)["room"] == room
        assert texts(device.posts(2)) == ["one", "two"]


def test_a_closed_one_opens_again_with_join(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    room = conversation(ann, "Bob")
    bob.posts(1)
    bob.ask("leave", room=room)
    assert bob.ask("join", room=room)["with"]["nick"] == "Ann"


def test_closing_it_closes_nothing_for_the_other(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    room = conversation(ann, "Bob")
    bob.posts(1)
    bob.ask("leave", room=room)
    ann.say(room, "still here")
    assert texts(ann.posts(1)) == ["still here"]


# The list


def test_a_closed_one_is_listed_as_closed_until_something_is_said(chat: Chat) -> None:
    ann, _ = registered(chat, "Ann", "Bob")
    room = ann.ask("direct", to="Bob", text="Lunch?")["room"]
    assert "closed" not in ann.ask("conversations")["conversations"][0]
    ann.ask("leave", room=room)
    assert ann.ask("conversations")["conversations"][0]["closed"]
    ann.ask("direct", to="Bob", text="Now?")
    assert "closed" not in ann.ask("conversations")["conversations"][0]


def test_conversations_are_listed_the_latest_first_by_the_page(stored_chat: Chat) -> None:
    nicks = [f"Bob{number}" for number in range(5)]
    ann, *bobs = registered(stored_chat, "Ann", *nicks)
    for nick in nicks:
        conversation(ann, nick)
    conversation(bobs[1], "Ann")
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = ann.ask("conversations", limit=2, **after)
        found += [each["with"]["nick"] for each in page["conversations"]]
        if "next" not in page:
            break
        after = {"after": page["next"]}
    assert found[0] == "Bob1"
    assert sorted(found) == nicks
    (bobs_list,) = bobs[0].ask("conversations")["conversations"]
    assert (bobs_list["with"]["nick"], bobs_list["position"]) == ("Ann", 1)
    assert ann.ask("conversations")["conversations"][0]["position"] == 2


def test_a_conversation_that_could_not_be_read_at_first_resumes_from_its_cursor(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens by itself because of what is unread, but nothing comes a second time."""
    ann, bob = registered(chat, "Ann", "Bob")
    room = conversation(ann, "Bob", "one")
    epoch = joined(bob)["epoch"]
    away(chat, bob)
    conversation(ann, "Bob", "two")
    failures = reads_fail(monkeypatch, room, 1)
    back = sign_in(chat, bob, rooms={room: {"epoch": epoch, "position": 1}})
    events = [event for event in back.greeting if event.get("room") == room]
    assert [event["recovered"] for event in of("joined", events)] == [True]
    assert texts(of("post", events)) == ["two"]
    assert failures == []


def test_a_conversation_that_could_not_be_read_resumes_when_something_is_said(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did not open by itself, as nothing was unread; and not when it was tried once more."""
    ann, bob = registered(chat, "Ann", "Bob")
    room = conversation(bob, "Ann", "one")
    epoch = joined(ann)["epoch"]
    away(chat, bob)
    failures = reads_fail(monkeypatch, room, 2)
    back = sign_in(chat, bob, rooms={room: {"epoch": epoch, "position": 1}})
    conversation(ann, "Bob", "two")
    back.pong()
    conversation(ann, "Bob", "three")
    events = [*back.pong(), *back.pong()]
    assert [event["recovered"] for event in of("joined", events)] == [True]
    assert texts(of("post", events)) == ["two", "three"]
    assert failures == []


def test_a_conversation_that_could_not_be_read_resumes_when_its_member_says_something(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    room = conversation(bob, "Ann", "one")
    epoch = joined(ann)["epoch"]
    away(chat, bob)
    reads_fail(monkeypatch, room, 1)
    back = sign_in(chat, bob, rooms={room: {"epoch": epoch, "position": 1}})
    back.tell("direct", to="Ann", text="two", key="k")
    events = back.hear(lambda event: event["type"] == "sent")
    assert [event["recovered"] for event in of("joined", events)] == [True]
    assert texts(of("post", events)) == ["two"]


def reads_fail(monkeypatch: pytest.MonkeyPatch, room: str, times: int) -> list[str]:
    """Have the next resumes of a room fail; return what is still to fail."""
    known, failures = replay._known, ["The disk is full."] * times

    def reads(session: Session, member: Member, cursor: Cursor) -> tuple[int, int] | None:
        if member.room.name == room and failures:
            raise Refused("storage", failures.pop())
        return known(session, member, cursor)

    monkeypatch.setattr(replay, "_known", reads)
    return failures


def test_a_cursor_that_is_none_is_bad_field(chat: Chat) -> None:
    (ann,) = registered(chat, "Ann")
    assert ann.ask("conversations")["conversations"] == []
    assert code(ann, "conversations", after="rubbish") == "bad_field"
    assert code(chat.rich("Gus"), "conversations") == "forbidden"


# Blocking


def test_who_is_blocked_reaches_nobody(stored_chat: Chat) -> None:
    """Neither by a direct message, nor by opening, nor in a conversation that there is."""
    ann, bob = registered(stored_chat, "Ann", "Bob")
    room = conversation(bob, "Ann")
    blocked = ann.ask("block", nick="bob")
    assert blocked["blocked"] == [{"nick": "Bob", "account": bob.welcome["account"]}]
    assert code(bob, "direct", to="Ann", text="psst") == "forbidden"
    assert code(bob, "open", **{"with": "Ann"}) == "forbidden"
    assert code(bob, "say", room=room, text="psst", key="k") == "forbidden"
    bob.tell("typing", room=room)
    bob.pong()
    assert of("typing", ann.pong()) == []
    assert ann.ask("block", nick="Bob", on=False)["blocked"] == []
    assert conversation(bob, "Ann", "again") == room


def test_a_block_outlives_a_rename(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    ann.ask("block", nick="Bob")
    bob.ask("nick", nick="Robert")
    assert code(bob, "direct", to="Ann", text="psst") == "forbidden"
    assert ann.ask("block", nick="Robert", on=False)["blocked"] == []


def test_a_block_is_of_accounts(chat: Chat) -> None:
    (ann,) = registered(chat, "Ann")
    gus = chat.rich("Gus")
    assert code(ann, "block", nick="Gus") == "no_such_nick"
    assert code(ann, "block", nick="Ann") == "no_such_nick"
    assert code(gus, "block", nick="Ann") == "forbidden"


def test_a_block_of_a_nick_that_none_is_as_long_as_delays_nobody(chat: Chat) -> None:
    """To fold a text takes a time that is quadratic in the marks that follow each other."""
    ann, _ = registered(chat, "Ann", "Bob")
    ann.ask("block", nick="Bob")
    with Control(chat.address):
        assert code(ann, "block", nick="\u0301\u0316" * 15_000, on=False) == "bad_field"


def test_an_account_begins_60_conversations_an_hour() -> None:
    with chatting(messages_at_once=1_000, messages_per_second=1_000) as chat:
        ann = register(chat, "Ann")
        people = chat.server._hub.people
        for number in range(61):  # quicker than to register them
            chat.server._hub.owners.reserve(people.create(f"Bob{number}"))
        for number in range(60):
            assert ann.ask("open", **{"with": f"Bob{number}"})["type"] == "joined"
        error = ann.ask("open", **{"with": "Bob60"})
        assert (error["code"], error["retry_ms"]) == ("slow_down", 60_000)
        assert ann.ask("open", **{"with": "Bob1"})["type"] == "joined"  # there is one


def test_conversations_do_not_count_as_rooms() -> None:
    with chatting(rooms_per_client=2) as chat:
        ann, _, _ = registered(chat, "Ann", "Bob", "Cid")
        ann.ask("join", room="attic")
        for nick in ("Bob", "Cid"):
            conversation(ann, nick)
        assert code(ann, "join", room="cellar") == "too_many_rooms"


def test_who_is_muted_by_an_operator_sends_none(moderated: Chat) -> None:
    from tests.conversations.operators import admin, operator

    ann, _bob = registered(moderated, "Ann", "Bob")
    room = conversation(ann, "Bob")
    admin(operator(moderated), "mute", "Ann")
    assert code(ann, "direct", to="Bob", text="psst") == "muted"
    assert code(ann, "say", room=room, text="psst") == "muted"


def test_a_conversation_has_no_topic_and_no_moderators(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    room = conversation(ann, "Bob")
    bob.posts(1)
    assert code(ann, "topic", room=room, topic="ours") == "forbidden"
    for kind in ("invite", "remove", "mute", "moderator"):
        assert code(ann, kind, room=room, nick="Bob") == "forbidden"
