"""/sessions and /revoke at the terminal, with a real server."""

from datetime import date

import pytest

from geventchat.client import Connection, SignIn
from geventchat.client.terminal.command import run_command
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.typed import read
from geventchat.client.terminal.view import View

PASSWORD = "correct horse"


def ask(chat: Connection, view: View, line: str) -> list[str]:
    meant = read(line)
    assert isinstance(meant, tuple)
    return ["".join(text for _, text in shown) for shown in run_command(*meant, chat, view)]


def test_a_number_means_the_session_that_was_shown_with_it(port: int, room: str) -> None:
    """Whatever has ended since: the next number could be one's own."""
    nick, view = f"a{room}", View(room, "anna", date(2026, 3, 3))
    with Connection("127.0.0.1", port, nick=nick, rooms=[room]) as laptop:
        laptop.register(nick, PASSWORD)
        account = SignIn(nick=nick, password=PASSWORD)
        with (
            Connection("127.0.0.1", port, account=account) as phone,
            Connection("127.0.0.1", port, account=account) as chat,
        ):
            assert len(ask(chat, view, "/sessions")) == 3
            first, second, own = chat.sessions()
            assert own.current
            phone.revoke(first.id)
            assert "session 2 has ended" in ask(chat, view, "/revoke 2")[0]
            assert [each.id for each in chat.sessions()] == [own.id]
            assert second.id != own.id


def test_a_session_has_to_be_shown_before_it_is_revoked(port: int, room: str) -> None:
    nick, view = f"a{room}", View(room, "anna", date(2026, 3, 3))
    with Connection("127.0.0.1", port, nick=nick, rooms=[room]) as chat:
        chat.register(nick, PASSWORD)
        for line in ("/revoke 1", "/revoke 0", "/revoke x", f"/revoke {'9' * 5_000}"):
            with pytest.raises(NotUnderstood, match="/sessions"):
                ask(chat, view, line)
        assert len(chat.sessions()) == 1
