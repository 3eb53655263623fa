"""The link: a framing over a stream, read by its session at the pace its client may speak."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import gevent
from gevent.event import Event
from gevent.hub import Waiter

from geventchat.protocol.errors import IDLE, PROTOCOL, ProtocolError, Reason
from geventchat.protocol.names import endpoint
from geventchat.server.transport.base import Client, Framing, PagesOnly, SilentClient, Stream
from geventchat.server.transport.outbox import Outbox
from geventchat.server.transport.token_bucket import TokenBucket
from geventchat.server.wire import Form

_TOO_LONG: Final = "it took too long"
_REPLY_SECONDS: Final = 60.0
"""How long a client may take to read a reply of the framing before its session."""
_TOKEN_BYTES: Final = 4 << 10
_HOLD_SECONDS: Final = 1.0
"""How long a client's first frame waits if more bytes may show that it is none."""
_LOOK_SECONDS: Final = 1.0
"""How often the bytes are counted that a paused client has sent meanwhile."""


class Connection:
    """One client's connection, of any stream and any framing. See `Link`."""

    __slots__ = (
        "_draining", "_framing", "_opened", "_paused", "_port", "_woken", "address", "anonymous",
        "at_once", "begun", "door", "forwards", "heard", "listening", "pace", "sink", "visited",
    )  # fmt: skip

    def __init__(self, stream: Stream, framing: Framing, client: Client, door: str) -> None:
        self.sink = stream
        self._framing = framing
        self.address, self._port, self.anonymous, self.forwards = client
        self.visited: Callable[[], None] | None = None
        self.door = door
        self.heard = 0.0
        self.begun = 0.0
        self.listening = False
        self.pace: TokenBucket | None = None
        self.at_once: Callable[[bytes], bool] | None = None
        self._opened = False
        self._draining = False
        self._woken = False
        self._paused: Event | None = None

    @property
    def peer(self) -> str:
        return endpoint(self.address, self._port)

    @property
    def form(self) -> Form:
        return self._framing.form

    @property
    def hello_first(self) -> bool:
        return self._framing.hello_first

    def open(self, seconds: float) -> None:
        if self._opened:
            return
        self.open_stream(seconds)
        if self.forwards:
            proxy = Client(self.address, self._port, self.anonymous)
            self._framing.named = partial(self._take_on, proxy)
        try:
            if self._framing.opening:
                self._shake_hands(seconds)
        finally:
            if self.forwards:
                self._framing.named = None
        self._opened = True

    def open_stream(self, seconds: float) -> None:
        with gevent.Timeout(seconds, TimeoutError(_TOO_LONG)):
            self.sink.open(self._framing.misplaced)

    def frames(self, outbox: Outbox) -> Iterator[bytes]:
        stream, framing = self.sink, self._framing
        here = stream.unread() > 0  # what came with the end of a handshake wakes nobody
        while True:
            while self._woken:  # again while it does what it was woken for
                self._woken = False
                yield b""
            data = frame = b""  # an idle client would keep its last message in memory
            if self._draining:
                gevent.sleep(1e-9)  # the session does so between frames; null bytes make none
                here = True
            unread, here = here or stream.ended, False
            try:
                data = stream.recv() if unread else self._wait()
            except BlockingIOError:
                if self._draining:
                    return
                continue
            except OSError:  # reset, or timed out
                return
            if not data:
                return
            self.heard = time.monotonic()
            pace, left = self.pace, len(data)
            for frame in framing.feed(data):
                if not frame:
                    self._put_aside(outbox, left)
                    if pace is None:
                        gevent.sleep(1e-9)
                    continue
                if pace is not None:
                    left -= len(frame) + framing.overhead
                    self._pause(pace, 1 + len(frame) // _TOKEN_BYTES, left)
                self.begun = 0.0
                yield frame
            if framing.held:
                here = self._more_comes((self.begun or self.heard) + _HOLD_SECONDS)
                if not here:
                    yield from framing.release()
            if framing.skipped:
                self._put_aside(outbox, 0)
            if framing.ended:
                return
            if pace is not None and self._draining and self._paused is not None:
                return  # it sends more quickly than is waited for
            if not framing.begun:
                self.begun = 0.0
            elif not self.begun:
                self.begun = time.monotonic()  # not `heard`: the session had its own time

    def wake(self) -> None:
        if not self._woken:
            self._woken = True
            gevent.get_hub().loop.run_callback(self._wake)

    def drain(self) -> None:
        self._draining = True
        if self._paused is not None:
            self._paused.set()
        gevent.get_hub().loop.run_callback(self._wake)

    def farewell(self, reason: Reason) -> bytes:
        return self._framing.farewell(reason)

    def end(self, reason: Reason) -> bytes:
        return self._framing.end(reason)

    def reject(self, reason: Reason) -> None:
        self.sink.try_send(self._framing.farewell(reason) + self._framing.end(reason))

    def close(self, seconds: float) -> None:
        self.sink.close(seconds)

    def _shake_hands(self, seconds: float) -> None:
        """Exchange what the framing begins with. Nobody else sends yet, so no outbox is needed."""
        framing, heard, due = self._framing, False, time.monotonic() + seconds
        try:
            while framing.opening and not framing.ended:
                data = self._first_bytes(due)
                if not data and framing.begun:
                    if data is None:
                        with suppress(OSError):
                            self.reject(IDLE)
                    raise ConnectionError("it hung up" if data is not None else _TOO_LONG)
                if not data:
                    raise (PagesOnly if heard else SilentClient)("it hung up")
                heard = True
                for frame in framing.feed(data):
                    if frame:
                        raise ConnectionError("it did not wait for the handshake to end")
                    if framing.task is not None:
                        framing.task(Client(self.address, self._port, self.anonymous))
                    self._send_replies(seconds)
                    due = time.monotonic() + seconds
                due = self._send_replies(seconds) or due
        except ProtocolError as error:
            with suppress(OSError):  # it may not have waited for that
                self.reject(error.reason or PROTOCOL)
            raise ConnectionError(error.text) from None
        if framing.opening:
            raise PagesOnly("it asked for no more")

    def _take_on(self, proxy: Client, client: Client | None) -> None:
        self.address, self._port, self.anonymous, _ = client or proxy
        if self.visited is not None:
            self.visited()

    def _first_bytes(self, due: float) -> bytes | None:
        """Read some of what comes, until a monotonic time or a shutdown; None: nothing came."""
        with (
            suppress(TimeoutError, ConnectionAbortedError),
            gevent.Timeout(max(due - time.monotonic(), 0), TimeoutError),
        ):
            while True:
                try:
                    return self.sink.recv()
                except BlockingIOError:
                    gevent.get_hub().wait(self.sink.readable)
                except OSError:  # a reset; health checks and browsers close like that too
                    return b""
        return None

    def _send_replies(self, seconds: float) -> float | None:
        """Send what the framing has to send; return until when more may come. Waits.

        Raises PagesOnly if the client does not take it.
        """
        if not (replies := self._framing.replies()):
            return None
        try:
            with gevent.Timeout(_REPLY_SECONDS, TimeoutError):
                self.sink.send(replies, seconds)
            gevent.sleep(1e-9)  # others have their turn: a hundred requests may have come at once
        except OSError as error:
            raise PagesOnly(str(error)) from None
        return time.monotonic() + seconds

    def _wait(self) -> bytes:
        """Wait for bytes that cannot be taken at once; nothing at the end. Raises OSError."""
        waiter: Waiter[bytes] = Waiter()
        readable = self.sink.readable
        readable.start(self._arrived, waiter)
        self.listening = True
        try:
            return waiter.get()
        finally:
            self.listening = False
            readable.stop()

    def _arrived(self, waiter: "Waiter[bytes]") -> None:
        """Read, and have the reader go on unless it was a frame that is taken at once.

        Runs in the event loop's own greenlet: most messages take no switch.
        """
        try:
            data = self.sink.recv()
            taken = self._take_at_once(data)
        except BaseException as error:  # the reader's to handle
            waiter.throw(error)
            return
        if not taken:
            waiter.switch(data)

    def _take_at_once(self, data: bytes) -> bool:
        """Have the session take what was read, if it is one frame that cannot wait."""
        now, pace = time.monotonic(), self.pace
        if self.at_once is None or self._woken or self._draining or self.sink.ended:
            return False
        if pace is not None and pace.empty(now):
            return False
        frame = self._framing.single(data)
        if not frame or not self.at_once(frame):
            return False
        if pace is not None:
            pace.take(1 + len(frame) // _TOKEN_BYTES, now)
        self.heard = now
        return True

    def _put_aside(self, outbox: Outbox, left: int) -> None:
        """Count and answer what is nothing for the session."""
        skipped, self._framing.skipped = self._framing.skipped, 0
        if self.pace is not None:
            self._pause(self.pace, skipped, left)
        if replies := self._framing.replies():
            outbox.put(replies)
            outbox.flush()

    def _more_comes(self, due: float) -> bool:
        """Wait for more of the first bytes, until a monotonic time; return whether they came."""
        if not self._draining:
            seconds = max(due - time.monotonic(), 0)
            with suppress(TimeoutError), gevent.Timeout(seconds, TimeoutError):
                gevent.get_hub().wait(self.sink.readable)
        return self.sink.unread() > 0

    def _wake(self) -> None:
        # As if something had come. Not `feed`: what a watcher fed by a greenlet sets off waits
        # until something else happens.
        readable = self.sink.readable
        if readable.active:
            readable.callback(*readable.args)

    def _pause(self, pace: TokenBucket, tokens: int, left: int) -> None:
        """Wait until there is a token, and while what was read so far has `left` bytes more.

        The client is not `listening` to then, so no clock of the hub's runs for it.
        """
        now = time.monotonic()
        end = now + pace.take(tokens, now)
        if end == now:
            self._paused = None
            return
        self._paused = self._paused or Event()
        while now < end and not self._draining:
            pace.check(max(left, 0) + self.sink.unread(), now)
            self._paused.wait(min(end - now, _LOOK_SECONDS))
            now = time.monotonic()
