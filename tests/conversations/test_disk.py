"""A failing disk: no message is acknowledged, no client disconnected, and no restart is needed.

The failures are those of the kernel: the server, a separate process, has a file size limit, or its
fsync fails.
"""

import http.client
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import psutil
import pytest

from geventchat.server.logs.writer import WAITING_LINES
from tests.conversations.conftest import Address
from tests.conversations.control import Control
from tests.conversations.peers import Plain, Rich, texts
from tests.process import Process, served

CLIENT = "a-client-that-stays"


@contextmanager
def full_disk(server: Process, folder: Path) -> Iterator[None]:
    """Limit the file size of the server to the current size of its write-ahead log."""
    size = os.path.getsize(folder / "chat.db-wal")
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    yield
    unlimited = resource.RLIM_INFINITY, resource.RLIM_INFINITY
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)


@contextmanager
def failing_fsync(server: Process) -> Iterator[None]:
    """Make every fsync of the server fail."""
    fault = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"]
    command = ["strace", "-f", *fault, "-o", os.devnull, "-p", str(server.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        if "attached" not in (line := strace.stderr.readline()):
            pytest.skip(line)  # often forbidden for a process that is not a child
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)  # detaches from the server


def refused(client: Rich, text: str, key: str) -> None:
    """Send a message that cannot be stored."""
    client.say("lobby", text, key=key)
    error = client.hear(lambda event: event["type"] == "error")[-1]
    assert (error["code"], error["key"]) == ("storage", key)


def test_on_a_full_disk_nothing_is_acknowledged_and_no_restart_is_needed_afterwards(
    tmp_path: Path,
) -> None:
    with (
        served(tmp_path) as server,
        Rich(server.address, "Ann") as ann,
        Rich(server.address, "Bob") as bob,
        Plain(server.address) as plain,
    ):
        ann.say("lobby", "one", key="k1")
        ann.posts(1)
        assert plain.frame() == b"one"
        with full_disk(server, tmp_path):
            for _ in range(3):  # the first failure and those of the connections that come after it
                refused(ann, "two", "k2")
            plain.send(b"three\0")
            assert plain.frame().startswith(b"* geventchat: ")
            assert ann.ask("topic", room="lobby", topic="tea")["code"] == "storage"
            history = ann.ask("history", room="lobby", limit=9)
            assert [post["text"] for post in history["posts"]] == ["one"]
        ann.say("lobby", "two", key="k2")
        (post,) = ann.posts(1)
        assert (post["text"], post["position"]) == ("two", 2)
        assert texts(bob.posts(2)) == ["one", "two"]
        assert plain.frame() == b"two"


def health(server: Process) -> int:
    """Return the status of /healthz."""
    line = server.line("/healthz, /metrics and /top are at ")
    with closing(http.client.HTTPConnection(line.split("/")[-2], timeout=5)) as connection:
        connection.request("GET", "/healthz")
        return connection.getresponse().status


def test_a_server_with_a_full_disk_is_not_ready_until_there_is_space(tmp_path: Path) -> None:
    with (
        served(tmp_path, "--admin", "127.0.0.1:0") as server,
        Rich(server.address, "Ann") as ann,
    ):
        ann.say("lobby", "one", key="k1")
        ann.posts(1)
        assert health(server) == 200
        with full_disk(server, tmp_path):
            refused(ann, "x" * 60_000, "k2")
            assert health(server) == 503
        end = time.monotonic() + 20
        while health(server) != 200:
            assert time.monotonic() < end
            time.sleep(0.05)
        server.line("messages can be stored in ")  # written by a thread
        assert len(server.lines("messages can be stored in ")) == 1
        ann.say("lobby", "x" * 60_000, key="k2")
        ann.posts(1)


def test_an_unacknowledged_message_uses_no_position_even_after_a_kill(tmp_path: Path) -> None:
    with served(tmp_path) as server, Rich(server.address, "Ann", client=CLIENT) as ann:
        ann.say("lobby", "one", key="k1")
        ann.posts(1)
        with full_disk(server, tmp_path):
            refused(ann, "x" * 50_000, "k2")
            os.kill(server.pid, signal.SIGKILL)
            ann.rest()
    with served(tmp_path) as server, Rich(server.address, "Ann", client=CLIENT) as ann:
        ann.say("lobby", "two", key="k2")
        ann.say("lobby", "one", key="k1")
        (post,) = ann.posts(1)
        assert (post["position"], post["key"]) == (2, "k2")
        sent = ann.event()
        assert (sent["type"], sent["key"], sent["position"]) == ("sent", "k1", 1)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_failed_fsync_is_not_trusted_the_next_time(tmp_path: Path) -> None:
    """The kernel reports the same pages as written at the next fsync."""
    with (
        served(tmp_path) as server,
        Rich(server.address, "Ann", client=CLIENT) as ann,
        Rich(server.address, "Bob") as bob,
    ):
        ann.say("lobby", "one", key="k1")
        ann.posts(1)
        with failing_fsync(server):
            for number in range(3):
                refused(ann, "lost", f"lost{number}")
        ann.say("lobby", "two", key="k2")
        (post,) = ann.posts(1)
        assert (post["text"], post["position"]) == ("two", 2)
        assert texts(bob.posts(2)) == ["one", "two"]
    with served(tmp_path) as server, Rich(server.address, client=CLIENT) as ann:
        assert texts(ann.greeting) == ["one", "two"]
        ann.say("lobby", "lost", key="lost0")
        assert ann.posts(1)[0]["position"] == 3


def test_a_full_log_disk_does_not_delay_clients() -> None:
    with Path("/dev/full").open("wb") as full, logging_to(full) as (server, address):
        with Control(address), Rich(address, "Ann") as ann, Plain(address) as plain:
            for number in range(2 * WAITING_LINES):
                plain.send(b"%d\0" % number)
            ann.posts(2 * WAITING_LINES)
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


@contextmanager
def logging_to(output: IO[bytes]) -> Iterator[tuple["subprocess.Popen[bytes]", Address]]:
    """Run a server that prints to a full disk; its port is looked up, since it cannot print it."""
    options = ["--port", "0", "--admin", "none", "--timeline", "memory:", "--echo"]
    command = [sys.executable, "-m", "geventchat", "serve", *options]
    with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as server:
        try:
            end = time.monotonic() + 20
            while not (sockets := psutil.Process(server.pid).net_connections("tcp")):
                assert time.monotonic() < end
                time.sleep(0.01)
            yield server, sockets[0].laddr
        finally:
            server.kill()
