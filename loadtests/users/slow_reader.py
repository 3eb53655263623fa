"""Those who cannot keep up."""

import random

import gevent
from locust import task

from geventchat.protocol import requests
from geventchat.protocol.errors import LOST, SLOW
from geventchat.protocol.events import AnyEvent
from loadtests.users.rich import RichUser

READ_SECONDS = 2.0
ALIVE_SECONDS = 15.0


class SlowReader(RichUser):
    """Reads one event after the other, with a pause, so that the server has to hold the rest.

    Being closed with `slow` is what the server owes it; it then resumes and misses nothing. That
    bye lies behind what the kernel holds for it, so now and then it hears only the end.
    """

    weight = 2
    forgiven = frozenset({SLOW.code, LOST.code})
    goodbye_seconds = 0

    def wait_time(self) -> float:
        """Draw the seconds until it shows again that it lives: never so many that it seems dead.

        Exponential ones were over the server's 60 s now and then, and its `idle` came unread.
        """
        return random.uniform(0, 2 * ALIVE_SECONDS)

    def hear(self, event: AnyEvent) -> None:
        """Take time over an event."""
        gevent.sleep(random.expovariate(1 / READ_SECONDS))
        super().hear(event)

    def _took(self, kind: str, name: str, seconds: float) -> None:
        """Time nothing: that it hears late is its own doing."""

    @task
    def ping(self) -> None:
        """Show that it lives: the server's pings may lie behind much that is unread."""
        self._send(requests.Ping())
