"""A real server, everybody who comes to it, and its clock, which the test turns."""

import json
import socket as native
import struct
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import gevent

from geventchat.config import Config, Limits
from geventchat.server.logs.console import Console
from geventchat.server.logs.writer import LogWriter
from geventchat.server.participant import Participant
from geventchat.server.server import Server
from tests.conversations.peers import Plain, Rich, encode

_Guest = TypeVar("_Guest", bound=Plain)
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Chat:
    """A server and its guests."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.address = server.address
        self.guests: list[Plain] = []
        self._stopped = False

    def later(self, seconds: float) -> None:
        """Let the server look at its clock as if so many seconds had gone by."""
        self.server._hub.tick(time.monotonic() + seconds)

    def plain(self) -> Plain:
        """Let a plain client connect, and give it when it is a member."""
        return self.plains(1)[0]

    def plains(self, count: int) -> list[Plain]:
        """Let plain clients connect, and give them when they are members."""
        peers = [self.came(Plain(self.address)) for _ in range(count)]
        self.knock()
        return peers

    def rich(self, nick: str | None = None, **options: Any) -> Rich:
        """Let a rich client come in, and give it when its rooms have answered."""
        return self.came(Rich(self.address, nick, **options))

    def refused(self, **hello: Any) -> list[dict[str, Any]]:
        """Say hello where it is answered with the end; give all that was heard."""
        with Plain(self.address) as peer:
            said = {"type": "hello", "version": 1, "client": "refused-client-x", **hello}
            peer.send(b"\x1e" + encode(said))
            return [json.loads(frame) for frame in peer.rest()]

    def riches(self, *nicks: str) -> list[Rich]:
        """Let rich clients come in, and give them when each knows of all."""
        peers = [self.rich(nick) for nick in nicks]
        for peer in peers:
            peer.pong()
        return peers

    def came(self, guest: _Guest) -> _Guest:
        """Take somebody in who hangs up when the test ends."""
        # Without it a second small request waits for the kernel to acknowledge the first: 40 ms.
        guest.socket.setsockopt(native.IPPROTO_TCP, native.TCP_NODELAY, 1)
        self.guests.append(guest)
        return guest

    def knock(self) -> None:
        """Return when all who connected before are inside: the server lets them in, in order."""
        with Rich(self.address, rooms=[]):
            pass

    def stop(self) -> None:
        """Let everybody hang up, and stop; once is enough."""
        for guest in self.guests:
            guest.socket.close()
        self.guests.clear()
        if not self._stopped:
            self._stopped = True
            self.server.stop()

    def gone(self, peer: Rich) -> None:
        """Return when the server knows that a client is gone."""
        with gevent.Timeout(5):
            while any(session.nick == peer.nick for session in self.inside()):
                gevent.sleep(0.001)

    def inside(self) -> Collection[Participant]:
        """Give all who are here."""
        return self.server._hub.sessions


@contextmanager
def chatting(
    timeline: str = "memory:",
    *,
    clock: bool = False,
    options: Mapping[str, Any] | None = None,
    **limits: Any,
) -> Iterator[Chat]:
    """Run a server with these options and limits, whose guests hang up before it stops.

    Once a second a server looks at its clock; this one does so `later`, unless the clock is to run.
    """
    options = {"admin": "none", **(options or {})}
    config = Config(port=0, timeline=timeline, limits=Limits(**limits), **options)
    server = Server(config, Console(LogWriter(None), echo=False))
    server.start(ticking=clock)
    chat = Chat(server)
    try:
        yield chat
    finally:
        chat.stop()


def drop(peer: Plain) -> None:
    """Let a client vanish without a goodbye, not even the kernel's."""
    peer.socket.setsockopt(native.SOL_SOCKET, native.SO_LINGER, _NO_LINGER)
    peer.socket.close()
