"""Without free descriptors connected clients are served, and others are rejected or wait."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from geventchat.server.transport.proxies import MOST_WAITING
from tests.conversations.peers import Bystanders, Plain
from tests.process import served

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def test_connections_over_the_descriptor_limit_are_rejected_with_the_reason(tmp_path: Path) -> None:
    with served(tmp_path, descriptors=200) as server, ExitStack() as stack:
        bystanders = stack.enter_context(Bystanders(server.address))
        crowd = [stack.enter_context(Plain(server.address)) for _ in range(102)]
        late = [stack.enter_context(Plain(server.address)) for _ in range(200)]
        for peer in late:
            (line,) = peer.rest()
            assert line == b"* geventchat: The server is full. Try again later."
        bystanders.check_heard()
        assert len(server.lines("(full=")) <= 3
        for peer in crowd[:10]:
            peer.send(b"q\0")
            peer.rest()
            peer.socket.close()
        began = time.monotonic()
        while (knock := _try_connect(server.address)) and time.monotonic() < began + 20:
            assert b"full" in knock[0]
        assert knock == []
        bystanders.check_heard()


def test_connections_that_wait_for_a_proxy_header_leave_descriptors_for_the_others(
    tmp_path: Path,
) -> None:
    proxy = "127.0.0.2"
    with served(tmp_path, "--proxy", proxy, descriptors=200) as server, ExitStack() as stack:
        bystanders = stack.enter_context(Bystanders(server.address))
        before = server.descriptors()
        for _ in range(300):
            stack.enter_context(Plain(server.address, source=proxy))
            assert server.descriptors() <= before + MOST_WAITING + 20
        late = stack.enter_context(Plain(server.address, source=proxy))
        late.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\nhello\0")
        bystanders.check_heard("hello")
        lines = server.lines("too many wait for their PROXY header")
        assert 1 <= len(lines) <= 5
        assert not server.lines("(descriptors=")


def test_a_limit_above_the_descriptors_is_warned_of_with_both_numbers(tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("limits.connections = 1000")
    with served(tmp_path, "--config", str(file), descriptors=200) as server:
        (line,) = server.lines("WARNING")
        text = (
            "limits.connections is 1000, but the file descriptor limit allows only 104; using that"
        )
        assert line.endswith(text)


@pytest.mark.parametrize(("descriptors", "most"), [(100, 50), (200, 104)])
def test_few_descriptors_are_warned_of_with_both_numbers(
    tmp_path: Path, descriptors: int, most: int
) -> None:
    with served(tmp_path, descriptors=descriptors) as server:
        (line,) = server.lines("WARNING")
        assert line.endswith(
            f"the file descriptor limit (ulimit -n) is {descriptors}, "
            f"which allows only {most} connections"
        )


def test_without_descriptors_the_server_waits_and_accepts_again_soon(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as server, Bystanders(server.address) as bystanders:
        server.allow(server.descriptors())
        began = time.monotonic()
        with ExitStack() as stack:
            waiting = [stack.enter_context(Plain(server.address)) for _ in range(30)]
            for peer in waiting:
                peer.send(b"q\0")
            while not server.lines("(descriptors="):
                assert time.monotonic() < began + 20
            bystanders.check_heard()
            while time.monotonic() < began + 1.2:  # long enough for more than one try
                bystanders.check_heard()
                time.sleep(0.05)
            server.allow(1_000)
            freed = time.monotonic()
            assert [peer.rest() for peer in waiting] == [[]] * 30
            assert time.monotonic() < freed + 10
        assert len(server.lines("(descriptors=")) <= time.monotonic() - began + 1
        assert server.lines("Traceback") == []
        bystanders.check_heard()


def _try_connect(address: tuple[str, int]) -> list[bytes]:
    with Plain(address) as peer:
        peer.shut()
        return peer.rest()
