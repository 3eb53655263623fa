"""Takes the nick that the user wants as soon as it is free.

A server holds the nick of a lost connection for its client. A client that it does not recognise,
as on another machine, is a guest until then.
"""

import time
from collections.abc import Callable
from typing import Final

from gevent.event import Event as Signal

from geventchat.client.connection import Connection
from geventchat.client.events import ClientEvent
from geventchat.client.socket_link import Ended, ServerError
from geventchat.client.terminal.formatting import Line, notice
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Error, Presence, Renamed
from geventchat.protocol.names import fold

LONGEST_SECONDS: Final = 120
"""A server holds a nick for a minute, if nothing else is set."""
PAUSE_SECONDS: Final = 5
"""Between two attempts, unless the nick is seen to become free."""
_TAKEN: Final = ("nick_in_use", "nick_too_similar")


class Regain:
    """Watches the events of a connection; `nick` is what the user asked for, if anything."""

    def __init__(self, chat: Connection, nick: str | None, show: Callable[[Line], None]) -> None:
        self._chat = chat
        self._nick = nick
        self._show = show
        self._refused = Signal()
        self._freed = Signal()

    def watch(self) -> None:
        """Try whenever the nick was refused, until killed."""
        while self._refused.wait():
            self._refused.clear()
            if self._nick:
                self._try(self._nick)

    def hear(self, event: ClientEvent) -> None:
        """Begin to try if the nick was refused, and stop if the user has another. Never waits."""
        match event:
            case Error(code=code) if code in _TAKEN:
                self._refused.set()
            case Renamed(nick=nick):
                self._nick = nick
                self._freed.set()  # stop waiting for another
            case Presence(nick=str() as nick, event="leave" | "rename"):
                if self._nick and fold(nick) == fold(self._nick):
                    self._freed.set()

    def _try(self, nick: str) -> None:
        told = f"you get {nick} when it is free; a lost connection holds it for about a minute"
        if "accounts" in self._chat.welcome.features:
            told += f"; /login {nick} if it is your account"
        self._show(notice(told))
        if not self._taken(nick):
            self._show(notice(f"{nick} is still in use; /nick {nick} tries again"))

    def _taken(self, nick: str) -> bool:
        """Return whether the nick, or another, is the user's now; False after two minutes."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            self._freed.wait(PAUSE_SECONDS)
            self._freed.clear()
            if self._nick != nick or self._chat.ended:
                return True
            try:
                self._chat.rename(nick)
            except Refused as refused:
                if refused.code not in (*_TAKEN, "slow_down"):
                    return False
            except (Ended, TimeoutError, ServerError):
                pass  # it is reconnecting
            else:
                return True
        return False
