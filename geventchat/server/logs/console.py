"""The server's console: who connected, changed nicks and disconnected, and their messages.

On a terminal these are lines for a person. Anywhere else they are log records, and messages are not
shown at all: message bodies do not belong in logs unless they are asked for.
"""

import logging
import os
import sys
import time
from typing import Final

from geventchat.config import Config
from geventchat.protocol.visible import visible
from geventchat.server.logs.records import LogHandler, left_out, prefix
from geventchat.server.logs.writer import LogWriter

SHOWN_CHARACTERS: Final = 4_096
"""Of a message; the timeline has all of it."""

_LINE_ENDS: Final = "\r\n"
"""What telnet and the like leave at the end of a message; it is not shown."""

_package: Final = logging.getLogger("geventchat")


class Console:
    """The console of the server: lines for a person with `echo`, log records without.

    With `json` everything is a record, and `echo` adds messages. Nothing waits except `close`.
    """

    def __init__(
        self, printer: LogWriter, *, echo: bool, json: bool = False, worker: int | None = None
    ) -> None:
        """`worker`: the number of this process, if it is a worker."""
        self._printer = printer
        self._echo = echo and worker in (None, 1)  # every worker hears every message
        self._for_a_person = echo and not json
        self._prefix = prefix(worker)

    def connected(self, who: str, address: str, clients: int) -> None:
        """Show that somebody connected from an address; `clients` are connected now."""
        text = f"{who} connected from {address}, {_online(clients)}"
        self._tell(text, event="connected", nick=who, address=address, clients=clients)

    def renamed(self, former: str, nick: str) -> None:
        """Show that somebody changed nicks."""
        text = f"{former} is now known as {nick}"
        self._tell(text, event="renamed", former_nick=former, nick=nick)

    def disconnected(self, who: str, reason: str, clients: int) -> None:
        """Show that somebody disconnected, why, and that `clients` are still connected."""
        text = f"{who} disconnected ({reason}), {_online(clients)}"
        self._tell(text, event="disconnected", nick=who, reason=reason, clients=clients)

    def message(self, room: str, author: str, text: str) -> None:
        """Show a message, if messages are shown."""
        if self._echo and self._printer.admits():
            if len(text) > SHOWN_CHARACTERS:
                more = len(text) - SHOWN_CHARACTERS
                text = f"{text[:SHOWN_CHARACTERS]}… ({more:,} more characters)"
            line = f"#{room} {author}: {text.rstrip(_LINE_ENDS)}"
            if self._for_a_person:
                line = f"{time.strftime('%H:%M')} {line}"
            self._tell(line, event="message", room=room, author=author, text=text)

    def private_message(self, number: int) -> None:
        """Show that something was said in a private room, if messages are shown: never what."""
        if self._echo and self._printer.admits():
            line = f"private room {number}: a message"
            if self._for_a_person:
                line = f"{time.strftime('%H:%M')} {line}"
            self._tell(line, event="private_message", room=number)

    def line(self, text: str) -> None:
        """Show a line about the server itself."""
        self._tell(text)

    def close(self, seconds: float) -> None:
        """Write what is left, blocking the hub for at most `seconds`."""
        for handler in logging.getLogger().handlers:
            handler.flush()  # the summary of the last second
        self._printer.close(seconds)

    def _tell(self, line: str, /, **details: object) -> None:
        if not self._for_a_person:
            _package.info("%s", line, extra={"details": details})
        elif self._printer.admits():
            self._printer.put(visible(self._prefix + line))


def open_console(config: Config, worker: int | None = None) -> Console:
    """Open the console on standard output, if the process has one, and send all logs there.

    By default messages are shown if that is a terminal and the log is not JSON. `worker`: the
    number of this process, if it is a worker.
    """
    fd = _stdout()
    json = config.log_format == "json"
    echo = config.echo
    if echo is None:
        echo = fd is not None and os.isatty(fd) and not json
    printer = LogWriter(fd, left_out) if json else LogWriter(fd)
    logging.getLogger().addHandler(LogHandler(printer, config.log_format, worker))
    _package.setLevel(logging.INFO)
    return Console(printer, echo=echo, json=json, worker=worker)


def _stdout() -> int | None:
    """Return the descriptor; None if it was closed, since its number may be reused by now."""
    try:
        return sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def _online(clients: int) -> str:
    return f"{clients:,} client{'' if clients == 1 else 's'} online"
