"""`geventchat connect` in a pipeline."""

import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import structs

from geventchat.client import Connection, Joined, Person, Post, Redacted
from geventchat.client.terminal.piped import line
from geventchat.protocol.events import Bye, Left, Pong
from tests.client.conftest import GEVENTCHAT
from tests.client.peer import Listener


def command(port: int, *options: str) -> list[str]:
    return [*GEVENTCHAT, "connect", f":{port}", *options]


def connect(port: int, *options: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(port, *options), input=said, capture_output=True, timeout=30, check=False
    )


@contextmanager
def connecting(port: int, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command(port, *options), stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout
    return process.stdout.readline().decode()


def joined(position: int, recovered: bool | None = None) -> Joined:
    return Joined(
        room="lobby", epoch="e" * 16, position=position, oldest=1, recovered=recovered, count=1
    )


def post(position: int, text: str) -> Post:
    return Post("lobby", position, "bert", 0, text)


def said(port: int, room: str) -> list[str]:
    with Connection("127.0.0.1", port, rooms=[room]) as chat:
        return [post.text for post in chat.history(room, 500).posts]


def test_each_input_line_is_a_message_stored_before_exit(port: int, room: str) -> None:
    done = connect(port, "--room", room, said="one\r\n\n日本 🎉\nq\nlast".encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert said(port, room) == ["one", "日本 🎉", "q", "last"]


def test_a_file_is_sent_like_a_pipe(port: int, room: str, tmp_path: os.PathLike[str]) -> None:
    file = os.path.join(tmp_path, "file")
    with open(file, "wb") as out:
        out.write(b"".join(b"%d\n" % number for number in range(300)))
    with open(file, "rb") as lines:
        done = subprocess.run(command(port, "--room", room), stdin=lines, timeout=30, check=True)
    assert done.returncode == 0
    assert said(port, room) == [f"{number}" for number in range(300)]


def test_posts_of_others_are_one_line_each_without_history(port: int, room: str) -> None:
    with Connection("127.0.0.1", port, nick="bert-p", rooms=[room]) as bert:
        bert.say(room, "before")
        with connecting(port, "--room", room, "--listen") as process:
            while len(bert.who(room).nicks) < 2:
                pass
            bert.say(room, "hi\n\x1b[31mthere")
            heard = read_line(process)
    date_and_time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"{date_and_time} {room} bert-p: hi\\n\\x1b\[31mthere\n", heard)


def test_own_posts_are_not_printed(port: int, room: str) -> None:
    with (
        Connection("127.0.0.1", port, nick="carl-p", rooms=[room]) as carl,
        connecting(port, "--room", room) as process,
    ):
        assert process.stdin
        process.stdin.write(b"mine\n")
        process.stdin.flush()
        for event in carl:
            if isinstance(event, Post):
                break
        carl.say(room, "yours")
        assert read_line(process).endswith("carl-p: yours\n")


def test_nobody_can_guess_the_key_of_a_line(listener: Listener) -> None:
    """Whoever could would acknowledge lines that are not stored, and hide their own posts."""
    with connecting(listener.port) as process:
        peer = listener.accept()
        peer.welcome()
        peer.tell(joined(0))
        peer.tell(Pong(id=peer.request()["id"]))
        assert process.stdin
        process.stdin.write(b"one\ntwo\n")
        process.stdin.close()
        first, second = (peer.request()["key"] for _ in range(2))
        guessed = f"{first[:-1]}2"
        assert guessed != second
        peer.tell(structs.replace(post(1, "forged"), key=guessed))
        assert read_line(process).endswith("forged\n")


def test_a_closed_output_ends_a_listener(port: int, room: str) -> None:
    with (
        Connection("127.0.0.1", port, rooms=[room]) as bert,
        connecting(port, "--room", room, "--listen") as process,
    ):
        assert process.stdout
        assert process.stderr
        while len(bert.who(room).nicks) < 2:
            pass
        process.stdout.close()
        bert.say(room, "into nothing")
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""


def test_remaining_input_is_sent_although_the_output_is_closed(port: int, room: str) -> None:
    with (
        Connection("127.0.0.1", port, rooms=[room]) as bert,
        connecting(port, "--room", room) as process,
    ):
        assert process.stdin
        assert process.stdout
        while len(bert.who(room).nicks) < 2:
            pass
        process.stdout.close()
        bert.say(room, "into nothing")
        bert.say(room, "nor this")
        process.stdin.write(b"one\ntwo\n")
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    assert said(port, room) == ["into nothing", "nor this", "one", "two"]


@pytest.mark.parametrize(
    ("options", "lines", "complaint"),
    [
        (["--room", "no rooms have spaces"], b"x", "A room name must not contain spaces"),
        (["--nick", "guest-1"], b"x", "guest-1 is reserved"),
        ([], "hi\n".encode("utf-16"), "the input is UTF-16; save it as UTF-8"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_1(
    port: int, options: list[str], lines: bytes, complaint: str
) -> None:
    done = connect(port, *options, said=lines)
    assert done.returncode == 1
    assert done.stderr.startswith(b"geventchat: ")
    assert complaint in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_a_refused_connection_is_reported() -> None:
    listener = Listener()
    listener.close()
    done = connect(listener.port)
    assert done.returncode == 1
    assert done.stderr.decode() == f"geventchat: 127.0.0.1:{listener.port}: Connection refused\n"


def test_a_server_without_welcome_suggests_plain(listener: Listener) -> None:
    with connecting(listener.port) as process:
        peer = listener.accept()
        peer.frame()
        peer.socket.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr
        assert "--plain" in process.stderr.read().decode()


def test_the_password_comes_from_a_file_or_the_environment(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEVENTCHAT_PASSWORD", "battery")
    with connecting(listener.port):
        assert listener.accept().welcome()["password"] == "battery"
    file = tmp_path / "password"
    file.write_text("horse\n")
    with connecting(listener.port, "--password-file", str(file)):
        assert listener.accept().welcome()["password"] == "horse"


def test_a_missing_password_is_reported_in_a_pipe(listener: Listener) -> None:
    with connecting(listener.port) as process:
        peer = listener.accept()
        peer.frame()
        peer.tell(Bye(code="password", text="This server requires a password.", reconnect=False))
        peer.socket.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr
        assert process.stderr.read() == b"geventchat: This server requires a password.\n"


def test_a_lost_connection_is_one_line_and_exit_code_1(listener: Listener) -> None:
    with connecting(listener.port) as process:
        peer = listener.accept()
        peer.welcome()
        peer.frame()
        peer.socket.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr
        assert process.stderr.read().count(b"\n") == 1


def test_posts_missed_while_disconnected_are_printed(listener: Listener) -> None:
    with connecting(listener.port, "--listen") as process:
        peer = listener.accept()
        peer.welcome()
        peer.tell(joined(2), post(1, "before"), post(2, "before"))
        peer.tell(Pong(id=peer.request()["id"]))
        peer.tell(post(3, "live"))
        assert read_line(process).endswith("live\n")
        peer.socket.close()
        peer = listener.accept()
        peer.welcome()
        peer.tell(joined(4, True), post(4, "missed"))
        assert read_line(process).endswith("missed\n")
        peer.socket.close()
        peer = listener.accept()
        peer.welcome()
        peer.tell(joined(1, False), post(1, "after a gap"))
        assert read_line(process).endswith("after a gap\n")


def test_a_listener_is_told_that_it_is_no_longer_in_a_room(listener: Listener) -> None:
    with connecting(listener.port, "--listen") as process:
        peer = listener.accept()
        peer.welcome()
        peer.tell(joined(0), Pong(id=peer.request()["id"]))
        peer.tell(Left(room="lobby", reason="ended"))
        assert process.stderr
        assert process.stderr.readline() == b"geventchat: an operator has ended lobby\n"


def test_plain_speaks_the_original_protocol_and_nothing_else(listener: Listener) -> None:
    with connecting(listener.port, "--plain") as process:
        peer = listener.accept()
        peer.tell(b"welcome to \x1b[31mold times")
        assert read_line(process) == "welcome to \\x1b[31mold times\n"
        assert process.stdin
        process.stdin.write("/nick anna\nhé\nq\nnever said\n".encode())
        process.stdin.flush()
        assert [peer.frame() for _ in range(3)] == [b"/nick anna", "hé".encode(), b""]
        peer.tell(b"last words")
        peer.socket.close()
        assert read_line(process) == "last words\n"
        assert process.wait(timeout=30) == 0


def test_a_change_in_a_conversation_names_it_as_its_posts_do(listener: Listener) -> None:
    with connecting(listener.port, "--listen") as process:
        peer = listener.accept()
        peer.welcome()
        bert = Person(nick="bert", account="account-bert")
        peer.tell(structs.replace(joined(0), room="@Xb81kQz0Tn4c", with_=bert))
        peer.tell(Pong(id=peer.request()["id"]))
        peer.tell(Redacted(room="@Xb81kQz0Tn4c", position=1, change=1, by="bert"))
        assert read_line(process).endswith(" @bert bert redacted #1\n")


def test_a_multi_line_post_is_one_line_that_can_be_undone() -> None:
    (when, _, rest) = line(Post("dev", 1, "anna", 0, "a\nb\\n \x1b")).partition(" dev ")
    assert rest == r"anna: a\nb\\n \x1b"
    assert rest.encode().decode("unicode_escape") == "anna: a\nb\\n \x1b"
    assert len(when) == len("2026-11-28 14:00:00")


def test_a_direct_message_is_a_line_of_its_own_form(port: int, room: str) -> None:
    with (
        Connection("127.0.0.1", port, nick="dora-p", rooms=[room]) as dora,
        connecting(port, "--room", room, "--listen", "--nick", "ears-p") as process,
    ):
        while len(dora.who(room).nicks) < 2:
            pass
        dora.direct("ears-p", "are you there\n")
        assert re.fullmatch(r"\S+ \S+ DIRECT dora-p: are you there\n", read_line(process))


def test_a_plain_connection_lost_behind_the_last_line_is_exit_code_1(listener: Listener) -> None:
    with connecting(listener.port, "--plain") as process:
        peer = listener.accept()
        assert process.stdin
        process.stdin.write(b"one\n")
        process.stdin.close()
        assert [peer.frame(), peer.frame()] == [b"one", b""]
        reset = struct.pack("ii", 1, 0)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        peer.socket.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr
        assert b"The connection was lost" in process.stderr.read()


def test_the_line_end_of_a_post_is_not_printed() -> None:
    assert line(Post("dev", 1, "anna", 0, "a\r\n")).endswith(" dev anna: a")
