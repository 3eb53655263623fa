"""The life of a store, and the place of this node in it.

A life is the time in which nothing that somebody has seen is lost. Whenever the engine may have
been exchanged for one that has less, the node asks for the newest entry of the feed that it knows.
If that is not there a new life begins, and with it an epoch: positions mean something else.
"""

import logging
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import gevent

from geventchat.server.timeline.redis.engine import Away, Engine, Rejected
from geventchat.server.timeline.redis.fitness import examine
from geventchat.server.timeline.redis.rooms import FeedId, feed_id
from geventchat.server.timeline.redis.scripts import Script

LEASE_SECONDS: Final = 5
_REGISTER_SECONDS: Final = LEASE_SECONDS + 1
_ASK_SECONDS: Final = 0.5
_NAME: Final = "geventchat-"

_REGISTER: Final = Script("register")
_RENEW: Final = Script("renew")

_log = logging.getLogger(__name__)


class Fenced(Exception):
    """Another server stores there by now."""


class LifeEnded(Exception):
    """What this node has heard is not all there any more."""


class InUse(Exception):
    """Another server stores there."""


class Begun(NamedTuple):
    """A new life."""

    number: int
    epoch: str
    place: FeedId
    """Its first entry."""


class Life:
    """What this node knows of the life. Everything that takes an engine waits."""

    def __init__(self) -> None:
        self.node: Final = secrets.token_hex(8)
        self.name: Final = f"{_NAME}{self.node}"
        """By which the engine knows this node's connections."""
        self.number = 0
        self.epoch = ""
        self._known: FeedId = (0, 0)
        self._by: tuple[bytes, bytes] | None = None
        """Node and turn of the newest entry that is known."""
        self._run = b""

    def begin(self, begun: Begun) -> None:
        """Take part in a life from now on. Never waits."""
        self.number, self.epoch, self._known = begun
        self._by = None

    def note(self, place: FeedId, by: tuple[bytes, bytes] | None = None) -> None:
        """Note that an entry is there, and whose it is if that is known. Never waits."""
        if place > self._known or (place == self._known and by is not None):
            self._known, self._by = place, by

    def register(self, engine: Engine, *, lone: bool, seconds: float = _REGISTER_SECONDS) -> FeedId:
        """Become the node that stores; return where to hear from. Raises InUse, EngineError.

        `lone`: whether an engine that was restarted has everything that was ever seen. `seconds`:
        how long to wait for the end of another, which may hang.
        """
        end = time.monotonic() + seconds
        dead = ""
        while True:
            told = _told(engine)
            run = told["run_id"]
            epoch, renews = secrets.token_urlsafe(16), int(not lone or _was_replica(told))
            found = engine.run(_REGISTER, (), self.node, run, epoch, dead, renews)
            if len(found) == 3:
                self._run = run.encode()
                self.begin(Begun(found[0], found[1].decode(), feed_id(found[2])))
                return self._known
            node = found[0].decode()
            if not is_connected(engine, node):
                dead = node
            elif time.monotonic() > end:
                raise InUse
            else:
                gevent.sleep(_ASK_SECONDS)

    def confirm(self, engine: Engine) -> None:
        """Make sure that an engine has all that this node knows. Raises LifeEnded, Fenced."""
        run = self._look(engine)
        if run != self._run:
            _check(engine)
            if engine.where.everysec or _was_replica(_told(engine)):
                raise LifeEnded
            engine.call("HSET", "{gc}:life", "run", run)
            self._run = run
            _log.info("%s was restarted and has everything", engine.where)

    def confirm_reading(self, engine: Engine) -> None:
        """Make sure that a connection is to the same engine as the one that stores. Raises Away."""
        try:
            run = self._look(engine)
        except (Fenced, LifeEnded):
            raise Away(f"{engine.where} has another history") from None
        if run != self._run:
            raise Away(f"{engine.where} was restarted")

    def renew(self, engine: Engine) -> Begun:
        """Begin a new life, which the caller takes part in. Raises Fenced."""
        _check(engine)
        run = _told(engine)["run_id"]
        epoch, dead = secrets.token_urlsafe(16), ""
        node, lease = engine.call("HMGET", "{gc}:life", "node", "lease")
        if node is not None and node != self.node.encode():
            self._check_other(engine, node, lease)
            dead = node.decode()
        found = engine.run(_RENEW, (), self.node, self.number, epoch, run, dead)
        if found is None:
            raise Fenced
        self._run = run.encode()
        return Begun(found[0], epoch, feed_id(found[1]))

    def _look(self, engine: Engine) -> bytes:
        """Return the run id of an engine that has all. Raises LifeEnded, Fenced."""
        told = _told(engine)
        if told.get("role") != "master":
            raise Away(f"{engine.where} is a replica")
        known = self._by  # others may learn of a newer entry meanwhile
        place = "{}-{}".format(*self._known)
        stored, entries = _answers(
            engine,
            ("HMGET", "{gc}:life", "life", "epoch", "node", "lease"),
            ("XRANGE", "{gc}:feed", place, place),
        )
        life, epoch, node, lease = stored
        if node is not None and node != self.node.encode():
            self._check_other(engine, node, lease)
            raise LifeEnded
        if (life, epoch) != (b"%d" % self.number, self.epoch.encode()) or not entries:
            raise LifeEnded
        fields = dict(zip(entries[0][1][::2], entries[0][1][1::2], strict=True))
        if known not in (None, by(fields)):
            raise LifeEnded
        return told["run_id"].encode()

    def _check_other(self, engine: Engine, node: bytes, lease: bytes) -> None:
        """Raise Fenced if another node lives."""
        seconds, micros = map(int, engine.call("TIME"))
        if int(lease) > seconds * 1000 + micros // 1000 and is_connected(engine, node.decode()):
            raise Fenced


def by(fields: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return which node's entry it is, and its turn; empty: it is none."""
    return fields.get(b"n", fields.get(b"h", b"")), fields.get(b"t", b"")


def _answers(engine: Engine, *commands: tuple[str | int, ...]) -> list[Any]:
    """Return the answers to some commands. Raises EngineError."""
    answers = engine.pipeline(commands)
    for answer in answers:
        if isinstance(answer, Rejected):
            raise answer
    return answers


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


def is_connected(engine: Engine, node: str) -> bool:
    """Return whether a node has a connection to an engine, as far as that may be asked."""
    try:
        clients = engine.call("CLIENT", "LIST").decode("utf-8", "replace")
    except Rejected:  # then only the lease tells
        return True
    return f" name={_NAME}{node} " in clients
