"""The server: starts its parts, and shuts them down in order."""

import logging
import resource
import time
from collections import Counter
from functools import partial
from typing import Final

import gevent
from gevent.event import Event

from geventchat.config import ADMIN_PORT, BadSetting, Config, Limits
from geventchat.protocol import names
from geventchat.protocol.errors import BANNED, FULL, LOST, QUIT, SHUTDOWN, Reason
from geventchat.server import factory
from geventchat.server.access.policy import Policy
from geventchat.server.access.rate_limits import WHY
from geventchat.server.chat.hub import Hub
from geventchat.server.logs.console import Console
from geventchat.server.logs.rejections import Rejections
from geventchat.server.ops.admin_http import Admin
from geventchat.server.ops.metrics import Metrics
from geventchat.server.ops.supervisor import Supervisor
from geventchat.server.ops.top import top
from geventchat.server.session.conversation import converse
from geventchat.server.session.session import Session
from geventchat.server.threads import FILE_SECONDS, in_thread
from geventchat.server.timeline import Timeline
from geventchat.server.transport import tls
from geventchat.server.transport.base import Link, SilentClient
from geventchat.server.transport.listener import Address, Door
from geventchat.server.transport.null_framing import NullFraming
from geventchat.server.transport.token_bucket import TokenBucket

_UNREMARKABLE: Final = LOST, QUIT, SHUTDOWN
"""Endings of connections nobody noticed that are no rejections."""
DEFAULT_ADMIN: Final = f"127.0.0.1:{ADMIN_PORT}"
REJECT_SECONDS: Final = 1.0
"""How long a rejected client has to read the reason."""
RESERVED_DESCRIPTORS: Final = 96
"""For the database, connections just accepted, and connections being rejected."""
_MAX_REJECTING: Final = 16
"""Maximum number of rejected connections that are given REJECT_SECONDS at the same time."""
_FEW_CONNECTIONS: Final = 1_000
"""Fewer than these are warned of, unless they were set."""
_OPERATOR_SLOTS: Final = 16
"""Connections accepted for hello although the server is full, or their address banned, since they
may be operators. Half of the slots are for trusted networks only, so that the clients that fill the
server cannot take them all."""

_log: Final = logging.getLogger(__name__)


class Server:
    """One node. `start`, `wait` until asked to stop, `stop`."""

    def __init__(self, config: Config, console: Console) -> None:
        self._config = config
        self._hub = Hub(config.limits, console)
        self._stop_event = Event()
        self._stopping = False
        self.crashed = False
        """Whether a core greenlet ended unexpectedly."""
        self._max_connections = _connection_limit(config.limits)
        self._rejecting = 0
        self._operator_slots: Counter[str] = Counter()
        """Connections above the limit, by the code of the reason to reject them."""
        self.rejections = Rejections()
        self.counts: Counter[str] = Counter()
        self._metrics = Metrics(self._hub, self.rejections.counts, self.counts)
        self._admin: Admin | None = None
        self._supervisor = Supervisor()
        self._readers: set[gevent.Greenlet[..., None]] = set()
        self._in_handshake: set[gevent.Greenlet[..., None]] = set()
        """The readers whose handshake is not complete."""
        self._doors: list[Door] = []
        self._policy: Policy
        self._timeline: Timeline

    @property
    def address(self) -> Address:
        """The first of `addresses`."""
        return self.addresses[0]

    @property
    def addresses(self) -> list[Address]:
        """Hosts and port of the first door."""
        return self._doors[0].addresses

    @property
    def admin_addresses(self) -> list[Address]:
        """Hosts and port of the admin port; none if it is disabled."""
        return self._admin.addresses if self._admin is not None else []

    @property
    def operator_file(self) -> str | None:
        """Path of the operator token; None: there are no operators."""
        return factory.operator_file(self._config)

    def start(self, *, ticking: bool = True) -> None:
        """Open the timeline, then the doors. Raises BadSetting for a setting that cannot be used.

        Without `ticking` no timer runs: for tests, which call it themselves.
        """
        config = self._config
        certificate = tls.load(config.tls_cert, config.tls_key)
        self._timeline = self._hub.timeline = factory.open_timeline(
            config, self._hub.submissions.deliver
        )
        try:
            chat = Door(config.host, config.port, NullFraming, self._on_connect, self.rejections)
            self._doors.append(chat)
            self._policy = factory.policy(config)
            self._admin = self._open_admin(config.admin)
        except BadSetting:
            self._close_doors()
            self._timeline.close(0)
            raise
        self._renew_doors(certificate, config.limits)
        self._hub.quieten(self._policy.frozen)
        self._timeline.start()
        self._hub.start(ticking=ticking)
        for greenlet in (*self._timeline.greenlets, *self._hub.greenlets):
            greenlet.link(self._core_ended)
        names.skeleton(names.LOBBY)  # loads the table of look-alikes: 20 ms, before any client
        for door in self._doors:
            door.start()
        if self._admin is not None:
            self._admin.start()
        self._supervisor.ready()

    def reload(self, config: Config) -> list[str]:
        """Apply the settings that may change at runtime; return the names of others that differ.

        Existing connections keep their limits. Waits while files are read. Raises BadSetting or
        OSError, and has then changed nothing.
        """
        renewed, fixed = self._config.renewed(config)
        secrets = in_thread(partial(factory.read_secrets, renewed), FILE_SECONDS)
        self._policy.renew(password=secrets.password, token=secrets.token, trust=renewed.trust)
        self._hub.limits = self._policy.limiter.limits = renewed.limits
        self._max_connections = _connection_limit(renewed.limits)
        self._timeline.configure(renewed.limits)
        self._renew_doors(secrets.tls, renewed.limits)
        if changes := self._config.changes(renewed):
            _log.info("changed settings: %s", ", ".join(changes))
        self._config = renewed
        return fixed

    @property
    def stop_requested(self) -> bool:
        """Whether the server is shutting down, or about to."""
        return self._stop_event.is_set()

    def _open_admin(self, setting: str | None) -> Admin | None:
        """Open the admin port; return None if it is disabled, or if the default one is in use."""
        host, _, port = (setting or DEFAULT_ADMIN).rpartition(":")
        if not host:
            return None
        try:
            return Admin(
                host.strip("[]"),
                int(port),
                self._readiness_problem,
                self._metrics.text,
                partial(top, self._hub),
            )
        except BadSetting as error:
            if setting is not None:
                raise
            _log.warning("admin port disabled: %s", error)
            return None

    def _core_ended(self, greenlet: "gevent.Greenlet[..., None]") -> None:
        """Shut down because a core greenlet ended, by an error or because it was killed.

        The hub of gevent logs the error with its traceback.
        """
        if not self._stopping and not self.crashed:
            self.crashed = True
            _log.critical("shutting down: the greenlet %r ended unexpectedly", greenlet.name)
            self.request_stop()

    def _readiness_problem(self) -> str | None:
        """Return why the server is not ready for clients; None if it is."""
        if self.crashed:
            return "shutting down after an internal error"
        if self._stopping:
            return "shutting down"
        return "storage unavailable" if self._timeline.failing else None

    def request_stop(self) -> None:
        """Make `wait` return. Never waits, so signal handlers may call it."""
        self._stop_event.set()

    def wait(self) -> None:
        """Wait for `request_stop`."""
        self._stop_event.wait()

    def stop(self) -> bool:
        """Shut down: stop accepting, store and deliver all messages received, close connections.

        Waits at most `drain_seconds`, even if the disk hangs: receiving may take half of them,
        storing half of the remaining time, delivering half of the rest. Returns whether all
        messages received were stored.
        """
        end = time.monotonic() + self._config.drain_seconds
        self._stopping = True
        self._supervisor.stopping()
        self._close_doors()
        for reader in self._in_handshake:
            reader.kill(ConnectionAbortedError(SHUTDOWN.text), block=False)
        self._hub.drain(self._config.drain_seconds / 2)
        self._hub.end_all(SHUTDOWN)
        stored = self._timeline.close(_half_until(end))
        if not stored:
            _log.error("some messages were not stored in time; they were not acknowledged")
        self._hub.finish(_half_until(end))
        gevent.wait(list(self._readers), timeout=max(end - time.monotonic(), 0))
        if self._admin is not None:
            self._admin.close()
        self._hub.stop()
        self.rejections.close()
        return stored

    def _renew_doors(self, certificate: tls.Certificate | None, limits: Limits) -> None:
        how = "geventchat connect" if certificate is None else "geventchat connect --tls"
        self._metrics.certificate_expires = None if certificate is None else certificate.expires
        for door in self._doors:
            context = None if certificate is None else certificate.context
            door.renew(context, limits.frame_bytes, how)
            self._hub.opens[door.name] += 0  # so that metrics show it from the start

    def _close_doors(self) -> None:
        for door in self._doors:
            door.close()

    def _on_connect(self, link: Link) -> None:
        address = link.address
        counted = address not in self._policy.trust
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
                    self._policy.limiter.leave(address)

    def _may_be_operator(self, refused: Reason, *, counted: bool) -> bool:
        """Return whether a connection to reject is given the time to show the operator token."""
        banned = refused.code == BANNED.code and bool(self._policy.features)
        slots = _OPERATOR_SLOTS // 2 if counted else _OPERATOR_SLOTS
        return (refused is FULL or banned) and self._operator_slots[refused.code] < slots

    def _serve(
        self, link: Link, address: str, *, counted: bool, operators_only: Reason | None = None
    ) -> None:
        """Run a connection in its reader, the current greenlet. Waits until it has ended."""
        reader = gevent.getcurrent()
        assert isinstance(reader, gevent.Greenlet)  # StreamServer spawns one a connection
        self._readers.add(reader)
        if counted:
            link.pace = TokenBucket(self._config.limits, self.counts)
        try:
            if self._open_link(link, address, reader):
                limits = self._config.limits
                session = Session(link, self._hub, self._timeline, limits, self._policy, converse)
                reason = session.run(operators_only)
                if not session.nick and reason not in _UNREMARKABLE:
                    self.rejections.note(reason.code, address)
                if not link.heard and reason is LOST:
                    self._forgive(address)
        finally:
            self._readers.discard(reader)

    def _rejection_reason(self, address: str, *, counted: bool) -> Reason | None:
        """Return why a connection is rejected; if it is not, count it."""
        if self._stopping:
            return SHUTDOWN
        if len(self._readers) - self._operator_slots.total() >= self._max_connections:
            return FULL
        if (banned := self._policy.address_ban(address)) is not None:
            return banned
        if not counted:
            return None
        return self._policy.limiter.enter(address, time.monotonic())

    def _open_link(self, link: Link, address: str, reader: "gevent.Greenlet[..., None]") -> bool:
        """Complete the handshake of a link; return whether it succeeded. Waits."""
        self._in_handshake.add(reader)
        try:
            link.open(self._config.limits.handshake_seconds)
        except SilentClient:
            self._forgive(address)
            link.close(0)
            return False
        except OSError as error:
            self.rejections.note("handshake", f"{address}, {error}")
            link.close(REJECT_SECONDS)
            return False
        finally:
            self._in_handshake.discard(reader)
        return True

    def _forgive(self, address: str) -> None:
        """Take back the count of a connection that was only a look whether the port is open."""
        self._policy.limiter.forgive(address, time.monotonic())

    def _reject(self, link: Link, address: str, reason: Reason) -> None:
        """Send the reason and close. Waits briefly, unless too many are rejected at once."""
        self.rejections.note(WHY.get(reason, reason.code), address)
        self._rejecting += 1
        patient = self._rejecting <= _MAX_REJECTING
        try:
            if patient:
                link.open(self._config.limits.handshake_seconds)
            link.reject(reason)
        except OSError:
            pass  # the client has closed, or cannot receive the reason
        finally:
            link.close(REJECT_SECONDS if patient else 0)
            self._rejecting -= 1


def _half_until(end: float) -> float:
    """Return half of the seconds left until a monotonic time."""
    return max((end - time.monotonic()) / 2, 0)


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
