"""A server in a separate process, whose log and descriptors a test can inspect."""

import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_START_SECONDS: Final = 30


class Process:
    """A running server and its log."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.pid = process.pid
        self._process = process
        self.folder = log.parent
        """The folder with its database and operator token."""
        self._log = log
        self.address = "127.0.0.1", self._port(process)

    def lines(self, text: str = "") -> list[str]:
        """Return the lines of the log that contain a text."""
        return [line for line in self._log.read_text("utf-8").splitlines() if text in line]

    def line(self, text: str) -> str:
        """Wait for the first line of the log that contains a text; return it."""
        end = time.monotonic() + _START_SECONDS
        while not (found := self.lines(text)):
            assert time.monotonic() < end, self.lines()
            time.sleep(0.01)
        return found[0]

    def descriptors(self) -> int:
        """Return the number of open descriptors."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Wait until it has ended, at most `seconds`; return its exit code."""
        return self._process.wait(seconds)

    def allow(self, descriptors: int) -> None:
        """Set the descriptor limit of the process; open ones stay open."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (descriptors, hard))

    def _port(self, process: "subprocess.Popen[bytes]") -> int:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", self._log.read_text("utf-8")):
                return int(found[1])
            time.sleep(0.01)
        raise AssertionError(self._log.read_text("utf-8"))


@contextmanager
def served(
    folder: Path, *options: str, descriptors: int | None = None, program: str = "geventchat"
) -> Iterator[Process]:
    """Run `geventchat serve`, by default with posts in SQLite, optionally with few descriptors.

    `program` is another module to run, with a fault. The process is killed at the end if it still
    runs.
    """
    serve = [sys.executable, "-m", program, "serve", "--port", "0"]
    timeline = ["--timeline", f"sqlite:{folder}/chat.db"]
    few = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}"]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*few, *serve, *timeline, *options], stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield Process(process, log)
        finally:
            process.kill()
