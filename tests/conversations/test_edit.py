"""Edits: everybody sees the same new text in the same place, and only the author makes it."""

from pathlib import Path

from tests.conversations.chat import Chat, chatting
from tests.conversations.conftest import BOTH_DOORS
from tests.conversations.operators import operator
from tests.conversations.peers import Rich, of

pytestmark = BOTH_DOORS


def said(peer: Rich, text: str, key: str | None = None) -> int:
    """Say something in the lobby; return its position."""
    peer.say("lobby", text, key)
    position: int = peer.hear(lambda event: event.get("text") == text)[-1]["position"]
    return position


def test_the_author_is_answered_and_the_others_hear_the_new_text(stored_chat: Chat) -> None:
    ann, bob = stored_chat.rich_clients("Ann", "Bob")
    said(ann, "helo", "k")
    answer = ann.ask("edit", room="lobby", position=1, text="hello")
    edited = {
        "type": "edited", "room": "lobby", "position": 1, "change": 1, "text": "hello", "by": "Ann",
    }  # fmt: skip
    assert answer == edited | {"id": answer["id"]}
    assert of("edited", bob.pong()) == [edited]
    assert ann.pong() == []


def test_plain_members_hear_nothing_of_an_edit(stored_chat: Chat) -> None:
    plain, ann = stored_chat.plain(), stored_chat.rich("Ann")
    said(ann, "helo")
    ann.ask("edit", room="lobby", position=1, text="hello")
    ann.say("lobby", "marker")
    assert plain.frames(2) == [b"helo", b"marker"]


def test_an_edited_post_keeps_its_position_key_author_and_time(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    ann.say("lobby", "helo", "k")
    (post,) = ann.posts(1)
    ann.ask("edit", room="lobby", position=1, text="hello")
    (now,) = ann.ask("history", room="lobby", limit=5)["posts"]
    assert now == post | {"text": "hello", "change": 1}
    assert of("post", stored_chat.rich("Bob").greeting) == [now]


def test_only_the_author_may_edit(stored_chat: Chat) -> None:
    ann, bob = stored_chat.rich_clients("Ann", "Bob")
    said(ann, "mine")
    error = bob.ask("edit", room="lobby", position=1, text="yours")
    assert (error["type"], error["code"], error["room"]) == ("error", "forbidden", "lobby")
    ann.ask("bye")
    again = stored_chat.rich("Ann")  # the nick alone makes nobody the author
    assert again.ask("edit", room="lobby", position=1, text="x")["code"] == "forbidden"
    assert bob.ask("history", room="lobby", limit=1)["posts"][0]["text"] == "mine"


def test_the_same_client_edits_its_post_after_a_reconnect(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    said(ann, "mine")
    again = stored_chat.rich("Anna", client=ann.client)
    assert again.ask("edit", room="lobby", position=1, text="still mine")["by"] == "Anna"


def test_an_operator_cannot_edit_what_others_said(moderated: Chat) -> None:
    ann, olga = moderated.rich("Ann"), operator(moderated)
    said(ann, "mine")
    assert olga.ask("edit", room="lobby", position=1, text="x")["code"] == "forbidden"


def test_posts_of_plain_clients_are_edited_by_nobody(stored_chat: Chat) -> None:
    plain, ann = stored_chat.plain(), stored_chat.rich("Ann")
    plain.send(b"helo\0")
    ann.posts(1)
    assert ann.ask("edit", room="lobby", position=1, text="x")["code"] == "forbidden"


def test_a_post_that_is_not_there_cannot_be_edited(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann", rooms=["lobby", "empty"])
    said(ann, "one")
    for room, position in (("lobby", 0), ("lobby", 2), ("lobby", 2**53), ("empty", 1)):
        error = ann.ask("edit", room=room, position=position, text="x")
        assert (error["code"], error["room"]) == ("no_such_post", room)


def test_a_trimmed_post_cannot_be_edited(door: str) -> None:
    with chatting(door=door, memory_posts_per_room=2) as chat:
        ann = chat.rich("Ann")
        for text in ("one", "two", "three"):
            said(ann, text)
        assert ann.ask("edit", room="lobby", position=1, text="x")["code"] == "no_such_post"


def test_an_edit_to_the_same_text_is_answered_and_announced_to_nobody(stored_chat: Chat) -> None:
    ann, bob = stored_chat.rich_clients("Ann", "Bob")
    said(ann, "hello")
    assert ann.ask("edit", room="lobby", position=1, text="hello")["change"] == 0
    ann.ask("edit", room="lobby", position=1, text="bye")
    assert ann.ask("edit", room="lobby", position=1, text="bye")["change"] == 1
    assert len(of("edited", bob.pong())) == 1


def test_an_edit_has_the_limits_of_a_message(moderated: Chat) -> None:
    ann, olga = moderated.rich("Ann"), operator(moderated)
    said(ann, "one")
    assert ann.ask("edit", room="lobby", position=1, text="")["code"] == "bad_field"
    assert ann.ask("edit", room="lobby", position=1, text="a\0b")["code"] == "bad_field"
    assert ann.ask("edit", room="attic", position=1, text="x")["code"] == "not_joined"
    olga.ask("admin", action="freeze", target="lobby")
    assert ann.ask("edit", room="lobby", position=1, text="x")["code"] == "forbidden"
    olga.ask("admin", action="unfreeze", target="lobby")
    olga.ask("admin", action="mute", target="Ann")
    assert ann.ask("edit", room="lobby", position=1, text="x")["code"] == "muted"


def test_answers_come_in_the_order_of_the_requests(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    said(ann, "one")
    for number in range(3):
        ann.tell("edit", id=f"{number}", room="lobby", position=1, text=f"text {number}")
    ann.tell("edit", id="no", room="lobby", position=9, text="x")
    ann.tell("who", id="who", room="lobby")
    heard = ann.hear(lambda event: event.get("id") == "who")
    assert [(each["id"], each["change"]) for each in of("edited", heard)] == [
        ("0", 1),
        ("1", 2),
        ("2", 3),
    ]
    assert [each["code"] for each in of("error", heard)] == ["no_such_post"]


def test_a_repeated_message_is_recognised_after_its_edit(stored_chat: Chat) -> None:
    """Whatever its text: nothing is known any more of the former one."""
    ann = stored_chat.rich("Ann")
    said(ann, "helo", "k")
    ann.ask("edit", room="lobby", position=1, text="hello")
    for text in ("helo", "hello", "another"):
        answer = ann.ask("say", room="lobby", text=text, key="k")
        assert (answer["type"], answer["position"]) == ("sent", 1)


def test_an_edit_survives_a_restart(tmp_path: Path, door: str) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline, door=door) as chat:
        ann = chat.rich("Ann")
        said(ann, "helo")
        ann.ask("edit", room="lobby", position=1, text="hello")
    with chatting(timeline, door=door) as chat:
        (joined, post) = chat.rich("Bob").greeting
        assert (joined["change"], post["text"], post["change"]) == (1, "hello", 1)
