"""/search and /goto at the terminal, with a real server."""

from datetime import date

import pytest

from geventchat.client import Connection
from geventchat.client.terminal.command import run_command
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.typed import read
from geventchat.client.terminal.view import View


def ask(chat: Connection, view: View, line: str) -> list[str]:
    meant = read(line)
    assert isinstance(meant, tuple)
    return ["".join(text for _, text in shown) for shown in run_command(*meant, chat, view)]


def test_what_is_found_is_numbered_and_can_be_gone_to(port: int, room: str) -> None:
    view = View(room, "anna", date(2026, 3, 3))
    with Connection("127.0.0.1", port, rooms=[room]) as chat:
        for text in ("before", f"green {room}", "after"):
            chat.say(room, text)
        (line, hint) = ask(chat, view, f"/search green {room}")
        assert line.startswith(f"  1 {room} ")
        assert line.endswith(f": green {room}")
        assert "/goto" in hint
        shown = ask(chat, view, "/goto 1")
        assert [each.rpartition(": ")[2] for each in shown[1:-1]] == [
            "before",
            f"green {room}",
            "after",
        ]


def test_nothing_found_is_said(port: int, room: str) -> None:
    view = View(room, "anna", date(2026, 3, 3))
    with Connection("127.0.0.1", port, rooms=[room]) as chat:
        (line,) = ask(chat, view, f"/search nothing-{room}-of-the-kind")
        assert "nothing was found" in line
        for number in ("1", "0", "x", "9" * 5_000):
            with pytest.raises(NotUnderstood, match="/goto NUMBER"):
                ask(chat, view, f"/goto {number}")
