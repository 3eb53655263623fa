"""An account knows on every device how far it has read, and what it has not read yet."""

from pathlib import Path
from typing import Any

import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import Rich, of
from tests.conversations.signed_in import PASSWORD, device, registered


def mark(peer: Rich, room: str = "lobby") -> tuple[int, int, int]:
    """Return the mark with which a client joined a room: position, unread, mentions."""
    (joined,) = [each for each in of("joined", peer.greeting) if each["room"] == room]
    return joined["read"], joined.get("unread", 0), joined.get("mentions", 0)


def said(peer: Rich, *texts: str, room: str = "lobby") -> int:
    """Post these texts; return the position of the last once the author has it."""
    for text in texts:
        peer.say(room, text)
    heard = peer.hear(lambda event: event["type"] == "post" and event["text"] == texts[-1])
    position: int = heard[-1]["position"]
    return position


def read(peer: Rich, position: int, room: str = "lobby") -> tuple[int, int, int]:
    """Move the mark; return the answer: position, unread, mentions."""
    answer = peer.ask("read", room=room, position=position)
    assert answer["type"] == "read", answer
    return answer["position"], answer.get("unread", 0), answer.get("mentions", 0)


def test_a_first_join_counts_as_read_up_to_there(stored_chat: Chat) -> None:
    bob = stored_chat.rich("Bob")
    said(bob, "one", "two")
    ann = registered(stored_chat, "Ann")
    assert mark(ann) == (2, 0, 0)
    assert "marks" in ann.welcome["features"]


def test_unread_and_mentions_are_right_on_another_device(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann"), stored_chat.rich("Bob")
    said(bob, "hello", "ann: here?", "Annabel!", "hi, ANN")
    assert mark(device(stored_chat, ann)) == (0, 4, 2)
    assert read(ann, 2) == (2, 2, 1)
    assert mark(device(stored_chat, ann)) == (2, 2, 1)


def test_a_mark_is_told_to_the_other_devices_and_never_goes_back(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann"), stored_chat.rich("Bob")
    phone = device(stored_chat, ann)
    said(bob, "one", "two", "three")
    assert read(ann, 2) == (2, 1, 0)
    (told,) = of("read", phone.pong())
    assert told == {"type": "read", "room": "lobby", "position": 2, "unread": 1}
    assert read(phone, 1) == (2, 1, 0)
    assert of("read", ann.pong()) == []
    assert of("read", bob.pong()) == []  # nobody else's business


def test_own_posts_are_not_unread_whichever_device_said_them(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann"), stored_chat.rich("Bob")
    phone = device(stored_chat, ann)
    said(ann, "I am Ann")
    said(bob, "hello")
    said(phone, "hi", "on the phone")
    said(bob, "ann?")
    assert mark(device(stored_chat, ann)) == (0, 2, 1)
    assert read(ann, 3) == (3, 1, 1)
    assert read(ann, 4) == (4, 1, 1)
    assert read(ann, 5) == (5, 0, 0)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"room": "lobby", "position": 2}, "bad_field"),
        ({"room": "lobby", "position": -1}, "bad_field"),
        ({"room": "tea", "position": 0}, "not_joined"),
    ],
)
def test_only_what_is_there_can_be_read(chat: Chat, fields: dict[str, Any], code: str) -> None:
    ann = registered(chat, "Ann")
    said(ann, "one")
    assert ann.ask("read", **fields)["code"] == code


def test_a_guest_has_no_marks(chat: Chat) -> None:
    bob = chat.rich("Bob")
    assert "read" not in of("joined", bob.greeting)[0]
    assert bob.ask("read", room="lobby", position=0)["code"] == "forbidden"


def test_a_guest_that_registers_begins_at_the_newest(stored_chat: Chat) -> None:
    ann, bob = stored_chat.rich("Ann", rooms=["tea"]), stored_chat.rich("Bob", rooms=["tea"])
    said(bob, "one", "ann two", room="tea")
    token = ann.ask("register", nick="Ann", password=PASSWORD)["session"]
    said(bob, "ann three", room="tea")
    assert mark(stored_chat.rich(account={"session": token}), "tea") == (2, 1, 1)


def test_plain_clients_mention_too_and_a_new_nick_counts_from_now_on(stored_chat: Chat) -> None:
    ann, plain = registered(stored_chat, "Ann"), stored_chat.plain()
    for text in (b"ann one", b"Zoe two"):
        plain.send(text + b"\0")
    ann.hear(lambda event: event.get("position") == 2)
    assert ann.ask("nick", nick="Zoe")["type"] == "renamed"
    for text in (b"ann three", b"Zoe four"):
        plain.send(text + b"\0")
    ann.hear(lambda event: event.get("position") == 4)
    assert mark(device(stored_chat, ann)) == (0, 4, 2)


def test_counts_end_at_999(stored_chat: Chat) -> None:
    ann, hub = registered(stored_chat, "Ann"), stored_chat.server._hub
    room = hub.rooms["lobby"]
    (member,) = room.members.values()
    plain = stored_chat.plain()
    (author,) = [each for each in room.members.values() if each is not member]
    for number in range(1_010):
        hub.submissions.submit(stored_chat.server._timeline, hub.limits, author, f"ann {number}")
        author.participant._unacknowledged += 1  # type: ignore[attr-defined]
    ann.hear(lambda event: event.get("position") == 1_010)
    assert mark(device(stored_chat, ann)) == (0, 999, 999)
    assert read(ann, 5) == (5, 999, 999)
    assert read(ann, 20) == (20, 990, 990)
    plain.socket.close()


def test_what_was_trimmed_is_not_unread() -> None:
    with chatting(memory_posts_per_room=2) as chat:
        ann, bob = registered(chat, "Ann"), chat.rich("Bob")
        said(bob, "ann 1", "2", "ann 3", "4")
        assert mark(device(chat, ann)) == (0, 2, 1)


def test_leaving_ends_a_mark_and_joining_again_begins_another(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann"), stored_chat.rich("Bob", rooms=["tea"])
    ann.ask("join", room="tea")
    said(bob, "one", "ann two", room="tea")
    ann.ask("leave", room="tea")
    said(bob, "three", room="tea")
    joined = ann.ask("join", room="tea")
    assert (joined["read"], joined.get("unread", 0), joined.get("mentions", 0)) == (3, 0, 0)


def test_marks_and_counts_outlast_the_server(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline) as chat:
        ann, bob = registered(chat, "Ann"), chat.rich("Bob")
        session = ann.welcome["session"]
        said(bob, "one", "ann two", "ann three")
        read(ann, 1)
        said(ann, "mine")
    with chatting(timeline) as chat:
        again = chat.rich(account={"session": session})
        assert mark(again) == (1, 2, 2)
        assert read(again, 2) == (2, 1, 1)
        said(again, "mine, too")
        said(chat.rich("Bob"), "ann six")
        assert mark(chat.rich(account={"session": session})) == (2, 2, 2)


def test_in_another_epoch_marks_begin_at_the_newest(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    timeline = f"sqlite:{file}"
    with chatting(timeline) as chat:
        ann, bob = registered(chat, "Ann"), chat.rich("Bob")
        session = ann.welcome["session"]
        said(bob, "one", "ann two", "three")
        read(ann, 1)
    backup = {each: each.read_bytes() for each in tmp_path.iterdir() if "guard" not in each.name}
    with chatting(timeline) as chat:
        said(chat.rich("Bob"), "ann four")
    guards = {each: each.read_bytes() for each in tmp_path.iterdir() if each not in backup}
    for each in tmp_path.iterdir():
        each.unlink()
    for each, data in (backup | guards).items():
        each.write_bytes(data)
    with chatting(timeline) as chat:
        bob = chat.rich("Bob")
        said(bob, "ann, again")
        again = chat.rich(account={"session": session})
        newest = of("joined", again.greeting)[0]["position"]
        assert mark(again) == (newest - 1, 1, 1)


def test_a_conversation_is_unread_from_its_first_post(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann"), registered(stored_chat, "Bob")
    sent = ann.ask("direct", to="Bob", text="hello, Bob", key="k")
    assert mark(device(stored_chat, bob), sent["room"]) == (0, 1, 1)


@pytest.mark.parametrize("key", ["rooms", "who"])
def test_marks_are_in_nothing_that_others_see(chat: Chat, key: str) -> None:
    ann, bob = registered(chat, "Ann"), chat.rich("Bob")
    said(bob, "one")
    read(ann, 1)
    answer = bob.ask(key, **({"room": "lobby"} if key == "who" else {}))
    assert "read" not in str(answer)
