"""Users over WebSocket, as browsers are."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
from gevent.server import StreamServer
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from geventchat.protocol import events
from geventchat.protocol.events import Limits, Welcome
from geventchat.protocol.requests import Hello
from geventchat.protocol.websocket import text_frame
from loadtests.support.websocket import WebLink
from tests.conversations.certificates import Authority
from tests.loadtests.conftest import HERE, LOAD, Run
from tests.loadtests.web import until
from tests.process import served

BUSY = ("--talk-seconds", "0.2", "--room-size", "10")
HELLO = Hello(version=1, client="uK3yq0Zr4mSx1Wv8", rooms={})
WELCOME = Welcome(
    version=1, nick="ann", server="", features=[], ping_seconds=30,
    limits=Limits(frame_bytes=65_536, rooms=100, nick_length=30),
)  # fmt: skip


def test_browsers_chat_without_a_failure_on_a_server_of_their_own(load: Callable[..., Run]) -> None:
    run = load("--web", "-u", "60", "-t", "5s", *BUSY)

    assert run.code == 0, run.said
    assert run.failures() == set()
    assert "no PlainTalker: the web door has no plain mode" in run.said
    counts = run.counts()
    for name in ("delivered", "acknowledged", "direct", "join", "resume"):
        assert counts[name] > 0, name
    last = run.rows("chat_history")[-1]
    assert float(last["largest_outbox_kb"]) >= 0  # from the server's own /metrics


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """Return chat address and web address of a server with TLS and a password, and its CA."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder)
    (folder / "password").write_text("correct horse\n")
    options = ["--tls-cert", authority.issue("server"), "--web", "127.0.0.1:0"]
    with served(folder, *options, "--password-file", f"{folder}/password") as server:
        until(lambda: bool(server.lines("browsers is at")))
        (line,) = server.lines("browsers is at")
        found = re.search(r"https://(\S+)/", line)
        assert found
        yield "{}:{}".format(*server.address), found[1], authority.ca


def loaded(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [*LOAD, "--headless", "-u", "20", "-t", "3s", *BUSY, *options]
    environment = os.environ | {"GEVENTCHAT_PASSWORD": "correct horse"}
    return subprocess.run(
        command, cwd=HERE, check=False, text=True, capture_output=True, env=environment
    )


def test_browsers_use_tls_and_log_in(secured: tuple[str, str, str]) -> None:
    _, web, ca = secured
    run = loaded("--web", "--host", web, "--ca", ca)
    assert run.returncode == 0, run.stderr
    assert "failures 0" in run.stderr


def test_the_wrong_door_is_said_in_a_line_before_the_run(secured: tuple[str, str, str]) -> None:
    chat, web, ca = secured
    run = loaded("--web", "--host", chat, "--ca", ca)
    assert run.returncode == 2
    assert run.stderr.startswith(f"load: Cannot connect to {chat}: there is no WebSocket: ")
    assert run.stderr.count("\n") == 1
    run = loaded("--web", "--host", web, "--ca", ca, "PlainTalker")
    assert run.returncode == 2
    why = "the web door has no plain mode"
    assert f"No PlainTalker can connect, since {why}: choose other" in run.stderr.splitlines()[-1]


@pytest.mark.timeout(90)
def test_the_capacity_can_be_asked_for_browsers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loadtests.capacity", "--web", "--most", "20"]
    command += ["--seconds", "1", "--talk-seconds", "0.2", "--bound-ms", "5000"]
    command += ["--html", f"{tmp_path}/capacity.html"]
    run = subprocess.run(command, cwd=HERE, check=False, text=True, capture_output=True)
    assert "This machine supports at least 20 browsers in rooms of 20" in run.stdout, run
    assert run.returncode == 0


def linked(*said: bytes) -> WebLink:
    """Return a link, after its welcome, to a server that then says this and closes."""

    def serve(sock: socket.socket, _: object) -> None:
        protocol = ServerProtocol()
        while not (asked := protocol.events_received()):
            protocol.receive_data(sock.recv(4096))
        assert isinstance(asked[0], Request)
        protocol.send_response(protocol.accept(asked[0]))
        sock.sendall(b"".join(protocol.data_to_send()))
        sock.recv(4096)  # hello
        sock.sendall(text_frame(events.encode(WELCOME)) + b"".join(said))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    try:
        link = WebLink(*server.address)
        link.say_hello(HELLO)
    finally:
        server.close()
    return link


def bye(code: str) -> bytes:
    return text_frame(b'{"type":"bye","code":"%b","text":"","reconnect":true}' % code.encode())


def close(code: int) -> bytes:
    return Frame(Opcode.CLOSE, Close(code, "").serialize()).serialize(mask=False)


def ended(link: WebLink) -> tuple[list[object], str, str]:
    """Return what a link heard, and with which code and text it ended."""
    with gevent.Timeout(20):
        heard: list[object] = [event for event, _ in link]
    assert link.ended is not None
    return heard, link.ended.code, link.ended.text


def test_a_bye_with_its_close_code_ends_a_link() -> None:
    assert ended(linked(bye("slow"), close(4000)))[1] == "slow"
    assert ended(linked(bye("of_later_versions"), close(4999)))[1] == "of_later_versions"


def test_a_close_code_that_does_not_fit_the_bye_is_a_failure() -> None:
    _, code, text = ended(linked(bye("slow"), close(1000)))
    assert (code, text) == ("lost", "bye slow was followed by the close code 1000.")
    _, code, text = ended(linked(bye("slow")))
    assert (code, text) == ("lost", "bye slow was followed by the close code 1006.")


def test_a_message_may_be_in_fragments_with_a_ping_between() -> None:
    topic = b'{"type":"typing","room":"lobby","nick":"bob"}'
    pieces = (
        Frame(Opcode.TEXT, topic[:9], fin=False), Frame(Opcode.PING, b"?"),
        Frame(Opcode.CONT, topic[9:]),
    )  # fmt: skip
    heard, code, _ = ended(linked(*(piece.serialize(mask=False) for piece in pieces), close(1001)))
    assert [type(event).__name__ for event in heard] == ["Typing"]
    assert code == "lost"


def test_what_is_not_websocket_ends_a_link_with_the_reason() -> None:
    _, code, text = ended(linked(b"\xc1\x00"))
    assert code == "lost"
    assert text.startswith("The server violated RFC 6455: ")
