"""A proxy between a server and its engine that loses, delays and cuts messages on request."""

import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final

import gevent
import hiredis
from gevent import socket
from gevent.event import Event

_INCOMPLETE: Final = object()


class _Loss(Enum):
    CUT = auto()
    SILENT = auto()


@dataclass(eq=False)
class _Pair:
    """A connection of a client, and the one to the engine for it."""

    client: socket.socket
    engine: socket.socket
    asked: deque[tuple[str, int]] = field(default_factory=deque)
    """Commands that are not answered yet, by name and number."""
    silent: bool = False
    """Whether the client hears nothing any more."""

    def close(self) -> None:
        _shut(self.client)
        self.client.close()
        self.engine.close()


class FaultProxy:
    """Passes commands and answers on, each as a whole; the attributes are what goes wrong.

    An answer is encoded anew: the same to a client of RESP2, though not to the byte.
    """

    def __init__(self, path: str, engine: str) -> None:
        self.url = f"unix://{path}"
        self.delay = 0.0
        """Seconds by which each answer is late."""
        self.delays: dict[str, float] = {}
        """The same for commands of a name, such as `XREAD`."""
        self.open = Event()
        """While it is cleared nothing passes, and nobody is told: a black hole, or a long stall."""
        self.open.set()
        self.commands: Counter[str] = Counter()
        """How many commands of a name came, such as `EVALSHA`."""
        self._lost: dict[tuple[str, int], _Loss] = {}
        self._cut_command: int | None = None
        self._cut_answer: int | None = None
        self.engine = engine
        """The socket of the engine, for connections from now on."""
        self._pairs: set[_Pair] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._greenlets: list[gevent.Greenlet[..., None]] = [gevent.spawn(self._accept)]

    def lose_answer(self, name: str, nth: int = 1, *, silently: bool = False) -> None:
        """Lose the answer to the nth command of a name from now, and the connection with it.

        `silently`: the connection looks as if it lived, and nothing passes any more.
        """
        self._lost[name, self.commands[name] + nth] = _Loss.SILENT if silently else _Loss.CUT

    def cut_command(self, after: int) -> None:
        """Pass on so many bytes of what is sent next, then cut the connection."""
        self._cut_command = after

    def cut_answer(self, after: int) -> None:
        """Pass on so many bytes of what is answered next, then cut the connection."""
        self._cut_answer = after

    def half_open(self) -> None:
        """End the engine's side of all connections; the client is not told."""
        for pair in self._pairs:
            pair.silent = True
            _shut(pair.engine)

    def cut(self) -> None:
        """End all connections on both sides."""
        for pair in self._pairs:
            _shut(pair.client)
            _shut(pair.engine)

    def redirect(self, engine: str) -> None:
        """Lead to the engine on another socket from now on, as when another one takes over."""
        self.engine = engine
        self.cut()

    def close(self) -> None:
        gevent.killall(self._greenlets)
        self._listener.close()
        for pair in self._pairs:
            pair.close()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            engine = socket.socket(socket.AF_UNIX)
            try:
                engine.connect(self.engine)
            except OSError:  # it does not run: nor does this, then
                engine.close()
                client.close()
                continue
            pair = _Pair(client, engine)
            self._pairs.add(pair)
            self._greenlets += [
                gevent.spawn(self._pass_commands, pair),
                gevent.spawn(self._pass_answers, pair),
            ]

    def _pass_commands(self, pair: _Pair) -> None:
        for command in _messages(pair.client):
            self.open.wait()
            name = command[0].decode().upper()
            self.commands[name] += 1
            pair.asked.append((name, self.commands[name]))
            cut = self._cut_command
            self._cut_command = None
            _send(pair.engine, _encoded(command)[:cut])
            if cut is not None:
                break
        _shut(pair.engine)

    def _pass_answers(self, pair: _Pair) -> None:
        for answer in _messages(pair.engine):
            name = pair.asked[0][0] if pair.asked else ""
            gevent.sleep(self.delays.get(name, self.delay))
            self.open.wait()
            how = self._lost.pop(pair.asked.popleft(), None) if pair.asked else None
            if how is _Loss.CUT:
                break
            if how is _Loss.SILENT:
                pair.silent = True
            if not pair.silent:
                cut = self._cut_answer
                self._cut_answer = None
                _send(pair.client, _encoded(answer)[:cut])
                if cut is not None:
                    break
        if not pair.silent:
            self._pairs.discard(pair)
            pair.close()


@contextmanager
def faults(engine: str) -> Iterator[FaultProxy]:
    """Run a proxy before the engine on a unix socket."""
    with tempfile.TemporaryDirectory(prefix="gc-") as folder:
        proxy = FaultProxy(str(Path(folder) / "proxy.sock"), engine)
        try:
            yield proxy
        finally:
            proxy.close()


def _messages(sock: socket.socket) -> Iterator[Any]:
    reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
    with suppress(OSError):
        while data := sock.recv(65_536):
            reader.feed(data)
            while (message := reader.gets()) is not _INCOMPLETE:
                yield message


def _encoded(message: Any) -> bytes:
    if isinstance(message, list):
        return b"*%d\r\n%b" % (len(message), b"".join(map(_encoded, message)))
    if isinstance(message, bytes):
        return b"$%d\r\n%b\r\n" % (len(message), message)
    if isinstance(message, Exception):
        return b"-%b\r\n" % str(message).encode()
    return b"$-1\r\n" if message is None else b":%d\r\n" % message


def _send(sock: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        sock.sendall(data)


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
