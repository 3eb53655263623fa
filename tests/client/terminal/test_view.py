"""What a user sees of what happens: events in, lines out."""

from datetime import date, datetime

import pytest

from geventchat.client import (
    Direct,
    Error,
    Gap,
    Happening,
    Joined,
    Left,
    Members,
    Post,
    Presence,
    Renamed,
    Topic,
)
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.view import Saying, Window

NOON = datetime(2026, 3, 3, 12, 0)
MORNING = datetime(2026, 3, 4, 0, 1)


def post(position: int, text: str, author: str = "bert", room: str = "lobby", **more: str) -> Post:
    return Post(room, position, author, int(NOON.timestamp() * 1000), text, **more)


def joined(room: str = "lobby", position: int = 0, recovered: bool | None = None) -> Joined:
    return Joined(
        room=room, epoch="e" * 16, position=position, oldest=1, recovered=recovered, count=2
    )


def text(lines: list[Line]) -> list[str]:
    return ["".join(t for style, t in line if "Zero" not in style) for line in lines]


def rings(lines: list[Line]) -> bool:
    return any("\a" in piece for line in lines for _, piece in line)


@pytest.fixture
def window() -> Window:
    window = Window("lobby", "anna", NOON.date())
    window.hear(joined())
    return window


def hear(window: Window, *events: Happening) -> list[str]:
    return [line for event in events for line in text(window.hear(event))]


def toolbar(window: Window) -> str:
    return text([window.toolbar()])[0]


def prompt(window: Window, now: float) -> str:
    return text([window.prompt(now, 80)])[0]


def test_a_post_shows_when_who_and_what(window: Window) -> None:
    assert hear(window, post(1, "hi\nthere")) == ["12:00 bert: hi\n      there"]


def test_what_would_act_on_the_terminal_is_spelt_out(window: Window) -> None:
    evil = post(1, "\x1b]0;x\x07 \u202e", author="\x1b[31mbert")
    assert hear(window, evil) == ["12:00 \\x1b[31mbert: \\x1b]0;x\\x07 \\u202e"]


def test_a_family_of_emoji_stays_together(window: Window) -> None:
    assert hear(window, post(1, "👨‍👩‍👧 日本")) == ["12:00 bert: 👨‍👩‍👧 日本"]


def test_a_nick_has_the_same_colour_always(window: Window) -> None:
    first, second = (window.hear(post(n, "hi"))[0] for n in (1, 2))
    assert first[2] == second[2]


def test_a_mention_stands_out_and_rings(window: Window) -> None:
    (line,) = window.hear(post(1, "Anna, come; annabel need not"))
    assert ("class:mention", "Anna") in line
    assert rings([line])
    assert not rings(window.hear(post(2, "annabel")))
    assert not rings(window.hear(post(3, "anna says so herself", author="anna")))


def test_what_was_said_before_one_came_does_not_ring() -> None:
    window = Window("lobby", "anna", NOON.date())
    window.hear(joined("lobby", position=5))
    assert not rings(window.hear(post(5, "anna?")))
    assert rings(window.hear(post(6, "anna?")))


def test_midnight_is_a_line_once(window: Window) -> None:
    later = Post("lobby", 2, "bert", int(MORNING.timestamp() * 1000), "early")
    assert hear(window, post(1, "late"), later) == [
        "12:00 bert: late",
        "──── Wednesday, 4 March 2026 ────",
        "00:01 bert: early",
    ]
    assert window.midnight(date(2026, 3, 4)) == []


def test_posts_elsewhere_are_counted_and_wait(window: Window) -> None:
    window.hear(joined("dev"))
    assert hear(window, post(1, "one", room="dev")) == []
    assert "dev 1" in toolbar(window)
    called = window.hear(post(2, "anna!", room="dev"))
    assert text(called) == ["    · bert names you in dev"]
    assert rings(called)
    assert "dev 2!" in toolbar(window)
    assert text(window.enter("dev"))[1:] == ["12:00 bert: one", "12:00 bert: anna!"]
    assert toolbar(window).startswith(" dev · 2 here · anna")
    assert "lobby" not in toolbar(window)


def test_what_is_said_is_pending_until_it_is_stored(window: Window) -> None:
    window.sayings["k"] = Saying("lobby", "hello\nworld", since=10.0)
    assert prompt(window, now=10.1) == "lobby> "
    assert prompt(window, now=11.0) == "    … hello…\nlobby> "
    assert hear(window, post(1, "hello\nworld", "anna", key="k")) == [
        "12:00 anna: hello\n      world"
    ]
    assert prompt(window, now=11.0) == "lobby> "


def test_what_could_not_be_said_is_not_lost(window: Window) -> None:
    window.sayings["k"] = Saying("lobby", "hello", since=10.0)
    refused = Error(code="slow_down", text="Too fast.", key="k")
    assert hear(window, refused) == ["    ! Too fast. Not said: hello"]
    assert window.sayings == {}


def test_comings_and_goings_are_quiet_and_counted(window: Window) -> None:
    window.members(Members(room="lobby", nicks=["anna", "carl"], count=2))
    join = Presence(room="lobby", nick="bert", event="join")
    assert hear(window, join) == ["    · bert joined"]
    assert "3 here" in toolbar(window)
    hear(window, Presence(room="lobby", nick="bert", event="rename", new_nick="bart"))
    assert hear(window, Presence(room="lobby", nick="bart", event="leave")) == ["    · bart left"]
    assert "2 here" in toolbar(window)
    assert hear(window, Presence(room="lobby", count=300)) == []
    assert "300 here" in toolbar(window)


def test_who_is_ignored_is_neither_heard_nor_seen(window: Window) -> None:
    window.ignored.add("bert")
    direct = Direct("Bert", "psst", 0)
    presence = Presence(room="lobby", nick="Bert", event="join")
    assert hear(window, post(1, "hi", author="Bert"), direct, presence) == []


def test_a_direct_text_rings(window: Window) -> None:
    lines = window.hear(Direct("bert", "psst", int(NOON.timestamp() * 1000)))
    assert text(lines) == ["12:00 bert → you: psst"]
    assert rings(lines)


def test_leaving_the_room_one_is_in_leads_to_another(window: Window) -> None:
    window.hear(joined("dev"))
    window.enter("dev")
    assert hear(window, Left(room="dev")) == ["    · you left dev", "──── lobby · 2 here ────"]
    hear(window, Left(room="lobby"))
    assert prompt(window, 0) == "> "


def test_nick_and_topic_follow_the_server(window: Window) -> None:
    assert hear(window, Renamed(nick="anne")) == ["    · you are anne"]
    assert hear(window, Topic(room="lobby", topic="x\x1b", by="bert")) == [
        "    · bert set the topic: x\\x1b"
    ]


def test_a_loss_of_posts_is_told_and_a_resume_is_silent(window: Window) -> None:
    assert hear(window, joined(position=9, recovered=True)) == []
    assert hear(window, joined(position=99, recovered=False)) == []
    assert "missing" in hear(window, Gap("lobby", 9))[0]


def test_what_was_said_while_one_was_away_is_news(window: Window) -> None:
    window.hear(joined("dev", position=5))
    hear(window, joined("dev", position=7, recovered=True), post(6, "one", room="dev"))
    assert "dev 1" in toolbar(window)
    hear(window, Gap("dev", 6), joined("dev", position=3, recovered=False))
    assert rings(window.hear(post(3, "anna!", room="dev")))
    assert "dev 2!" in toolbar(window)


def test_after_a_gap_the_history_is_that_of_what_follows(window: Window) -> None:
    hear(window, post(70, "long ago"), Gap("lobby", 70), joined(position=3, recovered=False))
    room = window.room()
    assert room
    assert room.oldest is None
    hear(window, post(3, "hi"))
    assert room.oldest == 3


def test_ones_own_post_is_never_unread(window: Window) -> None:
    window.sayings["k1"] = Saying("lobby", "hello", 0.0)
    hear(window, joined("dev"))
    window.enter("dev")
    hear(window, post(1, "hello", author="anna", key="k1"))
    assert "lobby" not in toolbar(window)
    hear(window, post(2, "hi"))
    assert "lobby 1" in toolbar(window)
