"""A pipe sends many lines at once, and says which of them were not sent."""

import os
import pty
import subprocess

from geventchat.client import Connection
from geventchat.protocol.events import Bye, Error, Ping, Pong, Post, Sent
from tests.client.conftest import GEVENTCHAT
from tests.client.peer import Listener, Peer
from tests.client.terminal.test_piped import connect, connecting, joined, said


def welcomed(listener: Listener) -> Peer:
    peer = listener.accept()
    peer.welcome()
    peer.tell(joined(0))
    peer.tell(Pong(id=peer.request()["id"]))
    return peer


def test_lines_that_cannot_be_sent_are_named_and_the_rest_is_sent(port: int, room: str) -> None:
    lines = [b"first", b"y" * 70_000, b"caf\xe9", b"a\0b", b"z" * 2_000_000, b"last"]
    done = connect(port, "--room", room, said=b"\n".join(lines))
    assert done.returncode == 1
    size, *others = done.stderr.decode().splitlines()
    assert size.startswith("geventchat: line 2 was not sent: Message too long: 70,0")
    assert others == [
        "geventchat: line 3 was not sent: not UTF-8",
        "geventchat: line 4 was not sent: holds U+0000, which no message can",
        "geventchat: line 5 was not sent: longer than 1,048,576 bytes",
    ]
    assert said(port, room) == ["first", "last"]


def test_a_flood_of_bad_lines_is_counted_not_listed(port: int, room: str) -> None:
    done = connect(port, "--room", room, said=b"\xff\n" * 1_000 + b"good\n")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 11
    assert done.stderr.endswith(b"geventchat: 1,000 lines were not sent\n")
    assert said(port, room) == ["good"]


def test_a_plain_pipe_names_a_line_that_is_too_long(port: int) -> None:
    with Connection("127.0.0.1", port) as chat:
        done = connect(port, "--plain", said=b"one-sp\n" + b"y" * 70_000 + b"\nthree-sp\n")
        chat.ping()
        heard = [each.text for each in chat.heard() if isinstance(each, Post)]
    assert done.returncode == 1
    assert b"line 2 was not sent: Message too long" in done.stderr
    assert [text for text in heard if text.endswith("-sp")] == ["one-sp", "three-sp"]


def test_many_lines_are_on_the_way_at_once_and_their_bytes_are_bounded(listener: Listener) -> None:
    with connecting(listener.port) as process:
        peer = welcomed(listener)
        assert process.stdin
        process.stdin.write(b"".join(b"%d\n" % number for number in range(1, 1_001)))
        process.stdin.close()
        asked = [peer.request() for _ in range(64)]  # and none of them is acknowledged
        for _ in range(20):  # whatever else it would send comes before one of these
            peer.tell(Ping())
            while (request := peer.request())["type"] != "pong":
                asked.append(request)
        assert [each["text"] for each in asked] == [f"{at}" for at in range(1, len(asked) + 1)]
        # The server takes a client that has 32 KiB waiting for a flood.
        assert sum(len(str(each)) for each in asked) < 32 << 10


def test_it_ends_only_when_every_line_is_acknowledged(listener: Listener) -> None:
    with connecting(listener.port) as process:
        peer = welcomed(listener)
        assert process.stdin
        process.stdin.write(b"one\ntwo\n")
        process.stdin.close()
        keys = [peer.request()["key"] for _ in range(2)]
        peer.tell(Post("lobby", 1, "me", 0, "one", keys[0]))
        peer.socket.close()
        peer = listener.accept()
        peer.welcome()
        assert peer.request()["key"] == keys[1]
        peer.tell(Sent(room="lobby", position=2, key=keys[1]))
        assert peer.request()["type"] == "bye"
        peer.socket.close()
        assert process.wait(timeout=30) == 0


def test_a_refused_line_is_named_and_is_the_last(listener: Listener) -> None:
    with connecting(listener.port) as process:
        peer = welcomed(listener)
        assert process.stdin
        process.stdin.write(b"one\ntwo\n")
        process.stdin.flush()
        keys = [peer.request()["key"] for _ in range(2)]
        peer.tell(Post("lobby", 1, "me", 0, "one", keys[0]))
        peer.tell(Error(code="muted", text="You are muted.", key=keys[1]))
        assert peer.request()["type"] == "bye"
        peer.socket.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr
        assert process.stderr.read().decode().splitlines() == [
            "geventchat: line 2 was not sent: You are muted.",
            "geventchat: nothing behind line 2 was sent",
        ]


def test_lines_without_an_answer_are_named_when_the_server_ends_it(listener: Listener) -> None:
    with connecting(listener.port) as process:
        peer = welcomed(listener)
        assert process.stdin
        process.stdin.write(b"one\ntwo\nthree\n")
        process.stdin.flush()
        keys = [peer.request()["key"] for _ in range(3)]
        peer.tell(Post("lobby", 1, "me", 0, "one", keys[0]))
        peer.tell(Bye(code="kicked", text="Kicked by an operator.", reconnect=False))
        peer.socket.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr
        assert process.stderr.read().decode().splitlines() == [
            "geventchat: line 2 and those behind it may not be stored",
            "geventchat: Kicked by an operator.",
        ]


def test_a_long_pipe_says_at_a_terminal_how_far_it_is(listener: Listener) -> None:
    terminal, end = pty.openpty()
    command = [*GEVENTCHAT, "connect", f":{listener.port}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=end) as process:
        os.close(end)
        peer = welcomed(listener)
        assert process.stdin
        process.stdin.write(b"one\ntwo\n")
        process.stdin.close()
        keys = [peer.request()["key"] for _ in range(2)]
        assert os.read(terminal, 1_000) == b"geventchat: 2 lines sent\r\n"  # waits 3 s
        for position, key in enumerate(keys, 1):
            peer.tell(Post("lobby", position, "me", 0, "text", key))
        assert peer.request()["type"] == "bye"
        peer.socket.close()
        assert process.wait(timeout=30) == 0
    os.close(terminal)
