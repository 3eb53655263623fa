"""`geventchat connect`: chooses between terminal and pipe, and turns outcomes into exit codes."""

import getpass
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, TextIO

import gevent
from gevent.ssl import SSLContext

from geventchat.client.connection import Connection, TooLong
from geventchat.client.plain import PlainConnection
from geventchat.client.socket_link import Ended, NotGeventchat, ServerError
from geventchat.client.terminal import piped
from geventchat.client.terminal.client_id import client_id
from geventchat.client.tls import tls_context
from geventchat.protocol.errors import PASSWORD, Refused
from geventchat.protocol.names import LOBBY
from geventchat.protocol.visible import visible

FAILED: Final = 1
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `geventchat connect`."""

    host: str
    port: int
    nick: str | None = None
    rooms: tuple[str, ...] = ()
    """The first is the one to start in; empty means the lobby."""
    plain: bool = False
    listen: bool = False
    history: bool = False
    password: str | None = None
    token: str | None = None
    tls: bool = False
    ca: str | None = None
    """File of the only certificates to trust; implies `tls`."""


def connect(options: Options) -> int:
    """Connect until the user or the server ends it; return the exit code.

    Interactive on a terminal, else standard input is sent. Asks for the password on a terminal if
    the server requires one. Reports errors as one line on standard error.
    """
    try:
        trust = tls_context(options.ca) if options.tls or options.ca else None
    except OSError as error:
        return _fail(str(error))
    try:
        while True:
            try:
                with _interruptible():
                    return _talk(options, trust)
            except Ended as error:
                if error.bye.code != PASSWORD.code or not _is_terminal(sys.stdin):
                    return _fail(error.bye.text)
                _fail(error.bye.text)
            options = replace(options, password=getpass.getpass())
    except (KeyboardInterrupt, EOFError):
        return INTERRUPTED


@contextmanager
def _interruptible() -> Iterator[None]:
    # Not Python's own handler, whose KeyboardInterrupt would strike whatever greenlet runs. But
    # it is the one for a question, which is asked while nothing else runs.
    watcher = gevent.signal_handler(
        signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt
    )
    try:
        yield
    finally:
        watcher.cancel()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _talk(options: Options, trust: SSLContext | None) -> int:
    """Connect once. Raises Ended and KeyboardInterrupt; reports other errors."""
    host, port = options.host, options.port
    at_terminal = _is_terminal(sys.stdin) and _is_terminal(sys.stdout) and not options.listen
    rooms = options.rooms or (LOBBY,)
    try:
        if at_terminal:
            from geventchat.client.terminal import app  # slow to import, and not needed in a pipe
        if options.plain:
            with PlainConnection(host, port, trust) as peer:
                if at_terminal:
                    return app.plain(peer, host, port)
                piped.plain(peer, listen=options.listen)
            return 0
        with client_id(host, port) as client:
            chat = Connection(
                host,
                port,
                nick=options.nick,
                rooms=rooms,
                client=client,
                password=options.password,
                token=options.token,
                tls=trust or False,
            )
            if at_terminal:
                return app.rich(chat, rooms[0], host, port, options.nick)
            with chat:
                piped.rich(chat, rooms[0], listen=options.listen, history=options.history)
            return 0
    except BrokenPipeError:
        return 0  # the reader of the output has closed it
    except NotGeventchat as error:
        return _fail(f"{error} Use --plain for a server of the original protocol.")
    except OSError as error:
        return _fail(f"{host}:{port}: {error.strerror or error}")
    except (piped.Failed, Refused, TooLong, ServerError) as error:
        return _fail(str(error))


def _fail(why: str) -> int:
    if sys.stderr is not None:
        sys.stderr.write(visible(f"geventchat: {why}") + "\n")
    return FAILED


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; it is None if it was closed at the start."""
    return stream is not None and stream.isatty()
