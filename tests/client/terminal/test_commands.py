"""What a user can ask for, and what the Tab key offers of it."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import msgspec
import pytest

from geventchat.client import Connection
from geventchat.client.terminal.command import Quit, Say, run_command
from geventchat.client.terminal.commands import COMMANDS
from geventchat.client.terminal.completion import completions
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.room import Room
from geventchat.client.terminal.typed import read
from geventchat.client.terminal.view import View
from geventchat.protocol.events import (
    Admin,
    History,
    Joined,
    Left,
    Members,
    Renamed,
    Rule,
    Sent,
    Topic,
)
from tests.client.peer import Peer, conversation, meanwhile, post


@pytest.fixture
def view() -> View:
    view = View("lobby", "anna", date(2026, 3, 3))
    view.rooms["lobby"] = Room("lobby", joined=True, count=2, nicks={"anna", "Bert", "bea"})
    view.rooms["dev"] = Room("dev", joined=True, count=1, unread=3)
    return view


@pytest.fixture
def talk() -> Iterator[tuple[Connection, Peer]]:
    with conversation() as talk:
        yield talk


JOINED = Joined(room="new", epoch="e" * 16, position=0, oldest=1, recovered=None, count=1)
MEMBERS = Members(room="lobby", nicks=[], count=0)

Ask = Callable[[str], list[str]]


@pytest.fixture
def ask(talk: tuple[Connection, Peer], view: View) -> Ask:
    def ask(line: str) -> list[str]:
        try:
            meant = read(line)
            assert isinstance(meant, tuple)
            lines = run_command(*meant, talk[0], view)
        except NotUnderstood as error:
            return [f"! {error}"]
        return ["".join(t for _, t in shown).strip(" ·") for shown in lines]

    return ask


def test_help_lists_every_command(ask: Ask) -> None:
    lines = ask("/help")
    assert all(any(line.startswith(c.usage) for line in lines) for c in COMMANDS.values())
    assert ask("/help JOIN") == [
        "/join ROOM  join a room, or switch to one you are in",
        "also        /j /room",
    ]
    assert ask("/help j") == ask("/help join")


def test_help_explains_targets_and_durations(ask: Ask) -> None:
    assert ask("/help ban") == [
        "/ban TARGET [TIME] [REASON]  operators: ban a user or an address",
        "TARGET by address            the user's address; or by nick, by client",
        "TIME                         90s, 10m, 1h30m, 7d, 2w; else until undone",
    ]
    assert ask("/help ban")[1].split() in [line.split() for line in ask("/help")]


def test_help_fits_a_terminal(ask: Ask) -> None:
    assert max(map(len, ask("/help"))) + len("    · ") <= 80


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/", "Unknown command /; see /help."),
        ("/ join", "Unknown command /; see /help."),
        ("/dance", "Unknown command /dance; see /help. Begin with // to send it as text."),
        ("/" + "x" * 50_000, "Unknown command /xxx"),
        ("/help dance", "Unknown command /dance; see /help."),
        ("/join", "Missing argument. Usage: /join ROOM"),
        ("/nick", "Missing argument. Usage: /nick NICK"),
        ("/logout", "You are not signed in."),
        ("/register", "This server does not have accounts."),
        ("/register bert", "This server does not have accounts."),
        ("/invite bert", "That is for private rooms; /create ROOM makes one."),
        ("/msg   ", "Missing argument. Usage: /msg NICK [TEXT]"),
        ("/kick", "Missing argument. Usage: /kick NICK [REASON]"),
        ("/unban", "Missing argument. Usage: /unban TARGET"),
        ("/unban eve 10m", "Usage: /unban TARGET"),
        ("/close tomorrow", "Usage: /close [TIME]"),
        ("/lock dev 10x", "Usage: /lock [ROOM] [TIME]; TIME is 90s, 10m, 1h30m, 7d, 2w"),
        ("/history 0", "Usage: /history [COUNT], a number from 1 to 500, in a room."),
        ("/history -1", "Usage: /history [COUNT], a number from 1 to 500, in a room."),
        ("/history 501", "Usage: /history [COUNT], a number from 1 to 500, in a room."),
        ("/history " + "9" * 5_000, "Usage: /history [COUNT], a number from 1 to 500, in a room."),
        ("/history x", "Usage: /history [COUNT], a number from 1 to 500, in a room."),
        (
            "/history " + "5 " * 10_000,
            "Usage: /history [COUNT], a number from 1 to 500, in a room.",
        ),
    ],
    ids=lambda text: text[:30],
)
def test_an_invalid_command_is_one_line(ask: Ask, line: str, told: str) -> None:
    (shown,) = ask(line)
    assert shown.startswith(f"! {told}")
    assert len(shown) < 200


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("/kick bert be nice", {"action": "kick", "target": "bert", "reason": "be nice"}),
        ("/kick bert 10m", {"action": "kick", "target": "bert", "reason": "10m"}),
        ("/ban eve", {"action": "ban", "target": "eve"}),
        ("/ban eve 2h", {"action": "ban", "target": "eve", "seconds": 7_200}),
        (
            "/mute Robert 10m too  loud",
            {"action": "mute", "target": "Robert", "seconds": 600, "reason": "too  loud"},
        ),
        ("/mute eve 10minutes", {"action": "mute", "target": "eve", "seconds": 600}),
        ("/mute eve spam 10m", {"action": "mute", "target": "eve", "reason": "spam 10m"}),
        (
            "/ban guest-63 by address 1h spam",
            {
                "action": "ban",
                "target": "guest-63",
                "target_type": "address",
                "seconds": 3_600,
                "reason": "spam",
            },
        ),
        (
            "/ban eve by chance",
            {"action": "ban", "target": "eve", "reason": "by chance"},
        ),
        ("/BAN eve BY Address", {"action": "ban", "target": "eve", "target_type": "address"}),
        ("/mute by by client", {"action": "mute", "target": "by", "target_type": "client"}),
        ("/unmute eve by nick", {"action": "unmute", "target": "eve", "target_type": "nick"}),
        ("/unban 10.0.0.0/8", {"action": "unban", "target": "10.0.0.0/8"}),
        ("/freeze", {"action": "freeze", "target": "lobby"}),
        ("/freeze 90s", {"action": "freeze", "target": "lobby", "seconds": 90}),
        ("/lock dev", {"action": "lock", "target": "dev"}),
        ("/lock dev 7d", {"action": "lock", "target": "dev", "seconds": 604_800}),
        ("/unlock", {"action": "unlock", "target": "lobby"}),
        ("/end plans", {"action": "end", "target": "plans"}),
        ("/end private room 12", {"action": "end", "target": "private room 12"}),
        ("/close", {"action": "close"}),
        ("/close 1h", {"action": "close", "seconds": 3_600}),
        ("/rules", {"action": "list"}),
    ],
)
def test_operator_commands_send_their_request(
    talk: tuple[Connection, Peer], ask: Ask, line: str, asked: dict[str, Any]
) -> None:
    _, peer = talk
    asking = meanwhile(lambda: ask(line))
    request = peer.request()
    assert request == {"type": "admin", "id": request["id"], **asked}
    rule = Rule(
        action="ban", target_type="nick", target="bert", operator="olga", time=0, reason="spam"
    )
    peer.tell(Admin(action="list", rules=[rule], connections_closed=0, total=3, id=request["id"]))
    assert asking.get() == ["ban nick bert until undone, by olga: spam", "and 2 older rules"]


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("1h30m", 5_400),
        ("1h 30m", 5_400),
        ("1.5h", 5_400),
        ("90 min", 5_400),
        ("90\tMinutes", 5_400),
        ("１０m", 600),
        ("2w", 1_209_600),
        ("for 10m", 600),
    ],
)
@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("/mute eve {}", {"target": "eve"}),
        ("/ban eve by nick {} too loud", {"target": "eve", "target_type": "nick"}),
        ("/freeze {}", {"target": "lobby"}),
        ("/lock dev {}", {"target": "dev"}),
        ("/close {}", {}),
    ],
)
def test_every_command_understands_durations_as_people_write_them(
    talk: tuple[Connection, Peer],
    ask: Ask,
    line: str,
    rest: dict[str, Any],
    time: str,
    seconds: int,
) -> None:
    _, peer = talk
    asking = meanwhile(lambda: ask(line.format(time)))
    request = peer.request()
    reason = {"reason": "too loud"} if line.endswith("loud") else {}
    action = line[1:].split()[0]
    assert request == {"type": "admin", "id": request["id"], "action": action} | rest | reason | {
        "seconds": seconds
    }
    peer.tell(Admin(action="list", rules=[], connections_closed=0, total=0, id=request["id"]))
    asking.get()


@pytest.mark.parametrize(
    "time",
    ["90", "1h30", "1,5h", "1:30", "+1h", "-1h", "10x", "½h", "1y", "0m", "9999999999999d", "1h 30",
     "10m -5m", "(10m)", "for 10x", "an hour", "3 strikes", "10m 3 strikes"],
)  # fmt: skip
@pytest.mark.parametrize(
    "line",
    [
        "/mute eve {}",
        "/ban eve by nick {} too loud",
        "/ban 10.0.0.1 {}",
        "/close {}",
        "/freeze {}",
        "/lock dev {}",
    ],
)
def test_what_begins_like_a_duration_and_is_none_is_refused_with_the_forms(
    ask: Ask, line: str, time: str
) -> None:
    (shown,) = ask(line.format(time))
    assert shown.startswith("! ")
    assert "90s, 10m, 1h30m, 7d, 2w" in shown


def test_a_missing_argument_shows_the_usage(ask: Ask) -> None:
    assert ask("/nick") == ["! Missing argument. Usage: /nick NICK"]


def test_quit_quits(ask: Ask) -> None:
    with pytest.raises(Quit):
        ask("/quit")


def test_joining_a_joined_room_switches_to_it(ask: Ask, view: View) -> None:
    assert ask("/join Dev") == ["──── dev · 1 here ────"]
    assert view.current == "dev"


def test_rooms_lists_the_current_room_and_unread_counts(ask: Ask) -> None:
    assert ask("/rooms") == ["1 lobby (current, 2 here)", "2 dev (1 here, 3 unread)"]


def test_ignoring_twice_stops_ignoring(ask: Ask, view: View) -> None:
    ask("/ignore Mallory")
    assert view.ignored == {"mallory"}
    assert ask("/ignore") == ["ignored: mallory"]
    ask("/ignore mallory")
    assert view.ignored == set()


def test_stopping_to_ignore_never_ignores(ask: Ask, view: View) -> None:
    assert ask("/ignore Mallory") == [
        "ignoring Mallory until you quit, under a new nick too; /unignore Mallory to undo"
    ]
    assert ask("/unignore ＭＡＬＬＯＲＹ") == ["no longer ignoring ＭＡＬＬＯＲＹ"]
    assert ask("/unignore mallory") == ["! mallory is not ignored; /ignore lists who is."]
    assert ask("/ignore Anna") == ["! That is your own nick."]
    assert view.ignored == set()


@pytest.mark.parametrize("line", ["/join #dev", "/j #DEV", "/JOIN dev", "/join ＤＥＶ"])
def test_a_room_is_joined_by_any_spelling(ask: Ask, view: View, line: str) -> None:
    assert ask(line) == ["──── dev · 1 here ────"]


def test_a_room_that_has_the_sign_in_its_name_can_be_reached(ask: Ask, view: View) -> None:
    view.rooms["#dev"] = Room("#dev", joined=True, count=7)
    assert ask("/join #dev") == ["──── #dev · 7 here ────"]


def test_actions_and_texts_are_said(ask: Ask) -> None:
    for line, text in (("/me waves", "/me waves"), ("/ME  waves", "/me waves"), ("/say /x", "/x")):
        with pytest.raises(Say) as said:
            ask(line)
        assert said.value.text == text


def test_a_query_directs_what_is_typed_until_it_is_closed(ask: Ask, view: View) -> None:
    assert ask("/query") == ["! Usage: /query NICK [TEXT]"]
    assert ask("/query Bert") == [
        "what you type goes to Bert alone; /query without a nick ends that"
    ]
    assert view.partner == "Bert"
    assert ask("/part") == ["what you type no longer goes to Bert, but to lobby"]
    assert view.partner == ""
    view.rooms["dev"].nicks = {"anna"}  # the members of all rooms are known
    assert ask("/query brt")[0].startswith("brt is in none of your rooms; what you type goes to ")
    ask("/query")
    assert ask("/query @bea")[0].startswith("what you type goes to bea alone")
    ask("/query")
    assert "goes to bert alone" in ask("/msg bert")[0]  # a guest has no conversation
    ask("/q Bert")
    ask("/join dev")
    assert view.partner == ""


@pytest.mark.parametrize(
    ("line", "request_", "answer"),
    [
        ("/nick anne", {"type": "nick", "nick": "anne"}, Renamed(nick="anne")),
        (
            "/msg bert hi  there",
            {"type": "direct", "to": "bert", "text": "hi  there"},
            Sent(to="bert"),
        ),
        (
            "/topic all of it",
            {"type": "topic", "room": "lobby", "topic": "all of it"},
            Topic(room="lobby", topic="all of it", by="anna"),
        ),
        (
            "/topic -delete",
            {"type": "topic", "room": "lobby", "topic": ""},
            Topic(room="lobby", topic="", by="anna"),
        ),
        ("/join #new", {"type": "join", "room": "new"}, JOINED),
        ("/join ##new", {"type": "join", "room": "#new"}, JOINED),
        ("/leave #dev", {"type": "leave", "room": "dev"}, Left(room="dev")),
        ("/part", {"type": "leave", "room": "lobby"}, Left(room="lobby")),
        ("/names", {"type": "who", "room": "lobby"}, MEMBERS),
        ("/who #dev", {"type": "who", "room": "dev"}, MEMBERS),
        ("/query Bert psst", {"type": "direct", "to": "Bert", "text": "psst"}, Sent(to="Bert")),
    ],
)
def test_other_commands_send_requests(
    line: str, request_: dict[str, Any], answer: Any, talk: tuple[Connection, Peer], ask: Ask
) -> None:
    asking = meanwhile(lambda: ask(line))
    request = talk[1].request()
    talk[1].tell(msgspec.structs.replace(answer, id=request.pop("id")))
    assert request == request_
    asking.get()


def test_older_posts_may_come_after_the_room_was_left(
    talk: tuple[Connection, Peer], ask: Ask, view: View
) -> None:
    asking = meanwhile(lambda: ask("/history"))
    request = talk[1].request()
    view.hear(Left(room="lobby", reason="elsewhere"))
    talk[1].tell(History(room="lobby", posts=[post(1, "hi")], complete=True, id=request["id"]))
    assert [line for line in asking.get() if line.endswith("bert: hi")]


@pytest.mark.parametrize(
    ("typed", "offers"),
    [
        ("/jo", ["/join "]),
        ("/join d", ["dev"]),
        ("/leave l", ["lobby"]),
        ("/msg b", ["bea ", "Bert "]),
        ("/help xy", []),
        ("/help j", ["join"]),
        ("/help ni", ["nick"]),
        ("/sig", ["/signin ", "/signoff ", "/signout "]),
        ("/dance b", []),
        ("be", ["bea: ", "Bert: "]),
        ("hello be", ["bea ", "Bert "]),
        ("//be", []),
        ("hello @be", ["@bea ", "@Bert "]),
        ("@BE", ["@bea ", "@Bert "]),
        ("/JO", ["/join "]),
        (" /MSG b", ["bea ", "Bert "]),
        ("/whisper b", ["bea ", "Bert "]),
        ("/part l", ["lobby"]),
        ("an", []),
    ],
)
def test_tab_completes_by_position(view: View, typed: str, offers: list[str]) -> None:
    assert completions(typed, view)[1] == offers
