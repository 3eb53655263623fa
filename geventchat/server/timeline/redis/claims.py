"""Whose each client and each nick is, over all nodes of a store."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import gevent

from geventchat.protocol import names
from geventchat.protocol.errors import REPLACED, Ending, Refused
from geventchat.server.timeline.redis.asking import Asking, Question, Value, refusal
from geventchat.server.timeline.redis.feed import Feed, Fields
from geventchat.server.timeline.redis.guests import Guests
from geventchat.server.timeline.redis.rooms import FeedId, feed_id
from geventchat.server.timeline.redis.stored import string
from geventchat.server.timeline.redis.writer import Writer

_SWEEP_SECONDS: Final = 60.0
"""How long a client that comes back may have the nick that a node held which has ended."""
_SWEPT: Final = 100
_SWEEP_PAUSE: Final = 0.01
_IN_USE, _SIMILAR, _MOVED = 1, 2, 3
_OF_ACCOUNT: Final = -1

_log = logging.getLogger(__name__)


class Claims:
    """The clients and nicks of this node among all. What waits says so."""

    def __init__(
        self, writer: Writer, feed: Feed, hear_moved: Callable[[bytes, str], None]
    ) -> None:
        """`hear_moved` is called with a client that is another node's now."""
        self._asking = Asking(writer, feed)
        self._guests = Guests(self._asking)
        self.next_guest: Final = self._guests.next
        self._hear_moved = hear_moved
        self._entering: Counter[bytes] = Counter()
        """How often each client is entering at present."""
        self._overtaken: dict[bytes, FeedId] = {}
        """Where in the feed those of them have moved elsewhere."""
        self._left: set[bytes] = set()
        """Those of them that this node has given up meanwhile,"""
        self._holds: dict[bytes, Question] = {}
        """those that it would hold, if they did not come,"""
        self._lost: dict[bytes, str] = {}
        """and those that another node has, if they do not come."""
        self._sweeper: gevent.Greenlet[[], None] | None = None
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether the engine knows all that was said."""
        return self._asking.idle

    def begin(self) -> None:
        """Take the first numbers of guests, and compare the tables of Unicode. Waits."""
        version = unicodedata.unidata_version
        self._asking.begin(
            self._guests.more(), Question("unicode", (version,), then=_compare_unicode)
        )

    def close(self) -> None:
        """Ask nothing more. Never waits."""
        self._closed = True
        self._asking.close()
        if self._sweeper is not None:
            self._sweeper.kill(block=False)

    # Hearing

    def hear(self, place: FeedId, fields: Fields, *, own: bool) -> None:
        """Follow an entry of the feed which says that a client has moved. Never waits."""
        if own:
            return
        client = fields[b"c"]
        if client in self._entering:
            self._overtaken[client] = place
        self._hear_moved(client, fields[b"n"].decode())

    def hear_gone(self) -> None:
        """Have what belonged to a node that has ended deleted after a while. Never waits."""
        if self._sweeper is None and not self._closed:
            self._sweeper = gevent.spawn_later(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Delete what belonged to nodes that have ended, in steps. Waits."""
        self._sweeper = None
        cursor = None
        while cursor != "0":
            try:
                cursor = self._ask("sweep", cursor or "0", _SWEPT)
            except Refused:
                self.hear_gone()
                return
            gevent.sleep(_SWEEP_PAUSE)

    # Clients

    def catch_up(self) -> None:
        """See Nodes. Waits."""
        self._ask("known", string(b""))  # no client is called that

    def known(self, client: bytes) -> str | None:
        """See Nodes. Waits."""
        return self._ask("known", string(client)) or None

    def enter(
        self, client: bytes, guest: str, former: str | None, *,
        account: bool, since: float | None = None,
    ) -> str | None:  # fmt: skip
        """See Nodes. Waits."""
        nick = former is not None and former
        folded, skeleton = _forms(former) if former is not None else ("", "")
        asked = Question("enter", (string(client), guest, nick, folded, skeleton, account))
        self._entering[client] += 1
        try:
            nick, text, _ = self._asking.answer(asked, since)
            place = feed_id(text.encode()) if text else (0, 0)
            if self._overtaken.get(client, place) > place:
                raise Ending(REPLACED)
            self._forget_entering(client)
        except Ending as ending:
            if ending.reason is not REPLACED:
                self._give_up(client, asked)
            raise
        except BaseException:
            self._give_up(client, asked)
            raise
        finally:
            self._entering[client] -= 1
            if not self._entering[client]:
                del self._entering[client]
                self._overtaken.pop(client, None)
                self._do_postponed(client)
        return nick or None

    def _forget_entering(self, client: bytes) -> None:
        """Forget what was to be done if a client did not get in."""
        self._left.discard(client)
        self._holds.pop(client, None)
        self._lost.pop(client, None)

    def _do_postponed(self, client: bytes) -> None:
        """Do what was to be done if a client did not get in."""
        hold, other = self._holds.pop(client, None), self._lost.pop(client, None)
        if client in self._left:
            self.leave(client)
        elif hold is not None:
            self._asking.put(hold)
        elif other is not None:
            self._hear_moved(client, other)

    def _give_up(self, client: bytes, asked: Question) -> None:
        """Have a client that does not get in leave, if it was not here before."""

        def leave(answer: Any) -> None:
            if answer is not None and answer[2]:
                self.leave(client)

        if asked.answer.value is not None:
            leave(asked.answer.value[0])
        else:  # it may be decided nevertheless
            asked.then = leave

    def hold(self, client: bytes, nick: str | None, seconds: float) -> None:
        """See Nodes."""

        def follow(other: str) -> None:
            if other and client in self._entering:
                self._lost[client] = other
            elif other:
                self._hear_moved(client, other)

        forms = _forms(nick) if nick is not None else ("", "")
        about = string(client), nick or "", *forms, round(seconds * 1000)
        asked = Question("hold", about, then=follow)
        if client in self._entering:
            self._holds[client] = asked
        else:
            self._asking.put(asked)

    def leave(self, client: bytes) -> None:
        """See Nodes."""
        if client in self._entering:  # a moment later it is here again
            self._left.add(client)
        else:
            self._left.discard(client)
            self._asking.put(Question("leave", (string(client),)))

    # Nicks

    def check(self, nick: str) -> None:
        """See Nodes. Waits."""
        self._judge(nick, self._ask("check", nick, *_forms(nick)))

    def claim(self, nick: str, client: bytes) -> None:
        """See Nodes. Waits."""
        self._judge(nick, self._ask("claim", nick, *_forms(nick), string(client)))

    def reserve(self, nick: str, client: bytes | None = None) -> None:
        """See Nodes. Waits."""
        owner = client is not None and string(client)
        try:
            judgement = self._ask("reserve", nick, *_forms(nick), owner)
        except BaseException:  # it may be decided nevertheless
            self.restore(nick, client)
            raise
        self._judge(nick, judgement)

    def restore(self, nick: str, client: bytes | None, former: str | None = None) -> None:
        """See Nodes."""
        owner = client is not None and string(client)
        former = former or ""
        about = nick, names.fold(nick), owner, former, _forms(former)[0]
        self._asking.put(Question("restore", about))

    def unclaim(self, nick: str) -> None:
        """See Nodes."""
        if folded := _forms(nick)[0]:
            self._asking.put(Question("unclaim", (folded,)))

    @staticmethod
    def _judge(nick: str, judgement: list[Any]) -> None:
        """Raise Refused if a nick cannot be had."""
        kind, *way = judgement
        if kind == _IN_USE:
            raise Refused("nick_in_use", f"The nick {nick} {_whose(way[0])}. Choose another.")
        if kind == _SIMILAR:
            text = f"The nick {nick} looks like {way[1]}, which {_whose(way[0])}."
            raise Refused("nick_too_similar", f"{text} Choose another.")
        if kind == _MOVED:  # the node that has the client tells it
            raise refusal()

    def _ask(self, what: str, *about: Value) -> Any:
        return self._asking.answer(Question(what, about))


def _compare_unicode(versions: list[str]) -> None:
    """Warn if nodes fold nicks by different tables."""
    if others := {*versions} - {unicodedata.unidata_version}:
        _log.warning(
            "other nodes have other tables of Unicode (%s; here %s): two nicks may be one to them",
            ", ".join(sorted(others)), unicodedata.unidata_version,
        )  # fmt: skip


def _forms(nick: str) -> tuple[str, str]:
    """Return a nick folded, and its skeleton; empty for a guest's name, which needs no claim."""
    if nick.startswith(names.GUEST):
        return "", ""
    return names.fold(nick), names.skeleton(nick)


def _whose(held_ms: int) -> str:
    """Return why a nick cannot be had: it is an account's, in use, or held for so long."""
    if held_ms == _OF_ACCOUNT:
        return "belongs to an account"
    if not held_ms:
        return "is in use"
    seconds = max(-(-held_ms // 1000), 1)
    return f"is held for its former user for {seconds} more seconds"
