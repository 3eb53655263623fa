"""The server: starts its parts, and shuts them down in order."""

import logging
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

import gevent
from gevent import socket as gevent_socket
from gevent.event import Event

from geventchat.config import BadSetting, Config
from geventchat.protocol import names
from geventchat.protocol.errors import SHUTDOWN, Refused
from geventchat.server import factory
from geventchat.server.access.policy import Policy
from geventchat.server.access.shared_rules import SharedRules
from geventchat.server.admission import Admission
from geventchat.server.chat.hub import Hub
from geventchat.server.hook_posts import HookPosts
from geventchat.server.logs.console import Console
from geventchat.server.logs.rejections import Rejections
from geventchat.server.networks import Networks
from geventchat.server.ops.admin_http import Admin
from geventchat.server.ops.metrics import Metrics
from geventchat.server.ops.supervisor import Supervisor
from geventchat.server.ops.top import answer_top, top_of_all
from geventchat.server.session import directs
from geventchat.server.session.conversation import converse
from geventchat.server.session.enforcement import ENDED, Enforcement
from geventchat.server.session.reach import answer_others
from geventchat.server.session.session import Session
from geventchat.server.threads import FILE_SECONDS, in_thread
from geventchat.server.timeline import Batch, Timeline
from geventchat.server.transport import ports, tls
from geventchat.server.transport.base import Link, Ways
from geventchat.server.transport.listener import Door
from geventchat.server.transport.null_framing import NullFraming
from geventchat.server.transport.ports import Address, Ports
from geventchat.server.web import site
from geventchat.server.web.framing import Web
from geventchat.server.web.origin import Names
from geventchat.server.web.posts import PATH

_log: Final = logging.getLogger(__name__)


class Server:
    """One node. `start`, `wait` until asked to stop, `stop`."""

    def __init__(
        self,
        config: Config,
        console: Console,
        ports: Ports | None = None,
        recycle: Callable[[], None] | None = None,
    ) -> None:
        """`ports`: of a worker, listening sockets to use instead of those of the settings.

        `recycle` has all workers replaced.
        """
        self._config = config
        self._ports = ports
        self._hub = Hub(config.limits, console)
        self._hub.recycle = recycle
        self._stop_event = Event()
        self._stopping = False
        self.crashed = False
        """Whether a core greenlet ended unexpectedly."""
        self.rejections = Rejections()
        self._admission = Admission(config.limits, self.rejections, self._session)
        self._hook_posts = HookPosts(self._hub)
        self._metrics = Metrics(
            self._hub, self.rejections.counts, self._admission.counts, self._hook_posts.counts
        )
        self._admin: Admin | None = None
        self._supervisor = Supervisor()
        self._web: Web | None = None
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
    def web_addresses(self) -> list[Address]:
        """Hosts and port of the page; none if it is disabled."""
        return self._doors[1].addresses if len(self._doors) > 1 else []

    @property
    def admin_addresses(self) -> list[Address]:
        """Hosts and port of the admin port; none if it is disabled."""
        return self._admin.addresses if self._admin is not None else []

    @property
    def operator_file(self) -> str | None:
        """Path of the operator token; None: there are no operators."""
        return factory.operator_file(self._config)

    def start(self, *, ticking: bool = True) -> None:
        """Bind the ports, open the timeline, then the doors.

        Raises BadSetting for a setting that cannot be used.

        Without `ticking` no timer runs: for tests, which call it themselves.
        """
        config = self._config
        certificate = tls.load(config.tls_cert, config.tls_key)
        opened = self._ports or ports.opened(config)  # before any file is made
        with ExitStack() as undo:
            undo.callback(opened.close)
            self._open_timeline(config)
            undo.callback(self._timeline.close, 0)
            self._web = self._load_web(config)  # before any door listens
            self._policy = self._admission.policy = factory.policy(config)
            self._use_nodes(config)
            undo.pop_all()
        self._hook_posts.policy = self._policy
        self._open_doors(opened)
        self._renew_doors(certificate, config)
        self._hub.quieten(self._policy.frozen)
        self._hub.followed.refresh_mute = self._policy.refresh_mute
        self._timeline.start()
        if self._policy.shared is not None:
            self._policy.shared.begin_epoch()
        if self._hub.search is not None:
            self._hub.search.start()
        try:
            self._hub.start(ticking=ticking)
        except Refused as error:  # what stores was there a moment ago
            self.stop()
            reason = str(error)
            raise BadSetting("timeline", config.timeline, reason, temporary=True) from None
        for greenlet in (*self._timeline.greenlets, *self._hub.greenlets):
            greenlet.link(self._core_ended)
        self._timeline.nodes.meet()
        names.skeleton(names.LOBBY)  # loads the table of look-alikes: 20 ms, before any client
        try:
            opened.listen()
        except BadSetting:
            self.stop()
            raise
        for door in self._doors:
            door.start()
        if self._admin is not None:
            self._admin.start()
        self._supervisor.ready()

    def _open_timeline(self, config: Config) -> None:
        self._timeline = factory.open_timeline(config, self._deliver)
        self._hub.search = factory.search(config, self._timeline)
        try:
            self._hub.use(self._timeline)
        except (ValueError, Refused) as error:
            self._timeline.close(0)
            raise BadSetting("timeline", config.timeline, str(error)) from None

    def _use_nodes(self, config: Config) -> None:
        """Have what other nodes of the store decide hold here, and answer them. Blocks.

        Raises BadSetting if the store cannot be read.
        """
        if self._timeline.nodes.alone:
            return
        try:
            shared = self._policy.share_rules(self._timeline, self._hub.people.records)
        except (ValueError, Refused) as error:
            raise BadSetting("timeline", config.timeline, str(error)) from None
        self._timeline.epoch_changed = partial(self._begin_epoch, shared)
        enforcement = Enforcement(self._hub, self._policy, shared)
        self._hub.other_nodes.on_rules = enforcement.hear
        self._hub.questions.answer(ENDED, enforcement.answer)
        self._hub.questions.on_direct = partial(directs.receive, self._hub)
        answer_others(self._hub)
        answer_top(self._hub)

    def _begin_epoch(self, shared: SharedRules) -> None:
        """Go on in the epoch that has begun. Never waits."""
        self._hub.begin_epoch()
        shared.begin_epoch()

    def reload(self, config: Config) -> list[str]:
        """Apply the settings that may change at runtime; return the names of others that differ.

        Existing connections keep their limits. Waits while files are read. Raises BadSetting or
        OSError, and has then changed nothing.
        """
        renewed, fixed = self._config.renewed(config)
        secrets = in_thread(partial(factory.read_secrets, renewed), FILE_SECONDS)
        self._policy.renew(
            password=secrets.password,
            token=secrets.token,
            trust=renewed.trust,
            accounts=renewed.accounts,
        )
        self._hub.limits = self._policy.limiter.limits = renewed.limits
        self._admission.renew(renewed.limits)
        self._timeline.configure(renewed.limits)
        if self._web is not None:
            self._web.names = self._web.names.renewed(renewed.web_host, renewed.web_origin)
            self._web.proxies = Networks(renewed.web_proxy)
        self._renew_doors(secrets.tls, renewed)
        if changes := self._config.changes(renewed):
            _log.info("changed settings: %s", ", ".join(changes))
        self._config = renewed
        return fixed

    @property
    def stop_requested(self) -> bool:
        """Whether the server is shutting down, or about to."""
        return self._stop_event.is_set()

    def _load_web(self, config: Config) -> Web | None:
        """Read the page; return None if the web door is disabled. Blocks for 10 ms."""
        host, _ = ports.split(config.web or ports.DEFAULT_WEB)
        if not host:
            return None
        names = Names(host, config.web_host, config.web_origin)
        web = Web(site.load(), names, self._readiness_problem, self._hook_posts.post)
        web.proxies = Networks(config.web_proxy)
        return web

    def _open_doors(self, opened: Ports) -> None:
        """Make the doors of listening sockets; they do not accept yet."""
        admission, rejections = self._admission, self.rejections
        clients = None if self._ports is None else lambda: len(admission.readers)
        self._doors.append(
            Door(opened.chat, NullFraming, admission.admit, rejections, clients=clients)
        )
        if self._web is not None and opened.web:
            self._doors.append(
                Door(
                    opened.web, self._web, admission.visit, rejections,
                    forwarding=True, clients=clients,
                )
            )  # fmt: skip
        if opened.admin or self._ports is not None:
            self._admin = Admin(
                opened.admin,
                ports.split(self._config.admin or ports.DEFAULT_ADMIN)[0],
                self._readiness_problem,
                self._metrics.text,
                partial(top_of_all, self._hub),
            )

    def _core_ended(self, greenlet: "gevent.Greenlet[..., None]") -> None:
        """Shut down because a core greenlet ended, by an error or because it was killed.

        The hub of gevent logs the error with its traceback.
        """
        if not self._stopping and not self.crashed:
            self.crashed = True
            ended = f"the greenlet {greenlet.name!r} ended unexpectedly"
            _log.critical("shutting down: %s", self._timeline.lost or ended)
            self.request_stop()

    def _readiness_problem(self) -> str | None:
        """Return why the server is not ready for clients; None if it is."""
        if self.crashed:
            return "shutting down after an internal error"
        if self._stopping:
            return "shutting down"
        return "storage unavailable" if self._timeline.failing else None

    def answer(self, sock: gevent_socket.socket) -> None:
        """Answer as the admin port does, over a connection that came to a worker. Never waits."""
        if self._admin is not None:
            self._admin.serve(sock)

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
        self.close_doors()
        self._admission.stop()
        self._hub.drain(self._config.drain_seconds / 2)
        self._hub.end_all(SHUTDOWN)
        searching = None
        if self._hub.search is not None:  # first, since who is last removes the log of the database
            searching = gevent.spawn(self._hub.search.close)
            searching.join(_half_until(end) / 2)  # a process may hang
        stored = self._timeline.close(_half_until(end))
        if not stored:
            _log.error("some messages were not stored in time; they were not acknowledged")
        self._hub.people.records.close()
        self._hub.finish(_half_until(end))
        gevent.wait(list(self._admission.readers), timeout=max(end - time.monotonic(), 0))
        if searching is not None:
            searching.join(max(end - time.monotonic(), 0))
        if self._admin is not None:
            self._admin.close()
        self._hub.stop()
        self.rejections.close()
        return stored

    def _deliver(self, batch: Batch) -> None:
        self._hub.submissions.deliver(batch)
        if self._hub.search is not None:
            self._hub.search.note(batch)

    def _session(self, link: Link) -> Session:
        limits = self._config.limits
        return Session(link, self._hub, self._timeline, limits, self._policy, converse)

    def _renew_doors(self, certificate: tls.Certificate | None, config: Config) -> None:
        scheme, command = "http", "geventchat connect"
        if certificate is not None:
            scheme, command = "https", "geventchat connect --tls"
        pages = [_page(scheme, *each) for each in self.web_addresses]
        self._hub.people.hooks.address = _hooks_address(scheme, self.web_addresses)
        ways = Ways(command, self.address[1], pages[0] if pages else None)
        self._metrics.certificate_expires = None if certificate is None else certificate.expires
        for door in self._doors:
            context = None if certificate is None else certificate.context
            door.renew(context, config.limits.frame_bytes, ways)
            self._hub.opens[door.name] += 0  # so that metrics show it from the start
        for door, proxies in zip(self._doors, (config.proxy, config.web_proxy), strict=False):
            door.believe(proxies, config.limits.handshake_seconds)

    def close_doors(self) -> None:
        """Accept no more connections; those that there are stay."""
        for door in self._doors:
            door.close()


def _page(scheme: str, host: str, port: int) -> str:
    """Return where the page is, as clients are told."""
    if host in ("0.0.0.0", "::"):  # which of the host's addresses they know is not known here
        return f"{scheme}:// on port {port} of this host"
    return f"{scheme}://{names.endpoint(host, port)}/"


def _hooks_address(scheme: str, addresses: list[Address]) -> str | None:
    """Return what the addresses of webhooks begin with, as this machine knows it."""
    if not addresses:
        return None
    host, port = addresses[0]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"{scheme}://{names.endpoint(host, port)}{PATH}/"


def _half_until(end: float) -> float:
    """Return half of the seconds left until a monotonic time."""
    return max((end - time.monotonic()) / 2, 0)
