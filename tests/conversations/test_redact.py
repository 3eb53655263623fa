"""Redactions: the text is gone for everybody, and who may do it."""

from tests.conversations.chat import Chat
from tests.conversations.operators import operator
from tests.conversations.peers import Rich, of
from tests.conversations.test_edit import said


def redacted_by(peer: Rich, position: int = 1) -> bool:
    """Redact a post; return whether that was allowed."""
    answer = peer.ask("redact", room="lobby", position=position)
    return bool(answer["type"] == "redacted")


def test_the_author_is_answered_and_the_others_hear_that_it_is_gone(stored_chat: Chat) -> None:
    ann, bob = stored_chat.rich_clients("Ann", "Bob")
    said(ann, "secret")
    answer = ann.ask("redact", room="lobby", position=1)
    redacted = {"type": "redacted", "room": "lobby", "position": 1, "change": 1, "by": "Ann"}
    assert answer == redacted | {"id": answer["id"]}
    assert of("redacted", bob.pong()) == [redacted]
    assert ann.pong() == []


def test_a_redacted_post_has_no_text_any_more(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    ann.say("lobby", "secret", "k")
    (post,) = ann.posts(1)
    redacted_by(ann)
    now = post | {"text": "", "change": 1, "redacted": True}
    assert ann.ask("history", room="lobby", limit=5)["posts"] == [now]
    bob = stored_chat.rich("Bob")
    assert of("post", bob.greeting) == [now]
    assert bob.greeting[0]["change"] == 1


def test_operators_may_redact_anything(moderated: Chat) -> None:
    plain, ann, olga = moderated.plain(), moderated.rich("Ann"), operator(moderated)
    said(ann, "one")
    plain.send(b"two\0")
    olga.posts(2)
    assert not redacted_by(ann, 2)
    assert redacted_by(olga, 1)
    assert redacted_by(olga, 2)
    assert [each["by"] for each in of("redacted", ann.pong())] == ["Olga", "Olga"]


def test_only_the_author_and_operators_may_redact(stored_chat: Chat) -> None:
    ann, bob = stored_chat.rich_clients("Ann", "Bob")
    said(ann, "mine")
    assert bob.ask("redact", room="lobby", position=1)["code"] == "forbidden"
    assert ann.ask("redact", room="lobby", position=2)["code"] == "no_such_post"
    assert ann.ask("redact", room="attic", position=1)["code"] == "not_joined"
    assert redacted_by(ann)


def test_a_redacted_post_cannot_be_edited(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    said(ann, "one")
    redacted_by(ann)
    assert ann.ask("edit", room="lobby", position=1, text="back")["code"] == "forbidden"


def test_redacting_twice_is_answered_and_announced_once(stored_chat: Chat) -> None:
    ann, bob = stored_chat.rich_clients("Ann", "Bob")
    said(ann, "one")
    assert redacted_by(ann)
    assert ann.ask("redact", room="lobby", position=1)["change"] == 1
    assert len(of("redacted", bob.pong())) == 1


def test_a_muted_author_may_take_back_in_a_frozen_room(moderated: Chat) -> None:
    ann, olga = moderated.rich("Ann"), operator(moderated)
    said(ann, "one")
    olga.ask("admin", action="freeze", target="lobby")
    olga.ask("admin", action="mute", target="Ann")
    assert redacted_by(ann)


def test_a_repeated_message_does_not_come_back_after_its_redaction(stored_chat: Chat) -> None:
    ann, bob = stored_chat.rich_clients("Ann", "Bob")
    said(ann, "secret", "k")
    redacted_by(ann)
    bob.pong()
    for text in ("secret", "another"):
        answer = ann.ask("say", room="lobby", text=text, key="k")
        assert (answer["type"], answer["position"]) == ("sent", 1)
    assert bob.pong() == []
