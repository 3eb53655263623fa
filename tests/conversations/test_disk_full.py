"""A disk that takes no more: nothing is acknowledged, nobody is sent away, and it passes by itself.

The limit is the kernel's own: the server, a process of its own, may not write beyond a file's end.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conversations.conftest import Address
from tests.conversations.peers import Plain, Rich, texts

pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
UNLIMITED = resource.RLIM_INFINITY, resource.RLIM_INFINITY


class Server:
    """A server as a process, and the disk that it believes to have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._command = [sys.executable, "-m", "geventchat", "serve", "--port", "0"]
        self._command += ["--timeline", f"sqlite:{path}"]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        host, _, port = line.partition(" listens on ")[2].partition(",")[0].rpartition(":")
        self.address: Address = host, int(port)

    def fill_the_disk(self) -> None:
        """Let no file become larger than the log of the database is now."""
        limit = os.path.getsize(f"{self._path}-wal"), resource.RLIM_INFINITY
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, limit)

    def empty_the_disk(self) -> None:
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, UNLIMITED)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "chat.db")
    yield server
    server.kill()


def test_a_full_disk_acknowledges_nothing_and_passes_without_a_restart(server: Server) -> None:
    with (
        Rich(server.address, "Ann") as ann,
        Rich(server.address, "Bob") as bob,
        Plain(server.address) as plain,
    ):
        ann.say("lobby", "one", key="k1")
        ann.posts(1)
        assert plain.frame() == b"one"
        server.fill_the_disk()
        for _ in range(3):  # the first failure and those of the connections that come after it
            ann.say("lobby", "two", key="k2")
            error = ann.hear(lambda event: event["type"] == "error")[-1]
            assert (error["code"], error["key"]) == ("storage", "k2")
        plain.send(b"three\0")
        assert plain.frame().startswith(b"* geventchat: ")
        assert ann.ask("topic", room="lobby", topic="tea")["code"] == "storage"
        assert [post["text"] for post in ann.ask("history", room="lobby", limit=9)["posts"]] == [
            "one"
        ]
        server.empty_the_disk()
        ann.say("lobby", "two", key="k2")
        (post,) = ann.posts(1)
        assert (post["text"], post["position"]) == ("two", 2)
        assert texts(bob.posts(2)) == ["one", "two"]
        assert plain.frame() == b"two"


def test_what_was_not_acknowledged_uses_no_position_after_a_kill_either(server: Server) -> None:
    with Rich(server.address, "Ann", client="a-client-that-stays") as ann:
        ann.say("lobby", "one", key="k1")
        ann.posts(1)
        server.fill_the_disk()
        ann.say("lobby", "x" * 50_000, key="k2")
        assert ann.hear(lambda event: event["type"] == "error")[-1]["code"] == "storage"
    server.kill()
    server.start()
    with Rich(server.address, "Ann", client="a-client-that-stays") as ann:
        ann.say("lobby", "two", key="k2")
        ann.say("lobby", "one", key="k1")
        (post,) = ann.posts(1)
        assert (post["position"], post["key"]) == (2, "k2")
        sent = ann.event()
        assert (sent["type"], sent["key"], sent["position"]) == ("sent", "k1", 1)
