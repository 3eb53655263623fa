"""The session: one client from its first byte to goodbye; the only place that closes.

Its reader greenlet owns it. Others may put into its outbox, and may tell it to `end`, which
interrupts whatever the reader waits for; then the reader says goodbye and lets everything go.
"""

import logging
import random
import time
from dataclasses import replace
from typing import Final

import gevent
from gevent.event import Event
from greenlet import greenlet

from geventchat.config import Limits
from geventchat.protocol import events, frames, names, requests
from geventchat.protocol.errors import (
    FULL,
    INTERNAL,
    LOST,
    NOT_UTF8,
    PROTOCOL,
    QUIT,
    REPLACED,
    SHUTDOWN,
    SLOW,
    Ending,
    ErrorCode,
    ProtocolError,
    Reason,
    Refused,
)
from geventchat.server import answers
from geventchat.server.authority import Authority
from geventchat.server.hub import Hub
from geventchat.server.outbox import Outbox
from geventchat.server.room import Member, Room
from geventchat.server.timeline import Said, Timeline
from geventchat.server.transport.base import Link

SLICE_SECONDS: Final = 0.002
"""How long one client is served before others are."""
_OWED: Final = 64
"""Messages a client may have on the way to the record before its next one is read."""
_SETTLE_SECONDS: Final = 30.0
"""How long the record may take to answer before the client is told to come back."""
_TOKEN_SECONDS: Final = 1.0
"""How long one who comes to a full house has to show that it is an operator's."""
_GOODBYE_SECONDS: Final = 2.0
"""How long a client has to take what it is still sent, and then to close its side."""
_AFTER_MS: Final = 200, 3_000
_BAD_FRAMES: Final = 3
_GENTLE: Final = (LOST, QUIT, SHUTDOWN, REPLACED)
"""Endings before which the client hears all that it has still to hear."""

_log = logging.getLogger(__name__)


class Session:
    """One client. `run` is its life."""

    __slots__ = (
        "_bad_frames", "_began", "_closing", "_drained", "_owed", "_reader", "_reason", "_settled",
        "absent", "authority", "bye_id", "client", "hub", "limits", "link", "muted", "nick",
        "operator", "outbox", "pinged", "rich", "rooms", "shut", "timeline",
    )  # fmt: skip

    def __init__(
        self, link: Link, hub: Hub, timeline: Timeline, limits: Limits, authority: Authority
    ) -> None:
        self.link = link
        self.hub = hub
        self.timeline = timeline
        self.limits = limits
        self.authority = authority
        self.outbox = Outbox(link.sink, limits.outbox_bytes, self.end)
        self.nick = ""
        self.client = b""
        """Hash of the id of a rich client."""
        self.rich = False
        self.rooms: dict[str, Member] = {}
        self.absent: list[Room] = []
        """Rooms that this client dropped out of and has not come back to."""
        self.pinged = False
        self.shut: Reason | None = None
        """Why it is a member of nothing before its hello is answered; None: it was let in."""
        self.operator = False
        self.muted = 0.0
        """Until when it is silenced, in seconds since 1970; 0: it is not."""
        self.bye_id: str | None = None
        """The id of the request that ends the connection."""
        self._owed = 0
        self._settled: Event | None = None
        self._drained: Event | None = None
        self._bad_frames = 0
        self._began = 0.0
        self._reader: greenlet | None = None
        self._reason: Reason | None = None
        self._closing = False

    @property
    def address(self) -> str:
        """The address it comes from."""
        return self.link.address

    def run(self, *, full: bool = False) -> Reason:
        """Live from the first byte to goodbye; give why it ended.

        Waits; called by the greenlet that is the reader. In a `full` house there is still a place
        for operators, and whoever else comes is told.
        """
        self._reader = gevent.getcurrent()
        reason = LOST
        self.shut = FULL if full else self.authority.shut()
        late = None
        if self.shut is not None:
            seconds = _TOKEN_SECONDS if full else self.limits.hello_seconds
            late = gevent.spawn_later(seconds, self._be_late)
        try:
            self.authority.weigh(self)
            self.hub.come(self)
            if (banned := self.authority.turned_away(self.address)) is not None:
                raise Ending(banned)  # while it shook hands
            self._converse()
            self.settle()
            reason = FULL if self.shut is FULL else LOST
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
            reason = self._reason or reason
            self._say_goodbye(reason)
        return reason

    def end(self, reason: Reason) -> None:
        """Let the session end for this reason, unless it is ending already. Never waits."""
        if self._reason is None and not self._closing:
            self._reason = reason
            gevent.get_hub().loop.run_callback(self._interrupt, reason)

    def check(self) -> None:
        """Raise Ending if this session has a reason to end: from then on it changes nothing.

        The reader may run once more before it is interrupted, if it was ready when `end` was
        called. Never waits.
        """
        if self._reason is not None:
            raise Ending(self._reason)

    def drain(self) -> Event:
        """Let the session end with `shutdown` when what it has sent so far is a post, or refused.

        Gives what is set then. Never waits.
        """
        self._drained = Event()
        if self._closing:
            self._drained.set()
        else:
            self.link.drain()
        return self._drained

    def replaced(self) -> None:
        """The same client has said hello on another connection. Never waits."""
        self.end(REPLACED)

    def say(
        self, room: str, text: str, key: str | None = None, request_id: str | None = None
    ) -> None:
        """Let a text become a post. Waits only for a client with too many on the way.

        Raises Refused if this client may not speak there.
        """
        self.check()
        if self.muted or room in self.authority.rules.frozen:
            self.authority.check_speech(self, room)
        self._owed += 1
        self.timeline.append(Said(self, room, self.nick, text, self.client, key, request_id))
        if self._owed >= _OWED:
            self.settle()

    def settled(self) -> None:
        """One of the things said has its verdict. Never waits."""
        self._owed -= 1
        if not self._owed and self._settled is not None:
            self._settled.set()

    def settle(self) -> None:
        """Wait until everything that was said is stored and heard, or refused."""
        if self._owed:
            self._settled = Event()
            if not self._settled.wait(_SETTLE_SECONDS):
                raise Ending(SLOW)
            self._settled = None

    def repeated(self, said: Said, position: int) -> None:
        """What was said is stored already. Never waits."""
        self.answer(
            events.Sent(room=said.room, key=said.key, position=position, id=said.request_id)
        )
        self.settled()

    def refused(self, said: Said, code: ErrorCode, text: str) -> None:
        """What was said is not stored. Never waits."""
        if self.rich:
            self.answer(
                events.Error(code=code, text=text, room=said.room, key=said.key, id=said.request_id)
            )
        else:
            self._notice(text)
        self.settled()

    def refuse(self, refusal: Refused, request: requests.Request | None) -> None:
        """Tell this rich client that a rule said no to its request. Never waits."""
        self.answer(
            events.Error(
                code=refusal.code,
                text=refusal.text,
                room=refusal.room,
                retry_ms=refusal.retry_ms,
                id=request.id if request else None,
                key=getattr(request, "key", None),
            )
        )

    def answer(self, event: events.Event) -> None:
        """Send an event to this rich client alone. Never waits."""
        self.put(events.encode(event) + b"\0")

    def put(self, whole_frames: bytes) -> None:
        """Send this client alone frames that are encoded already. Never waits."""
        self.outbox.put(whole_frames)
        self.outbox.flush()

    def breathe(self) -> None:
        """Let others run if this client was served for a whole slice. May wait.

        One read may hold thousands of requests, and one request ask for thousands of posts.
        """
        if time.monotonic() - max(self._began, self.link.heard) > SLICE_SECONDS:
            gevent.sleep(1e-9)
            self._began = time.monotonic()

    def _notice(self, text: str) -> None:
        self.put(frames.notice(text))

    def _interrupt(self, reason: Reason) -> None:
        # In the event loop's own greenlet, between two switches: the reader is waiting somewhere.
        if not self._closing and self._reader is not None:
            self._reader.throw(Ending(reason))

    def _be_late(self) -> None:
        if self.shut is not None:
            self.end(self.shut)

    def _converse(self) -> None:
        """Take the client's frames until it sends no more; if `shut`, only hello lets it in."""
        take = self._take_first
        try:
            for frame in self.link.frames(self.outbox):
                self.check()
                try:
                    take(frame)
                except ProtocolError as error:
                    self._reproach(error)
                take = self._take_rich if self.rich else self._take_plain
                self.breathe()
        except ProtocolError as error:  # one after which the link gives no more frames
            raise Ending(replace(error.reason or PROTOCOL, text=error.text)) from None

    def _take_first(self, frame: bytes) -> None:
        """Learn from a connection's first frame whether it is rich."""
        if not frames.is_rich(frame):
            if self.shut is not None:
                raise Ending(self.shut)
            self._take_plain(frame)
            return
        try:
            hello = requests.decode(frame[1:])
            if not isinstance(hello, requests.Hello):
                raise ProtocolError("forbidden", "A connection begins with hello.")
        except ProtocolError as error:
            self.rich = True
            self._reproach(error)
            raise Ending(PROTOCOL) from None
        answers.greet(self, hello)

    def _take_plain(self, frame: bytes) -> None:
        if frame == b"q":
            raise Ending(QUIT)
        try:
            text = frame.decode()
        except UnicodeDecodeError:
            raise ProtocolError(
                "not_utf8", "That message is not UTF-8 and was not passed on."
            ) from None
        self.hub.announce(self.rooms[names.LOBBY])
        try:
            self.say(names.LOBBY, text)
        except Refused as refusal:
            self._notice(refusal.text)

    def _take_rich(self, frame: bytes) -> None:
        request = requests.decode(frame)
        try:
            answers.answer(self, request)
        except Refused as refusal:
            self.refuse(refusal, request)

    def _reproach(self, error: ProtocolError) -> None:
        """Tell the client what was wrong with its frame; too many that are not UTF-8 end it."""
        if self.rich:
            self.answer(
                events.Error(code=error.code, text=error.text, id=error.request_id, key=error.key)
            )
        else:
            self._notice(error.text)
        if error.code == "not_utf8":
            self._bad_frames += 1
            if self._bad_frames == _BAD_FRAMES:
                raise Ending(NOT_UTF8)

    def _say_goodbye(self, reason: Reason) -> None:
        """Leave everything, say the last words, close, even if leaving meets a bug. Waits."""
        if reason is SHUTDOWN:  # nobody reads any more: let all hear what was said before
            self.hub.delivered.wait(_SETTLE_SECONDS)
        try:
            self.hub.go(self, reason)
            if not self.rich:
                self.authority.rules.forget(self.nick)
        finally:
            self._close(reason)

    def _close(self, reason: Reason) -> None:
        last = b""
        if self.rich and reason is not LOST:
            last = events.encode(self._bye(reason)) + b"\0"
        elif reason not in (LOST, QUIT):
            last = self.link.farewell(reason)
        self.outbox.finish(last, all_of_it=reason in _GENTLE, seconds=_GOODBYE_SECONDS)
        self.link.close(_GOODBYE_SECONDS)

    def _bye(self, reason: Reason) -> events.Bye:
        return events.Bye(
            code=reason.code,
            text=reason.text,
            reconnect=reason.reconnect,
            # Spread, lest all who were sent away together come back together.
            after_ms=random.randint(*_AFTER_MS) if reason.reconnect else 0,
            id=self.bye_id,
        )
