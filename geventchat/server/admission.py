"""Admission: which connections become sessions, and what rejected ones are answered.

Each connection runs here in a greenlet of its own, its reader.
"""

import logging
import resource
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias

import gevent

from geventchat.config import Limits
from geventchat.protocol.errors import BANNED, FULL, LOST, QUIT, SHUTDOWN, Reason
from geventchat.server.access.policy import Policy
from geventchat.server.access.rate_limits import WHY
from geventchat.server.logs.rejections import Rejections
from geventchat.server.session.session import Session
from geventchat.server.transport.base import Link, PagesOnly, SilentClient
from geventchat.server.transport.token_bucket import TokenBucket

_UNREMARKABLE: Final = LOST, QUIT, SHUTDOWN
"""Endings of connections nobody noticed that are no rejections."""
REJECT_SECONDS: Final = 1.0
"""How long a rejected client has to read the reason."""
RESERVED_DESCRIPTORS: Final = 96
"""For the database, connections just accepted, and connections being rejected."""
_MAX_REJECTING: Final = 16
"""Maximum number of rejected connections that are given REJECT_SECONDS at the same time."""
PAGE_COST: Final = 0.1
"""What a connection for pages counts as an arrival: browsers open six at a time."""
REQUEST_COST: Final = 0.02
"""What a request counts whose connection is a proxy's: a page has a dozen files."""
_FEW_CONNECTIONS: Final = 1_000
"""Fewer than these are warned of, unless they were set."""
_OPERATOR_SLOTS: Final = 16
"""Connections accepted for hello although the server is full, or their address banned, since they
may be operators. Half of the slots are for trusted networks only, so that the clients that fill the
server cannot take them all."""

_Reader: TypeAlias = "gevent.Greenlet[..., None]"

_log: Final = logging.getLogger(__name__)


class Rejected(Exception):
    """The client of a request is rejected for this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.code)
        self.reason = reason


class Admission:
    """Admits connections, and knows those that are open."""

    def __init__(
        self, limits: Limits, rejections: Rejections, session: Callable[[Link], Session]
    ) -> None:
        """`session` makes the session of an admitted link."""
        self.policy: Policy  # set once, by the server
        self._rejections = rejections
        self._session = session
        self.counts: Counter[str] = Counter()
        """Pauses of clients that send too quickly."""
        self.readers: set[_Reader] = set()
        """The greenlets of all connections that were not rejected."""
        self._in_handshake: set[_Reader] = set()
        """The readers whose handshake is not complete."""
        self._rejecting = 0
        self._operator_slots: Counter[str] = Counter()
        """Connections above the limit, by the code of the reason to reject them."""
        self._stopping = False
        self.renew(limits)

    def renew(self, limits: Limits) -> None:
        """Change the limits; existing connections keep theirs."""
        self._limits = limits
        self.max_connections = _connection_limit(limits)

    def stop(self) -> None:
        """Reject connections from now on, and end those still in their handshake. Never waits."""
        self._stopping = True
        for reader in self._in_handshake:
            reader.kill(ConnectionAbortedError(SHUTDOWN.text), block=False)

    def visit(self, link: Link) -> None:
        """Serve a new connection that may ask for pages first, or reject it. Waits until it ends.

        It is admitted only when it needs a session.
        """
        visit = _Visit(link, self.policy)
        refused = self._no_room() or visit.begin()
        counted = _is_counted(link, self.policy)
        slot = refused is not None and self._may_be_operator(refused, counted=counted)
        if refused is not None and not slot:
            self._reject(link, link.address, refused, opening=False)
            return
        reader = _reader()
        self.readers.add(reader)
        self._operator_slots[FULL.code] += slot
        seconds = REJECT_SECONDS if slot else self._limits.handshake_seconds
        try:
            opened = self._open_link(link, reader, seconds, forgive=False)
        except Rejected as rejected:
            self._reject(link, link.address, rejected.reason, opening=False)
            return
        finally:
            self.readers.discard(reader)
            self._operator_slots[FULL.code] -= slot
            visit.end()
        if opened:
            self.admit(link)

    def admit(self, link: Link) -> None:
        """Serve a new connection, or reject it. Waits until it has ended."""
        address = link.address
        counted = _is_counted(link, self.policy)
        refused = self._rejection_reason(address, counted=counted)
        if refused is not None and self._may_be_operator(refused, counted=counted):
            self._operator_slots[refused.code] += 1
            try:
                self._serve(link, address, counted=counted, operators_only=refused)
            finally:
                self._operator_slots[refused.code] -= 1
        elif refused is not None:
            self._reject(link, address, refused)
        else:
            try:
                self._serve(link, address, counted=counted)
            finally:
                if counted:
                    self.policy.limiter.leave(address)

    def _may_be_operator(self, refused: Reason, *, counted: bool) -> bool:
        """Return whether a connection to reject is given the time to show the operator token."""
        banned = refused.code == BANNED.code and bool(self.policy.features)
        slots = _OPERATOR_SLOTS // 2 if counted else _OPERATOR_SLOTS
        return (refused is FULL or banned) and self._operator_slots[refused.code] < slots

    def _serve(
        self, link: Link, address: str, *, counted: bool, operators_only: Reason | None = None
    ) -> None:
        """Run a connection in its reader, the current greenlet. Waits until it has ended."""
        reader = _reader()
        self.readers.add(reader)
        if counted:
            link.pace = TokenBucket(self._limits, self.counts)
        try:
            if self._open_link(link, reader, self._limits.handshake_seconds):
                session = self._session(link)
                reason = session.run(operators_only)
                if not session.nick and reason not in _UNREMARKABLE:
                    self._rejections.note(reason.code, address)
                if not link.heard and reason is LOST:
                    self._forgive(address)
        finally:
            self.readers.discard(reader)

    def _rejection_reason(self, address: str, *, counted: bool) -> Reason | None:
        """Return why a connection is rejected; if it is not, count it."""
        if (reason := self._no_room()) is not None:
            return reason
        if (banned := self.policy.address_ban(address)) is not None:
            return banned
        if not counted:
            return None
        return self.policy.limiter.enter(address, time.monotonic())

    def _no_room(self) -> Reason | None:
        if self._stopping:
            return SHUTDOWN
        full = len(self.readers) - self._operator_slots.total() >= self.max_connections
        return FULL if full else None

    def _open_link(
        self, link: Link, reader: _Reader, seconds: float, *, forgive: bool = True
    ) -> bool:
        """Complete the handshake of a link; return whether it succeeded. Waits.

        `seconds`: the time for each step; `forgive`: whether a client that did not even begin it
        is not counted.
        """
        self._in_handshake.add(reader)
        try:
            link.open(seconds)
        except SilentClient:
            if forgive:
                self._forgive(link.address)
            link.close(0)
            return False
        except PagesOnly:
            link.close(REJECT_SECONDS)
            return False
        except OSError as error:
            self._rejections.note("handshake", f"{link.address}, {error}")
            link.close(REJECT_SECONDS)
            return False
        finally:
            self._in_handshake.discard(reader)
        return True

    def _forgive(self, address: str) -> None:
        """Take back the count of a connection that was only a look whether the port is open."""
        self.policy.limiter.forgive(address, time.monotonic())

    def _reject(self, link: Link, address: str, reason: Reason, *, opening: bool = True) -> None:
        """Send the reason and close. Waits briefly, unless too many are rejected at once.

        `opening`: whether all of the handshake comes before that, or only that of the stream.
        """
        self._rejections.note(WHY.get(reason, reason.code), address)
        self._rejecting += 1
        patient = self._rejecting <= _MAX_REJECTING
        try:
            if patient:
                shake_hands = link.open if opening else link.open_stream
                shake_hands(self._limits.handshake_seconds)
            link.reject(reason)
        except OSError:
            pass  # the client has closed, or cannot receive the reason
        finally:
            link.close(REJECT_SECONDS if patient else 0)
            self._rejecting -= 1


class _Visit:
    """Whose connection for pages it is: its client's or, request by request, a proxy's clients'."""

    def __init__(self, link: Link, policy: Policy) -> None:
        self._link = link
        self._policy = policy
        self._counted: str | None = None
        """The address that is counted at present."""

    def begin(self) -> Reason | None:
        """Count the client, unless requests will name it; return why it is rejected, if it is."""
        if self._link.forwards:
            self._link.visited = self._next
            return None
        return self._enter(PAGE_COST)

    def end(self) -> None:
        """Count nobody any more."""
        self._link.visited = None
        if self._counted is not None:
            self._policy.limiter.leave(self._counted)
            self._counted = None

    def _next(self) -> None:
        """Count the client of the next request instead. Raises Rejected."""
        if self._counted != self._link.address:
            if self._counted is not None:
                self._policy.limiter.leave(self._counted)
                self._counted = None
            if (refused := self._enter(REQUEST_COST)) is not None:
                raise Rejected(refused)

    def _enter(self, cost: float) -> Reason | None:
        if not _is_counted(self._link, self._policy):
            return None
        address = self._link.address
        refused = self._policy.limiter.enter(address, time.monotonic(), cost)
        if refused is None:
            self._counted = address
        return refused


def _is_counted(link: Link, policy: Policy) -> bool:
    """Return whether the limits of an address hold for a client: they do unless it is trusted."""
    return link.anonymous or link.address not in policy.trust


def _reader() -> _Reader:
    reader = gevent.getcurrent()
    assert isinstance(reader, gevent.Greenlet)  # StreamServer spawns one a connection
    return reader


def _connection_limit(limits: Limits) -> int:
    """Return the maximum number of connections: the database needs descriptors too."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = max(allowed - RESERVED_DESCRIPTORS, allowed // 2)
    if limits.connections is not None and limits.connections > most:
        text = "limits.connections is %d, but the file descriptor limit allows only %d; using that"
        _log.warning(text, limits.connections, most)
    elif limits.connections is None and most < _FEW_CONNECTIONS:
        text = "the file descriptor limit (ulimit -n) is %d, which allows only %d connections"
        _log.warning(text, allowed, most)
    return min(most, limits.connections or most)
