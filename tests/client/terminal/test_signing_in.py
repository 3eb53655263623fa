"""Accounts at a terminal: the password is never seen, the session is kept and used."""

import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from geventchat.client import Connection, Joined, Post, Presence, SignIn
from geventchat.client.terminal import kept_session
from geventchat.client.terminal.client_id import folder
from geventchat.client.terminal.kept_session import KeptSession
from tests.client.terminal.conftest import Open
from tests.process import served
from tests.terminal import Terminal

ENTER, UP, CTRL_C, CTRL_U = "\r", "\x1b[A", "\x03", "\x15"
PASSWORD = "correct horse"


@pytest.fixture
def nick(room: str) -> str:
    return f"a{room}"


@pytest.fixture
def laptop(port: int, room: str, nick: str) -> Iterator[Connection]:
    """Another device of an account."""
    with Connection("127.0.0.1", port, nick=nick, rooms=[room]) as chat:
        chat.register(nick, PASSWORD)
        yield chat


def until(terminal: Terminal, part: str) -> list[str]:
    return terminal.until(lambda lines: any(part in line for line in lines))


def sign_in(terminal: Terminal, nick: str, password: str = PASSWORD) -> None:
    terminal.type(f"/login {nick}", ENTER)
    terminal.until(lambda lines: f"Password of {nick}:" in lines)
    terminal.type(password, ENTER)


def kept() -> list[Path]:
    return list(folder().glob("*.session"))


def test_registering_keeps_the_nick_and_the_session(
    open_terminal: Open, room: str, nick: str
) -> None:
    terminal = open_terminal("--room", room, "--nick", nick)
    terminal.until_line(f"{room}>")
    terminal.type("/register", ENTER)
    terminal.until_line(f"Password for {nick}:")
    terminal.type(PASSWORD, ENTER)
    terminal.until_line("The same again:")
    terminal.type(PASSWORD, ENTER)
    until(terminal, f"signed in as {nick}")
    until(terminal, f"{nick} is registered; /login {nick}")
    terminal.type(UP)
    terminal.until_line(f"{room}> /register")  # not the password
    assert PASSWORD.encode() not in terminal.raw
    (file,) = kept()
    assert PASSWORD.encode() not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    again = open_terminal()
    until(again, f"as {nick}; /help lists commands")
    until(again, f"──── {room} · 1 here ────")  # the room of the account


def test_a_password_emptied_with_ctrl_c_is_not_kept_among_the_lines(
    open_terminal: Open, room: str, nick: str
) -> None:
    terminal = open_terminal("--room", room, "--nick", nick)
    terminal.until_line(f"{room}>")
    terminal.type("/register", ENTER)
    terminal.until_line(f"Password for {nick}:")
    terminal.type(PASSWORD)
    terminal.until_line(f"Password for {nick}: {'*' * len(PASSWORD)}")
    terminal.type(CTRL_C)
    terminal.until_line(f"Password for {nick}:")
    terminal.type(ENTER)
    until(terminal, "Nothing was changed.")
    terminal.until_line(f"{room}> /register")  # given back
    terminal.type(CTRL_U)
    terminal.until_line(f"{room}>")
    terminal.type(UP)
    terminal.until_line(f"{room}> /register")
    assert PASSWORD.encode() not in terminal.raw


def test_a_guest_registers_a_nick_in_one_step(open_terminal: Open, room: str, nick: str) -> None:
    terminal = open_terminal("--room", room)
    terminal.until_line(f"{room}>")
    terminal.type("/register", ENTER)
    until(terminal, "Choose a nick: /register NICK")
    terminal.type(f" {nick}", ENTER)  # the line is still there
    terminal.until_line(f"Password for {nick}:")
    terminal.type(PASSWORD, ENTER)
    terminal.until_line("The same again:")
    terminal.type(PASSWORD, ENTER)
    until(terminal, f"signed in as {nick}")
    until(terminal, f"{nick} is registered; /login {nick}")
    (file,) = kept()
    assert nick in file.read_text()


def test_sessions_of_one_day_are_told_apart_by_the_minute(
    open_terminal: Open, laptop: Connection, room: str, nick: str
) -> None:
    terminal = open_terminal()
    terminal.until_line("lobby>")
    sign_in(terminal, nick)
    until(terminal, f"──── {room} · 1 here ────")
    terminal.type("/sessions", ENTER)
    lines = until(terminal, "this one")
    shown = [line for line in lines if " since " in line]
    assert len(shown) == 2
    for line in shown:
        assert re.search(r" since \d{4}-\d\d-\d\d \d\d:\d\d, used", line), line
    assert " 1 since " in shown[0]  # a program that says nothing about itself
    assert f" 2 terminal on {platform.node()}"[:40] in shown[1]


def test_two_that_differ_change_nothing(open_terminal: Open, room: str, nick: str) -> None:
    terminal = open_terminal("--room", room, "--nick", nick)
    terminal.until_line(f"{room}>")
    terminal.type("/register", ENTER)
    terminal.until_line(f"Password for {nick}:")
    terminal.type(PASSWORD, ENTER)
    terminal.until_line("The same again:")
    terminal.type("another horse", ENTER)
    until(terminal, "The two were not the same; nothing was changed.")
    assert kept() == []


def test_a_device_that_signs_in_is_the_same_person(
    open_terminal: Open, laptop: Connection, room: str, nick: str
) -> None:
    terminal = open_terminal()
    terminal.until_line("lobby>")
    sign_in(terminal, nick)
    until(terminal, f"──── {room} · 1 here ────")
    terminal.type("hello from here", ENTER)
    post = next(event for event in laptop if isinstance(event, Post))
    assert (post.text, post.account) == ("hello from here", laptop.account)
    laptop.say(room, "hello from there")
    until(terminal, f"{nick}: hello from there")
    assert PASSWORD.encode() not in terminal.raw


def test_a_wrong_password_says_so_and_goes_on_as_before(
    open_terminal: Open, laptop: Connection, nick: str, room: str
) -> None:
    for number in range(60):  # more than the screen has lines
        laptop.say(room, f"line {number}")
    terminal = open_terminal("--nick", f"q{room}")
    terminal.until_line("lobby>")
    terminal.type(f"/join {room}", ENTER)
    until(terminal, "line 59")
    sign_in(terminal, nick, "wrong horse")
    shown = until(terminal, "Wrong nick, password or session.")
    told = next(place for place, line in enumerate(shown) if "Wrong nick" in line)
    assert not any("line 59" in line for line in shown[told:])
    assert f"{room}>" in shown
    terminal.type("/rooms", ENTER)
    until(terminal, "2 lobby")
    until(terminal, f"q{room}")
    assert kept() == []


def test_the_prompt_that_only_prints_asks_unseen_too(
    open_terminal: Open, laptop: Connection, room: str, nick: str
) -> None:
    terminal = open_terminal(term="dumb")
    until(terminal, "connected to")
    terminal.type(f"/login {nick}\n")
    until(terminal, f"Password of {nick}:")
    terminal.type(f"{PASSWORD}\n")
    until(terminal, f"as {nick}; /help lists commands")
    until(terminal, f"──── {room}")
    terminal.type("seen again\n")
    until(terminal, f"{nick}: seen again")
    assert b"seen again\r\n" in terminal.raw  # the terminal's own echo
    assert PASSWORD.encode() not in terminal.raw


def test_signing_out_ends_the_session(
    open_terminal: Open, laptop: Connection, port: int, nick: str
) -> None:
    terminal = open_terminal()
    terminal.until_line("lobby>")
    sign_in(terminal, nick)
    until(terminal, f"as {nick}; /help lists commands")
    assert len(laptop.sessions()) == 2
    terminal.type("/logout", ENTER)
    terminal.until(lambda lines: sum("as guest-" in line for line in lines) == 2)
    assert not any("revoked" in line for line in terminal.lines)
    assert [each.current for each in laptop.sessions()] == [True]
    assert kept() == []


def test_a_revoked_session_says_so_once_and_is_forgotten(
    open_terminal: Open, laptop: Connection, nick: str
) -> None:
    terminal = open_terminal()
    terminal.until_line("lobby>")
    sign_in(terminal, nick)
    until(terminal, f"as {nick}; /help lists commands")
    (theirs,) = [each for each in laptop.sessions() if not each.current]
    laptop.revoke(theirs.id)
    until(terminal, "! This session was revoked. Sign in again.")
    assert terminal.exit_code() == 1
    assert kept() == []
    until(open_terminal(), "as guest-")


def test_a_session_that_ended_meanwhile_is_no_silent_guest(
    open_terminal: Open, laptop: Connection, port: int, nick: str
) -> None:
    terminal = open_terminal()
    terminal.until_line("lobby>")
    sign_in(terminal, nick)
    until(terminal, f"as {nick}; /help lists commands")
    terminal.close()
    laptop.change_password(PASSWORD, "battery staple")
    again = open_terminal()
    until(again, "geventchat: Wrong nick, password or session.")
    assert again.exit_code() == 1
    assert kept() == []


def test_another_nick_is_another_person(open_terminal: Open, laptop: Connection, nick: str) -> None:
    terminal = open_terminal()
    terminal.until_line("lobby>")
    sign_in(terminal, nick)
    until(terminal, f"as {nick}; /help lists commands")
    until(open_terminal("--nick", f"{nick}x"), f"as {nick}x; /help lists commands")
    assert len(kept()) == 1


def test_a_room_that_is_asked_for_is_joined(
    open_terminal: Open, laptop: Connection, room: str, nick: str
) -> None:
    terminal = open_terminal()
    terminal.until_line("lobby>")
    sign_in(terminal, nick)
    until(terminal, f"as {nick}; /help lists commands")
    terminal.close()
    other = open_terminal("--room", f"{room}-b")
    other.until_line(f"{room}-b>")
    until(other, f"──── {room}-b · 1 here ────")


def test_a_direct_message_waits_for_who_is_away(
    open_terminal: Open, laptop: Connection, port: int, nick: str
) -> None:
    bob = f"b{nick}"
    with Connection("127.0.0.1", port, nick=bob, rooms=[]) as chat:
        session = chat.register(bob, PASSWORD).session
    terminal = open_terminal()
    terminal.until_line("lobby>")
    sign_in(terminal, nick)
    until(terminal, f"as {nick}; /help lists commands")
    terminal.type(f"/msg {bob} Lunch?", ENTER)
    until(terminal, f"→ {bob}: Lunch? (stored in @{bob})")
    with Connection("127.0.0.1", port, account=SignIn(session=session)) as chat:
        post = next(event for event in chat if isinstance(event, Post) and event.room[0] == "@")
        assert (post.author, post.text) == (nick, "Lunch?")
        chat.say(post.room, "Yes")
        until(terminal, f"{bob} → you: Yes")
        terminal.type(f"/msg {bob}", ENTER)
        terminal.until_line(f"@{bob}>")
        terminal.type("At one", ENTER)
        said = next(event for event in chat if isinstance(event, Post) and event.author == nick)
        assert said.text == "At one"


def test_a_conversation_begins_without_a_text_and_who_is_blocked_is_listed(
    open_terminal: Open, laptop: Connection, port: int, nick: str
) -> None:
    bob = f"b{nick}"
    with Connection("127.0.0.1", port, nick=bob, rooms=[]) as chat:
        chat.register(bob, PASSWORD)
    terminal = open_terminal()
    terminal.until_line("lobby>")
    sign_in(terminal, nick)
    until(terminal, f"as {nick}; /help lists commands")
    terminal.type(f"/msg @{bob}", ENTER)
    terminal.until_line(f"@{bob}>")
    terminal.type("/block", ENTER)
    until(terminal, "blocked: nobody")
    terminal.type(f"/block {bob}", ENTER)
    until(terminal, f"blocked: {bob}")
    terminal.type("/block", ENTER)
    terminal.until(lambda lines: sum(f"blocked: {bob}" in line for line in lines) == 2)
    assert [each.nick for each in laptop.blocked()] == [bob]


def test_a_pipe_signs_in_and_talks_in_a_conversation(
    laptop: Connection, port: int, nick: str
) -> None:
    bob = f"b{nick}"
    with Connection("127.0.0.1", port, nick=bob, rooms=[]) as chat:
        session = chat.register(bob, PASSWORD).session
    kept_session.keep("127.0.0.1", port, KeptSession(bob, session))
    command = [sys.executable, "-m", "geventchat", "connect", f":{port}", "--room", f"@{nick}"]
    assert subprocess.run(command, check=False, input=b"Lunch?\n", timeout=20).returncode == 0
    joined = next(event for event in laptop if isinstance(event, Joined) and event.with_)
    post = next(event for event in laptop if isinstance(event, Post))
    assert (post.room, post.author, post.text) == (joined.room, bob, "Lunch?")
    with subprocess.Popen([*command, "--listen"], stdout=subprocess.PIPE) as listening:
        assert listening.stdout is not None
        next(e for e in laptop if isinstance(e, Presence) and (e.nick, e.event) == (bob, "join"))
        laptop.say(joined.room, "Yes\x1b")
        line = next(line for line in listening.stdout if b"Yes" in line).decode()
        assert line.endswith(f" @{nick} {nick}: Yes\\x1b\n")
        listening.terminate()


def test_a_pipe_ends_with_its_session(laptop: Connection, port: int, nick: str) -> None:
    kept_session.keep("127.0.0.1", port, KeptSession(nick, "no such session"))
    command = [sys.executable, "-m", "geventchat", "connect", f":{port}"]
    ended = subprocess.run(
        command, check=False, input=b"not as a guest\n", capture_output=True, timeout=20
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"geventchat: Wrong nick, password or session.")
    assert kept() == []


def test_a_server_that_requires_an_account_is_entered(open_terminal: Open, tmp_path: Path) -> None:
    with served(tmp_path, "--timeline", "memory:", "--accounts", "required") as process:
        terminal = open_terminal(port=process.address[1])
        terminal.until_line(
            "geventchat: This server requires an account. Sign in or register with a rich client."[
                :80
            ]
        )
        terminal.until(lambda lines: lines[-1:] == ["Nick:"])
        terminal.type("Zoe\n")
        terminal.until(lambda lines: lines[-1:] == ["Password (empty: a new account):"])
        terminal.type("\n")
        terminal.until(lambda lines: lines[-1:] == ["New password:"])
        terminal.type(f"{PASSWORD}\n")
        terminal.until(lambda lines: lines[-1:] == ["The same again:"])
        terminal.type(f"{PASSWORD}\n")
        until(terminal, "as Zoe; /help lists commands")
        assert PASSWORD.encode() not in terminal.raw
        until(open_terminal(port=process.address[1]), "as Zoe; /help lists commands")
