"""Notices that the server is silent: what was sent has no answer, and nothing else comes either.

A connection that is lost without a word is noticed by pings of its own, but only after minutes.
"""

import time
from collections.abc import Callable
from typing import Final

import gevent

from geventchat.client.connection import Connection
from geventchat.client.events import ClientEvent, Disconnected, ReconnectFailed
from geventchat.client.socket_link import Ended, ServerError
from geventchat.client.terminal.formatting import Line, error, notice
from geventchat.client.terminal.view import View

SILENCE_SECONDS: Final = 8
"""How long nothing may come before the server is asked."""
PONG_SECONDS: Final = 2
"""How long it may take to answer that."""
_LOOK_SECONDS: Final = 1
_TROUBLE: Final = "no answer from the server"


class Silence:
    """Asks the server if something stays unanswered, and says so if it does not reply."""

    def __init__(self, chat: Connection, view: View, show: Callable[[Line], None]) -> None:
        self._chat = chat
        self._view = view
        self._show = show
        self._heard = time.monotonic()

    def watch(self) -> None:
        """Watch until killed."""
        while True:
            gevent.sleep(_LOOK_SECONDS)
            if self._is_silent():
                asking = gevent.spawn(self._ask)
                asking.join(PONG_SECONDS)
                if not asking.ready() and not self._view.trouble:
                    self._view.trouble = _TROUBLE
                    self._show(error("No answer from the server yet; asking it."))
                asking.join()

    def hear(self, event: ClientEvent) -> None:
        """Note that something came from the server. Never waits."""
        if not isinstance(event, Disconnected | ReconnectFailed):
            self._note()

    def _note(self) -> None:
        self._heard = time.monotonic()
        if self._view.trouble == _TROUBLE:
            self._view.trouble = ""
            self._show(notice("the server answers again"))

    def _is_silent(self) -> bool:
        pending = [say.since for say in self._view.pending.values()]
        asked = [*pending[:1], *([self._view.asked] if self._view.asked else [])]
        if not asked or self._view.trouble not in ("", _TROUBLE):
            return False  # nothing to wait for, or it is known to be disconnected
        return time.monotonic() - max(self._heard, min(asked)) >= SILENCE_SECONDS

    def _ask(self) -> None:
        try:
            self._chat.ping()
        except (Ended, TimeoutError, ServerError):
            pass  # nothing was heard, or it is disconnected and says so
        else:
            self._note()
