"""Loads a server with Locust's users, who talk and measure, and with silent ones."""

import csv
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, Self

import psutil

from loadtests.capacity.climb import Step
from loadtests.capacity.shape import FILE, USERS_PER_SECOND
from loadtests.support.address import Address
from loadtests.support.command import CannotRun

HERE: Final = Path(__file__).parents[1]
_COMING_SECONDS: Final = 10.0
"""How long users may take to connect, in addition to the spawn rate."""
_GOODBYE_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 4.0
"""A little more than the window that the figures of a second cover."""
MOST_TALKERS: Final = 10_000
"""The most users for one Locust process."""


class Load:
    """Users whose number changes while they chat; `talkers` of each room talk."""

    def __init__(
        self,
        host: str,
        folder: Path,
        login: Sequence[str],
        *,
        room_size: int,
        talkers: int,
        talk_seconds: float,
    ) -> None:
        """`talkers`: how many of the `room_size` users in each room talk.

        `login` are the arguments for a server that asks for something.
        """
        self._room_size = room_size
        self._talkers = talkers
        self._file = folder / "users"
        self._file.write_text("0", "ascii")
        self._rows = _Tail(folder / "load_chat_history.csv")
        self._stack = ExitStack()
        files = f"{HERE / 'locustfile.py'},{HERE / 'capacity' / 'shape.py'}"
        locust = [sys.executable, "-m", "locust", "-f", files, "--host", host, "Talker"]
        locust += ["--headless", "--only-summary", "--csv", str(folder / "load")]
        locust += ["--lobby", "0", "--talk-seconds", str(talk_seconds)]
        locust += ["--room-size", str(talkers), *login]
        crowd = [sys.executable, "-m", "loadtests.capacity.crowd"]
        crowd += [str(Address.parse(host)), str(room_size - talkers), *login]
        self._log = self._stack.enter_context((folder / "log").open("wb"))
        self._locust = self._start(locust, stdout=self._log, stderr=self._log)
        self._crowd = self._start(
            crowd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        self._state: dict[str, Any] = {"users": 0, "lost": 0, "told": "", "asked": None}
        assert self._crowd.stdout is not None
        threading.Thread(target=self._listen, args=(self._crowd.stdout,), daemon=True).start()
        self._watched = [psutil.Process(each.pid) for each in (self._locust, self._crowd)]
        self._failed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._crowd, self._locust):
            process.terminate()
        for process in (self._crowd, self._locust):
            try:
                process.wait(_GOODBYE_SECONDS)
            except subprocess.TimeoutExpired:  # the server is too slow for a clean end
                process.kill()
        self._stack.close()

    def measure(self, users: int, seconds: float) -> Step:
        """Bring the users to this number, and measure for some seconds.

        Raises CannotRun if the server rejects them, or Locust has exited.
        """
        talkers = users * self._talkers // self._room_size
        silent = users - talkers
        self._be(talkers, silent)
        missing = self._wait_for(talkers, silent)
        self._rows.wait(_SETTLE_SECONDS)
        for each in self._watched:
            each.cpu_percent()
        rows = self._rows.wait(seconds)
        load_cpu = max(each.cpu_percent() for each in self._watched)
        failed = int(rows[-1]["failures"]) + int(self._state["lost"])
        step = Step(
            users=users,
            p50_ms=_median(rows, "delivery_p50_ms"),
            p99_ms=_median(rows, "delivery_p99_ms"),
            failures=failed - self._failed,
            missing=missing,
            server_cpu=_median(rows, "server_cpu_percent"),
            server_mb=_median(rows, "server_memory_mb"),
            load_cpu=load_cpu,
        )
        self._failed = failed
        return step

    def _start(self, command: list[str], **pipes: Any) -> "subprocess.Popen[bytes]":
        environment = os.environ | {FILE: str(self._file)}
        process = subprocess.Popen(
            command, env=environment, cwd=HERE.parent, start_new_session=True, **pipes
        )
        return self._stack.enter_context(process)

    def _be(self, talkers: int, silent: int) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(talkers), "ascii")
        fresh.replace(self._file)  # atomic: the shape never reads half of it
        assert self._crowd.stdin is not None
        self._crowd.stdin.write(b"%d\n" % silent)
        self._crowd.stdin.flush()

    def _wait_for(self, talkers: int, silent: int) -> int:
        """Return how many did not connect in time."""
        end = time.monotonic() + _COMING_SECONDS + talkers / USERS_PER_SECOND
        while True:
            row = self._rows.wait(1.0)[-1]
            state = self._state
            silent_users: int = state["users"]
            missing = abs(talkers - int(row["connected"])) + abs(silent - silent_users)
            heard = state["asked"] == silent  # what was told before is of another step
            if not missing and heard and state["there"]:
                return 0
            if heard and state["told"] and silent_users < silent:
                raise CannotRun(
                    "the server rejects users, so its limits would be measured and not its "
                    f"capacity: {self._state['told']}"
                )
            if time.monotonic() > end:
                return missing

    def _listen(self, lines: IO[bytes]) -> None:
        for line in lines:
            self._state = json.loads(line)


class _Tail:
    """The rows of a CSV file that another process writes, one per second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._reader: csv.DictReader[str] | None = None

    def wait(self, seconds: float) -> list[dict[str, str]]:
        """Return the rows written in so many seconds, at least one. Raises CannotRun."""
        rows: list[dict[str, str]] = []
        began = time.monotonic()
        while not rows or time.monotonic() < began + seconds:
            time.sleep(0.2)
            if self._reader is None and self._path.exists() and self._path.stat().st_size:
                self._file = self._path.open(newline="", encoding="utf-8")
                self._reader = csv.DictReader(self._file)
            if self._reader is not None:
                rows.extend(self._reader)
            if time.monotonic() > began + seconds + 30:
                raise CannotRun(f"Locust stopped reporting; see {self._path.parent / 'log'}")
        return rows


def _median(rows: list[dict[str, str]], name: str) -> float | None:
    known = [float(row[name]) for row in rows if row[name]]
    return statistics.median(known) if known else None
