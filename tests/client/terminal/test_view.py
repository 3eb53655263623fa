"""What a user sees of what happens: events in, lines out."""

from datetime import date, datetime
from typing import Any

import pytest

from geventchat.client import (
    Bye,
    ClientEvent,
    Direct,
    Disconnected,
    Error,
    Gap,
    Joined,
    Left,
    Members,
    Post,
    Presence,
    Reconnected,
    ReconnectFailed,
    Renamed,
    Topic,
)
from geventchat.client.terminal import status
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.room import PendingSay
from geventchat.client.terminal.view import View
from geventchat.protocol.errors import LOST, SHUTDOWN, Reason

NOON = datetime(2026, 3, 3, 12, 0)
MORNING = datetime(2026, 3, 4, 0, 1)


def post(position: int, text: str, author: str = "bert", room: str = "lobby", **more: Any) -> Post:
    return Post(room, position, author, int(NOON.timestamp() * 1000), text, **more)


def joined(room: str = "lobby", position: int = 0, recovered: bool | None = None) -> Joined:
    return Joined(
        room=room, epoch="e" * 16, position=position, oldest=1, recovered=recovered, count=2
    )


def bye(reason: Reason) -> Bye:
    return Bye(code=reason.code, text=reason.text, reconnect=reason.reconnect)


def text(lines: list[Line]) -> list[str]:
    return ["".join(t for style, t in line if "Zero" not in style) for line in lines]


def rings(lines: list[Line]) -> bool:
    return any("\a" in piece for line in lines for _, piece in line)


@pytest.fixture
def view() -> View:
    view = View("lobby", "anna", NOON.date())
    view.hear(joined())
    return view


def hear(view: View, *events: ClientEvent) -> list[str]:
    return [line for event in events for line in text(view.hear(event))]


def tick(view: View, first: float, last: float) -> list[str]:
    lines = [view.tick(first, NOON.date()), view.tick(last, NOON.date())]
    return text([line for each in lines for line in each])


def toolbar(view: View) -> str:
    return text([status.toolbar(view, 80)])[0]


def prompt(view: View, now: float) -> str:
    return text([status.prompt(view, now, 80)])[0]


def test_a_post_shows_time_author_and_text(view: View) -> None:
    assert hear(view, post(1, "hi\nthere")) == ["12:00 bert: hi\n      there"]


def test_control_characters_are_escaped(view: View) -> None:
    evil = post(1, "\x1b]0;x\x07 \u202e", author="\x1b[31mbert")
    assert hear(view, evil) == ["12:00 \\x1b[31mbert: \\x1b]0;x\\x07 \\u202e"]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\r\n\r\n"])
def test_the_line_end_of_a_message_is_not_shown(view: View, end: str) -> None:
    assert hear(view, post(1, f"one\r\ntwo{end}")) == ["12:00 bert: one\n      two"]
    topic = Topic(room="lobby", topic=f"news{end}", by="bert")
    assert hear(view, topic) == ["    · bert set the topic: news"]


def test_emoji_sequences_stay_together(view: View) -> None:
    assert hear(view, post(1, "👨‍👩‍👧 日本")) == ["12:00 bert: 👨‍👩‍👧 日本"]


def test_a_nick_always_has_the_same_colour(view: View) -> None:
    first, second = (view.hear(post(n, "hi"))[0] for n in (1, 2))
    assert first[2] == second[2]


def test_a_mention_is_highlighted_and_rings_the_bell(view: View) -> None:
    (line,) = view.hear(post(1, "Anna, come; annabel need not"))
    assert ("class:mention", "Anna") in line
    assert rings([line])
    assert not rings(view.hear(post(2, "annabel")))
    assert not rings(view.hear(post(3, "anna says so herself", author="anna")))


def test_posts_older_than_the_join_do_not_ring() -> None:
    view = View("lobby", "anna", NOON.date())
    view.hear(joined("lobby", position=5))
    assert not rings(view.hear(post(5, "anna?")))
    assert rings(view.hear(post(6, "anna?")))


def test_a_new_day_is_one_line(view: View) -> None:
    later = Post("lobby", 2, "bert", int(MORNING.timestamp() * 1000), "early")
    assert hear(view, post(1, "late"), later) == [
        "12:00 bert: late",
        "──── Wednesday, 4 March 2026 ────",
        "00:01 bert: early",
    ]
    assert view.tick(0, date(2026, 3, 4)) == []


def test_a_day_that_begins_in_silence_is_one_line(view: View) -> None:
    assert view.tick(0, NOON.date()) == []
    assert text(view.tick(1, date(2026, 3, 4))) == ["──── Wednesday, 4 March 2026 ────"]
    assert view.tick(2, date(2026, 3, 4)) == []
    later = Post("lobby", 2, "bert", int(MORNING.timestamp() * 1000), "early")
    assert hear(view, later) == ["00:01 bert: early"]


def test_older_posts_have_their_days_and_change_none_after_them(view: View) -> None:
    old = Post("lobby", 1, "bert", int(datetime(2026, 3, 1, 9, 0).timestamp() * 1000), "old")
    hear(view, post(2, "now"))
    assert text(view.older(view.rooms["lobby"], [old])) == [
        "──── Sunday, 1 March 2026 ────",
        "09:00 bert: old",
    ]
    assert view.tick(0, NOON.date()) == []
    assert hear(view, post(3, "still now")) == ["12:00 bert: still now"]


def test_posts_in_other_rooms_are_counted_and_kept(view: View) -> None:
    view.hear(joined("dev"))
    assert hear(view, post(1, "one", room="dev")) == []
    assert "dev 1" in toolbar(view)
    mentioned = view.hear(post(2, "anna!", room="dev"))
    assert text(mentioned) == ["    · bert mentioned you in dev: anna!"]
    assert rings(mentioned)
    assert "dev 2!" in toolbar(view)
    assert text(view.enter("dev"))[1:] == ["12:00 bert: one", "12:00 bert: anna!"]
    assert toolbar(view).startswith(" dev · 2 here · anna")
    assert "lobby" not in toolbar(view)


def test_a_mention_elsewhere_is_told_with_the_words_around_it(view: View) -> None:
    view.hear(joined("dev"))
    long = f"first line\n{'x' * 100} anna {'y' * 200}\x1b\nlast"
    (told,) = hear(view, post(1, long, room="dev"))
    assert told == f"    · bert mentioned you in dev: …{'x' * 59} anna {'y' * 99}…"
    assert hear(view, post(2, "\x1b\u202eanna", room="dev")) == [
        r"    · bert mentioned you in dev: \x1b\u202eanna"
    ]


def test_a_mention_beside_tabs_and_escapes_is_highlighted(view: View) -> None:
    (line,) = view.hear(post(1, "\x1banna\tgo"))
    assert line[-4:-1] == [("", r"\x1b"), ("class:mention", "anna"), ("", "   go")]
    (line,) = view.hear(post(2, "hi\nanna\n!"))
    assert text([line]) == ["12:00 bert: hi\n      anna\n      !"]


def test_a_message_is_pending_until_it_is_stored(view: View) -> None:
    view.pending["k"] = PendingSay("lobby", "hello\nworld", since=10.0)
    assert prompt(view, now=10.1) == "lobby> "
    assert prompt(view, now=11.0) == "    … hello…\nlobby> "
    assert hear(view, post(1, "hello\nworld", "anna", key="k")) == [
        "12:00 anna: hello\n      world"
    ]
    assert prompt(view, now=11.0) == "lobby> "


def test_pending_messages_that_are_too_many_to_show_are_counted(view: View) -> None:
    for n in range(5):
        view.pending[str(n)] = PendingSay("lobby", f"text {n}", since=10.0)
    assert prompt(view, now=11.0).splitlines() == [
        "    … 2 more",
        "    … text 2",
        "    … text 3",
        "    … text 4",
        "lobby> ",
    ]


def test_a_refused_message_is_shown_with_its_text(view: View) -> None:
    view.pending["k"] = PendingSay("lobby", "hello", since=10.0)
    refused = Error(code="slow_down", text="Too fast.", key="k")
    assert hear(view, refused) == ["    ! Too fast. Not sent: hello"]
    assert view.pending == {}


def test_joins_and_leaves_are_counted_and_shown_when_they_are_due(view: View) -> None:
    view.members(Members(room="lobby", nicks=["anna", "carl"], count=2))
    assert hear(view, Presence(room="lobby", nick="bert", event="join")) == []
    assert "3 here" in toolbar(view)
    hear(view, Presence(room="lobby", nick="bert", event="rename", new_nick="bart"))
    assert tick(view, 0, 2) == ["    · bart joined"]
    hear(view, Presence(room="lobby", nick="bart", event="leave"))
    assert "2 here" in toolbar(view)
    assert tick(view, 3, 12) == ["    · bart left"]
    assert hear(view, Presence(room="lobby", count=300)) == []
    assert "300 here" in toolbar(view)


def test_a_one_shot_sender_costs_its_message_alone(view: View) -> None:
    join = Presence(room="lobby", nick="guest-3", event="join")
    leave = Presence(room="lobby", nick="guest-3", event="leave")
    assert hear(view, join, post(1, "hi", author="guest-3"), leave) == ["12:00 guest-3: hi"]
    assert tick(view, 0, 600) == []


def test_a_new_nick_is_shown_before_its_posts(view: View) -> None:
    rename = Presence(room="lobby", nick="bert", event="rename", new_nick="carl")
    assert hear(view, rename, post(1, "hi", author="carl")) == [
        "    · bert is now known as carl",
        "12:00 carl: hi",
    ]


def test_who_joined_one_room_is_not_shown_in_another(view: View) -> None:
    hear(view, joined("dev"), Presence(room="lobby", nick="bert", event="join"))
    view.enter("dev")
    assert tick(view, 0, 600) == []


def test_a_server_that_another_one_replaces_at_once_is_not_mentioned(view: View) -> None:
    assert hear(view, Disconnected(bye(SHUTDOWN))) == []
    assert toolbar(view).startswith(" disconnected, reconnecting ")
    assert hear(view, Reconnected("anna")) == []
    assert "disconnected" not in toolbar(view)


def test_an_outage_is_printed_once_and_its_end(view: View) -> None:
    hear(view, Disconnected(bye(SHUTDOWN)))
    refused, timed_out = ReconnectFailed("Connection refused"), ReconnectFailed("Timed out")
    assert hear(view, refused, timed_out) == ["    ! The server is shutting down."]
    assert hear(view, Reconnected("anna")) == ["    · reconnected"]


def test_a_lost_connection_is_printed_at_once_and_its_end(view: View) -> None:
    assert hear(view, Disconnected(bye(LOST))) == ["    ! The connection was lost."]
    assert hear(view, Reconnected("anna-2")) == ["    · reconnected", "    · you are now anna-2"]


def test_the_toolbar_shows_trouble_first_and_then_what_fits(view: View) -> None:
    for n in range(8):
        hear(view, joined(f"long-name-{n}"), post(1, "hi", room=f"long-name-{n}"))
    hear(view, post(2, "anna!", room="long-name-7"), ReconnectFailed("Connection refused"))
    line = toolbar(view)
    assert line.startswith(" disconnected, reconnecting: Connection refused  lobby · 2 here · anna")
    assert line.endswith(" …")
    assert len(line) < 80
    view.trouble = ""
    assert "anna  long-name-7 2!  long-name-0 1  " in toolbar(view)
    view.trouble = "x" * 100
    assert toolbar(view) == f" {'x' * 76} …"


def test_an_ignored_user_is_not_shown(view: View) -> None:
    view.ignored.add("bert")
    direct = Direct("Bert", "psst", 0)
    presence = Presence(room="lobby", nick="Bert", event="join")
    assert hear(view, post(1, "hi", author="Bert"), direct, presence) == []


def test_an_ignored_user_stays_ignored_under_a_new_nick(view: View) -> None:
    view.hear(joined("dev"))
    view.ignored.add("bert")
    rename = Presence(room="lobby", nick="Bert", event="rename", new_nick="Bub")
    again = Presence(room="dev", nick="Bert", event="rename", new_nick="Bub")
    view.enter("dev")
    assert hear(view, rename, again) == []
    view.enter("lobby")
    assert hear(view, Direct("Bub", "anna!", 0), Topic(room="lobby", topic="x", by="Bub")) == []
    assert hear(view, post(1, "anna!", author="Bub"), post(1, "anna!", "BUB", "dev")) == []
    assert "dev" not in toolbar(view)
    assert hear(view, post(2, "hi", author="Bert")) == ["12:00 Bert: hi"]  # somebody else


def test_older_posts_of_an_ignored_user_are_not_shown(view: View) -> None:
    view.hear(joined("dev"))
    hear(view, post(1, "waiting", room="dev"), post(9, "now"))
    view.ignored.add("bert")
    assert text(view.enter("dev")) == ["──── dev · 2 here ────"]
    assert view.older(view.rooms["lobby"], [post(7, "old"), post(8, "mine", "anna")]) != []
    room = view.room("lobby")
    assert room is not None
    assert room.oldest == 7  # so that /history goes on before it


def test_a_query_follows_a_new_nick(view: View) -> None:
    view.partner = "Bert"
    hear(view, Presence(room="lobby", nick="bert", event="rename", new_nick="Bub"))
    assert prompt(view, 0) == "→ Bub> "
    view.enter("lobby")
    assert prompt(view, 0) == "lobby> "


def test_rooms_are_entered_by_number_by_neighbour_and_by_unread_posts(view: View) -> None:
    for name in ("dev", "tea"):
        view.hear(joined(name))
    assert text(view.enter_number(3)) == ["──── tea · 2 here ────"]
    assert view.enter_number(3) == view.enter_number(4) == []
    view.enter_next(1)
    assert view.current == "lobby"
    view.enter_next(-1)
    assert view.current == "tea"
    assert view.enter_unread() == []
    hear(view, post(1, "hi", room="lobby"), post(1, "anna", room="dev"))
    view.enter_unread()
    assert view.current == "dev"
    view.enter_unread()
    assert view.current == "lobby"


def test_keys_for_rooms_do_nothing_without_one() -> None:
    view = View("lobby", "anna", NOON.date())
    assert view.enter_next(1) == view.enter_number(1) == view.enter_unread() == []


def test_an_action_is_shown_as_one(view: View) -> None:
    assert hear(view, post(1, "/me waves at Anna")) == ["12:00 * bert waves at Anna"]
    assert hear(view, post(2, "/me"), post(3, "/meow")) == ["12:00 bert: /me", "12:00 bert: /meow"]
    assert hear(view, post(4, "/me \x1b[2J")) == [r"12:00 * bert \x1b[2J"]
    at = int(NOON.timestamp() * 1000)
    assert hear(view, Direct("bert", "/me waves", at)) == ["12:00 bert → you: * bert waves"]


def test_a_direct_message_rings_the_bell(view: View) -> None:
    lines = view.hear(Direct("bert", "psst", int(NOON.timestamp() * 1000)))
    assert text(lines) == ["12:00 bert → you: psst"]
    assert rings(lines)


def test_leaving_the_current_room_switches_to_another(view: View) -> None:
    view.hear(joined("dev"))
    view.enter("dev")
    assert hear(view, Left(room="dev")) == ["    · you left dev", "──── lobby · 2 here ────"]
    hear(view, Left(room="lobby"))
    assert prompt(view, 0) == "> "


def test_nick_and_topic_follow_the_server(view: View) -> None:
    assert hear(view, Renamed(nick="anne")) == ["    · you are now anne"]
    assert hear(view, Topic(room="lobby", topic="x\x1b", by="bert")) == [
        "    · bert set the topic: x\\x1b"
    ]


def test_a_gap_is_reported_and_a_resume_is_silent(view: View) -> None:
    assert hear(view, joined(position=9, recovered=True)) == []
    assert hear(view, joined(position=99, recovered=False)) == []
    assert "missing" in hear(view, Gap("lobby", 9))[0]


def test_posts_missed_while_disconnected_are_new(view: View) -> None:
    view.hear(joined("dev", position=5))
    hear(view, joined("dev", position=7, recovered=True), post(6, "one", room="dev"))
    assert "dev 1" in toolbar(view)
    hear(view, Gap("dev", 6), joined("dev", position=3, recovered=False))
    assert rings(view.hear(post(3, "anna!", room="dev")))
    assert "dev 2!" in toolbar(view)


def test_history_after_a_gap_starts_at_the_newer_posts(view: View) -> None:
    hear(view, post(70, "long ago"), Gap("lobby", 70), joined(position=3, recovered=False))
    room = view.room()
    assert room
    assert room.oldest is None
    hear(view, post(3, "hi"))
    assert room.oldest == 3


def test_posts_too_many_to_wait_are_counted_and_history_begins_at_them(view: View) -> None:
    hear(view, post(1, "seed"), joined("dev"))
    view.enter("dev")
    hear(view, *(post(n, f"post {n}") for n in range(2, 302)))
    lines = text(view.enter("lobby"))
    assert lines[1:3] == ["    · 100 more before these; see /history", "12:00 bert: post 102"]
    assert len(lines) == 202
    room = view.room()
    assert room
    assert room.oldest == 102
    view.enter("dev")
    assert len(text(view.enter("lobby"))) == 1


def test_a_gap_in_another_room_is_shown_there_and_history_begins_at_it(view: View) -> None:
    hear(view, joined("dev"))
    view.enter("dev")
    assert hear(view, post(70, "before"), Gap("lobby", 70), post(570, "after")) == []
    assert text(view.enter("lobby"))[1:] == [
        "12:00 bert: before",
        "    · some messages in lobby may be missing; see /history",
        "12:00 bert: after",
    ]
    room = view.room()
    assert room
    assert room.oldest == 570


def test_own_posts_are_never_unread(view: View) -> None:
    view.pending["k1"] = PendingSay("lobby", "hello", 0.0)
    hear(view, joined("dev"))
    view.enter("dev")
    hear(view, post(1, "hello", author="anna", key="k1"))
    assert "lobby" not in toolbar(view)
    hear(view, post(2, "hi"))
    assert "lobby 1" in toolbar(view)
