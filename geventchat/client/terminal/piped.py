"""`geventchat connect` in a pipeline: input lines are sent as messages, posts are printed as lines.

Functions wait, but never block the hub, so that pings are answered while a pipe is slow.
"""

import os
import secrets
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import gevent
from gevent import socket
from gevent.queue import Queue

from geventchat.client.connection import Connection
from geventchat.client.events import Disconnected, Gap, Reconnected, ReconnectFailed
from geventchat.client.plain import PlainConnection
from geventchat.client.socket_link import Ended
from geventchat.client.terminal.formatting import local_time
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Error, Joined, Post
from geventchat.protocol.names import LOBBY
from geventchat.protocol.visible import visible

MAX_LINE_BYTES: Final = 1 << 20
_STDIN: Final = 0
_STDOUT: Final = 1
_PIPE_BYTES: Final = 4096  # what a pipe takes at once when it takes anything

Say = Callable[[str], object]
Todo = str | Exception | None
"""A message to send, an error to raise, or None: finished."""


class Failed(Exception):
    """An error, with a sentence for the user."""


def rich(chat: Connection, room: str, *, listen: bool, history: bool) -> None:
    """Send each line of standard input to a room, and print the posts of others.

    Returns when the input has ended and everything is stored. With `listen` it reads no input, and
    runs until the connection ends. Reconnects by itself, and reports that on standard error. Raises
    Failed, Refused, TooLong, TimeoutError, Ended, and BrokenPipeError if the output is closed.
    """
    chat.ping()  # afterwards the errors of the hello have arrived
    first = chat.heard()
    for event in first:
        if isinstance(event, Error):
            raise Failed(event.text)
    own: set[str] = set()

    def say(text: str) -> None:
        key = secrets.token_urlsafe(16)
        own.add(key)
        _say_patiently(chat, room, text, key)

    def heard() -> Iterator[str]:
        replayed: dict[str, int] = {}  # posts older than the join, by room
        for source in (first, chat):
            for event in source:
                if isinstance(event, Joined) and not history:
                    replayed.setdefault(event.room, event.position)
                elif isinstance(event, Disconnected | ReconnectFailed | Reconnected | Gap):
                    _note(event)
                    if isinstance(event, Gap):
                        replayed[event.room] = 0
                elif isinstance(event, Post) and event.position > replayed.get(event.room, 0):
                    if event.key in own:
                        own.remove(event.key)
                    else:
                        yield line(event)

    _converse(chat, heard(), None if listen else say, chat.close)


def plain(chat: PlainConnection, *, listen: bool) -> None:
    """Like `rich`, with any server of the original protocol, where a line `q` ends it."""
    heard = (visible(e.text.rstrip("\r\n")) for e in chat if isinstance(e, Post) and e.key is None)
    say = None if listen else lambda text: chat.send(LOBBY, text)
    _converse(chat, heard, say, chat.say_all, quit="q")


def line(post: Post) -> str:
    """Format a post as one line: time, room, author and text without line breaks at its end."""
    when = f"{local_time(post.time):%Y-%m-%d %H:%M:%S}"
    return visible(f"{when} {post.room} {post.author}: {post.text}".rstrip("\r\n"))


def _converse(
    chat: Connection | PlainConnection,
    heard: Iterator[str],
    say: Say | None,
    finish: Callable[[], None],
    quit: str = "",
) -> None:
    todo: Queue[Todo] = Queue(1)
    printing = gevent.spawn(_print, heard, todo, must_be_read=say is None)
    reading = gevent.spawn(_read, todo, quit) if say else None
    try:
        while (item := todo.get()) is not None:
            if isinstance(item, Exception):
                raise item
            if say:
                say(item)
        if chat.ended:
            raise Ended(chat.ended)
        finish()
        printing.join()
    finally:
        gevent.killall([greenlet for greenlet in (printing, reading) if greenlet])


def _say_patiently(chat: Connection, room: str, text: str, key: str) -> None:
    """Send a message, retrying when rate limited, so that lines stay in order."""
    while True:
        try:
            chat.say(room, text, key=key)
        except Refused as refused:
            if refused.retry_ms is None:
                raise
            gevent.sleep(refused.retry_ms / 1000)
        except TimeoutError:
            pass  # deduplicated by its key
        else:
            return


def _note(event: Disconnected | ReconnectFailed | Reconnected | Gap) -> None:
    match event:
        case Disconnected(bye=bye):
            text = f"{bye.text} Reconnecting."
        case ReconnectFailed(why=why):
            text = f"reconnect failed, retrying: {why}"
        case Reconnected(nick=nick):
            text = f"reconnected as {nick}"
        case Gap(room=room):
            text = f"some messages in {room} may be missing"
    if sys.stderr is not None:
        sys.stderr.write(visible(f"geventchat: {text}") + "\n")


def _print(heard: Iterator[str], todo: "Queue[Todo]", *, must_be_read: bool) -> None:
    try:
        for text in heard:
            _write(f"{text}\n".encode())
    except BrokenPipeError as error:
        if must_be_read:
            todo.put(error)
        else:
            deque(heard, maxlen=0)  # the output is closed, but there is input to send
            todo.put(None)
    except OSError as error:
        todo.put(Failed(f"Standard output: {error.strerror}."))
    else:
        todo.put(None)


def _write(data: bytes) -> None:
    # None: closed before we began, and its number may be that of another file by now.
    while data and sys.stdout is not None:
        socket.wait_write(_STDOUT)
        data = data[os.write(_STDOUT, data[:_PIPE_BYTES]) :]


def _read(todo: "Queue[Todo]", quit: str) -> None:
    try:
        for text in _texts(_lines()):
            if text == quit:
                break
            todo.put(text)
    except OSError as error:
        todo.put(Failed(f"Standard input: {error.strerror}."))
    except Failed as error:
        todo.put(error)
    else:
        todo.put(None)


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    for number, data in enumerate(lines, 1):
        try:
            text = data.removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            raise Failed(f"Line {number} of the input is not UTF-8.") from None
        if text:
            yield text


def _lines() -> Iterator[bytes]:
    rest = b""
    while sys.stdin is not None:
        socket.wait_read(_STDIN)
        data = os.read(_STDIN, 65_536)
        if not data:
            break
        *whole, rest = (rest + data).split(b"\n")
        yield from whole
        if len(rest) > MAX_LINE_BYTES:
            raise Failed(f"A line of the input is longer than {MAX_LINE_BYTES:,} bytes.")
    yield rest
