"""`geventchat serve`: runs the server until it is asked to stop."""

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click
import gevent
from click.core import ParameterSource
from gevent.lock import BoundedSemaphore

from geventchat.cli import workers
from geventchat.cli.options import as_given
from geventchat.cli.running import first_lines, has_terminal
from geventchat.cli.settings import (
    Resolved,
    resolve,
    settings,
    warn,
    warn_of_variables,
    world_readable,
)
from geventchat.config import BadOption, Config
from geventchat.config.checks import without_password

if TYPE_CHECKING:
    from geventchat.server.logs.console import Console
    from geventchat.server.server import Server
    from geventchat.server.tether import Passed, Tether

_log: Final = logging.getLogger(__name__)


@click.command(context_settings={"show_default": True})
@settings
@click.pass_context
def serve(context: click.Context, /, **_: object) -> int:
    """Run the server until Ctrl-C."""
    from geventchat.server.tether import passed

    found = resolve(context)
    if (worker := passed()) is not None:
        with as_given(found.names):
            return _serve(found, lambda: resolve(context), worker)
    warn_of_variables(context)
    if context.get_parameter_source("password") is ParameterSource.COMMANDLINE:
        warn("--password is visible in the process list; use --password-file")
    if (
        context.get_parameter_source("timeline") is ParameterSource.COMMANDLINE
        and without_password(found.config.timeline) != found.config.timeline
    ):
        text = "the password in --timeline is visible in the process list; use GEVENTCHAT_TIMELINE"
        warn(f"{text}, or a file with --config")
    with as_given(found.names):
        found.config.check_workers()
        if found.config.workers > 1:
            return workers.run(found.config, lambda: resolve(context))
        return _serve(found, lambda: resolve(context))


def _serve(found: Resolved, reread: Callable[[], Resolved], worker: "Passed | None" = None) -> int:
    """Run a server and return the exit code: 1 after a crash, or if not everything was stored.

    `worker`: what its parent passed on to a worker.
    """
    from geventchat.server.logs.console import open_console
    from geventchat.server.logs.records import log_death
    from geventchat.server.server import Server
    from geventchat.server.tether import Tether

    config = found.config
    tether = None if worker is None else Tether(worker)
    _raise_descriptor_limit()
    _switch_often()
    console = open_console(config, None if tether is None else tether.number)
    gevent.get_hub().print_exception = log_death  # type: ignore[assignment, method-assign]
    try:
        server = (
            Server(config, console)
            if tether is None
            else Server(config, console, tether.ports, tether.recycle)
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(
                number, _on_stop_signal, server, console, number, of_worker=tether is not None
            )
        reloading = BoundedSemaphore(1)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            gevent.signal_handler(
                signal.SIGHUP,
                _on_hangup,
                server,
                console,
                reread,
                reloading,
                had_terminal=has_terminal(),
            )
        with reloading:  # a reload waits until there is something to reload
            server.start()
        _freeze()
        try:
            if tether is None:
                for line in first_lines(config, server, _kept(config), server.operator_file):
                    console.line(line)
            else:
                tether.ready(server.answer, server.close_doors)
                gevent.spawn(_end_with_parent, tether, server, console)
            if tether is None or tether.number == 1:
                for warning in world_readable(found):
                    _log.warning("%s", warning)
            server.wait()
        finally:
            stored = server.stop()
    finally:
        console.close(seconds=1.0)
    if not stored:  # a thread that waits for a hanging disk would block the exit
        os._exit(1)
    return int(server.crashed)


def _on_stop_signal(
    server: "Server", console: "Console", number: signal.Signals, *, of_worker: bool
) -> None:
    """Shut down; exit at once on a second signal: every delivered message is on disk.

    Not so a worker: systemd sends the first one to all processes, the parent the second one, and
    what is in a hurry kills.
    """
    if not server.stop_requested:
        console.line(f"shutting down: received {number.name}")
        server.request_stop()
    elif not of_worker:
        os._exit(128 + number)


def _end_with_parent(tether: "Tether", server: "Server", console: "Console") -> None:
    """Shut down when the parent of a worker has ended."""
    tether.lost.wait()
    if not server.stop_requested:
        console.line("shutting down: the process that started this worker has ended")
        server.request_stop()


def _on_hangup(
    server: "Server",
    console: "Console",
    reread: Callable[[], Resolved],
    reloading: BoundedSemaphore,
    *,
    had_terminal: bool,
) -> None:
    """Reload the settings, or shut down if the terminal was closed."""
    if had_terminal and not has_terminal():
        console.line("shutting down: terminal closed")
        server.request_stop()
        return
    with reloading:  # one after the other, so that the latest settings win
        _reload(server, reread)


def _reload(server: "Server", reread: Callable[[], Resolved]) -> None:
    from geventchat.server.threads import FILE_SECONDS, in_thread

    def read() -> tuple[Resolved, list[str]]:
        found = reread()
        return found, world_readable(found)

    try:
        found, warnings = in_thread(read, FILE_SECONDS)
        with as_given(found.names):
            fixed = server.reload(found.config)
    except (BadOption, OSError) as error:
        _log.error("reload failed, keeping current settings: %s", error)
        return
    _log.info("settings reloaded")
    if fixed:
        _log.warning("changed settings that need a restart: %s", ", ".join(fixed))
    for warning in warnings:
        _log.warning("%s", warning)


def _kept(config: Config) -> str:
    from geventchat.server.factory import kept

    return kept(config)


def _switch_often() -> None:
    # Callbacks run for at most this long before sockets are polled again; with the 5 ms of gevent
    # they dominated the tail latency.
    gevent.setswitchinterval(0.001)
    # The storing thread waits for the GIL at every statement. With a room of 10,000 the p99 was
    # 44 ms with the 5 ms of CPython, and is 16 ms with this.
    sys.setswitchinterval(0.0005)


def _freeze() -> None:
    # What exists now stays: exclude it from later collections.
    gc.collect()
    gc.freeze()


def _raise_descriptor_limit() -> None:
    """Raise the limit of file descriptors as far as the system allows."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems report a higher limit than they allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
