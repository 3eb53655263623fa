"""Finds out whether a server stores what it is sent and delivers it: otherwise it is deaf."""

import time
from contextlib import closing
from typing import Final

import gevent

from geventchat.client import NotGeventchat, Post, ServerError
from tests.proof.log import Chat
from tests.proof.talk import FAILURES, ROOMS

DEAF_SECONDS: Final = 20.0
"""How soon a server has to store and deliver again after a fault has ended."""


class Probe:
    """Two clients for each question: one says something, the other has to receive it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._asked = 0
        self.seconds: list[float] = []
        """After how long the server stored and delivered."""

    def hears(self) -> bool:
        """Wait until the server stores and delivers; return whether it does in time."""
        began = time.monotonic()
        while (left := began + DEAF_SECONDS - time.monotonic()) > 0:
            if gevent.with_timeout(left, self._try, timeout_value=False):
                self.seconds.append(time.monotonic() - began)
                return True
            gevent.sleep(0.05)
        return False

    def _try(self) -> bool:
        self._asked += 1
        key = f"probe-{self._asked}"
        text = f"{key}: does anybody hear this?"
        try:
            with closing(self._chat("ear")) as ear, closing(self._chat("probe")) as chat:
                ear.join(ROOMS[0])
                chat.join(ROOMS[0])
                chat.note("says", ROOMS[0], key, text)
                chat.note("ok", ROOMS[0], key, chat.say(ROOMS[0], text, key=key))
                return any(isinstance(event, Post) and event.text == text for event in ear)
        except (*FAILURES, OSError, NotGeventchat, ServerError):
            return False

    def _chat(self, name: str) -> Chat:
        return Chat(self._port, name, nick=name, rooms=(), resume=False)
