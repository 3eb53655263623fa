"""Many members in one thread: they join, send when asked to, and count what they receive.

Nothing here understands what comes in. A body begins with MARK, which nothing else on any of the
wires holds, so deliveries are counted by counting that byte, in whatever pieces they arrive; then
16 hex digits say when the message fell due. A drawn sample of deliveries is timed. The head of a
WebSocket frame may hold that byte too, as a length: of 94 or 350 bytes, which no message here has.
"""

import contextlib
import math
import random
import select
import socket
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from loadtests.fanout.wires import Wire
from loadtests.fanout.work import Work

MARK: Final = b"^"
_HEAD_BYTES: Final = len(MARK) + 16
_PIECE_BYTES: Final = 1 << 18
"""Read at once: small enough to be counted while it is in the processor's cache."""
_BATCH: Final = 64
"""Members read before the next message due is sent: some 200 µs."""
_CONNECT_BATCH: Final = 5
"""Connections made before the server must have accepted them.

ngIRCd lets 10 wait, and one beyond that would try again only after a second.
"""
_SILENCE_SECONDS: Final = 0.3
"""Silence after which nothing more is expected."""
_SAMPLES: Final = 40_000
"""Deliveries that are timed, about."""


class NotReady(Exception):
    """Not all members received each other's messages in time."""


class Crowd:
    """The members of all rooms of a work, at the server on a port of this machine."""

    def __init__(self, port: int, wire: Wire, work: Work) -> None:
        self._port = port
        self._wire = wire
        self._work = work
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._receive: dict[int, Callable[[bytearray], int]] = {}
        self._talkers: list[tuple[socket.socket, str]] = []
        self._unsent: dict[socket.socket, bytearray] = {}
        self._serial = 0
        self._piece = bytearray(_PIECE_BYTES)
        self._filler = b"x" * (work.body_bytes - _HEAD_BYTES)
        self._draw = random.Random(1)
        owed = work.messages_per_second * work.seconds * self.audience
        self._gap = max(1, int(owed / _SAMPLES))
        self._until_sample = 1
        self.since_ns = 0
        """Only messages due from then on are timed."""
        self.late_ns: list[int] = []
        """The sample."""
        self.heard = 0
        self.idle_seconds = 0.0
        """Time spent waiting for something to do."""
        self.closed = 0

    @property
    def audience(self) -> int:
        """How many receive a message."""
        return self._work.members - (not self._wire.echoes)

    @property
    def connections(self) -> int:
        """How many there are, members or not."""
        return len(self._sockets)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for member in self._sockets.values():
            member.close()
        self._epoll.close()

    def gather(self) -> None:
        """Connect and join, and send messages until everyone has received one.

        Raises NotReady.
        """
        deadline = time.monotonic() + self._work.ready_seconds
        within = f"within {self._work.ready_seconds:g} s"
        rooms = [f"load{room:04}" for room in range(self._work.rooms)]
        for member in range(self._work.connections):
            room = rooms[member % len(rooms)]
            greeting = self._wire.greet(member, room)
            connection = self._connect(room, greeting, wait=member % _CONNECT_BATCH == 0)
            if len(self._talkers) < self._work.talkers:
                apart = self._wire.separate_publishers
                talker = self._connect(room, b"", wait=False) if apart else connection
                self._talkers.append((talker, room))
            if member % _CONNECT_BATCH == 0:
                self.hear(0)
                if time.monotonic() > deadline:
                    raise NotReady(f"{member:,} of {self._work.connections:,} joined {within}")
        owed = self._work.rooms * self.audience
        self._listen(deadline)
        while True:
            self.heard = 0
            for turn in range(self._work.rooms):
                self.say(turn, 0)
            self._listen(deadline, enough=owed)
            if self.heard == owed:
                return
            if time.monotonic() > deadline:
                raise NotReady(f"{self.heard:,} of {owed:,} received a first message {within}")

    def _connect(self, room: str, greeting: bytes, *, wait: bool) -> socket.socket:
        """Connect and join; if `wait`, until the server answers."""
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Close with a reset: TIME_WAIT would soon use up the ports.
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._wire.shake_hands(connection, room)
        connection.sendall(greeting)
        if wait and greeting:
            connection.recv(1, socket.MSG_PEEK)
        connection.setblocking(False)
        self._sockets[connection.fileno()] = connection
        self._receive[connection.fileno()] = connection.recv_into
        self._epoll.register(connection, select.EPOLLIN)
        return connection

    def _listen(self, deadline: float, enough: float = math.inf) -> None:
        while self.hear(_SILENCE_SECONDS) and time.monotonic() < deadline and self.heard < enough:
            pass

    def hear_out(self, seconds: float) -> None:
        """Receive until nothing arrives for a while, for at most so many seconds."""
        self._listen(time.monotonic() + seconds)

    def say(self, turn: int, due_ns: int) -> None:
        """Send the message due at that time from the next talker. Never waits.

        What its socket does not accept now is sent later, and counts as late.
        """
        talker, room = self._talkers[turn % len(self._talkers)]
        body = b"%b%016x%b" % (MARK, due_ns, self._filler)
        frame = self._wire.publish(room, body, self._serial)
        self._serial += 1
        unsent = self._unsent.get(talker)
        if unsent is not None:
            unsent += frame
            return
        taken = 0
        try:
            taken = talker.send(frame)
        except BlockingIOError:
            pass
        except OSError:  # closed by the server; `hear` notices
            return
        if taken < len(frame):
            self._unsent[talker] = bytearray(frame[taken:])

    def _send_unsent(self) -> None:
        for talker, unsent in list(self._unsent.items()):
            try:
                del unsent[: talker.send(unsent)]
            except BlockingIOError:
                continue
            except OSError:
                unsent.clear()
            if not unsent:
                del self._unsent[talker]

    def hear(self, wait_seconds: float) -> int:
        """Read from some members; wait up to so long if nothing has arrived.

        Returns how many had data.
        """
        if self._unsent:
            self._send_unsent()
        if wait_seconds > 0 and not self._wait(wait_seconds):
            return 0
        ready = self._epoll.poll(0, _BATCH)
        piece, receive = self._piece, self._receive
        for descriptor, _ in ready:
            try:
                size = receive[descriptor](piece)
            except BlockingIOError:
                continue
            except OSError:
                size = 0
            if not size:
                self._lose(descriptor)
                continue
            # It finds marks with memchr, in a quarter of the time that `count` takes.
            found = size - len(piece[:size].replace(MARK, b""))
            self.heard += found
            if self._until_sample <= found:
                self._sample(size, found)
            self._until_sample -= found
        return len(ready)

    def _wait(self, seconds: float) -> bool:
        """Wait up to so long for data; return whether there is any."""
        began = time.monotonic()
        # epoll's own timeout is in whole milliseconds, which would make every talker late.
        ready = bool(select.select([self._epoll], [], [], seconds)[0])
        self.idle_seconds += time.monotonic() - began
        return ready

    def _lose(self, descriptor: int) -> None:
        self.closed += 1
        self._epoll.unregister(descriptor)
        del self._receive[descriptor]
        with contextlib.suppress(OSError):
            self._sockets.pop(descriptor).close()

    def _sample(self, size: int, found: int) -> None:
        now = time.monotonic_ns()
        while self._until_sample <= found:
            # The bodies are of one size, so the nth mark is near n/found of the way.
            start = size * (self._until_sample - 1) // found
            at = self._piece.find(MARK, start, size - _HEAD_BYTES + 1)
            if at >= 0:
                due = int(self._piece[at + 1 : at + _HEAD_BYTES], 16)
                if due >= self.since_ns > 0:
                    self.late_ns.append(now - due)
            # Random, so that it never correlates with the order in which members are served.
            self._until_sample += self._draw.randint(1, 2 * self._gap - 1)
