"""`geventchat connect` on a terminal that can only print, as Emacs' shell is one."""

import signal
from collections.abc import Iterator

import pytest

from geventchat.client import Connection, Post
from geventchat.client.terminal.line_prompt import only_prints
from tests.client.peer import Listener
from tests.client.terminal.conftest import Open
from tests.terminal import Terminal


@pytest.fixture(params=["dumb", "unknown", ""])
def term(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def terminal(open_terminal: Open, bert: Connection, room: str) -> Terminal:
    return in_room(open_terminal, room, "dumb")


def in_room(open_terminal: Open, room: str, term: str) -> Terminal:
    terminal = open_terminal("--room", room, "--nick", f"anna-{room}", term=term)
    terminal.until(lambda lines: any(line.startswith(f"──── {room}") for line in lines))
    return terminal


def posts(chat: Connection) -> Iterator[str]:
    return (event.text for event in chat if isinstance(event, Post))


def test_no_escape_is_written_to_a_terminal_that_only_prints(
    open_terminal: Open, bert: Connection, room: str, term: str
) -> None:
    terminal = in_room(open_terminal, room, term)
    bert.say(room, f"anna-{room}: \x1b[31mred")
    said = rf"bert-{room}: anna-{room}: \x1b[31mred"
    terminal.until(lambda lines: any(line.endswith(said) for line in lines))
    terminal.type("hello\r")
    assert "hello" in posts(bert)
    terminal.type("/quit\r")
    assert terminal.exit_code() == 0
    assert b"\x1b" not in terminal.raw
    assert b"\a" not in terminal.raw


def test_the_shell_of_emacs_only_prints_whatever_term_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("INSIDE_EMACS", "29.1,comint")
    assert only_prints()
    monkeypatch.setenv("INSIDE_EMACS", "29.1,vterm")
    assert not only_prints()


@pytest.mark.parametrize("keys", ["q\r", "/quit\r", "\x03", "\x04"])
def test_a_user_can_leave(terminal: Terminal, keys: str) -> None:
    terminal.type(keys)
    assert terminal.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it(terminal: Terminal, number: int) -> None:
    terminal.process.kill(number)
    assert terminal.exit_code() == 0


def test_the_end_of_the_server_ends_it(open_terminal: Open, listener: Listener) -> None:
    terminal = open_terminal(port=listener.port, term="dumb")
    peer = listener.accept()
    peer.welcome()
    peer.tell(b'{"type":"bye","code":"kicked","text":"Out you go.","reconnect":false}')
    assert terminal.exit_code() == 1
    assert "    ! Out you go." in terminal.lines


@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
@pytest.mark.parametrize("quit", ["q", "/quit"])
def test_nothing_typed_after_quitting_is_sent(
    open_terminal: Open, bert: Connection, room: str, term: str, quit: str
) -> None:
    terminal = in_room(open_terminal, room, term)
    terminal.type(f"last words\r{quit}\rrm -rf private\r")
    assert terminal.exit_code() == 0
    bert.say(room, "afterwards")
    heard = posts(bert)
    assert [next(heard), next(heard)] == ["last words", "afterwards"]


def test_plain_mode_has_lines_too(open_terminal: Open, listener: Listener) -> None:
    terminal = open_terminal("--plain", port=listener.port, term="dumb")
    peer = listener.accept()
    peer.tell(b"hello\r\n")
    terminal.until(lambda lines: any(line.endswith("hello") for line in lines))
    terminal.type("/nick is text\r")
    assert peer.frame() == b"/nick is text"
    terminal.type("q\r")
    assert terminal.exit_code() == 0
