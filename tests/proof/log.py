"""What a client of the proof does and receives, as lines of a log.

Each line is written before the system call that sends, or after the one that receives; times are
monotonic, in nanoseconds: time, kind, client, details. The room, if any, comes first among these.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from geventchat.client import Connection, Edited, Joined, Left, Post, Read, Redacted, Renamed
from geventchat.client import connection as library
from geventchat.client.reader import Reader
from geventchat.client.socket_link import SocketLink
from geventchat.protocol.events import AnyEvent
from geventchat.protocol.requests import Cursor, SignIn
from geventchat.server.people.login import digest
from tests.proof.server import ADDRESS

_turns = count(os.getpid())  # not all processes begin with the same node
_only: list[str] = []


class Chat(Connection):
    """A connection with a name and a log; `person` is the nick of its account, if it has one."""

    def __init__(self, port: int, name: str, account: SignIn | None = None, **options: Any) -> None:
        self.name, self.person = name, account.nick if account is not None else None
        client = f"{name}-{secrets.token_urlsafe(16)}"
        super().__init__(host(), port, client=client, account=account, **options)

    def note(self, kind: str, *what: object) -> None:
        """Write a line."""
        write(self.name, kind, *what)

    @property
    def login(self) -> str:
        """The fact that its session can be used."""
        return login(self.session or "")

    def has_joined(self, room: str) -> bool:
        """Return whether it has received that it is in a room, on this connection."""
        assert isinstance(self._reader, LoggingReader)
        return room in self._reader.epochs


class LoggingReader(Reader):
    """A reader that logs what it receives from the socket, before anything else sees it."""

    file: TextIO

    @property
    def name(self) -> str:
        return self._hello.client.partition("-")[0]

    def _handle(self, event: AnyEvent, frame_bytes: int) -> None:
        match event:
            case Post(room=room, position=at):
                text, change = event.text, event.change
                self._note("saw", room, self.epochs.get(room), at, event.key, text, change,
                           event.redacted)  # fmt: skip
            case Edited(room=room, position=at) | Redacted(room=room, position=at):
                new = event.text if isinstance(event, Edited) else None
                self._note("heard", room, self.epochs.get(room), at, event.change, new)
            case Joined(room=room, epoch=epoch):
                asked, self.epochs[room] = self.asked.pop(room, None), epoch
                self._note("joined", room, epoch, event.position, event.oldest, event.recovered,
                           asked, event.read)  # fmt: skip
            case Left(room=room):
                self.asked.pop(room, None)
                self.epochs.pop(room, None)
                self._note("left", room, event.reason)
            case Renamed(nick=nick):
                self._note("named", None, nick)
            case Read(room=room):
                self._note("mark", room, event.position)
        super()._handle(event, frame_bytes)

    def _open(self, nick: str | None, rooms: dict[str, Cursor | None]) -> SocketLink:
        self._host = host()
        self.asked = {room: [at.epoch, at.position] if at else None for room, at in rooms.items()}
        self.epochs: dict[str, str] = {}
        self._note("opens")
        link = super()._open(nick, rooms)
        self._note("named", None, self.nick)
        return link

    def _note(self, kind: str, *what: object) -> None:
        write(self.name, kind, *what)


@contextmanager
def begin(file: TextIO) -> Iterator[None]:
    """Log into a file within the block; in its folder is the address of the server."""
    LoggingReader.file = file
    reader = library.Reader  # type: ignore[attr-defined]
    library.Reader = LoggingReader  # type: ignore[attr-defined]
    try:
        yield
    finally:
        library.Reader = reader  # type: ignore[attr-defined]


def host() -> str:
    """Return the address of the server that serves now, or of the nodes in turn."""
    if _only:
        return _only[-1]
    hosts = Path(LoggingReader.file.name).with_name(ADDRESS).read_text("ascii").split()
    return hosts[next(_turns) % len(hosts)]


@contextmanager
def at(host: str) -> Iterator[None]:
    """Have whatever connects within the block connect to one node."""
    _only.append(host)
    try:
        yield
    finally:
        _only.pop()


def write(name: str, kind: str, *what: object) -> None:
    """Write a line."""
    LoggingReader.file.write(json.dumps([time.monotonic_ns(), kind, name, *what]) + "\n")


def login(token: str) -> str:
    """Return the fact that a session can be used."""
    return f"login {digest(token)}"
