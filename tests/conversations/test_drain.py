"""Shutdown while all clients talk: messages received are stored, and it ends in time.

The server is a process, so that the signals and the exit code are the real ones.
"""

import signal
import socket as native
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent
from gevent import socket

from tests.conversations.peers import Rich, of
from tests.process import Process, served

CLIENTS = 100
LONG = "--drain-seconds", "40"
"""Longer than any machine takes for what is to end before."""


class Talker:
    """Sends messages one after the other until the connection ends."""

    def __init__(self, process: Process, number: int) -> None:
        self._room = f"room-{number % 10}"
        self._rich = Rich(process.address, rooms=[self._room])
        self._number = number
        self.said: list[str] = []
        self.heard: list[dict[str, Any]] = []

    def talk(self) -> None:
        """Send each message once the last was received; read everything until the end."""
        self._say()
        with suppress(EOFError, ConnectionResetError):
            while True:
                self.heard.append(self._rich.event())
                if self.heard[-1].get("key") == self.said[-1]:
                    self._say()
        self._rich.socket.close()

    def stored(self) -> set[str]:
        """Return the keys of its own posts that it received: these are acknowledged."""
        return {post["key"] for post in of("post", self.heard) if post.get("key") in self.said}

    def _say(self) -> None:
        self.said.append(f"{self._number}-{len(self.said)}")
        with suppress(OSError):  # the connection is lost: the reader sees its end next
            self._rich.say(self._room, "something", key=self.said[-1])


@contextmanager
def talking(process: Process) -> Iterator[list[Talker]]:
    """Make all clients talk until all connections have ended."""
    talkers = [Talker(process, number) for number in range(CLIENTS)]
    greenlets = [gevent.spawn(talker.talk) for talker in talkers]
    with gevent.Timeout(20):
        while not all(len(talker.said) > 3 for talker in talkers):
            gevent.sleep(0.01)
    yield talkers
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    assert all(greenlet.ready() for greenlet in greenlets)


def wait_not_accepting(process: Process) -> None:
    """Wait until the server has received the first signal."""
    with gevent.Timeout(20), suppress(ConnectionRefusedError):
        while True:
            socket.create_connection(process.address).close()
            gevent.sleep(0.001)


def send_nulls(sender: native.socket) -> None:
    """Send only null bytes until the connection ends. Blocks its thread."""
    with suppress(ConnectionError):
        while True:
            sender.sendall(bytes(16 << 20))


def stored_keys(folder: Path) -> list[str]:
    """Return the keys of the posts in the file."""
    with closing(sqlite3.connect(folder / "chat.db")) as db:
        return [key for (key,) in db.execute("SELECT key FROM posts")]


def test_messages_taken_before_shutdown_are_stored_and_answered(tmp_path: Path) -> None:
    with served(tmp_path, *LONG, "--trust", "127.0.0.0/8", "--admin", "none") as process:
        with talking(process) as talkers:
            began = time.monotonic()
            process.signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert time.monotonic() - began < 40
    stored = [key for talker in talkers for key in talker.stored()]
    assert sorted(stored_keys(tmp_path)) == sorted(stored)
    byes = [talker.heard[-1] for talker in talkers]
    assert {(bye["type"], bye["code"], bye["reconnect"]) for bye in byes} == {
        ("bye", "shutdown", True)
    }
    assert len({bye["after_ms"] for bye in byes}) > CLIENTS / 2


def test_a_second_signal_exits_at_once_and_loses_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    with (
        served(tmp_path, *LONG, "--trust", "127.0.0.0/8", "--admin", "none") as process,
        Rich(process.address),  # the server waits for this client
        talking(process) as talkers,
    ):
        process.signal(signal.SIGTERM)
        wait_not_accepting(process)
        process.signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM  # draining takes 40 s
    keys = stored_keys(tmp_path)
    assert len(keys) == len(set(keys))
    assert {key for talker in talkers for key in talker.stored()} <= set(keys)


def test_bytes_without_frames_do_not_delay_shutdown(tmp_path: Path) -> None:
    with (
        served(tmp_path, "--drain-seconds", "1", "--admin", "none") as process,
        native.create_connection(process.address) as sender,
    ):
        sending = gevent.get_hub().threadpool.spawn(send_nulls, sender)
        with Rich(process.address):
            process.signal(signal.SIGTERM)
            assert process.wait(8) == 0  # by itself it is 10 s
        sending.get(timeout=20)
