"""A worker as its parent sees it: a process, the tether to it, and what it answers."""

import os
import signal
import socket as native
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Final

import gevent
import msgspec
from gevent import socket
from gevent.event import AsyncResult, Event

from geventchat.server import tether
from geventchat.server.tether import Passed
from geventchat.server.transport.ports import Ports

_SILENT_TIMES: Final = 12
"""After so many times without a sign of life, a minute, a worker hangs;"""
_STARTING_TIMES: Final = 120
"""one that starts may have to read a million accounts before its loop runs."""
_ANSWER_SECONDS: Final = 3.0
_REAP_SECONDS: Final = 0.01
"""Between two looks whether a worker whose tether is closed has ended."""
_OF_SYSTEMD: Final = "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"
"""Variables with which systemd speaks to the parent alone."""
_DEFAULT_SIGNALS: Final = signal.SIGINT, signal.SIGTERM


class NoAnswer(Exception):
    """A worker does not answer: it is not ready, or hangs, or has ended."""


class Worker:
    """One process. It runs from the moment it is made."""

    def __init__(self, number: int, ports: Ports, command: list[str]) -> None:
        """Start it; `command`: the arguments of the interpreter. Raises OSError."""
        self.number = number
        self.ready = Event()
        """Set when it accepts clients."""
        self.recycle = Event()
        """Set when an operator wants all workers replaced."""
        self.ended: AsyncResult[int] = AsyncResult()
        """The exit code; the number of a signal that ended it is negative."""
        self._began = time.monotonic()
        self._stopping = False
        self._silent = 0
        self._tether, theirs = socket.socketpair()
        try:
            with theirs:
                self.pid = _spawn(number, theirs, ports, command)
        except OSError:
            self._tether.close()
            raise
        self._greenlets = [gevent.spawn(self._hear), gevent.spawn(self._watch)]

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return not self.ended.ready()

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait until it has ended; return its exit code, or None if `seconds` were too few."""
        return self.ended.wait(seconds)

    def wait_ready(self, seconds: float | None = None) -> bool:
        """Wait until it accepts clients or has ended; return whether it accepts."""
        gevent.wait([self.ready, self.ended], timeout=seconds, count=1)
        return self.ready.is_set() and self.running

    def leave(self) -> None:
        """Have it accept no more clients. Waits, not long."""
        with suppress(OSError, gevent.Timeout), gevent.Timeout(_ANSWER_SECONDS):
            self._tether.sendall(tether.LEAVE)

    def stop(self) -> None:
        """Ask it to drain and end, once. Never waits."""
        if not self._stopping:
            self._stopping = True
            self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if self.running:
            os.kill(self.pid, number)

    def ask(self, path: str) -> tuple[int, bytes]:
        """Return status and body of what its admin port would answer. Raises NoAnswer."""
        if not (self.ready.is_set() and self.running):
            raise NoAnswer
        try:
            with gevent.Timeout(_ANSWER_SECONDS, NoAnswer):
                return self._ask(path)
        except (OSError, HTTPException):
            raise NoAnswer from None

    def _ask(self, path: str) -> tuple[int, bytes]:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                native.send_fds(self._tether, [tether.PAGE], [theirs.fileno()])
            connection = HTTPConnection("localhost")
            connection.sock = ours
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _hear(self) -> None:
        """Follow what it says until its end, which closes the tether."""
        try:
            while said := self._tether.recv(64):
                self._silent = 0
                if tether.READY in said:
                    self.ready.set()
                if tether.RECYCLE in said:
                    self.recycle.set()
        except OSError:
            pass
        while not self._reaped():
            gevent.sleep(_REAP_SECONDS)

    def _watch(self) -> None:
        """Kill it when it hangs. Times are counted, as the whole machine may have been asleep."""
        while self._silent < (_SILENT_TIMES if self.ready.is_set() else _STARTING_TIMES):
            gevent.sleep(tether.ALIVE_SECONDS)
            if self._reaped():
                return
            self._silent += 1
        self.signal(signal.SIGKILL)

    def _reaped(self) -> bool:
        """Return whether it has ended, and note how. Never waits.

        gevent's watchers of children would take the ends of all others as well.
        """
        if self.running:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not pid:
                return False
            self.ended.set(os.waitstatus_to_exitcode(status))
            others = [each for each in self._greenlets if each is not gevent.getcurrent()]
            gevent.killall(others, block=False)
            self._tether.close()
        return True


def _spawn(number: int, theirs: socket.socket, ports: Ports, command: list[str]) -> int:
    """Start a process that inherits its end of the tether and the ports; return its id.

    It is not forked, so nothing of gevent's loop and threads has to survive in it. In a session of
    its own it does not get the signals that a terminal sends to the parent.
    """
    chat, web = ([each.fileno() for each in some] for some in (ports.chat, ports.web))
    passed = Passed(number, theirs.fileno(), chat, web)
    environment = {name: os.environ[name] for name in os.environ if name not in _OF_SYSTEMD}
    environment[tether.VARIABLE] = msgspec.json.encode(passed).decode()
    for each in passed.descriptors:
        os.set_inheritable(each, True)
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, *command],
            environment,
            setsid=True,
            setsigdef=_DEFAULT_SIGNALS,
        )
    finally:
        for each in passed.descriptors:
            os.set_inheritable(each, False)
