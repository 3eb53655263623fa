"""What systemd hears of a server."""

import os
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent import socket

from geventchat.server.ops.supervisor import Supervisor


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return the socket of a systemd that expects signs of life."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def test_systemd_hears_that_the_server_is_ready_alive_and_stopping(systemd: socket.socket) -> None:
    supervisor = Supervisor()
    supervisor.ready()
    assert systemd.recv(100) == b"READY=1"
    assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    supervisor.stopping()
    while (state := systemd.recv(100)) == b"WATCHDOG=1":
        pass
    assert state == b"STOPPING=1\nWATCHDOG_USEC=0"


@pytest.mark.parametrize(
    ("name", "value"), [("WATCHDOG_USEC", "soon"), ("WATCHDOG_USEC", ""), ("WATCHDOG_PID", "1")]
)
def test_no_sign_of_life_is_sent_that_nobody_asked_for(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    supervisor = Supervisor()
    supervisor.ready()
    gevent.sleep(0)
    supervisor.stopping()
    assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"STOPPING=1\nWATCHDOG_USEC=0"]


@pytest.mark.parametrize("name", ["", "/none/such", "@no-such-name"])
def test_without_systemd_nothing_happens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    supervisor = Supervisor()
    supervisor.ready()
    supervisor.stopping()


def test_a_full_socket_does_not_block_the_server(systemd: socket.socket) -> None:
    supervisor = Supervisor()
    with gevent.Timeout(20):
        for _ in range(2_000):
            supervisor.stopping()
