"""`geventchat connect`: chooses between terminal and pipe, and turns outcomes into exit codes."""

import signal
import sys
from typing import Final, TextIO

import gevent

from geventchat.client import piped
from geventchat.client.connection import Connection, TooLong
from geventchat.client.link import Ended, NoGeventchat, ServerError
from geventchat.client.plain import PlainConnection
from geventchat.client.state import client_id
from geventchat.protocol.errors import Refused
from geventchat.protocol.names import LOBBY
from geventchat.protocol.visible import visible

FAILED: Final = 1
INTERRUPTED: Final = 130


def connect(
    host: str,
    port: int,
    *,
    nick: str | None,
    rooms: tuple[str, ...],
    plain: bool,
    listen: bool,
    history: bool = False,
) -> int:
    """Talk through a server until the user or the server ends it; give the exit code.

    On a terminal until the user quits; else standard input is what to say. `rooms` may be empty,
    which means the lobby. What goes wrong is one line on standard error.
    """
    # Not Python's own handler, whose KeyboardInterrupt would strike whatever greenlet runs.
    gevent.signal_handler(signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt)
    at_terminal = _is_terminal(sys.stdin) and _is_terminal(sys.stdout) and not listen
    rooms = rooms or (LOBBY,)
    try:
        if at_terminal:
            return _at_terminal(host, port, nick=nick, rooms=rooms, plain=plain)
        if plain:
            with PlainConnection(host, port) as peer:
                piped.plain(peer, listen=listen)
            return 0
        with (
            client_id(host, port) as client,
            Connection(host, port, nick=nick, rooms=rooms, client=client) as chat,
        ):
            piped.rich(chat, rooms[0], listen=listen, history=history)
            return 0
    except BrokenPipeError:
        return 0  # whoever read the output has seen enough
    except KeyboardInterrupt:
        return INTERRUPTED
    except NoGeventchat as error:
        return _fail(f"{error} A server of the original protocol is reached with --plain.")
    except Ended as error:
        return _fail(error.bye.text)
    except OSError as error:
        return _fail(f"{host}:{port}: {error.strerror or error}")
    except (piped.Failed, Refused, TooLong, ServerError) as error:
        return _fail(str(error))


def _at_terminal(
    host: str, port: int, *, nick: str | None, rooms: tuple[str, ...], plain: bool
) -> int:
    from geventchat.client import talk  # prompt_toolkit takes its time, and a pipe needs none of it

    if plain:
        with PlainConnection(host, port) as peer:
            return talk.plain(peer, host, port)
    with client_id(host, port) as client:
        return talk.rich(host, port, client=client, nick=nick, rooms=rooms)


def _fail(why: str) -> int:
    if sys.stderr is not None:
        sys.stderr.write(visible(f"geventchat: {why}") + "\n")
    return FAILED


def _is_terminal(stream: TextIO | None) -> bool:
    """Say so of a standard stream, which is None where it was closed before we began."""
    return stream is not None and stream.isatty()
