"""`geventchat serve --workers N`: runs the parent of the workers until it is asked to stop."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import gevent
from gevent.lock import BoundedSemaphore

from geventchat.cli.options import as_given
from geventchat.cli.running import first_lines, has_terminal
from geventchat.cli.settings import Resolved
from geventchat.config import BadOption, Config
from geventchat.config.checks import without_password

if TYPE_CHECKING:
    from geventchat.server.logs.console import Console
    from geventchat.server.workers.parent import Parent

_log: Final = logging.getLogger(__name__)


def run(config: Config, reread: Callable[[], Resolved]) -> int:
    """Run the parent; return the exit code: 1 if a worker could not store everything in time.

    If no worker can start it is the worker's. Raises BadSetting.
    """
    from geventchat.server.logs.console import open_console
    from geventchat.server.logs.records import log_death
    from geventchat.server.workers.parent import Parent

    console = open_console(config)
    gevent.get_hub().print_exception = log_death  # type: ignore[assignment, method-assign]
    try:
        parent = Parent(config, sys.orig_argv[1:])
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, _on_stop_signal, parent, console, number)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            terminal = has_terminal()
            gevent.signal_handler(
                signal.SIGHUP,
                _on_hangup, parent, console, reread, terminal, BoundedSemaphore(1),
            )  # fmt: skip
        try:
            if (code := parent.start()) is not None:
                return code
            if not parent.stop_requested:
                kept = f"stored in {without_password(config.timeline)}"
                for line in first_lines(config, parent, kept, config.operator_file):
                    console.line(line)
            parent.wait()
        finally:
            unclean = parent.stop()
    finally:
        console.close(seconds=1.0)
    return unclean


def _on_stop_signal(parent: "Parent", console: "Console", number: signal.Signals) -> None:
    """Stop all workers; on a second signal kill them and exit at once."""
    if parent.stop_requested:
        parent.kill()
        os._exit(128 + number)
    console.line(f"shutting down: received {number.name}")
    parent.request_stop()


def _on_hangup(
    parent: "Parent",
    console: "Console",
    reread: Callable[[], Resolved],
    had_terminal: bool,
    reloading: BoundedSemaphore,
) -> None:
    """Have the workers reload the settings, or shut down if the terminal was closed."""
    if had_terminal and not has_terminal():
        console.line("shutting down: terminal closed")
        parent.request_stop()
        return
    with reloading:  # one after the other, so that the latest settings win
        _reload(parent, reread)


def _reload(parent: "Parent", reread: Callable[[], Resolved]) -> None:
    from geventchat.server.threads import FILE_SECONDS, in_thread

    try:
        found = in_thread(reread, FILE_SECONDS)
        with as_given(found.names):
            found.config.check_workers()
    except (BadOption, OSError) as error:
        _log.error("reload failed, keeping current settings: %s", error)
        return
    parent.reload(found.config)
