"""Users who read too slowly."""

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
    """Pauses after each event, so that the server has to buffer the rest.

    Being closed with `slow` is expected; it then resumes and misses nothing. That
    bye is behind what the kernel has buffered, so now and then it sees only the end.
    """

    weight = 2
    forgiven = frozenset({SLOW.code, LOST.code})
    goodbye_seconds = 0

    def wait_time(self) -> float:
        """Return a random pause before the next ping, shorter than the server's idle timeout.

        Exponential pauses exceeded its 60 s now and then.
        """
        return random.uniform(0, 2 * ALIVE_SECONDS)

    def hear(self, event: AnyEvent) -> None:
        """Pause, then handle an event."""
        gevent.sleep(random.expovariate(1 / READ_SECONDS))
        super().hear(event)

    def _took(self, kind: str, name: str, seconds: float) -> None:
        """Record nothing: it is late by design."""

    @task
    def ping(self) -> None:
        """Send a ping: the server's own pings may be behind much unread data."""
        self._send(requests.Ping())
