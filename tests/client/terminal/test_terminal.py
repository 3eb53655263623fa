"""`geventchat connect` on a terminal of its own, read as a user reads it."""

import signal
from collections.abc import Iterator

import pytest

from geventchat.client import Connection, Direct, Joined, Left, Post
from geventchat.protocol.events import Bye
from tests.client.peer import Listener, joined, post
from tests.client.terminal.conftest import Open
from tests.terminal import Terminal

TAB, ENTER = "\t", "\r"
ALT, ALT_LEFT, ALT_RIGHT = "\x1b", "\x1b[1;3D", "\x1b[1;3C"
HOME, DELETE, UP = "\x1b[H", "\x1b[3~", "\x1b[A"


@pytest.fixture
def terminal(open_terminal: Open, bert: Connection, room: str) -> Terminal:
    """Return a terminal in a room with bert, who knows its user as anna and the room's name."""
    terminal = open_terminal("--room", room, "--nick", f"anna-{room}")
    terminal.until(lambda lines: lines[-1:] == [f" {room} · 2 here · anna-{room}"])
    return terminal


def heard(chat: Connection) -> Post:
    """Return the next post that a connection hears."""
    return next(event for event in chat if isinstance(event, Post))


def told(chat: Connection) -> Iterator[Post | Direct]:
    """Yield what a connection is told in words, in a room or alone."""
    return (event for event in chat if isinstance(event, Post | Direct))


def test_messages_appear_above_the_input_line(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    terminal.type("half a th")
    terminal.until_line(f"{room}> half a th")
    bert.say(room, "日本 🎉 first")
    terminal.until(lambda lines: any("first" in line for line in lines))
    terminal.type("ought")
    lines = terminal.until_line(f"{room}> half a thought")
    assert lines[lines.index(f"{room}> half a thought") - 1].endswith("日本 🎉 first")
    terminal.type(ENTER)
    assert heard(bert).text == "日本 🎉 first"
    assert heard(bert).text == "half a thought"
    terminal.until(lambda lines: lines[-3].endswith(f"anna-{room}: half a thought"))
    assert terminal.lines[-2] == f"{room}>"


def test_a_server_with_a_password_asks_for_it(open_terminal: Open, listener: Listener) -> None:
    terminal = open_terminal(port=listener.port)
    for said, needs in (("wrong", "This server requires a password."), ("horse", "That is wrong.")):
        peer = listener.accept()
        peer.frame()
        peer.tell(Bye(code="password", text=needs, reconnect=False))
        peer.socket.close()
        terminal.until_line(f"geventchat: {needs}")
        terminal.until(lambda lines: lines[-1:] == ["Password:"])
        terminal.type(said, ENTER)
    peer = listener.accept()
    assert peer.welcome()["password"] == "horse"
    terminal.until(lambda lines: any("connected to" in line for line in lines))
    assert b"horse" not in terminal.raw


def test_the_password_prompt_can_be_cancelled(open_terminal: Open, listener: Listener) -> None:
    terminal = open_terminal(port=listener.port)
    peer = listener.accept()
    peer.frame()
    peer.tell(Bye(code="password", text="This server requires a password.", reconnect=False))
    peer.socket.close()
    terminal.until_line("Password:")
    terminal.type("\x03")
    assert terminal.exit_code() == 130


def test_tab_completes_commands_nicks_and_rooms(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    terminal.type("/ms", TAB, "be", TAB, "psst", ENTER)
    terminal.until(lambda lines: any(f"→ bert-{room}: psst" in line for line in lines))
    terminal.type("be", TAB)
    terminal.until_line(f"{room}> bert-{room}:")


def test_text_of_others_is_never_executed(terminal: Terminal, bert: Connection, room: str) -> None:
    bert.say(room, "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b31m\x08\r\u202e")
    shown = r"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b31m\x08\r\u202e"
    terminal.until(lambda lines: any(line.endswith(shown) for line in lines))
    assert b"\x1b]0;owned" not in terminal.raw
    assert b"\x1b[2J\x1b[31m" not in terminal.raw


def test_a_multi_line_paste_is_one_message(terminal: Terminal, bert: Connection, room: str) -> None:
    terminal.type("\x1b[200~one\n/two\nthree\n\x1b[201~")  # its last line's end comes with it
    terminal.until(lambda lines: any("three" in line for line in lines))
    terminal.type(ENTER)
    assert heard(bert).text == "one\n/two\nthree"


def test_colours_in_a_paste_that_is_not_marked_are_left_out(
    terminal: Terminal, bert: Connection
) -> None:
    terminal.type("a \x1b[31mred\x1b[0m line")
    terminal.until(lambda lines: any("red line" in line for line in lines))
    assert b"Traceback" not in terminal.raw
    terminal.type(ENTER)
    assert heard(bert).text == "a red line"


def test_a_paste_that_is_not_marked_is_one_message(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    lines = [*(f"line {n}" for n in range(300)), "q", "/leave", "the end"]
    terminal.type("\r".join(lines))
    terminal.until(lambda shown: any(line.endswith("the end") for line in shown))

    def sent(shown: list[str]) -> bool:
        terminal.type(ENTER)  # right behind a paste it still belongs to it
        return f"{room}>" in shown

    terminal.until(sent)
    assert heard(bert).text == "\n".join(lines)


def test_a_refused_text_can_be_had_back(terminal: Terminal, room: str) -> None:
    terminal.type("\x1b[200~begin\n", "x" * 70_000, "\x1b[201~", ENTER)
    terminal.until(lambda lines: any("    ! " in line for line in lines))
    terminal.type("\x1b[A", "\x15", ENTER)  # up, and its last line away
    terminal.until(lambda lines: any(line.endswith(": begin") for line in lines))


def test_a_draft_taller_than_the_window_leaves_room_for_messages(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    terminal.type("\x1b[200~", "\n".join(f"draft {n}" for n in range(40)), "\x1b[201~")
    terminal.until_line("draft 39")
    for n in range(6):
        bert.say(room, f"post {n}")
    terminal.until(lambda lines: any(line.endswith("post 5") for line in lines))
    terminal.until_line("draft 39")
    assert sum("draft 39" in line for line in terminal.lines) == 1
    assert all(any(line.endswith(f"post {n}") for line in terminal.lines) for n in range(6))


def test_joined_emoji_leave_the_input_line_whole(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    terminal.type(f"hi {family} x\x7f\x7f\x7fthere")
    terminal.until_line(f"{room}> hi there")
    terminal.type(f" {family}", ENTER)
    assert heard(bert).text == f"hi there {family}"
    terminal.until_line(f"{room}>")


def test_a_mention_rings_the_bell(terminal: Terminal, bert: Connection, room: str) -> None:
    bert.say(room, "nobody")
    terminal.until(lambda lines: any("nobody" in line for line in lines))
    assert b"\a" not in terminal.raw
    bert.say(room, f"Anna-{room}!")
    terminal.until(lambda lines: any(line.endswith(f"Anna-{room}!") for line in lines))
    assert b"\a" in terminal.raw


def test_switching_rooms_shows_their_unread_posts(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    other = f"{room}-b"
    terminal.type(f"/join {other}", ENTER)
    terminal.until_line(f"{other}>")
    bert.say(room, "elsewhere")
    terminal.until(lambda lines: f"{room} 1" in lines[-1])
    terminal.type(f"/join {room}", ENTER)
    terminal.until_line(f"{room}>")
    terminal.until(lambda lines: any(line.endswith("elsewhere") for line in lines))


def test_keys_change_the_room(terminal: Terminal, room: str) -> None:
    other = f"{room}-b"
    terminal.type(f"/join {other}", ENTER)
    terminal.until_line(f"{other}>")
    for keys, where in (
        (ALT + "1", room),
        (ALT + "2", other),
        (ALT_RIGHT, room),
        (ALT_LEFT, other),
        ("\x0e", room),  # Ctrl-N
        ("\x10", other),  # Ctrl-P
    ):
        terminal.type(keys)
        terminal.until(lambda lines, where=where: lines[-2:-1] == [f"{where}>"])  # type: ignore[misc]


def test_a_line_goes_to_the_room_it_was_typed_in(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    terminal.type(f"/join {room}-b", ENTER, "there", ENTER, ALT, "1", "here", ENTER)
    assert heard(bert).text == "here"


def test_a_private_text_behind_a_blank_never_lands_in_the_room(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    for line in (
        f" /msg bert-{room} one",
        f"\x1b[200~\n/msg bert-{room} two\x1b[201~",
        " /mgs x 3",
    ):
        terminal.type(line, ENTER)
    # The last was no command, and is in the input line again.
    terminal.until_line(f"{room}>  /mgs x 3")
    terminal.type(HOME, "/", DELETE, ENTER, f"/query bert-{room}", ENTER, "four", ENTER)
    said = [event for _, event in zip(range(4), told(bert), strict=False)]
    assert [event.text for event in said if isinstance(event, Direct)] == ["one", "two", "four"]
    assert [event.text for event in said if isinstance(event, Post)] == ["/mgs x 3"]
    terminal.until_line(f"→ bert-{room}>")


def test_a_nick_in_use_is_taken_when_it_is_free(
    open_terminal: Open, bert: Connection, room: str
) -> None:
    terminal = open_terminal("--room", room, "--nick", f"BERT-{room}")
    terminal.until(lambda lines: any(f"you get BERT-{room} when it is free" in x for x in lines))
    bert.close()
    terminal.until(lambda lines: lines[-1:] == [f" {room} · 1 here · BERT-{room}"])


def test_a_line_in_another_encoding_is_not_sent(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    terminal.process.send(b"caf\xe9")
    terminal.type(ENTER)
    terminal.until(lambda lines: any("! Not sent: that line is not UTF-8." in x for x in lines))
    terminal.type("café", ENTER)
    assert heard(bert).text == "café"


def test_what_is_typed_behind_a_command_finds_it_done(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    terminal.type(f"/leave{ENTER}/join {room}{ENTER}back again{ENTER}")
    terminal.until(lambda lines: any(line.endswith(f"anna-{room}: back again") for line in lines))
    assert heard(bert).text == "back again"


def test_what_was_stored_in_a_room_that_was_left_at_once_counts_as_sent(
    open_terminal: Open, listener: Listener
) -> None:
    terminal = open_terminal(port=listener.port)
    peer = listener.accept()
    peer.welcome()
    peer.tell(joined())
    terminal.until_line("lobby>")
    terminal.type(f"good night{ENTER}/leave{ENTER}")
    asked = {request["type"]: request for request in (peer.request() for _ in range(3))}
    assert asked.keys() == {"who", "say", "leave"}
    stored = post(1, "good night", asked["say"]["key"])
    peer.tell(stored, Left(room="lobby", id=asked["leave"]["id"]))  # in one piece
    terminal.until(lambda lines: any("you left lobby" in line for line in lines))
    terminal.type("q", ENTER)
    assert peer.request() == {"type": "bye"}
    peer.socket.close()
    assert terminal.exit_code() == 0
    assert b"Not sent" not in terminal.raw


def test_ctrl_c_empties_the_line_first(terminal: Terminal, room: str) -> None:
    terminal.type("half a thought")
    terminal.until_line(f"{room}> half a thought")
    terminal.type("\x03")
    terminal.until_line(f"{room}>")
    terminal.type(UP)
    terminal.until_line(f"{room}> half a thought")
    terminal.type("\x03\x03")
    assert terminal.exit_code() == 0


def test_half_a_line_survives_many_sizes(terminal: Terminal, bert: Connection, room: str) -> None:
    text = "w" * 180 + " end"
    terminal.type(text)
    for n, columns in enumerate([200, 40] * 10 + [200]):
        terminal.screen.resize(24, columns)
        terminal.process.setwinsize(24, columns)
        bert.say(room, f"post {n}")
    terminal.until(lambda lines: any(line.endswith("post 20") for line in lines))
    terminal.until_line(f"{room}> {text}")
    assert sum("> w" in line for line in terminal.lines) == 1
    terminal.type(ENTER)
    assert any(event.text == text for event in bert if isinstance(event, Post))


def test_the_screen_may_be_resized(terminal: Terminal, bert: Connection, room: str) -> None:
    terminal.type("still here")
    terminal.until_line(f"{room}> still here")
    terminal.screen.resize(12, 40)
    terminal.process.setwinsize(12, 40)
    bert.say(room, "after")
    terminal.until(lambda lines: any(line.endswith("after") for line in lines))
    terminal.type("!")
    terminal.until_line(f"{room}> still here!")


@pytest.mark.parametrize(
    "keys", ["q\r", "/quit\r", "\x03", "\x04"], ids=["q", "quit", "c-c", "c-d"]
)
def test_it_quits_cleanly(terminal: Terminal, keys: str) -> None:
    terminal.type(keys)
    assert terminal.exit_code() == 0
    assert terminal.lines[-1].startswith("────")  # the prompt is gone


def test_the_suspend_key_types_nothing(terminal: Terminal, room: str) -> None:
    terminal.type("half", "\x1a", " a thought")  # with no shell to go back to, it just goes on
    terminal.until_line(f"{room}> half a thought")


def test_the_last_message_is_sent_before_quitting(terminal: Terminal, bert: Connection) -> None:
    terminal.type("last words", ENTER, "q", ENTER)
    assert heard(bert).text == "last words"
    assert terminal.exit_code() == 0


def test_sigterm_restores_the_terminal(terminal: Terminal) -> None:
    terminal.process.kill(signal.SIGTERM)
    assert terminal.exit_code() == 0


def test_it_exits_when_its_window_is_closed(
    terminal: Terminal, bert: Connection, room: str
) -> None:
    terminal.process.ptyproc.fileobj.close()
    while terminal.process.isalive():
        bert.say(room, "to nobody")
    assert terminal.process.exitstatus == 0


def test_a_reconnect_shows_the_posts_missed_meanwhile(
    open_terminal: Open, listener: Listener
) -> None:
    terminal = open_terminal(port=listener.port)
    peer = listener.accept()
    peer.welcome()
    terminal.until_line("lobby>")
    listener.close()
    peer.socket.close()
    terminal.until(lambda lines: "disconnected, reconnecting: Connection refused" in lines[-1])
    listener.open()
    terminal.type("are you there", ENTER)
    terminal.until_line("    … are you there")
    again = listener.accept()
    hello = again.welcome()
    assert hello["rooms"] == {"lobby": None}
    say = again.request()
    assert say["text"] == "are you there"
    joined = Joined(room="lobby", epoch="e" * 16, position=0, oldest=1, recovered=None, count=1)
    again.tell(joined, Post("lobby", 1, "anna", 0, "are you there", say["key"]))
    terminal.until(lambda lines: any(line.endswith("anna: are you there") for line in lines))
    terminal.type("q", ENTER)
    assert [again.request()["type"] for _ in range(2)] == ["who", "bye"]
    again.socket.close()
    assert terminal.exit_code() == 0


def test_it_exits_if_the_server_forbids_reconnecting(
    open_terminal: Open, listener: Listener
) -> None:
    terminal = open_terminal(port=listener.port)
    peer = listener.accept()
    peer.welcome()
    peer.tell(b'{"type":"bye","code":"kicked","text":"Out you go.","reconnect":false}')
    assert terminal.exit_code() == 1
    assert "    ! Out you go." in terminal.lines


def test_plain_mode_has_only_messages(open_terminal: Open, listener: Listener) -> None:
    terminal = open_terminal("--plain", port=listener.port)
    peer = listener.accept()
    terminal.until_line("lobby>")
    peer.tell(b"hello \x1b[31mthere")
    terminal.until(lambda lines: any(line.endswith(r"hello \x1b[31mthere") for line in lines))
    terminal.type("/nick is text", ENTER)
    assert peer.frame() == b"/nick is text"
    terminal.until(lambda lines: any(line.endswith("you: /nick is text") for line in lines))
    terminal.type("q", ENTER)
    assert terminal.exit_code() == 0
    assert peer.frame() == b""
