"""Changes of posts are missed by nobody: what a client hears of them when it resumes."""

from typing import Any

import pytest

from geventchat.protocol.events import FRESH
from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import Rich, of

CHANGES = "edited", "redacted"


def say(peer: Rich, *texts: str) -> None:
    for text in texts:
        peer.say("lobby", text)
    peer.posts(len(texts))


def edit(peer: Rich, position: int, text: str) -> int:
    """Edit a post; return the number of the change."""
    answer = peer.ask("edit", room="lobby", position=position, text=text)
    assert answer["type"] == "edited", answer
    number: int = answer["change"]
    return number


def redact(peer: Rich, position: int) -> int:
    answer = peer.ask("redact", room="lobby", position=position)
    assert answer["type"] == "redacted", answer
    number: int = answer["change"]
    return number


def resume(chat: Chat, ann: Rich, position: int, change: int | None = None) -> list[dict[str, Any]]:
    """Resume the lobby in a new client; return what it hears."""
    cursor = {"epoch": of("joined", ann.greeting)[0]["epoch"], "position": position}
    if change is not None:
        cursor["change"] = change
    return chat.rich(rooms={"lobby": cursor}).greeting


def summary(heard: list[dict[str, Any]]) -> list[tuple[str, int, str | None]]:
    kinds = "post", *CHANGES
    return [(e["type"], e["position"], e.get("text")) for e in heard if e["type"] in kinds]


def test_a_client_hears_the_changes_since_its_own(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    say(ann, "one", "two", "three")
    first = edit(ann, 1, "ONE")
    edit(ann, 2, "TWO")
    redact(ann, 3)
    joined, *rest = resume(stored_chat, ann, 3, first)
    assert (joined["recovered"], joined["change"]) == (True, 3)
    assert summary(rest) == [("edited", 2, "TWO"), ("redacted", 3, None)]
    assert [event["change"] for event in rest] == [2, 3]
    assert summary(resume(stored_chat, ann, 3, 3)) == []


def test_changes_come_before_posts_which_have_their_present_text(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    say(ann, "one", "two", "three")
    edit(ann, 1, "ONE")
    edit(ann, 3, "THREE")
    heard = summary(resume(stored_chat, ann, 1, 0))
    assert heard == [("edited", 1, "ONE"), ("post", 2, "two"), ("post", 3, "THREE")]


def test_without_a_cursor_of_changes_those_since_the_position_are_told(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    say(ann, "one", "two")
    edit(ann, 1, "ONE")  # made when position 2 was the newest
    say(ann, "three")
    edit(ann, 2, "TWO")
    assert summary(resume(stored_chat, ann, 3)) == [("edited", 2, "TWO")]
    assert summary(resume(stored_chat, ann, 2)) == [
        ("edited", 1, "ONE"),
        ("edited", 2, "TWO"),
        ("post", 3, "three"),
    ]


def test_only_the_latest_change_of_a_post_is_told(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    say(ann, "one", "two")
    edit(ann, 1, "1")
    edit(ann, 2, "2")
    edit(ann, 1, "I")
    assert summary(resume(stored_chat, ann, 2, 0)) == [("edited", 2, "2"), ("edited", 1, "I")]


def test_a_change_from_the_future_is_not_recovered(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    say(ann, "one")
    assert resume(stored_chat, ann, 1, 1)[0]["recovered"] is False


def test_a_join_takes_a_cursor_of_changes_too(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    say(ann, "one")
    edit(ann, 1, "ONE")
    epoch = ann.greeting[0]["epoch"]
    bob = stored_chat.rich(rooms=[])
    bob.ask("join", room="lobby", epoch=epoch, position=1, change=0)
    assert summary(bob.pong()) == [("edited", 1, "ONE")]


@pytest.mark.parametrize(("count", "recovered"), [(500, True), (501, False)])
def test_with_more_than_500_changes_a_client_starts_anew(
    stored_chat: Chat, count: int, recovered: bool
) -> None:
    ann = stored_chat.rich("Ann")
    say(ann, *(f"{number}" for number in range(count)))
    for position in range(1, count + 1):
        ann.tell("edit", room="lobby", position=position, text="now")
    ann.pong()
    joined, *rest = resume(stored_chat, ann, count, 0)
    assert joined["recovered"] is recovered
    kinds = {event["type"] for event in rest}
    assert (len(rest), kinds) == ((count, {"edited"}) if recovered else (FRESH, {"post"}))


def test_changes_survive_a_restart(tmp_path: Any) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline) as chat:
        ann = chat.rich("Ann")
        say(ann, "one", "two")
        edit(ann, 1, "ONE")
        redact(ann, 2)
    with chatting(timeline) as chat:
        heard = resume(chat, ann, 2, 0)
        assert summary(heard) == [("edited", 1, "ONE"), ("redacted", 2, None)]
        again = chat.rich("Ann", client=ann.client)
        assert edit(again, 1, "one") == 3


def test_the_numbers_of_changes_are_not_used_again_after_trimming() -> None:
    with chatting(memory_posts_per_room=1) as chat:
        ann = chat.rich("Ann")
        say(ann, "one")
        edit(ann, 1, "ONE")
        say(ann, "two")  # the changed post is gone
        assert edit(ann, 2, "TWO") == 2
        assert chat.rich().greeting[0]["change"] == 2
