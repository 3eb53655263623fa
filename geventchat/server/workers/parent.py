"""The parent: opens the ports, starts workers, starts those that end again, stops them all.

It runs on gevent like everything else, because the process is patched before its command line is
read, and the admin port is the server's own. Workers are run by exec, so nothing of it is theirs.
"""

import logging
import signal
import time
from typing import Final

import gevent
from gevent.event import Event

from geventchat.config import Config
from geventchat.server.ops.admin_http import Admin
from geventchat.server.ops.supervisor import Supervisor
from geventchat.server.transport import ports
from geventchat.server.transport.ports import Address, Ports, addresses
from geventchat.server.workers.process import Worker
from geventchat.server.workers.view import View

FIRST_SECONDS: Final = 1.0
"""How long after its end a worker is started again; twice as long each time that it fails, up to"""
MOST_SECONDS: Final = 30.0
_LASTED_SECONDS: Final = 60.0
"""One that accepted clients for so long did not fail."""
_READY_SECONDS: Final = 120.0
"""How long a worker that is to replace another one has to become ready."""
GRACE_SECONDS: Final = 5.0
"""After `drain_seconds`, before a worker that has not ended is killed."""

_log: Final = logging.getLogger(__name__)


class Parent:
    """`start`, `wait` until asked to stop, `stop`. Never accepts a client itself."""

    def __init__(self, config: Config, command: list[str]) -> None:
        """`command`: the arguments of the interpreter that make a worker."""
        self._config = config
        self._command = command
        self._ports = ports.opened(config)  # raises BadSetting
        self._stop_event = Event()
        self._supervisor = Supervisor()
        self._slots: list[_Slot] = []
        self._workers: set[Worker] = set()
        """All that have not ended, also those that are being replaced."""
        self._restarts = 0
        self._recycling: gevent.Greenlet[[], None] | None = None
        self._greenlets: list[gevent.Greenlet[..., None]] = []
        self._admin: Admin | None = None

    @property
    def addresses(self) -> list[Address]:
        """Hosts and port of the chat port."""
        return addresses(self._ports.chat)

    @property
    def web_addresses(self) -> list[Address]:
        """Hosts and port of the page; none if it is disabled."""
        return addresses(self._ports.web)

    @property
    def admin_addresses(self) -> list[Address]:
        """Hosts and port of the admin port; none if it is disabled."""
        return addresses(self._ports.admin)

    @property
    def stop_requested(self) -> bool:
        """Whether all workers are being stopped, or about to be."""
        return self._stop_event.is_set()

    def start(self) -> int | None:
        """Start the workers; return None when all accept clients. Waits. Raises BadSetting.

        Returns an exit code instead if the first of them cannot start: it has said why. The others
        begin when it is ready, so there is one that makes what is missing, and one complaint.
        """
        view = View(lambda: [slot.worker for slot in self._slots], lambda: self._restarts)
        first = _Slot(self._spawn(1))
        self._slots.append(first)
        while not first.worker.wait_ready(0.1):
            if self.stop_requested:
                return None
            if (code := first.worker.wait(0)) is not None:
                return code if code >= 0 else 1
        self._slots += [_Slot(self._spawn(n)) for n in range(2, self._config.workers + 1)]
        for slot in self._slots:
            self._greenlets.append(gevent.spawn(self._keep, slot))
        if self._ports.admin:
            host, _ = ports.split(self._config.admin or ports.DEFAULT_ADMIN)
            Ports(admin=self._ports.admin).listen()
            self._admin = Admin(self._ports.admin, host, view.health, view.metrics, view.top)
            self._admin.start()
        for slot in self._slots:  # one that fails is tried again, and keeps nobody waiting
            gevent.wait([slot.worker.ready, slot.failed, self._stop_event], count=1)
        self._supervisor.ready()
        return None

    def request_stop(self) -> None:
        """Make `wait` return. Never waits."""
        self._stop_event.set()

    def wait(self) -> None:
        """Wait for `request_stop`."""
        self._stop_event.wait()

    def reload(self, config: Config) -> None:
        """Have all workers read their settings again. Never waits."""
        self._config, _ = self._config.renewed(config)
        for worker in self._workers:
            if worker.ready.is_set():  # before that it would end it
                worker.signal(signal.SIGHUP)

    def recycle(self) -> None:
        """Replace all workers, one after the other, unless that is under way. Never waits."""
        if not self._recycling and not self.stop_requested:
            self._recycling = gevent.spawn(self._recycle)

    def stop(self) -> int:
        """Stop all workers; return 0 if all stored everything in time. Waits."""
        self._stop_event.set()
        self._supervisor.stopping()
        gevent.killall([*self._greenlets, *filter(None, [self._recycling])])
        for each in (*self._ports.chat, *self._ports.web):
            each.close()
        workers = list(self._workers)
        for worker in workers:
            worker.stop()
        end = time.monotonic() + self._config.drain_seconds + GRACE_SECONDS
        clean = True
        for worker in workers:
            clean &= self._end(worker, end - time.monotonic()) == 0
        if self._admin is not None:
            self._admin.close()
        for each in self._ports.admin:
            each.close()
        return int(not clean)

    def kill(self) -> None:
        """Kill all workers. Never waits."""
        for worker in self._workers:
            worker.signal(signal.SIGKILL)

    def _spawn(self, number: int) -> Worker:
        worker = Worker(number, self._ports, self._command)
        self._workers.add(worker)
        self._greenlets = [each for each in self._greenlets if not each.dead]
        self._greenlets.append(gevent.spawn(self._follow, worker))
        return worker

    def _follow(self, worker: Worker) -> None:
        """Do what a worker asks for, until it has ended."""
        while worker.running:
            gevent.wait([worker.recycle, worker.ended], count=1)
            if worker.recycle.is_set():
                worker.recycle.clear()
                self.recycle()
        self._workers.discard(worker)

    def _keep(self, slot: "_Slot") -> None:
        """Start the worker of a slot again whenever it ends."""
        seconds = FIRST_SECONDS
        while True:
            worker = slot.worker
            code = worker.wait()
            if slot.worker is not worker:  # it was replaced
                continue
            slot.failed.set()
            seconds = FIRST_SECONDS if worker.age > _LASTED_SECONDS else seconds
            text = "worker %d (process %d) ended, %s; starting it again in %g s"
            _log.error(text, worker.number, worker.pid, _how(code), seconds)
            gevent.sleep(seconds)
            seconds = min(2 * seconds, MOST_SECONDS)
            if slot.worker is not worker:
                continue
            try:
                slot.worker = self._spawn(worker.number)
                self._restarts += 1
            except OSError as error:  # the machine may have no memory or processes left
                _log.error("worker %d cannot be started: %s", worker.number, error)

    def _recycle(self) -> None:
        """Replace all workers: start new ones, and have the former ones drain one by one.

        When all new ones are ready the former ones stop accepting, so that a client which has to
        reconnect comes to a new one, and has to do so once.
        """
        _log.info("replacing %d workers", len(self._slots))
        workers: list[Worker] = []
        try:
            # If one cannot be started, those before it are in the list.
            workers.extend(self._spawn(slot.worker.number) for slot in self._slots)
            self._wait_ready(workers)
        except OSError as error:
            _log.error("workers not replaced: %s; the former ones stay", error)
            for worker in workers:
                worker.signal(signal.SIGKILL)
            return
        formers = [slot.worker for slot in self._slots]
        for slot, worker in zip(self._slots, workers, strict=True):
            slot.worker = worker
        gevent.joinall([gevent.spawn(former.leave) for former in formers])
        for former, worker in zip(formers, workers, strict=True):
            former.stop()
            self._end(former, self._config.drain_seconds + GRACE_SECONDS)
            text = "worker %d was replaced: process %d instead of %d"
            _log.info(text, worker.number, worker.pid, former.pid)
        _log.info("all workers were replaced")

    def _wait_ready(self, workers: list[Worker]) -> None:
        """Wait until these are ready. Raises OSError if one is not in time, or has ended."""
        end = time.monotonic() + _READY_SECONDS
        for worker in workers:
            if not worker.wait_ready(end - time.monotonic()):
                raise OSError(f"the new worker {worker.number} is not ready")

    def _end(self, worker: Worker, seconds: float) -> int | None:
        """Wait until a worker that drains has ended, and kill it if it does not; return its code.

        One that was not ready had nothing to store.
        """
        code = worker.wait(max(seconds, 0))
        if code is None:
            text = "worker %d (process %d) did not end in time and was killed"
            _log.error(text, worker.number, worker.pid)
            worker.signal(signal.SIGKILL)
            return worker.wait()
        return code if worker.ready.is_set() else 0


class _Slot:
    """The place of a worker, which the next one of its number takes."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.failed = Event()
        """Set when one has ended by itself."""


def _how(code: int | None) -> str:
    """Return how a process ended, for a log line."""
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"killed by {signal.Signals(-code).name}"
