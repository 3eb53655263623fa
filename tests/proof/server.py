"""A server of the proof: a process that is started, killed and paused."""

import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from loadtests.support.address import free_port

HERE: Final = Path(__file__).parents[2]
READY_SECONDS: Final = 40.0
ADDRESS: Final = "address"
"""The file, beside the logs, with the addresses of the servers that serve."""
FENCED: Final = "go on without this one"
"""What a server logs that ends since the others have taken it for dead."""
_OPTIONS: Final = ("--trust", "127.0.0.0/8", "--log-format", "json", "--admin", "none")


class Failed(Exception):
    """The run did not complete."""


class Server:
    """A server that restarts at the same address, with the same history."""

    def __init__(
        self,
        folder: Path,
        timeline: str,
        bug: str,
        *options: str,
        first: "Server | None" = None,
        number: int = 0,
    ) -> None:
        """With `first` it is at the same ports of another address of this machine.

        `number` is that of a node; 0: there is one, or it is the first of them.
        """
        self._folder, self._timeline, self._bug, self._options = folder, timeline, bug, options
        self.number = number
        self.host = f"127.0.0.{1 + number}"
        self.port: int = free_port() if first is None else first.port
        self.web_port: int = free_port() if first is None else first.web_port
        self._log = folder / (f"log-{number}" if number else "log")
        self._log_begins = 0
        """Where the log of the process begins in the file, which is that of all before it."""
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_seconds: list[float] = [] if first is None else first.ready_seconds
        self.hosts: list[str] = [] if first is None else first.hosts
        """Where the clients go; empty: to the server that was started last."""

    def another(self, number: int, timeline: str | None = None) -> "Server":
        """Return a node of the same history at another address, not started yet."""
        timeline = timeline or self._timeline
        options = self._options
        return Server(self._folder, timeline, self._bug, *options, first=self, number=number)

    def start(self, moment: str = "-") -> None:
        """Start it; return when it listens, or has ended before that.

        All clients connect to it from now on.
        """
        began = time.monotonic()
        self.spawn(moment)
        while time.monotonic() < began + READY_SECONDS and self.runs():
            if self.ready:
                self.ready_seconds.append(time.monotonic() - began)
                new = self._folder / f"{ADDRESS}.new"
                new.write_text(" ".join(self.hosts or [self.host]), "ascii")
                new.replace(self._folder / ADDRESS)  # clients read it at any moment
                return
            time.sleep(0.005)
        if self.runs():
            raise Failed(f"the server does not listen after {READY_SECONDS:g} s; see {self._log}")

    def spawn(self, moment: str = "-") -> None:
        """Start it; do not wait."""
        command = [sys.executable, "-m", "tests.proof.launcher", moment, self._bug, "serve"]
        command += ["--host", self.host, "--port", str(self.port)]
        command += ["--web", f"{self.host}:{self.web_port}", "--timeline", self._timeline]
        command += ["--operator-file", str(self._folder / "operator"), *_OPTIONS, *self._options]
        with self._log.open("ab") as log:
            self._log_begins = log.tell()
            self._process = subprocess.Popen(command, cwd=HERE, stdout=log, stderr=log)

    @property
    def ready(self) -> bool:
        """Whether it has listened since it was started."""
        return self.has_logged(f" listening on {self.host}:{self.port}")

    def has_logged(self, text: str) -> bool:
        """Whether it has logged a text since it was started."""
        with self._log.open("rb") as log:
            log.seek(self._log_begins)
            return text.encode() in log.read()

    def runs(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code of the process; None: it runs."""
        return self._process.poll() if self._process is not None else None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self._process is not None and self.runs():
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it and wait for its end, if it is there."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self.wait(5)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; return whether it has."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.runs()

    def limit_files(self, size: int | None) -> None:
        """Set or remove a limit of the size of files that it writes."""
        if self._process is not None and self.runs():
            limit_files(self._process.pid, size)

    def operate(self, *command: str, told: str = "") -> str:
        """Run a command of an operator; return what it prints."""
        words = [sys.executable, "-m", "geventchat", *command]
        words += ["--server", f"{self.host}:{self.port}"]
        words += ["--operator-file", str(self._folder / "operator")]
        return subprocess.run(
            words, cwd=HERE, input=told, stdout=subprocess.PIPE, text=True, check=True
        ).stdout


def limit_files(pid: int, size: int | None) -> None:
    """Set or remove a limit of the size of files that a process writes, as of a full disk."""
    limit = resource.RLIM_INFINITY if size is None else size
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
