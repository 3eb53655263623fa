"""Finds out whether a server stores what it is sent and delivers it: otherwise it is deaf."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from typing import Final

import gevent

from geventchat.client import NotGeventchat, Post, ServerError
from tests.proof.log import Chat, at
from tests.proof.talk import FAILURES, ROOMS

DEAF_SECONDS: Final = 20.0
"""How soon a server has to store and deliver again after a fault has ended."""


class Probe:
    """Two clients for each question: one says something, the other has to receive it."""

    def __init__(self, port: int, hosts: Sequence[str], revive: Callable[[], None]) -> None:
        """`hosts`: of several nodes, each of which has to hear the others.

        `revive` starts again what has ended meanwhile.
        """
        self._revive = revive
        self._port = port
        self._hosts = hosts
        self._asked = 0
        self.seconds: list[float] = []
        """After how long the server stored and delivered."""

    def hears(self) -> bool:
        """Wait until each node hears what another stores; return whether they do in time."""
        hosts: list[str | None] = list(self._hosts) or [None]
        began = time.monotonic()
        others = [*hosts[1:], hosts[0]]
        if not all(self._reaches(*each, began) for each in zip(hosts, others, strict=True)):
            return False
        self.seconds.append(time.monotonic() - began)
        return True

    def _reaches(self, ear: str | None, mouth: str | None, began: float) -> bool:
        while (left := began + DEAF_SECONDS - time.monotonic()) > 0:
            if gevent.with_timeout(left, self._try, ear, mouth, timeout_value=False):
                return True
            ended = time.monotonic()
            self._revive()
            began += time.monotonic() - ended  # to start one takes its time
            gevent.sleep(0.05)
        return False

    def _try(self, ear_at: str | None, mouth_at: str | None) -> bool:
        self._asked += 1
        key = f"probe-{self._asked}"
        text = f"{key}: does anybody hear this?"
        try:
            with (
                closing(self._chat("ear", ear_at)) as ear,
                closing(self._chat("probe", mouth_at)) as chat,
            ):
                ear.join(ROOMS[0])
                chat.join(ROOMS[0])
                chat.note("says", ROOMS[0], key, text)
                chat.note("ok", ROOMS[0], key, chat.say(ROOMS[0], text, key=key))
                return any(isinstance(event, Post) and event.text == text for event in ear)
        except (*FAILURES, OSError, NotGeventchat, ServerError):
            return False

    def _chat(self, name: str, host: str | None) -> Chat:
        with at(host) if host else nullcontext():
            return Chat(self._port, name, nick=name, rooms=(), resume=False)
