"""People find what was said in the rooms they are in, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.control import Control
from tests.conversations.peers import Rich


@pytest.fixture
def chat(timeline: str) -> Iterator[Chat]:
    with chatting(timeline) as chat:
        yield chat


def found(peer: Rich, text: str, **more: Any) -> list[tuple[str, int]]:
    """Return where posts with these words are found."""
    return [(post["room"], post["position"]) for post in answer(peer, text, **more)["posts"]]


def answer(peer: Rich, text: str, **more: Any) -> dict[str, Any]:
    return peer.ask("search", text=text, **more)


def until(peer: Rich, text: str, expected: list[tuple[str, int]], **more: Any) -> None:
    """Search until the index, which may be late, has it."""
    with gevent.Timeout(20):
        while found(peer, text, **more) != expected:
            gevent.sleep(0.05)


def test_words_are_found_in_ones_rooms_the_newest_first(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["tea", "dev"])
    for room, text in (("tea", "green tea"), ("dev", "the build is green"), ("tea", "black")):
        ann.say(room, text)
        ann.posts(1)
        gevent.sleep(0.002)  # what is of the same millisecond has no order
    until(ann, "green", [("dev", 1), ("tea", 1)])
    assert found(ann, "GREEN", room="tea") == [("tea", 1)]
    assert found(ann, "green build") == [("dev", 1)]
    assert found(ann, '"green build"') == []
    assert found(ann, "green", author="Bob") == []
    assert found(ann, "green", author="ann", limit=1)[:1] == [("dev", 1)]


def test_nothing_is_found_in_rooms_one_is_not_in(chat: Chat) -> None:
    ann, bob = chat.rich("Ann", rooms=["tea"]), chat.rich("Bob", rooms=["dev"])
    ann.say("tea", "secret word")
    ann.posts(1)
    until(ann, "secret", [("tea", 1)])
    assert found(bob, "secret") == []
    assert answer(bob, "secret", room="tea")["code"] == "not_joined"
    ann.ask("leave", room="tea")
    assert found(ann, "secret") == []


def test_an_author_that_no_nick_is_as_long_as_delays_nobody() -> None:
    """To fold a text takes a time that is quadratic in the marks that follow each other."""
    with chatting() as chat, Control(chat.address):
        ann = chat.rich("Ann")
        assert answer(ann, "green", author="\u0301\u0316" * 15_000)["code"] == "bad_field"


def test_a_search_among_endless_marks_delays_nobody() -> None:
    with chatting() as chat, Control(chat.address):
        ann = chat.rich("Ann", rooms=["tea"])
        ann.say("tea", "green " + "\u0301\u0316" * 15_000)
        ann.posts(1)
        assert found(ann, "green") == [("tea", 1)]


def test_pages_continue_by_time(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["tea"])
    for number in range(5):
        ann.say("tea", f"leaf {number}")
        ann.posts(1)
        gevent.sleep(0.002)
    until(ann, "leaf", [("tea", number) for number in (5, 4, 3, 2, 1)])
    first = answer(ann, "leaf", limit=2)
    assert [post["position"] for post in first["posts"]] == [5, 4]
    second = answer(ann, "leaf", limit=10, before=first["before"])
    assert [post["position"] for post in second["posts"]] == [3, 2, 1]
    assert "before" not in second


def test_a_redacted_post_is_not_found_even_before_the_index_knows(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["tea"])
    ann.say("tea", "unmistakable", "k")
    ann.posts(1)
    until(ann, "unmistakable", [("tea", 1)])
    assert ann.ask("redact", room="tea", position=1)["type"] == "redacted"
    assert found(ann, "unmistakable") == []


def test_an_edited_post_is_found_by_its_present_words(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["tea"])
    ann.say("tea", "green", "k")
    ann.posts(1)
    until(ann, "green", [("tea", 1)])
    ann.ask("edit", room="tea", position=1, text="black")
    assert found(ann, "green") == []
    until(ann, "black", [("tea", 1)])
    assert answer(ann, "black")["posts"][0]["change"] == 1


@pytest.mark.parametrize("text", ["...", '""', "( - *", 'NEAR("a" b)', "a OR b", "text : a", "^a"])
def test_odd_texts_are_searched_like_any_other(chat: Chat, text: str) -> None:
    ann = chat.rich("Ann", rooms=["tea"])
    ann.say("tea", "nothing of the kind")
    ann.posts(1)
    until(ann, "nothing", [("tea", 1)])  # before, the index may not be open
    said = answer(ann, text)
    assert (said["type"], said["posts"], said["complete"]) == ("found", [], True)


def test_search_can_be_turned_off() -> None:
    with chatting(options={"search": "off"}) as chat:
        ann = chat.rich("Ann")
        assert "search" not in ann.welcome["features"]
        assert answer(ann, "tea")["code"] == "forbidden"
    with chatting() as chat:
        assert "search" in chat.rich("Ann").welcome["features"]


def test_without_search_no_index_is_left_that_would_keep_redacted_texts(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path / 'chat.db'}"
    with chatting(timeline) as chat:
        ann = chat.rich("Ann", rooms=["tea"])
        ann.say("tea", "unmistakable")
        ann.posts(1)
        until(ann, "unmistakable", [("tea", 1)])
    assert list(tmp_path.glob("*.search*"))
    with chatting(timeline, options={"search": "off"}):
        assert not list(tmp_path.glob("*.search*"))


def test_search_says_that_it_is_not_available_while_the_chat_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "chat.db.search").mkdir()  # so there can be no index
    with chatting(f"sqlite:{tmp_path / 'chat.db'}") as chat:
        ann = chat.rich("Ann", rooms=["tea"])
        with gevent.Timeout(20):
            while (said := answer(ann, "green"))["type"] != "error":
                gevent.sleep(0.05)
        assert said["code"] == "storage"
        ann.say("tea", "green")
        assert ann.posts(1)
    assert caplog.text.count("indexing for search failed") == 1


def test_a_search_leaves_no_trace_of_its_words_in_the_log(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    ann = chat.rich("Ann", rooms=["tea"])
    answer(ann, "confidential")
    assert not re.search("confidential", caplog.text)
