"""The session: one client from its first byte to goodbye; the only place that closes.

Its reader greenlet owns it. Others may put into its outbox, and may tell it to `end`, which
interrupts whatever the reader waits for; then the reader says goodbye and lets everything go.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeAlias

import gevent
from gevent.event import Event
from greenlet import greenlet

from geventchat.config import Limits
from geventchat.protocol import names, requests
from geventchat.protocol.errors import (
    INTERNAL,
    LOST,
    SHUTDOWN,
    STORAGE,
    Ending,
    Reason,
    Refused,
)
from geventchat.server.access.policy import Policy
from geventchat.server.chat.hub import Hub
from geventchat.server.chat.room import Member
from geventchat.server.people.account import Account
from geventchat.server.people.login import Login
from geventchat.server.session.sender import not_joined, unopened
from geventchat.server.session.timeouts import Timeouts
from geventchat.server.slices import ENDINGS, REQUESTS, SLICE_SECONDS, pause
from geventchat.server.timeline import Kind, Timeline
from geventchat.server.transport.base import Link
from geventchat.server.transport.token_bucket import TokenBucket

_MOST_UNACKNOWLEDGED: Final = 64
"""Submissions of one client without a verdict before its next frame is read."""
_SETTLE_SECONDS: Final = 30.0
"""How long the timeline may take for a verdict before the session ends."""
_REACH: Final = 256
"""Members that an event reaches for one token,"""
_ROOM_TOKENS: Final = 1 / 16
"""and the tokens that each room costs as well."""
_TOKEN_SECONDS: Final = 1.0
"""How long a connection that is admitted only as an operator has to show the token."""

_log = logging.getLogger(__name__)


class Session(Timeouts):
    """One client. `run` is its life."""

    __slots__ = (
        "_began",
        "_closing",
        "_converse",
        "_drained",
        "_reader",
        "_settled",
        "_unacknowledged",
        "account",
        "bad_frames",
        "client",
        "cursors",
        "ending",
        "hub",
        "login",
        "muted",
        "nick",
        "operator",
        "policy",
        "rooms",
        "timeline",
        "to_follow",
        "unanswered",
        "unopened",
    )  # fmt: skip

    def __init__(
        self,
        link: Link,
        hub: Hub,
        timeline: Timeline,
        limits: Limits,
        policy: Policy,
        converse: Callable[["Session"], None],
    ) -> None:
        """`converse` takes the client's frames until it sends no more."""
        super().__init__(link, limits)
        self._converse = converse
        self.hub = hub
        self.timeline = timeline
        self.policy = policy
        self.nick = ""
        self.client = b""
        """Hash of the id of a rich client."""
        self.account: Account | None = None
        """The account that is signed in; the hub changes it."""
        self.login: Login | None = None
        """What it signed in with; set together with the account, in one stretch."""
        self.to_follow: dict[str, None] = {}
        """Rooms that its account is in and this one has to join."""
        self.cursors: dict[str, requests.Cursor | None] = {}
        """Where it was, by its hello, in rooms that it could not join until now."""
        self.unopened: frozenset[str] = frozenset()
        """Rooms that it has not joined yet because they could not be read."""
        self.rooms: dict[str, Member] = {}
        """Its memberships, by room; the hub changes them."""
        self.operator = False
        self.muted = 0.0
        """Until when it is muted, in seconds since 1970; 0: it is not."""
        self._unacknowledged = 0
        self._settled: Event | None = None
        self.unanswered = False
        """Whether a topic or change of this client may have no answer yet."""
        self._drained: Event | None = None
        self.bad_frames = 0
        """Frames that were not UTF-8."""
        self._began = 0.0
        self._reader: greenlet | None = None
        self.ending: Reason | None = None
        """Why it ends; from then on it takes no frame and changes nothing."""
        self._closing = False

    @property
    def address(self) -> str:
        """The client's address."""
        return self.link.address

    @property
    def door(self) -> str:
        """The door it came through."""
        return self.link.door

    @property
    def pace(self) -> TokenBucket | None:
        """Its rate limit; None: it has none."""
        return self.link.pace

    @property
    def draining(self) -> bool:
        """Whether the server asked it to take what has arrived, and no more."""
        return self._drained is not None

    def run(self, operators_only: Reason | None = None) -> Reason:
        """Serve the client from its first byte to goodbye; return why the session ended.

        Waits; called by the greenlet that is the reader. `operators_only`: why nobody else is
        admitted.
        """
        self._reader = gevent.getcurrent()
        reason = LOST
        self.locked_out = operators_only or self.policy.shut() or self.owes_hello()
        late = None
        if self.locked_out is not None:
            seconds = _TOKEN_SECONDS if operators_only else self.limits.hello_seconds
            late = gevent.spawn_later(seconds, self.end_locked_out)
        try:
            self.policy.refresh_mute(self)
            self.rooms = self.hub.add(self)
            banned = self.policy.address_ban(self.address)
            if banned is not None and operators_only is None:
                raise Ending(banned)  # while it shook hands
            self._converse(self)
            self.wait_acknowledged()
            if self.locked_out is not None and operators_only is not None:
                reason = operators_only
            if self._drained is not None:
                reason = SHUTDOWN
        except Ending as ending:
            reason = ending.reason
        except gevent.GreenletExit:
            raise
        except BaseException:  # even SystemExit: a bug takes down one connection, never the server
            _log.exception("the session of %s failed", self.link.peer)
            reason = INTERNAL
        finally:
            self._closing = True
            if self._drained is not None:
                self._drained.set()
            if late is not None:
                late.kill(block=False)
            reason = self.ending or reason
            self._say_goodbye(reason)
        return reason

    def end(self, reason: Reason) -> None:
        """End the session for this reason, unless it is ending already. Never waits."""
        if self.ending is None and not self._closing:
            self.ending = reason
            gevent.get_hub().loop.run_callback(self._interrupt, reason)

    def check(self) -> None:
        """Raise Ending if this session has a reason to end: from then on it changes nothing.

        The reader may run once more before it is interrupted, if it was ready when `end` was
        called. Never waits.
        """
        if self.ending is not None:
            raise Ending(self.ending)

    def follow(self, room: str) -> None:
        """Have the reader join a room that its account is in. Never waits."""
        self.to_follow[room] = None
        self.link.wake()

    def unfollow(self, room: str) -> bool:
        """Forget a room that its account has left; return whether it still has to be told.

        So it is if it could not be joined until now: its client may ask for it again, which would
        put it into the account's set.
        """
        waits = room in self.cursors
        self.unopened -= {room}
        self.cursors.pop(room, None)
        self.to_follow.pop(room, None)
        return waits

    def drain(self) -> Event:
        """End the session with `shutdown` once all it has sent so far has its verdict.

        Returns the event that is set then. Never waits.
        """
        self._drained = Event()
        if self._closing:
            self._drained.set()
        else:
            self.link.drain()
        return self._drained

    def member(self, name: str) -> Member:
        """Return its membership of a room. Never waits.

        Raises Refused `bad_room`, `not_joined`, and `storage` for a room that it waits for.
        """
        name = names.room(name)
        member = self.rooms.get(name)
        if member is None:
            raise unopened(name) if name in self.unopened else not_joined(name)
        return member

    def hidden(self, room: str) -> int:
        """Return the position up to which this client may not read a room. Never waits."""
        return self.hub.people.hidden(self.account, room) if self.account is not None else 0

    def deciding(self) -> AbstractContextManager[None]:
        """Let nobody on any node decide in a `with` block but this client: see Nodes.deciding.

        Waits on entering and leaving, for up to 10 s. Raises Refused `storage`.
        """
        return self.timeline.nodes.deciding()

    @contextmanager
    def reserving(self, nick: str, client: bytes | None = None) -> Iterator[None]:
        """Keep a nick, or that of a client, for an account that is written in a `with` block.

        It is checked before. Waits. Raises Refused, Ending.
        """
        nodes = self.timeline.nodes
        nodes.reserve(nick, client)
        try:
            self.check()
        except Ending:
            nodes.restore(nick, client)
            raise
        try:
            yield
        except Refused:
            nodes.restore(nick, client)
            raise
        except BaseException:  # interrupted: it is being written nevertheless
            gevent.spawn_later(_SETTLE_SECONDS, nodes.unclaim, nick)
            raise
        nodes.unclaim(nick)

    def rename(self, text: str) -> str:
        """Change its nick, which nobody else on any node has; return it as it is spelled.

        An account's only in a block of `deciding`, and the caller reserves it. Waits. Raises
        Refused, Ending.
        """
        nodes, former = self.timeline.nodes, self.nick
        nick = self.hub.check_rename(self, text)
        if nodes.alone or nick == former or self.account is not None:
            return self._take(nick)
        try:
            nodes.claim(nick, self.client)
            return self._take(nick)
        except BaseException:
            nodes.restore(nick, self.client, former)
            raise

    def _take(self, nick: str) -> str:
        self.policy.check_nick_ban(self, nick)  # made while the caller waited
        return self.hub.rename(self, nick)

    def submit(
        self,
        member: Member,
        text: str,
        key: str | None = None,
        request_id: str | None = None,
        kind: Kind = "say",
        position: int = 0,
        may_redact_any: bool = False,
        to: str | None = None,
    ) -> None:
        """Submit a post, a topic, or the change of the post at a position.

        Waits only if too many of this client's are unacknowledged. `to` is the recipient of a
        direct message. Raises Refused if the client may not post there, Ending.
        """
        room = member.room
        silenced = self.muted or room.private or room.name in self.policy.rules.frozen
        if silenced and kind != "redact":  # which takes something back and says nothing
            self.policy.check_speech(self, room.name)
        self.hub.submissions.submit(
            self.timeline, self.limits, member, text, key, request_id, kind, position,
            may_redact_any, to,
        )  # fmt: skip
        self._unacknowledged += 1
        if self._unacknowledged >= _MOST_UNACKNOWLEDGED:
            self.wait_acknowledged()

    @property
    def near_limit(self) -> bool:
        """Whether one more submission may have to wait for verdicts."""
        return self._unacknowledged >= _MOST_UNACKNOWLEDGED - 1

    def acknowledged(self) -> None:
        """Count the verdict on one submission. Never waits."""
        self._unacknowledged -= 1
        if not self._unacknowledged and self._settled is not None:
            self._settled.set()

    def wait_acknowledged(self) -> None:
        """Wait until every submission has its verdict. Raises Ending."""
        if self._unacknowledged:
            self._settled = Event()
            if not self._settled.wait(_SETTLE_SECONDS):
                raise Ending(STORAGE)
            self._settled = None
            self.check()
        self.unanswered = False

    def charge(self, members: int) -> None:
        """Take tokens for an event that reaches so many members of a room. Never waits."""
        if self.link.pace is not None:
            self.link.pace.charge(_ROOM_TOKENS + members / _REACH, time.monotonic())

    def yield_if_busy(self) -> None:
        """Yield to others if such requests have taken a whole slice of this round. May wait.

        For expensive requests: hundreds of clients may send one in the same round.
        """
        REQUESTS.wait(SLICE_SECONDS)

    def yield_if_due(self) -> None:
        """Yield to others if this client was served for a whole slice. May wait.

        One read may hold thousands of requests, and one request return thousands of posts.
        """
        if time.monotonic() - max(self._began, self.link.heard) > SLICE_SECONDS:
            pause()
            self._began = time.monotonic()

    def _interrupt(self, reason: Reason) -> None:
        # In the event loop's own greenlet, between two switches: the reader is waiting somewhere.
        if not self._closing and self._reader is not None:
            self._reader.throw(Ending(reason))

    def _say_goodbye(self, reason: Reason) -> None:
        """Leave the hub, say the last words and close, even if leaving meets a bug. Waits."""
        ENDINGS.wait()  # hundreds may have been lost at once
        if reason is SHUTDOWN:  # everybody gets what was submitted before
            self.hub.delivered.wait(_SETTLE_SECONDS)
        try:
            if not self.rich:
                self.policy.forget_guest(self.nick)
            self.hub.remove(self, reason)
        finally:
            self._close(reason)


Table: TypeAlias = dict[type[requests.Request], Callable[[Session, Any], None]]
"""A handler for each type of request; it may wait, and raises Refused and Ending."""
