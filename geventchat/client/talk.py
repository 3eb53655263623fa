"""A user's talk at a terminal: what is heard is shown, what is typed is said or done.

A connection that is lost is made again, for as long as it takes or until the user quits. Rooms go
on where they were, and what was said but not stored is said again under the same key.
"""

import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Final

import gevent

from geventchat.client import screen
from geventchat.client.commands import Quit, obey
from geventchat.client.completion import NameCompleter
from geventchat.client.connection import Connection, TooLong
from geventchat.client.link import Ended, NoGeventchat, ServerError
from geventchat.client.plain import PlainConnection
from geventchat.client.terminal import Terminal
from geventchat.client.window import Room, Saying, Window
from geventchat.protocol.errors import LOST, Refused
from geventchat.protocol.events import Bye, Joined
from geventchat.protocol.names import GUEST, LOBBY

FIRST_BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 30.0
LAST_WORDS_SECONDS: Final = 10
"""How long what was typed may take to be said and stored after the user quits."""

Chat = Connection | PlainConnection
Reopen = Callable[[Chat, str], Chat]
"""Gives the connection that goes on where one ended, with the nick last had."""


def rich(host: str, port: int, *, client: str, nick: str | None, rooms: tuple[str, ...]) -> int:
    """Talk until the user or the server ends it; give the exit code.

    Raises what `Connection` does if the first connection cannot be had.
    """

    def reopen(chat: Chat, nick: str) -> Chat:
        assert isinstance(chat, Connection)
        wish = None if nick.startswith(GUEST) else nick
        return Connection(host, port, nick=wish, rooms=chat.cursors, client=client)

    chat = Connection(host, port, nick=nick, rooms=rooms, client=client)
    window = Window(rooms[0], chat.nick, date.today())
    terminal = Terminal(window, NameCompleter(window))
    greeting = f"connected to {host}:{port} as {chat.nick}; /help lists what you can do"
    terminal.show([screen.quiet(greeting)])
    return Talk(chat, window, terminal, reopen).run()


def plain(chat: PlainConnection, host: str, port: int) -> int:
    """Talk in the original protocol, which has no names, rooms and commands."""
    window = Window(LOBBY, "", date.today())
    window.rooms[LOBBY] = Room(LOBBY, joined=True)
    terminal = Terminal(window, None)
    terminal.show([screen.quiet(f"connected to {host}:{port}, without names and rooms; q quits")])
    return Talk(chat, window, terminal).run()


def backoffs() -> Iterator[float]:
    """Yield how many seconds to wait before each attempt: ever longer, and never in step."""
    seconds = FIRST_BACKOFF_SECONDS
    while True:
        yield seconds * random.uniform(0.5, 1.5)
        seconds = min(2 * seconds, MAX_BACKOFF_SECONDS)


class Talk:
    """Joins a connection, a window and a terminal."""

    def __init__(
        self, chat: Chat, window: Window, terminal: Terminal, reopen: Reopen | None = None
    ) -> None:
        self._chat = chat
        self._window = window
        self._terminal = terminal
        self._reopen = reopen
        self._backoffs = backoffs()
        self._connected_at = time.monotonic()
        self._quitting = False
        self._code = 0

    def run(self) -> int:
        """Talk until it ends, and give the exit code: 1 if the server ended it."""
        hearing = gevent.spawn(self._hear)
        saying = gevent.spawn(self._say_typed)
        turning = gevent.spawn(self._turn_days)
        try:
            for greenlet in (hearing, saying, turning):
                # A bug of ours: better to end with its traceback than to stay without a voice.
                greenlet.link_exception(lambda _: self._terminal.quit())
            self._terminal.run()
            self._quitting = True
            saying.join(LAST_WORDS_SECONDS)
            self._chat.close()
            hearing.join(LAST_WORDS_SECONDS)
        finally:
            gevent.killall([hearing, saying, turning])
        for unsaid in self._window.sayings.values():
            self._terminal.show([screen.problem(f"Not said: {unsaid.text}")])
        return self._code

    # What is heard

    def _hear(self) -> None:
        while True:
            bye = self._hear_until_it_ends()
            if self._quitting or not self._connect_again(bye):
                return

    def _hear_until_it_ends(self) -> Bye:
        try:
            for event in self._chat:
                self._terminal.show(self._window.hear(event))
                if isinstance(event, Joined):
                    gevent.spawn(self._ask_who, event.room)
        except ServerError as error:
            # Resumed at the last cursor that was good, the rooms may come right.
            self._chat.close()
            return Bye(code=LOST.code, text=str(error), reconnect=True)
        assert self._chat.ended is not None
        return self._chat.ended

    def _ask_who(self, room: str) -> None:
        """Learn who is there, for the Tab key."""
        if isinstance(self._chat, Connection):
            with suppress(Ended, Refused, TimeoutError, ServerError):
                self._window.members(self._chat.who(room))

    def _connect_again(self, bye: Bye) -> bool:
        """Say why the connection ended, and get another; False if there will be none."""
        self._show(screen.problem(bye.text))
        self._window.trouble = "not connected, trying again"
        if time.monotonic() - self._connected_at > MAX_BACKOFF_SECONDS:
            self._backoffs = backoffs()  # it was a good connection
        for backoff in self._backoffs:
            if self._reopen is None or not bye.reconnect:
                self._code = 1
                self._terminal.quit()
                return False
            gevent.sleep(bye.after_ms / 1000 or backoff)
            try:
                self._chat = self._reopen(self._chat, self._window.nick)
                break
            except Ended as ended:
                bye = ended.bye
            except (OSError, NoGeventchat):
                bye = Bye(code=bye.code, text=bye.text, reconnect=True)
        self._connected_at = time.monotonic()
        self._window.trouble = ""
        self._show(screen.quiet("connected again"))
        if isinstance(self._chat, Connection):
            self._terminal.show(self._window.welcome(self._chat.nick))
        for key, saying in list(self._window.sayings.items()):
            self._send(key, saying)
        return True

    # What is typed

    def _say_typed(self) -> None:
        for text in self._terminal.typed():
            try:
                self._take(text)
            except Quit:
                self._terminal.quit()

    def _take(self, text: str) -> None:
        if text == "q":
            raise Quit
        if not text.startswith("/") or not isinstance(self._chat, Connection):
            self._say(text)
        elif text.startswith("//"):
            self._say(text[1:])
        else:
            try:
                self._terminal.show(obey(text, self._chat, self._window))
            except Ended as ended:
                self._show(screen.problem(f"Not connected. {ended.bye.text}"))
            except (Refused, TooLong, TimeoutError, ServerError) as error:
                self._show(screen.problem(str(error)))

    def _say(self, text: str) -> None:
        if not self._window.current:
            self._show(screen.problem("You are in no room. /join ROOM goes to one."))
            return
        saying = Saying(self._window.current, text, time.monotonic())
        key = secrets.token_urlsafe(16)
        self._window.sayings[key] = saying
        self._terminal.show_if_late()
        self._send(key, saying)

    def _send(self, key: str, saying: Saying) -> None:
        try:
            self._chat.send(saying.room, saying.text, key=key)
        except Ended:
            pass  # it is said again when the connection is back
        except TooLong as error:
            del self._window.sayings[key]
            self._show(screen.problem(str(error)))

    def _turn_days(self) -> None:
        while True:
            now = datetime.now()
            midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time())
            gevent.sleep((midnight - now).total_seconds() + 0.01)
            self._terminal.show(self._window.midnight(date.today()))

    def _show(self, line: screen.Line) -> None:
        self._terminal.show([line])
