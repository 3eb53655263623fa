"""A real server, its clients, and its clock, which the test advances."""

import json
import socket as native
import struct
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import gevent

from geventchat.config import Config, Limits
from geventchat.server.participant import Participant
from geventchat.server.server import Server
from tests.conversations import nodes
from tests.conversations.peers import Plain, Rich, Web, encode
from tests.conversations.stored import placed

_Peer = TypeVar("_Peer", bound=Plain)
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Chat:
    """A server and its clients."""

    def __init__(self, server: Server, door: str = "tcp") -> None:
        """`door`: the one that its rich clients use."""
        self.server = server
        self.door = door
        self.address = server.address
        self.peers: list[Plain] = []
        self._stopped = False

    def advance_clock(self, seconds: float) -> None:
        """Run the server's timers as if that many seconds had passed."""
        nodes.level()
        for each in nodes.beside(self.server):
            _wait_delivered(each)  # or a tick that is still under way would take its place
            each._hub.tick(time.monotonic() + seconds)
        self.wait_delivered()

    def wait_delivered(self) -> None:
        """Wait until the server has put everything on its way: much takes several rounds."""
        for each in nodes.beside(self.server):
            _wait_delivered(each)

    def plain(self) -> Plain:
        """Connect a plain client; return it once it is a member of the lobby."""
        return self.plain_clients(1)[0]

    def plain_clients(self, count: int) -> list[Plain]:
        """Connect plain clients; return them once they are members of the lobby."""
        peers = [self.track(Plain(self.address)) for _ in range(count)]
        self.wait_accepted()
        return peers

    def rich(self, nick: str | None = None, **options: Any) -> Rich:
        """Connect a rich client; return it once its rooms have answered."""
        return self.track(self._rich(nick, **options))

    def _rich(self, nick: str | None = None, **options: Any) -> Rich:
        if self.door == "web":
            return Web(self.server.web_addresses[0], nick, **options)
        return Rich(self.address, nick, **options)

    def refused(self, **hello: Any) -> list[dict[str, Any]]:
        """Send a hello that the server rejects; return all events until it closes."""
        with Plain(self.address) as peer:
            said = {"type": "hello", "version": 1, "client": "refused-client-x", **hello}
            peer.send(b"\x1e" + encode(said))
            return [json.loads(frame) for frame in peer.rest()]

    def rich_clients(self, *nicks: str) -> list[Rich]:
        """Connect rich clients; return them once each has heard of all."""
        peers = [self.rich(nick) for nick in nicks]
        for peer in peers:
            peer.pong()
        return peers

    def track(self, peer: _Peer) -> _Peer:
        """Close a client when the test ends; return it."""
        # Without it a second small request waits for the kernel to acknowledge the first: 40 ms.
        peer.socket.setsockopt(native.IPPROTO_TCP, native.TCP_NODELAY, 1)
        self.peers.append(peer)
        return peer

    def wait_accepted(self) -> None:
        """Wait until all earlier connections are accepted: the server accepts them in order."""
        for _ in nodes.beside(self.server):
            with Rich(self.address, rooms=[]):
                pass
            with self._rich(rooms=[]):
                pass

    def stop(self) -> None:
        """Close all clients and stop the server; further calls do nothing."""
        for peer in self.peers:
            peer.socket.close()
        self.peers.clear()
        if not self._stopped:
            self._stopped = True
            nodes.stop(self.server)

    def wait_disconnected(self, peer: Rich) -> None:
        """Wait until the server has noticed that a client disconnected."""
        with gevent.Timeout(20):
            while any(session.nick == peer.nick for session in self.sessions()):
                gevent.sleep(0.001)

    def sessions(self) -> Collection[Participant]:
        """Return all sessions of the server, on whatever node."""
        return [each for node in nodes.beside(self.server) for each in node._hub.sessions]


@contextmanager
def chatting(
    timeline: str = "memory:",
    *,
    clock: bool = False,
    door: str = "tcp",
    options: Mapping[str, Any] | None = None,
    **limits: Any,
) -> Iterator[Chat]:
    """Run a server with these options and limits, whose clients close before it stops.

    Its timers run only at `advance_clock`, unless `clock` is true; `door`: "tcp" or "web", the one
    that its rich clients use.
    """
    web = "127.0.0.1:0" if door == "web" else "none"
    options = {"admin": "none", "web": web, **(options or {})}
    config = Config(port=0, timeline=placed(timeline), limits=Limits(**limits), **options)
    chat = Chat(nodes.start(config, ticking=clock), door)
    try:
        yield chat
    finally:
        chat.stop()


def drop(peer: Plain) -> None:
    """Close a client with a TCP reset."""
    peer.socket.setsockopt(native.SOL_SOCKET, native.SO_LINGER, _NO_LINGER)
    peer.socket.close()


def _wait_delivered(server: Server) -> None:
    with gevent.Timeout(20):
        while not server._hub.delivery.idle:
            gevent.sleep(0)
