"""The server: starts its parts, and ends them in order."""

import logging
import resource
import time
from collections import Counter
from functools import partial
from typing import Final

import gevent
from gevent.event import Event
from gevent.ssl import SSLContext

from geventchat.config import ADMIN_PORT, BadSetting, Config, Limits
from geventchat.protocol import names
from geventchat.protocol.errors import FULL, LOST, SHUTDOWN, Reason
from geventchat.server import factory
from geventchat.server.access.policy import Policy
from geventchat.server.access.rate_limits import WHY
from geventchat.server.chat.hub import Hub
from geventchat.server.logs.console import Console
from geventchat.server.logs.rejections import Rejections
from geventchat.server.ops.admin_http import Admin
from geventchat.server.ops.metrics import Metrics
from geventchat.server.ops.top import top
from geventchat.server.session.conversation import converse
from geventchat.server.session.session import Session
from geventchat.server.threads import FILE_SECONDS, in_thread
from geventchat.server.timeline import Timeline
from geventchat.server.transport import tls
from geventchat.server.transport.base import Link
from geventchat.server.transport.listener import Door
from geventchat.server.transport.null_framing import NullFraming
from geventchat.server.transport.token_bucket import TokenBucket

DEFAULT_ADMIN: Final = f"127.0.0.1:{ADMIN_PORT}"
FULL_SECONDS: Final = 1.0
"""How long one who is turned away has to hear why."""
RESERVED_DESCRIPTORS: Final = 96
"""For storing, for those just accepted, and for those who are being turned away."""
_HEARING: Final = 16
"""Of those how many have that time at once."""
_SPARE: Final = 16
"""How many are listened to in a full house, for they may be operators; half of these places are for
trusted networks alone, lest whoever filled the house takes them too."""

_log: Final = logging.getLogger(__name__)


class Server:
    """One node. `start`, `wait` until asked to stop, `stop`."""

    def __init__(self, config: Config, console: Console) -> None:
        self._config = config
        self._hub = Hub(config.limits, console)
        self._asked = Event()
        self._stopping = False
        self.crashed = False
        """Whether a greenlet ended without which no server can go on."""
        self._max_connections = _most(config.limits)
        self._rejecting = 0
        self._operator_slots = 0
        """How many are inside or at the door beyond the most."""
        self.rejections = Rejections()
        self.counts: Counter[str] = Counter()
        self._metrics = Metrics(self._hub, self.rejections.counts, self.counts)
        self._admin: Admin | None = None
        self._readers: set[gevent.Greenlet[..., None]] = set()
        self._opening: set[gevent.Greenlet[..., None]] = set()
        """Those of them whose clients have still to shake hands."""
        self._doors: list[Door] = []
        self._policy: Policy
        self._timeline: Timeline

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the first door."""
        return self._doors[0].address

    @property
    def admin_address(self) -> tuple[str, int] | None:
        """Host and port of the admin port, if there is one."""
        return self._admin.address if self._admin is not None else None

    @property
    def operator_file(self) -> str | None:
        """Where the operators' token is; None: there are no operators."""
        return factory.operator_file(self._config)

    def start(self, *, ticking: bool = True) -> None:
        """Open the timeline, then the doors. Raises BadSetting for what cannot be used.

        Without `ticking` nothing happens by the clock: for tests, which turn it themselves.
        """
        config = self._config
        context = tls.load(config.tls_cert, config.tls_key)
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
        self._renew_doors(context, config.limits)
        self._timeline.start()
        self._hub.start(ticking=ticking)
        for greenlet in (*self._timeline.greenlets, *self._hub.greenlets):
            greenlet.link(self._core_ended)
        names.skeleton(names.LOBBY)  # reads the table of look-alikes, 20 ms that nobody should meet
        for door in self._doors:
            door.start()
        if self._admin is not None:
            self._admin.start()

    def reload(self, config: Config) -> list[str]:
        """Take over what may change while the server runs; give the names of what else differs.

        Whoever is inside stays, with the limits it came with. Waits while files are read. Raises
        BadSetting or OSError, and then nothing has changed.
        """
        renewed, fixed = self._config.renewed(config)
        secrets = in_thread(partial(factory.read_secrets, renewed), FILE_SECONDS)
        self._policy.renew(password=secrets.password, token=secrets.token, trust=renewed.trust)
        self._hub.limits = self._policy.limiter.limits = renewed.limits
        self._max_connections = _most(renewed.limits)
        self._timeline.configure(renewed.limits)
        self._renew_doors(secrets.tls, renewed.limits)
        self._config = renewed
        return fixed

    @property
    def asked_to_stop(self) -> bool:
        """Whether it is ending, or about to."""
        return self._asked.is_set()

    def _open_admin(self, asked: str | None) -> Admin | None:
        """Give the admin port; None if there is to be none, or the default one is taken."""
        host, _, port = (asked or DEFAULT_ADMIN).rpartition(":")
        if not host:
            return None
        try:
            return Admin(
                host.strip("[]"),
                int(port),
                self._unready,
                self._metrics.text,
                partial(top, self._hub),
            )
        except BadSetting as error:
            if asked is not None:
                raise
            _log.warning("admin port disabled: %s", error)
            return None

    def _core_ended(self, greenlet: "gevent.Greenlet[..., None]") -> None:
        """Shut down because a core greenlet ended, by an error or because somebody killed it.

        What raised in it is logged by gevent's hub, with the traceback.
        """
        if not self._stopping and not self.crashed:
            self.crashed = True
            _log.critical("shutting down: the greenlet %r ended unexpectedly", greenlet.name)
            self.ask_to_stop()

    def _unready(self) -> str | None:
        """Say why no client should be sent here, if that is so."""
        if self.crashed:
            return "shutting down after an internal error"
        if self._stopping:
            return "shutting down"
        return "storage unavailable" if self._timeline.failing else None

    def ask_to_stop(self) -> None:
        """Let `wait` return. Never waits, so a signal may call it."""
        self._asked.set()

    def wait(self) -> None:
        """Wait until asked to stop."""
        self._asked.wait()

    def stop(self) -> bool:
        """Accept no more; take, store and deliver what was sent; say goodbye to everyone. Waits.

        Returns within `drain_seconds`, even if the disk hangs: clients are heard for half of them,
        storing may take half of what is then left, delivering half of the rest. Gives whether
        everything that was heard was stored.
        """
        end = time.monotonic() + self._config.drain_seconds
        self._stopping = True
        self._close_doors()
        for reader in self._opening:
            reader.kill(ConnectionAbortedError(SHUTDOWN.text), block=False)
        self._hub.drain(self._config.drain_seconds / 2)
        self._hub.end_all(SHUTDOWN)
        stored = self._timeline.close(_half_until(end))
        if not stored:
            _log.error("not everything could be stored in time; its authors were not acknowledged")
        self._hub.finish(_half_until(end))
        gevent.wait(list(self._readers), timeout=max(end - time.monotonic(), 0))
        if self._admin is not None:
            self._admin.close()
        self._hub.stop()
        self.rejections.close()
        return stored

    def _renew_doors(self, context: SSLContext | None, limits: Limits) -> None:
        how = "geventchat connect" if context is None else "geventchat connect --tls"
        for door in self._doors:
            door.renew(context, limits.frame_bytes, how)
            self._hub.opens[door.name] += 0  # so that metrics show it before anybody came

    def _close_doors(self) -> None:
        for door in self._doors:
            door.close()

    def _on_connect(self, link: Link) -> None:
        address = link.address
        counted = address not in self._policy.trust
        refused = self._refused(address, counted=counted)
        if refused is FULL and self._operator_slots < (_SPARE // 2 if counted else _SPARE):
            self._operator_slots += 1
            try:
                self._serve(link, address, counted=counted, full=True)
            finally:
                self._operator_slots -= 1
        elif refused is not None:
            self._reject(link, address, refused)
        else:
            try:
                self._serve(link, address, counted=counted, full=False)
            finally:
                if counted:
                    self._policy.limiter.leave(address)

    def _serve(self, link: Link, address: str, *, counted: bool, full: bool) -> None:
        """Be the reader of a connection. Waits until it has ended."""
        reader = gevent.getcurrent()
        assert isinstance(reader, gevent.Greenlet)  # StreamServer spawns one a connection
        self._readers.add(reader)
        if counted:
            link.pace = TokenBucket(self._config.limits, self.counts)
        try:
            if self._opened(link, address, reader):
                limits = self._config.limits
                session = Session(link, self._hub, self._timeline, limits, self._policy, converse)
                reason = session.run(full=full)
                if session.locked_out is not None and reason is not LOST:
                    self.rejections.note(reason.code, address)
        finally:
            self._readers.discard(reader)

    def _refused(self, address: str, *, counted: bool) -> Reason | None:
        """Give the reason for which a connection is not taken in; if there is none, count it."""
        if self._stopping:
            return SHUTDOWN
        if len(self._readers) - self._operator_slots >= self._max_connections:
            return FULL
        if (banned := self._policy.address_ban(address)) is not None:
            return banned
        if not counted:
            return None
        return self._policy.limiter.enter(address, time.monotonic())

    def _opened(self, link: Link, address: str, reader: "gevent.Greenlet[..., None]") -> bool:
        """Let a link make ready; say whether it is. Waits."""
        self._opening.add(reader)
        try:
            link.open(self._config.limits.handshake_seconds)
        except OSError as error:
            self.rejections.note("handshake", f"{address}, {error}")
            link.close(FULL_SECONDS)
            return False
        finally:
            self._opening.discard(reader)
        return True

    def _reject(self, link: Link, address: str, reason: Reason) -> None:
        """Say why, and close. Waits a little, unless too many are being told at once."""
        self.rejections.note(WHY.get(reason, reason.code), address)
        self._rejecting += 1
        patient = self._rejecting <= _HEARING
        try:
            if patient:
                link.open(self._config.limits.handshake_seconds)
            link.reject(reason)
        except OSError:
            pass  # it has not waited for that, or cannot be told
        finally:
            link.close(FULL_SECONDS if patient else 0)
            self._rejecting -= 1


def _half_until(end: float) -> float:
    """Give half of the seconds that are left until a monotonic time."""
    return max((end - time.monotonic()) / 2, 0)


def _most(limits: Limits) -> int:
    """Give how many may be inside: accepting must not take the descriptors that storing needs."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = max(allowed - RESERVED_DESCRIPTORS, allowed // 2)
    if limits.connections is not None and limits.connections > most:
        text = "limits.connections is %d, but the file descriptor limit allows only %d; using that"
        _log.warning(text, limits.connections, most)
    return min(most, limits.connections or most)
