"""People on three nodes who do everything at once: in the end all nodes know what is on disk."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gevent

from geventchat.config import Config
from geventchat.protocol import names
from geventchat.server.logs.console import Console
from geventchat.server.logs.writer import LogWriter
from geventchat.server.people.new_epoch import KINDS, kept
from geventchat.server.people.records import encoded
from geventchat.server.server import Server
from geventchat.server.session.session import Session
from tests.conversations.peers import Rich
from tests.conversations.signed_in import PASSWORD
from tests.engines import RunningEngine
from tests.fault_proxy import faults

NICKS = "Anna", "Bert", "Cora", "Dave"
ROOMS = "lobby", "tea", "attic", "cellar"
"""The last two are private, at first with all in them."""
SECONDS = 60.0


@contextmanager
def three_nodes(url: str) -> Iterator[list[Server]]:
    config = Config.of({"port": 0, "admin": "none", "web": "none", "timeline": url})
    servers: list[Server] = []
    try:
        for _ in range(3):
            server = Server(config, Console(LogWriter(None), echo=False))
            server.start()
            servers.append(server)
        yield servers
    finally:
        gevent.joinall([gevent.spawn(each.stop) for each in servers], raise_error=True)


def known(server: Server) -> dict[tuple[str, str], bytes | None]:
    """Return what a node has in memory of people."""
    return {
        each.record: encoded(each.value())
        for kind in KINDS
        for each in kept(server._hub.people, kind)
        if kind != "counted"
    }


def stored(server: Server) -> dict[tuple[str, str], bytes | None]:
    """Return what is on disk of people."""
    return {
        (kind, number): value
        for kind in KINDS
        if kind != "counted"
        for number, value in server._hub.timeline.records(kind)
    }


def difference(servers: list[Server]) -> dict[tuple[str, str], list[bytes | None]]:
    """Return what some node or the disk has that another has not, or has otherwise."""
    states = [*map(known, servers), stored(servers[0])]
    return {
        record: [each.get(record) for each in states]
        for record in set().union(*states)
        if len({each.get(record) for each in states}) > 1
    }


def strayed(servers: list[Server]) -> list[tuple[str, set[str], set[str]]]:
    """Return whose connections are in other rooms than their account, but for conversations."""
    found = []
    for session in [each for server in servers for each in server._hub.sessions]:
        if isinstance(session, Session) and session.account is not None:
            rooms = {room for room in session.rooms if not names.is_conversation(room)}
            own = {room for room in session.account.rooms if not names.is_conversation(room)}
            if rooms != own - session.cursors.keys():  # it was told that it could not be joined
                found.append((session.nick, rooms, own))
    return found


class Peer(Rich):
    """A client that leaves no socket open if it is not admitted."""

    def __init__(self, address: tuple[str, int], **options: Any) -> None:
        try:
            super().__init__(address, **options)
        except BaseException:
            self.socket.close()
            raise


def make_account(server: Server, nick: str) -> Rich:
    """Make an account; return its first connection."""
    account = {"nick": nick, "password": PASSWORD, "register": True}
    return Peer(server.address, account=account, client=f"client-of-{nick}-1")


class Person:
    """An account with a connection that moves between nodes."""

    def __init__(self, servers: list[Server], session: str, chance: random.Random) -> None:
        """`session`: what it signs in with."""
        self._servers, self._chance = servers, chance
        self._account = {"session": session}
        self.peer = Peer(chance.choice(servers).address, account=self._account)

    def act(self, count: int) -> None:
        """Do so many things, as if nobody else did anything."""
        for _ in range(count):
            try:
                with gevent.Timeout(SECONDS):
                    self._act()
            except (OSError, EOFError):  # the connection has ended, as after a revocation
                self.connect()

    def _act(self) -> None:
        chance = self._chance
        room, nick = chance.choice(ROOMS), chance.choice(NICKS)
        requests: list[tuple[str, dict[str, Any]]] = [
            ("join", {"room": room}),
            ("leave", {"room": room}),
            ("join", {"room": room}),
            ("join", {"room": room}),
            ("invite", {"room": chance.choice(ROOMS[2:]), "nick": nick}),
            ("moderator", {"room": chance.choice(ROOMS[2:]), "nick": nick, "on": True}),
            ("moderator", {"room": chance.choice(ROOMS[2:]), "nick": nick, "on": False}),
            ("mute", {"room": chance.choice(ROOMS[2:]), "nick": nick, "on": True}),
            ("mute", {"room": chance.choice(ROOMS[2:]), "nick": nick, "on": False}),
            ("remove", {"room": chance.choice(ROOMS[2:]), "nick": nick}),
            ("nick", {"nick": chance.choice([*NICKS, "Emil", "Fred"])}),
            ("block", {"nick": nick, "on": chance.random() < 0.3}),
            ("direct", {"to": nick, "text": "hello"}),
            ("say", {"room": room, "text": f"@{nick} hello", "key": f"k{chance.random()}"}),
            ("read", {"room": room, "position": chance.randrange(1, 20)}),
            ("invite", {"room": chance.choice(ROOMS[2:]), "nick": nick}),
            ("invite", {"room": chance.choice(ROOMS[2:]), "nick": nick}),
        ]
        if chance.random() < 0.1:
            self.connect()
        else:
            kind, fields = chance.choice(requests)
            if kind == "say":
                self.peer.tell(kind, **fields)
            else:
                self.peer.ask(kind, **fields)

    def connect(self) -> None:
        """Connect again, to another node, with the same client or as another one."""
        self.peer.socket.close()
        options: dict[str, Any] = {"account": self._account}
        if self._chance.random() < 0.5:
            options["client"] = self.peer.client
        while True:
            with suppress(OSError, EOFError):
                self.peer = Peer(self._chance.choice(self._servers).address, **options)
                return
            gevent.sleep(0.05)


def everything(url: str, seed: int, meanwhile: Callable[[random.Random], None]) -> None:
    """Have people do everything, and something else meanwhile; check what is known in the end."""
    chance = random.Random(seed)
    with three_nodes(url) as servers:
        first = [make_account(servers[number % 3], nick) for number, nick in enumerate(NICKS)]
        for room in ROOMS[2:]:
            first[0].ask("create", room=room)
            for each in first[1:]:
                first[0].ask("invite", room=room, nick=each.nick)
                each.ask("join", room=room)
        people = [
            Person(servers, each.welcome["session"], random.Random(chance.random()))
            for each in 2 * first
        ]
        disturbing = gevent.spawn(meanwhile, chance)
        gevent.joinall(
            [gevent.spawn(each.act, 60) for each in people], timeout=SECONDS, raise_error=True
        )
        disturbing.kill()
        end = time.monotonic() + SECONDS
        # To look takes a while, in which what was said last is counted on one node and another.
        while any(found := (difference(servers), strayed(servers))) and time.monotonic() < end:
            gevent.sleep(0.05)
        assert found == ({}, [])
        for peer in [*first, *(person.peer for person in people)]:
            peer.socket.close()


def test_all_nodes_know_in_the_end_what_is_on_disk(
    engines: Callable[[str], RunningEngine],
) -> None:
    everything(engines("valkey").url, 3, lambda _: None)


def test_so_they_do_if_their_connections_are_cut(
    engines: Callable[[str], RunningEngine],
) -> None:
    with faults(engines("valkey").path) as proxy:

        def cut(chance: random.Random) -> None:
            while True:
                gevent.sleep(chance.uniform(0.02, 0.2))
                if chance.random() < 0.3:
                    proxy.cut()
                elif chance.random() < 0.5:
                    proxy.lose_answer("EVALSHA")
                else:
                    proxy.cut_answer(chance.randrange(100))

        everything(proxy.url, 1, cut)


def test_so_they_do_when_the_engine_has_lost_everything(
    engines: Callable[[str], RunningEngine],
) -> None:
    engine = engines("valkey")

    def flush(_: random.Random) -> None:
        gevent.sleep(0.3)
        engine.call("FLUSHALL")

    everything(engine.url, 0, flush)
