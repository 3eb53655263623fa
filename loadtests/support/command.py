"""What the commands of the load tests have in common: how they refuse, end and are interrupted."""

import argparse
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from gevent.hub import Hub


class CannotRun(Exception):
    """Why a run cannot work: one line that says what to do."""


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, under the name of the command."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"{self.prog.removeprefix('make ')}: {message} (see --help)\n")


def when_ended(handler: Callable[[int, FrameType | None], object]) -> None:
    """Have SIGTERM handled, and SIGHUP of a closed terminal unless `nohup` has it ignored."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def command(name: str, main: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its code: 2 if it cannot run, 130 after Ctrl-C.

    However it ends, the servers that it started are stopped.
    """
    when_ended(lambda number, _: sys.exit(128 + number))
    Hub.NOT_ERROR += (KeyboardInterrupt,)  # no traceback of the greenlet that it strikes
    try:
        sys.exit(main())
    except CannotRun as why:
        print(f"{name}: {why}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
