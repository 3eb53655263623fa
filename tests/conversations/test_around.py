"""Pages of the history after a post, and around one."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.nodes import beside, level
from tests.conversations.peers import Rich


def talk(ann: Rich, count: int, text: str = "x") -> None:
    for _ in range(count):
        ann.say("lobby", text)
    ann.posts(count)


def page(ann: Rich, **fields: Any) -> tuple[list[int], bool, bool]:
    """Return the positions of a page, whether nothing older is stored, and whether newer is."""
    history = ann.ask("history", room="lobby", **fields)
    assert history["type"] == "history", history
    positions = [post["position"] for post in history["posts"]]
    return positions, history["complete"], history.get("more", False)


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [
        (0, 3, ([1, 2, 3], True, True)),
        (3, 3, ([4, 5, 6], False, True)),
        (8, 3, ([9, 10], False, False)),
        (10, 3, ([], False, False)),
        (2**53, 3, ([], False, False)),
    ],
)
def test_after_gives_the_posts_that_follow(
    stored_chat: Chat, after: int, limit: int, expected: tuple[list[int], bool, bool]
) -> None:
    ann = stored_chat.rich("Ann")
    talk(ann, 10)
    assert page(ann, after=after, limit=limit) == expected


@pytest.mark.parametrize(
    ("around", "limit", "expected"),
    [
        (5, 5, ([3, 4, 5, 6, 7], False, True)),
        (5, 1, ([5], False, True)),
        (5, 2, ([4, 5], False, True)),
        (1, 4, ([1, 2, 3, 4], True, True)),
        (10, 4, ([8, 9, 10], False, False)),
        (99, 2, ([9, 10], False, False)),
        (0, 2, ([1, 2], True, True)),
        (5, 500, ([*range(1, 11)], True, False)),
    ],
)
def test_around_gives_the_posts_on_both_sides(
    stored_chat: Chat, around: int, limit: int, expected: tuple[list[int], bool, bool]
) -> None:
    ann = stored_chat.rich("Ann")
    talk(ann, 10)
    assert page(ann, around=around, limit=limit) == expected


def test_an_empty_room_has_nothing_around_a_position(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    assert page(ann, around=5, limit=5) == ([], True, False)
    assert page(ann, after=5, limit=5) == ([], False, False)


def test_around_a_trimmed_post_are_the_nearest_ones() -> None:
    with chatting(memory_posts_per_room=3) as chat:
        ann = chat.rich("Ann")
        talk(ann, 10)
        assert page(ann, around=2, limit=3) == ([8, 9, 10], True, False)


@pytest.mark.parametrize("after", [0, 5, 13, 14])
def test_after_a_trimmed_post_come_the_oldest_that_are_kept(after: int) -> None:
    with chatting(memory_posts_per_room=6) as chat:
        ann = chat.rich("Ann")
        talk(ann, 20)
        assert page(ann, after=after, limit=4) == ([15, 16, 17, 18], True, True)
        assert page(ann, after=after, limit=9) == ([15, 16, 17, 18, 19, 20], True, False)


def test_a_page_around_a_post_has_it_however_long_the_others_are(stored_chat: Chat) -> None:
    ann = stored_chat.rich("Ann")
    talk(ann, 15, "x" * 60_000)
    positions, complete, more = page(ann, around=10, limit=20)
    assert 10 in positions
    assert positions[0] < 10 < positions[-1]
    assert (complete, more) == (False, True)
    size = len(str(ann.ask("history", room="lobby", around=10, limit=20)))
    assert size < 270_000


def test_at_most_one_place_is_named(chat: Chat) -> None:
    ann = chat.rich("Ann")
    for fields in ({"before": 1, "after": 1}, {"after": 1, "around": 1}):
        error = ann.ask("history", room="lobby", limit=5, **fields)
        assert (error["type"], error["code"]) == ("error", "bad_field")


def test_the_newest_page_says_nothing_of_newer_posts(chat: Chat) -> None:
    ann = chat.rich("Ann")
    talk(ann, 3)
    assert "more" not in ann.ask("history", room="lobby", limit=2)
    assert "more" not in ann.ask("history", room="lobby", limit=2, before=2)


def test_what_is_redacted_between_the_two_reads_is_not_sent(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    talk(ann, 3, "secret")
    for each in beside(chat.server):
        real = each._timeline.since

        def since(*arguments: Any, real: Callable[..., Any] = real) -> Any:
            monkeypatch.undo()
            ann.ask("redact", room="lobby", position=1)
            level()
            return real(*arguments)

        monkeypatch.setattr(each._timeline, "since", since)
    posts = bob.ask("history", room="lobby", around=2, limit=4)["posts"]
    assert [post["text"] for post in posts] == ["", "secret", "secret"]
