"""`geventchat connect` in a pipeline: input lines are sent as messages, posts are printed as lines.

Functions wait, but never block the hub, so that pings are answered while a pipe is slow.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

import gevent
from gevent import socket

from geventchat.client.connection import Connection, TooLong
from geventchat.client.events import Disconnected, Gap, Reconnected, ReconnectFailed
from geventchat.client.keys import new_key
from geventchat.client.plain import PlainConnection
from geventchat.client.socket_link import Ended
from geventchat.client.terminal.errors import Failed, complain
from geventchat.client.terminal.formatting import left, local_time
from geventchat.client.terminal.sender import Sender
from geventchat.protocol.events import Direct, Edited, Error, Joined, Left, Post, Redacted
from geventchat.protocol.frames import MAX_FRAME_BYTES
from geventchat.protocol.names import LOBBY
from geventchat.protocol.visible import visible

_STDOUT: Final = 1
_PIPE_BYTES: Final = 4096  # what a pipe takes at once when it takes anything
_WINDOW_BYTES: Final = 16 << 10
"""What is on the way at once: half of what the server's flood control lets wait."""
_KEYS: Final = 1_000
"""More lines than are on the way at once, and than a replay brings again."""
_PROGRESS_SECONDS: Final = 3.0


def rich(chat: Connection, room: str, *, listen: bool, history: bool) -> int:
    """Send each line of standard input to a room, and print the posts of others.

    Returns how many lines were not sent, when the input has ended and all others are stored. With
    `listen` it reads no input, and runs until the connection ends. Reconnects by itself, and
    reports that on standard error. Raises Failed, TimeoutError, Ended, and BrokenPipeError if the
    output is closed.
    """
    chat.ping()  # afterwards the errors of the hello have arrived
    first = chat.heard()
    for event in first:
        if isinstance(event, Error):
            raise Failed(event.text)
    numbers: dict[str, int] = {}  # of the newest lines, by their keys

    def settle(most_bytes: int = 0) -> None:
        while True:
            try:
                return chat.wait_acknowledged(most_bytes)
            except TimeoutError:
                pass  # the server is slow or away; what it got is known by its key

    def say(text: str, number: int) -> None:
        settle(max(_WINDOW_BYTES - 2 * len(text), 0))
        key = new_key()
        numbers[key] = number
        if len(numbers) > _KEYS:
            del numbers[next(iter(numbers))]
        chat.send(room, text, key=key)

    sender = Sender(say, settle)

    def heard() -> Iterator[str]:
        replayed: dict[str, int] = {}  # posts older than the join, by room
        titles: dict[str, str] = {}  # of conversations, by room
        for source in (first, chat):
            for event in source:
                if isinstance(event, Joined):
                    if event.with_ is not None:
                        titles[event.room] = f"@{event.with_.nick}"
                    read = event.read if event.with_ is not None else None
                    if not history:
                        older = event.position if read is None else read
                        replayed.setdefault(event.room, older)
                elif isinstance(event, Disconnected | ReconnectFailed | Reconnected | Gap):
                    _note(event)
                    if isinstance(event, Gap):
                        replayed[event.room] = 0
                elif isinstance(event, Left):
                    complain(left(titles.get(event.room, event.room), event.reason))
                elif isinstance(event, Direct):
                    yield line(event)
                elif isinstance(event, Post) and event.position > replayed.get(event.room, 0):
                    if not (event.key in numbers or event.redacted):
                        yield line(event, titles.get(event.room))
                elif isinstance(event, Edited | Redacted):
                    yield changed(event, datetime.now(), titles.get(event.room))
                elif isinstance(event, Error) and event.key in numbers:
                    sender.refuse(numbers[event.key], event.text)

    at_terminal = sys.stderr is not None and sys.stderr.isatty()
    progress = gevent.spawn(_progress, chat, sender) if at_terminal else None
    try:
        return _converse(chat, heard(), None if listen else sender, chat.close)
    except Ended:
        if pending := chat.pending:
            number = numbers[str(pending[0].key)]
            complain(f"line {number:,} and those behind it may not be stored")
        raise
    finally:
        if progress:
            progress.kill()


def plain(chat: PlainConnection, *, listen: bool) -> int:
    """Like `rich`, with any server of the original protocol, where a line `q` ends it."""
    heard = (_escaped(e.text) for e in chat if isinstance(e, Post) and e.key is None)

    def say(text: str, _: int) -> None:
        if (size := len(text.encode())) > MAX_FRAME_BYTES:  # geventchat would close for it
            raise TooLong(f"Message too long: {size:,} of at most {MAX_FRAME_BYTES:,} bytes.")
        chat.send(LOBBY, text)

    sender = Sender(say, lambda: None, quit="q")
    return _converse(chat, heard, None if listen else sender, chat.say_all)


def line(event: Post | Direct, title: str | None = None) -> str:
    """Format a post as one line: time, room, author and text.

    A conversation has a `title`. A direct message that is not stored has DIRECT for its room, which
    no room is called, since they are lower case.
    """
    when = f"{local_time(event.time):%Y-%m-%d %H:%M:%S}"
    room = "DIRECT" if isinstance(event, Direct) else title or event.room
    return _escaped(f"{when} {room} {event.author}: {event.text}")


def changed(event: Edited | Redacted, now: datetime, title: str | None = None) -> str:
    """Format a change as such a line, in which no author can be taken for a nick: it has blanks."""
    head = f"{now:%Y-%m-%d %H:%M:%S} {title or event.room} {event.by}"
    if isinstance(event, Redacted):
        return _escaped(f"{head} redacted #{event.position}")
    return _escaped(f"{head} edited #{event.position}: {event.text}")


def _escaped(text: str) -> str:
    """Escape what is no part of a line, and the backslash, so that it can be undone.

    Without the line break at the end that some programs send.
    """
    return visible(text.rstrip("\r\n").replace("\\", "\\\\"))


def _converse(
    chat: Connection | PlainConnection,
    heard: Iterator[str],
    sender: Sender | None,
    finish: Callable[[], None],
) -> int:
    printing = gevent.spawn(_outcome, lambda: _print(heard, must_be_read=sender is None))
    sending = gevent.spawn(_outcome, sender.run) if sender else None
    greenlets = [each for each in (sending, printing) if each]
    ends: list[Any] = [*greenlets, *([sender.refused] if sender else [])]
    try:
        gevent.wait(ends, count=1)
        _check(*greenlets)
        if chat.ended:
            raise Ended(chat.ended)
        if sending:
            sending.kill()
        finish()
        printing.join()
        _check(printing)
    finally:
        gevent.killall(greenlets)
    return sender.finish() if sender else 0


def _outcome(act: Callable[[], None]) -> Exception | None:
    """Return the error of a function that runs in a greenlet, which would print it."""
    try:
        act()
    except (Failed, Ended, TimeoutError, OSError) as error:
        return error
    return None


def _check(*greenlets: "gevent.Greenlet[..., Exception | None]") -> None:
    for greenlet in greenlets:
        if greenlet.ready() and isinstance(error := greenlet.value, Exception):
            raise error


def _note(event: Disconnected | ReconnectFailed | Reconnected | Gap) -> None:
    match event:
        case Disconnected(bye=bye):
            complain(f"{bye.text} Reconnecting.")
        case ReconnectFailed(why=why):
            complain(f"reconnect failed, retrying: {why}")
        case Reconnected(nick=nick):
            complain(f"reconnected as {nick}")
        case Gap(room=room):
            complain(f"some messages in {room} may be missing")


def _progress(chat: Connection, sender: Sender) -> None:
    """Say now and then how far it is, while lines wait."""
    shown = 0
    while True:
        gevent.sleep(_PROGRESS_SECONDS)
        if chat.pending and sender.last > shown:
            shown = sender.last
            complain(f"{shown:,} lines sent")


def _print(heard: Iterator[str], *, must_be_read: bool) -> None:
    try:
        for text in heard:
            _write(f"{text}\n".encode())
    except BrokenPipeError:
        if must_be_read:
            raise
        deque(heard, maxlen=0)  # the output is closed, but there is input to send
    except OSError as error:
        raise Failed(error.strerror or str(error)) from None


def _write(data: bytes) -> None:
    # None: closed before we began, and its number may be that of another file by now.
    while data and sys.stdout is not None:
        socket.wait_write(_STDOUT)
        data = data[os.write(_STDOUT, data[:_PIPE_BYTES]) :]
