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

from geventchat import __version__
from geventchat.cli.options import as_given
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
    from geventchat.server.transport.ports import Address

_log: Final = logging.getLogger(__name__)


@click.command(context_settings={"show_default": True})
@settings
@click.pass_context
def serve(context: click.Context, /, **_: object) -> int:
    """Run the server until Ctrl-C."""
    found = resolve(context)
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
        return _serve(found, lambda: resolve(context))


def _serve(found: Resolved, reread: Callable[[], Resolved]) -> int:
    """Run a server and return the exit code: 1 after a crash, or if not everything was stored."""
    from geventchat.server.logs.console import open_console
    from geventchat.server.logs.records import log_death
    from geventchat.server.server import Server

    config = found.config
    _raise_descriptor_limit()
    _switch_often()
    console = open_console(config)
    gevent.get_hub().print_exception = log_death  # type: ignore[assignment, method-assign]
    try:
        server = Server(config, console)
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, _on_stop_signal, server, console, number)
        server.start()
        _freeze()
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            gevent.signal_handler(
                signal.SIGHUP,
                _on_hangup,
                server,
                console,
                reread,
                BoundedSemaphore(1),
                had_terminal=_has_terminal(),
            )
        try:
            console.line(_start_line(config, server.addresses))
            scheme = "http" if config.tls_cert is None else "https"
            if pages := [f"{scheme}://{_address(*each)}/" for each in server.web_addresses]:
                console.line(f"the page for browsers is at {' and '.join(pages)}")
            if pages := [f"http://{_address(*each)}/" for each in server.admin_addresses]:
                console.line(f"/healthz, /metrics and /top are at {' and '.join(pages)}")
            if server.operator_file is not None:
                console.line(f"operator token file: {server.operator_file}")
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


def _on_stop_signal(server: "Server", console: "Console", number: signal.Signals) -> None:
    """Shut down; exit at once on a second signal: every delivered message is on disk."""
    if server.stop_requested:
        os._exit(128 + number)
    console.line(f"shutting down: received {number.name}")
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
    if had_terminal and not _has_terminal():
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


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _start_line(config: Config, addresses: "list[Address]") -> str:
    from geventchat.server.factory import kept

    tls = " with TLS" if config.tls_cert is not None else ""
    listening = f"listening on {' and '.join(_address(*each) for each in addresses)}{tls}"
    return f"geventchat {__version__} {listening}, messages {kept(config)}"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
