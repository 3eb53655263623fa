"""Users of the plain protocol: a socket, texts and null bytes."""

import random
import time
from contextlib import suppress
from typing import ClassVar

import gevent
from gevent import socket
from locust import User, task
from locust.env import Environment

from geventchat.client.tls import connect
from geventchat.protocol import frames
from loadtests.support import model
from loadtests.support.address import Address
from loadtests.support.login import Login
from loadtests.support.measures import tally
from loadtests.users.report import failed, took

RECEIVE_BYTES = 65_536
AWAY_SECONDS = (1.0, 3.0)

_MARK = model.PROBE_MARK.encode()
_NOTICE = frames.NOTICE.encode()


class PlainTalker(User):
    """Talks in the lobby. Counts what it receives; only probes are decoded."""

    weight = 5
    login: ClassVar[Login] = Login()

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        assert environment.parsed_options is not None
        self._talk_seconds: float = environment.parsed_options.talk_seconds
        self._socket: socket.socket | None = None
        self._ear: gevent.Greenlet[[], None] | None = None

    def wait_time(self) -> float:
        """Return a random pause."""
        return random.expovariate(1 / self._talk_seconds)

    def on_start(self) -> None:
        """Connect and start receiving."""
        self._socket = self._open()
        self._ear = gevent.spawn(self._listen)
        self.wait()

    def on_stop(self) -> None:
        """Leave like the original client."""
        if self._ear and self._socket:
            self._ear.kill()
            tally.connected -= 1
            with suppress(OSError):
                self._socket.sendall(frames.encode("q"))
            self._socket.close()

    @task
    def talk(self) -> None:
        """Send a message."""
        assert self._socket is not None
        tally.counts["sent"] += 1
        with suppress(OSError):  # the reader notices, and reconnects
            self._socket.sendall(frames.encode(model.text()))

    def _listen(self) -> None:
        while True:
            assert self._socket is not None
            reason = self._hear(self._socket)
            self._socket.close()
            tally.connected -= 1
            failed("plain", "connection", reason)
            gevent.sleep(random.uniform(*AWAY_SECONDS))
            self._socket = self._open()

    def _hear(self, connection: socket.socket) -> str:
        """Count what arrives until the connection ends; return why it ended."""
        rest = b""
        try:
            while data := connection.recv(RECEIVE_BYTES):
                tally.counts["delivered"] += data.count(0)
                if rest or _MARK in data or data.startswith(_NOTICE):
                    *texts, rest = (rest + data).split(b"\0")
                    for text in texts:
                        self._hear_text(text)
                else:
                    rest = data[data.rfind(b"\0") + 1 :]
        except OSError as error:
            return f"connection lost: {error}"
        return "closed by the server"

    def _hear_text(self, text: bytes) -> None:
        if text.startswith(_MARK):
            seconds = model.seconds_since(text.decode())
            if seconds is not None:
                took("message", "delivered", seconds)
        elif text.startswith(_NOTICE):
            failed("plain", "notice", text.decode())

    def _open(self) -> socket.socket:
        address = Address.parse(self.environment.host or "")
        while True:
            began = time.perf_counter()
            try:
                opened = connect(*address, self.login.tls)
            except OSError as error:
                failed("plain", "connect", error, time.perf_counter() - began)
                gevent.sleep(random.uniform(*AWAY_SECONDS))
                continue
            opened.settimeout(None)
            took("plain", "connect", time.perf_counter() - began)
            tally.connected += 1
            return opened
