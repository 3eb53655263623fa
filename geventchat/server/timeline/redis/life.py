"""The life of a store, and the place of this node in it.

A life is the time in which nothing that somebody has seen is lost. Whenever the engine may have
been exchanged for one that has less, each node asks for the newest entry of the feed that it knows.
If one is not there a new life begins, and with it an epoch: positions mean something else. One node
begins it, and the others join it.
"""

import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import gevent
from gevent.event import Event

from geventchat.server.timeline.redis import keys
from geventchat.server.timeline.redis.engine import Away, Engine, Rejected
from geventchat.server.timeline.redis.fitness import examine
from geventchat.server.timeline.redis.rooms import FeedId, feed_id
from geventchat.server.timeline.redis.scripts import Script

LEASE_SECONDS: Final = 5
_REGISTER_SECONDS: Final = 3 * LEASE_SECONDS
_ASK_SECONDS: Final = 0.05
_KNOWN_SECONDS: Final = 6 * LEASE_SECONDS
_LATE_SECONDS: Final = 1.0
"""Nodes that did not beat for so long are gone if none has a connection,"""
_QUIET_SECONDS: Final = 2.0
"""and for so long, if others have, or an engine that was restarted is not compared yet."""
_CONFIRM_SECONDS: Final = 5.0
"""How long nodes wait for others to find what they know in an engine that was restarted."""
_NAME: Final = "geventchat-"

_REGISTER: Final = Script("register")
BEAT: Final = Script("beat")
_CONFIRM: Final = Script("confirm")
_RENEW: Final = Script("renew")
LEAVE: Final = Script("leave")

_KNOWN_BY: Final = (b"n", b"h", b"g", b"d", b"q", b"x")

_WAIT, _GOES_ON, _ENDED, _FENCED = range(4)
"""What confirm.lua says of a life."""

_log = logging.getLogger(__name__)


class Fenced(Exception):
    """The lease of this node has ended, and the others go on without it."""


class LifeEnded(Exception):
    """What this node has heard is not all there any more, or another life has begun."""


class InUse(Exception):
    """Another node stores there."""


class Begun(NamedTuple):
    """The part of this node in a life."""

    number: int
    epoch: str
    place: FeedId
    """The entry that tells of this node."""
    others: Sequence[str]


class Beaten(NamedTuple):
    """The answer to a beat."""

    last: bytes
    """The id of the feed's last entry."""
    known: bool
    """Whether all others know this node."""
    others: Sequence[str]
    """The other nodes that live."""


class Life:
    """What this node knows of the life. Everything that takes an engine waits."""

    def __init__(self) -> None:
        self.node: Final = secrets.token_hex(8)
        self.name: Final = f"{_NAME}{self.node}"
        """By which the engine knows this node's connections."""
        self.number = 0
        self.epoch = ""
        self.adopted = ""
        """The epoch whose records the memory of the server has."""
        self.others: frozenset[str] = frozenset()
        """The other nodes that are known to live."""
        self.sure_until = 0.0
        """Until when the lease lasts for sure, by the monotonic clock: later it may have ended."""
        self.hurry: Final = Event()
        """Set when a beat is due at once."""
        self.former: FeedId = (0, 0)
        """The newest entry that was known of the former life."""
        self._known: FeedId = (0, 0)
        self._by: tuple[bytes, bytes] | None = None
        """Node and turn of the newest entry that is known."""
        self.run = b""
        """The process of the engine, which changes when it is restarted."""
        self._asking: tuple[str, float] = "", 0.0
        """In which process it was asked how it goes on, and since when."""

    def begin(self, begun: Begun) -> None:
        """Take part in a life from now on. Never waits."""
        self.former = self._known
        self.number, self.epoch, self._known, others = begun
        self.others = frozenset(others)
        self._by = None

    @property
    def sure(self) -> bool:
        """Whether nobody can have taken this node for dead. Never waits.

        Otherwise it hears nothing before it has beaten: others may have settled what is kept.
        """
        return time.monotonic() < self.sure_until

    def note(self, place: FeedId, by: tuple[bytes, bytes] | None = None) -> None:
        """Note that an entry is there, and whose it is if that is known. Never waits."""
        if place > self._known or (place == self._known and by is not None):
            self._known, self._by = place, by

    def beat(
        self,
        engine: Engine,
        begun: Begun | None = None,
        last: bytes = b"",
        gone: Iterable[str] = (),
    ) -> Beaten:
        """Renew the lease of this node. Raises EngineError, of FENCED if it has none."""
        number = self.number if begun is None else begun.number
        came = "" if begun is None else "{}-{}".format(*begun.place)
        began = time.monotonic()
        answer = beaten(engine.run(BEAT, (), self.node, number, last, "", came, *gone))
        self.sure_until = began + LEASE_SECONDS
        return answer

    def register(
        self, engine: Engine, *, lone: bool, alone: bool = False, seconds: float | None = None
    ) -> FeedId:
        """Become a node that stores; return where to hear from. Raises InUse, EngineError.

        `lone`: whether an engine that was restarted has everything that was ever seen. `alone`:
        whether no other node may store meanwhile. `seconds`: how long to wait for others, which
        may hang, and until all others know this node.
        """
        end = time.monotonic() + (_REGISTER_SECONDS if seconds is None else seconds)
        while True:
            begun, others = self._ask_to_join(engine, lone=lone, alone=alone)
            if begun is not None:
                break
            if time.monotonic() > end and not (self._may_come(engine) or gone(engine, others)):
                raise InUse
            gevent.sleep(_ASK_SECONDS)
        self.get_known(engine, begun)
        self.begin(begun)
        return begun.place

    def join(self, engine: Engine) -> Begun:
        """Join the life that goes on, or begin it. Raises EngineError.

        The caller takes part in it when all others know this node.
        """
        begun, _ = self._ask_to_join(engine, lone=False)
        if begun is None:
            raise Away("other nodes have not yet found what they know")
        return begun

    def _ask_to_join(
        self, engine: Engine, *, lone: bool, alone: bool = False
    ) -> tuple[Begun | None, Sequence[str]]:
        told = _told(engine)
        run, began = told["run_id"], time.monotonic()
        epoch, renews = secrets.token_urlsafe(16), int(not lone or _was_replica(told))
        found = engine.run(
            _REGISTER, (), self.node, run, epoch, renews, int(alone), self.number,
            *self._gone(engine),
        )  # fmt: skip
        if not found[0]:
            return None, [each.decode() for each in found[1:]]
        self.run = run.encode()
        self.sure_until = began + LEASE_SECONDS
        others = [each.decode() for each in found[4:]]
        return Begun(found[1], found[2].decode(), feed_id(found[3]), others), ()

    def get_known(self, engine: Engine, begun: Begun) -> None:
        """Wait until all others know this node; before, it neither stores nor hears.

        Otherwise these could go on with an older file in which it never was, and nobody would ask
        what it has seen. Raises EngineError.
        """
        last, next_look = b"", time.monotonic()
        end, known = next_look + _KNOWN_SECONDS, not begun.others
        while not known:
            dead: Sequence[str] = ()
            if time.monotonic() > next_look:
                next_look, dead = time.monotonic() + 10 * _ASK_SECONDS, self._gone(engine)
            last, known, _ = self.beat(engine, begun, last, dead)
            if not known and time.monotonic() > end:
                raise Away("other nodes do not take notice of this one")
            if not known:
                gevent.sleep(_ASK_SECONDS)

    def confirm(self, engine: Engine) -> None:
        """Make sure that an engine has all that the nodes know. Raises LifeEnded, Fenced, Away."""
        told = _told(engine)
        if told.get("role") != "master":
            raise Away(f"{engine.where} is a replica")
        run = told["run_id"]
        if run.encode() != self.run:
            _check(engine)
        whole = not engine.where.everysec and not _was_replica(told)
        waited = self._waited(run) > _CONFIRM_SECONDS
        by = self._by or (b"", b"")  # others may learn of a newer entry meanwhile
        place = "{}-{}".format(*self._known)
        found = engine.run(
            _CONFIRM, (), self.node, self.number, self.epoch, run, int(whole), int(waited),
            secrets.token_urlsafe(16), place, *by, self.node, *sorted(self.others),
        )  # fmt: skip
        if found == _WAIT:
            raise Away(f"{engine.where} was restarted: other nodes have not yet compared it")
        if found == _ENDED:
            raise LifeEnded
        if found == _FENCED:
            raise Fenced
        if self.run != run.encode():
            self.sure_until = 0.0
            self.hurry.set()
            self.run = run.encode()
            _log.info("%s was restarted and has everything", engine.where)

    def _waited(self, run: str) -> float:
        """Return for how long this node has waited for others to compare an engine's process."""
        if self._asking[0] != run:
            self._asking = run, time.monotonic()
        return time.monotonic() - self._asking[1]

    def _gone(self, engine: Engine) -> list[str]:
        """Return which nodes have surely ended. Raises EngineError."""
        return [] if self._may_come(engine) else gone(engine)

    def _may_come(self, engine: Engine) -> bool:
        """Return whether nodes may not have connected again to an engine that was restarted.

        Their leases say nothing then: none was renewed while it was away.
        """
        run = _told(engine)["run_id"]
        return not _is_compared(engine, run) and self._waited(run) < _QUIET_SECONDS

    def confirm_reading(self, engine: Engine) -> None:
        """Make sure that a connection is to the same engine as the one that stores. Raises Away."""
        run = _told(engine)["run_id"].encode()
        if run != self.run:
            raise Away(f"{engine.where} was restarted")
        stored = engine.call("HMGET", keys.LIFE, "life", "epoch", "run")
        if stored != [b"%d" % self.number, self.epoch.encode(), run]:
            raise Away(f"{engine.where} has another history")

    def end(self, engine: Engine) -> None:
        """End this life, in which no other node stores. Raises Fenced if one does, EngineError."""
        run = _told(engine)["run_id"]
        if not engine.run(_RENEW, (), self.node, self.number, secrets.token_urlsafe(16), run):
            raise Fenced

    def leave(self, engine: Engine) -> None:
        """End the lease of this node. Raises EngineError."""
        engine.run(LEAVE, (), self.node, self.number)


def beaten(answer: Sequence[Any]) -> Beaten:
    """Return the answer to a beat."""
    return Beaten(answer[0], bool(answer[1]), [each.decode() for each in answer[2:]])


def by(fields: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return what an entry is known by, in confirm.lua too: its node and turn, or what it has."""
    known = next((fields[name] for name in _KNOWN_BY if name in fields), b"")
    return known, fields.get(b"t", b"")


def gone(engine: Engine, nodes: Iterable[str] | None = None) -> list[str]:
    """Return which nodes, by default of all that have a lease, have surely ended.

    They have no connection, and did not beat for a while. Raises EngineError.
    """
    leases = engine.call("HGETALL", keys.LEASES)
    ends = {node.decode(): int(end) for node, end in zip(leases[::2], leases[1::2], strict=True)}
    if not ends:
        return []
    try:
        clients = engine.call("CLIENT", "LIST").decode("utf-8", "replace")
    except Rejected:  # then only the leases tell
        return []
    seconds, micros = map(int, engine.call("TIME"))
    now = seconds + micros / 1e6
    away = [node for node in ends if f" name={_NAME}{node} " not in clients]
    late = len(away) == len(ends) and _is_compared(engine, _told(engine)["run_id"])
    most = _LATE_SECONDS if late else _QUIET_SECONDS
    chosen = [node for node in away if now - (ends[node] / 1000 - LEASE_SECONDS) > most]
    return [node for node in chosen if nodes is None or node in nodes]


def lives(engine: Engine) -> bool:
    """Return whether any node uses the store. Raises EngineError."""
    seconds, _ = map(int, engine.call("TIME"))
    leases = engine.call("HGETALL", keys.LEASES)
    ends = zip(leases[::2], leases[1::2], strict=True)
    living = {node.decode() for node, end in ends if int(end) > seconds * 1000}
    return bool(living - set(gone(engine)))


def _is_compared(engine: Engine, run: str) -> bool:
    """Return whether nodes have settled whether the life goes on in this process of the engine."""
    stored: bytes | None = engine.call("HGET", keys.LIFE, "run")
    return stored == run.encode()


def _told(engine: Engine) -> dict[str, str]:
    lines = engine.call("INFO").decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _was_replica(told: Mapping[str, str]) -> bool:
    """Return whether a primary was promoted: somebody may have seen more than it has.

    And where it copied from may live on, and go on with the same positions.
    """
    return int(told.get("second_repl_offset", -1)) >= 0


def _check(engine: Engine) -> None:
    """Raise Away if an engine that was started meanwhile would lose messages."""
    if reason := examine(engine):
        raise Away(reason)
