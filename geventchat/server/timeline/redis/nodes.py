"""The nodes of a store on an engine, as one of them sees it: what each part does is in its file.

Entries of the feed that are no turns are dispatched here, in the order of the feed.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from typing import Final

from geventchat.server.timeline.nodes import Listener, Message, Nodes, Part
from geventchat.server.timeline.redis.claims import Claims
from geventchat.server.timeline.redis.deciding import Deciding
from geventchat.server.timeline.redis.feed import Feed, Fields
from geventchat.server.timeline.redis.keeping import unpacked
from geventchat.server.timeline.redis.life import LEASE_SECONDS, Beaten, Life
from geventchat.server.timeline.redis.live import Live
from geventchat.server.timeline.redis.rooms import FeedId
from geventchat.server.timeline.redis.writer import Writer

_COME_SECONDS: Final = 2 * LEASE_SECONDS

_log = logging.getLogger(__name__)


class RedisNodes(Nodes):
    """This node among those that have a lease. It is told what the feed brings, and each beat."""

    alone = False

    def __init__(self, life: Life, writer: Writer, feed: Feed, live: Live) -> None:
        """`writer` has a connection of its own, for all that is not a turn."""
        self._deciding = Deciding(writer, life, feed, self)
        self._life = life
        self._writer = writer
        self._listener: Listener | None = None
        self._missing: dict[str, float] = {}
        """Nodes that were there in the former life, and until when they may come to this one."""
        self._claims = Claims(writer, feed, self._hear_moved)
        self._live = live

    # The nodes

    @property
    def name(self) -> str:
        return self._life.node

    @property
    def others(self) -> Sequence[str]:
        return sorted(self._life.others)

    @property
    def awaited(self) -> Set[str]:
        return {*self._life.others, *self._missing}

    @property
    def knew(self) -> FeedId:
        return self._life.former

    def listen(self, listener: Listener) -> None:
        self._listener = self._live.listener = listener

    def hear(self, place: FeedId, fields: Fields) -> None:
        """Follow an entry of the feed that is not a turn. Never waits."""
        if b"h" in fields:
            self._note_others({*self._life.others, fields[b"h"].decode()} - {self.name})
        elif b"g" in fields:
            node = fields[b"g"].decode()
            self._note_others(self._life.others - {node})
            self._hear_gone(node)
        elif b"k" in fields:
            self._hear_records(fields)
        elif b"d" in fields or b"q" in fields:
            self._deciding.hear(fields)
        elif b"c" in fields:
            self._claims.hear(place, fields, own=fields[b"n"] == self.name.encode())

    def note_beat(self, answer: Beaten) -> None:
        """Note who lives by the answer to a beat. Never waits."""
        self._note_others(answer.others)
        now = time.monotonic()
        for node in [node for node, end in self._missing.items() if end < now]:
            self._hear_gone(node)

    def go_on(self, former: Iterable[str]) -> None:
        """Go on in another life than these others were in; they have some seconds to come, too."""
        end = time.monotonic() + _COME_SECONDS
        self._missing.update(dict.fromkeys(former, end))
        self._note_others(self._life.others)

    def _note_others(self, others: Iterable[str]) -> None:
        former, self._life.others = self._life.others, frozenset(others)
        for node in self._life.others:
            self._missing.pop(node, None)
        if self._life.others - former:
            self._live.note_others()
            self._life.hurry.set()  # it waits until all others have seen it

    def _hear_gone(self, node: str) -> None:
        self._missing.pop(node, None)
        self._deciding.hear_gone()
        if self.leads:
            self._claims.hear_gone()
        self._live.forget(node)
        if node != self.name:
            self._tell(lambda listener: listener.hear_gone(node))

    def _hear_records(self, fields: Fields) -> None:
        if fields[b"n"].decode() != self.name:
            changes = unpacked(fields[b"k"])
            self._tell(lambda listener: listener.hear_records(changes))

    def _tell(self, call: Callable[[Listener], None]) -> None:
        if self._listener is None:
            return
        try:
            call(self._listener)
        except Exception:  # a bug in what follows others must not look like a damaged feed
            _log.exception("following another server failed")

    @property
    def decides(self) -> bool:
        return self._deciding.decides

    def deciding(self, *, adopting: bool = False) -> AbstractContextManager[None]:
        return self._deciding.deciding(adopting=adopting)

    def adopted(self, epoch: str) -> None:
        self._life.adopted = epoch
        self._deciding.note_adopted()

    # Clients and nicks

    def begin(self) -> None:
        """Take what this node needs before clients come. Waits."""
        self._claims.begin()

    def close(self) -> None:
        """Change nothing more. Never waits."""
        self._claims.close()
        self._live.close()

    def catch_up(self) -> None:
        self._claims.catch_up()

    def known(self, client: bytes) -> str | None:
        return self._claims.known(client)

    def enter(
        self, client: bytes, guest: str, former: str | None, *,
        account: bool, since: float | None = None,
    ) -> str | None:  # fmt: skip
        return self._claims.enter(client, guest, former, account=account, since=since)

    def hold(self, client: bytes, nick: str | None, seconds: float) -> None:
        self._claims.hold(client, nick, seconds)

    def leave(self, client: bytes) -> None:
        self._claims.leave(client)

    def check(self, nick: str) -> None:
        self._claims.check(nick)

    def claim(self, nick: str, client: bytes) -> None:
        self._claims.claim(nick, client)

    def reserve(self, nick: str, client: bytes | None = None) -> None:
        self._claims.reserve(nick, client)

    def restore(self, nick: str, client: bytes | None, former: str | None = None) -> None:
        self._claims.restore(nick, client, former)

    def unclaim(self, nick: str) -> None:
        self._claims.unclaim(nick)

    def next_guest(self) -> int:
        return self._claims.next_guest()

    def _hear_moved(self, client: bytes, node: str) -> None:
        self._tell(lambda listener: listener.hear_moved(client, node))

    # Who is here

    @property
    def helpers(self) -> Mapping[str, Callable[[], None]]:
        """What runs as long as the timeline, by name."""
        return {
            "live": self._live.run, "live-channel": self._live.listen, "parts": self._live.watch,
        }  # fmt: skip

    def share(self, change: Part) -> None:
        self._live.share(change)

    def tell(self, message: Message, node: str | None = None) -> None:
        self._live.tell(message, node)

    def meet(self) -> None:
        self._live.meet()
