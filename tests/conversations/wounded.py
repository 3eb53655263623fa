"""`geventchat serve` with two signals that break it.

SIGUSR1 ends the greenlet that the environment names in LOSE, with an error or, if KILL is set, by a
kill. SIGUSR2 makes all later commits hang, as on a lost disk.
"""

import os
import signal
import sys

import gevent
from gevent.monkey import get_original

from geventchat.__main__ import main  # patches, so this module is for a process of its own
from geventchat.server import server
from geventchat.server.server import Server
from geventchat.server.timeline.sqlite.store import Store


class _Server(Server):
    def start(self, *, ticking: bool = True) -> None:
        super().start(ticking=ticking)
        gevent.signal_handler(signal.SIGUSR1, self._lose)

    def _lose(self) -> None:
        for each in (*self._timeline.greenlets, *self._hub.greenlets):
            if each.name == os.environ["LOSE"]:
                killed = "KILL" in os.environ
                each.kill(gevent.GreenletExit if killed else RuntimeError("a bug"), block=False)


def _hang(*_: object) -> None:
    get_original("time", "sleep")(3600)


def _let_commits_hang() -> None:
    Store.store = _hang  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    server.Server = _Server  # type: ignore[misc]
    gevent.signal_handler(signal.SIGUSR2, _let_commits_hang)
    sys.exit(main())
