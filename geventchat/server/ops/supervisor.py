"""Reports to systemd (`Type=notify`): ready, still alive, stopping. Without systemd, nothing."""

import os
from contextlib import suppress
from typing import Final

import gevent
from gevent import socket

_PINGS: Final = 3
"""Signs of life in the time after which systemd takes the process for hung."""


class Supervisor:
    """Speaks to the socket that systemd names in the environment. Never waits, raises nothing."""

    def __init__(self) -> None:
        name = os.environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._watchdog: gevent.Greenlet[[float], None] | None = None

    def ready(self) -> None:
        """Report that the server accepts clients; from now on show that its loop runs."""
        self._tell("READY=1")
        if seconds := _watchdog_seconds():
            self._watchdog = gevent.spawn(self._live, seconds / _PINGS)

    def stopping(self) -> None:
        """Report that the server shuts down, within its own time limit."""
        if self._watchdog is not None:
            self._watchdog.kill(block=False)
        self._tell("STOPPING=1\nWATCHDOG_USEC=0")

    def _live(self, seconds: float) -> None:
        while True:
            self._tell("WATCHDOG=1")
            gevent.sleep(seconds)

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(state.encode(), self._address)


def _watchdog_seconds() -> float:
    """Return how soon a sign of life is due; 0: none is."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    with suppress(ValueError):
        return max(int(os.environ.get("WATCHDOG_USEC", "0")), 0) / 1e6
    return 0
