"""Injects faults into a server under load: kills, a full disk, pauses, an older copy."""

import json
import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.support.address import free_port
from tests.proof.checker import Run, StoredPost, load
from tests.proof.moments import FIRST_BOOT, MOMENTS

HERE: Final = Path(__file__).parents[2]
CLIENTS_PER_PROCESS: Final = 10
READY_SECONDS: Final = 10.0
_OPTIONS: Final = ("--trust", "127.0.0.0/8", "--log-format", "json")


class Failed(Exception):
    """The run did not complete."""


@dataclass(frozen=True)
class Plan:
    """The faults of a run."""

    kills: int
    clients: int
    seed: int
    bug: str = "-"
    moments: tuple[str, ...] = tuple(MOMENTS)
    """Moments at which the server may be killed, in addition to random ones."""
    at_random: float = 0.6
    """The share of kills at a random time."""
    roll_back: bool = False
    """Restore an older copy once, half way."""


class Server:
    """A server that restarts on the same port, with the same database."""

    def __init__(self, folder: Path, bug: str) -> None:
        self.database = folder / "chat.db"
        self._bug = bug
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_seconds: list[float] = []
        self.port = free_port()

    def start(self, moment: str = "-") -> None:
        """Start it; return when it listens, or was killed before that."""
        command = [sys.executable, "-m", "tests.proof.launcher", moment, self._bug, "serve"]
        command += ["--port", str(self.port), "--timeline", f"sqlite:{self.database}", *_OPTIONS]
        began = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=HERE, stdout=log, stderr=log)
        while time.monotonic() < began + READY_SECONDS and self.runs():
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                self.ready_seconds.append(time.monotonic() - began)
                return
            time.sleep(0.005)
        if self.runs():
            raise Failed(f"the server does not listen after {READY_SECONDS:g} s; see {self._log}")

    def runs(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self._process is not None and self.runs():
            self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; return whether it has."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.runs()

    def fill_disk(self, full: bool) -> None:
        """Set or remove a limit of the file size."""
        if self._process is None or not self.runs():
            return
        size = max(path.stat().st_size for path in self.database.parent.glob("chat.db*"))
        limit = size if full else resource.RLIM_INFINITY
        with suppress(ProcessLookupError):
            resource.prlimit(
                self._process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)
            )


class Clients:
    """Client processes and their logs."""

    def __init__(self, folder: Path, plan: Plan, port: int) -> None:
        self._processes = []
        self.files = []
        for first in range(0, plan.clients, CLIENTS_PER_PROCESS):
            count = min(CLIENTS_PER_PROCESS, plan.clients - first)
            file = folder / f"clients-{first}.jsonl"
            command = [sys.executable, "-m", "tests.proof.client", str(port)]
            command += [str(first), str(count), str(plan.seed), str(file)]
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, cwd=HERE, stdin=pipe, stdout=pipe, text=True)
            self._processes.append(process)
            self.files.append(str(file))

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def expect(self, word: str) -> None:
        """Wait until every process has printed a line."""
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != f"{word}\n":
                raise Failed(f"clients ended before they were {word}")

    def tell(self, line: str) -> None:
        """Send a line to every process."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

    def end(self) -> None:
        """Wait until all have ended by themselves."""
        for process in self._processes:
            if process.wait(60):
                raise Failed(f"clients ended with {process.returncode}")

    def pause(self, dice: random.Random) -> None:
        """Stop some clients for a moment."""
        process = dice.choice(self._processes)
        process.send_signal(signal.SIGSTOP)
        time.sleep(dice.uniform(0.1, 0.5))
        process.send_signal(signal.SIGCONT)


def run(plan: Plan, folder: Path) -> tuple[Run, Counter[str], list[float]]:
    """Run the plan; return the data to check, the faults, and the duration of each start."""
    dice = random.Random(plan.seed)
    server = Server(folder, plan.bug)
    faults: Counter[str] = Counter()
    server.start(FIRST_BOOT)
    faults["kill at first boot"] += not server.runs()
    server.start()
    with ExitStack() as stack:
        stack.callback(server.signal, signal.SIGKILL)
        clients = stack.enter_context(Clients(folder, plan, server.port))
        clients.expect("ready")
        for number in range(plan.kills):
            _inject_fault(plan, server, clients, dice, faults)
            if plan.roll_back and number == plan.kills // 2:
                _roll_back(server, folder)
                faults["older copy restored"] += 1
        _run_for(server)
        clients.tell("stop")
        clients.expect("silent")
        epoch, stored = _stored_posts(server.database)
        tops: dict[str, int] = {}
        for post in stored:
            tops[post.room] = post.position
        clients.tell(json.dumps(tops))
        clients.end()
        server.signal(signal.SIGTERM)
        if not server.wait(15):
            raise Failed("the server does not end")
    return Run(load(clients.files), epoch, stored, plan.roll_back), faults, server.ready_seconds


def _inject_fault(
    plan: Plan, server: Server, clients: Clients, dice: random.Random, faults: Counter[str]
) -> None:
    """Kill the server once, sometimes after another fault."""
    match dice.randrange(6):
        case 0:
            server.fill_disk(True)
            time.sleep(dice.uniform(0.1, 0.6))
            server.fill_disk(False)
            faults["disk full"] += 1
        case 1:
            clients.pause(dice)
            faults["readers paused"] += 1
        case 2:
            server.signal(signal.SIGSTOP)
            time.sleep(dice.uniform(0.05, 0.3))
            server.signal(signal.SIGCONT)
            faults["server paused"] += 1
    if dice.random() < plan.at_random:
        time.sleep(dice.uniform(0.2, 1.0))
        server.signal(signal.SIGKILL)
        server.wait(5)
        faults["kill at random"] += 1
        server.start()
        return
    moment = dice.choice(plan.moments)
    server.signal(signal.SIGTERM)
    server.wait(15)
    faults["drain"] += 1
    server.start(f"{moment}:{dice.randrange(1, 40) if 'a' in moment[:2] else 1}")
    if moment.startswith("when"):
        time.sleep(dice.uniform(0.2, 0.6))
        server.signal(signal.SIGTERM)
    if server.wait(1.5):
        faults[f"kill {moment}"] += 1
    else:
        server.signal(signal.SIGKILL)
        server.wait(5)
        faults["kill at random"] += 1
    server.start()


def _roll_back(server: Server, folder: Path) -> None:
    """Restore a copy that is two seconds old, as after a loss of the disk."""
    copy = folder / "copy"
    with closing(sqlite3.connect(server.database)) as db, closing(sqlite3.connect(copy)) as to:
        db.backup(to)
    time.sleep(2.0)
    server.signal(signal.SIGKILL)
    server.wait(5)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(f"{server.database}{suffix}")
    shutil.move(copy, server.database)
    server.start()
    time.sleep(1.0)


def _run_for(server: Server) -> None:
    time.sleep(1.0)
    if not server.runs():
        server.start()


def _stored_posts(database: Path) -> tuple[str, list[StoredPost]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        (epoch,) = db.execute("SELECT epoch FROM store").fetchone()
        rows = db.execute(
            "SELECT rooms.name, position, key, text FROM posts"
            " JOIN rooms ON rooms.id = posts.room ORDER BY rooms.name, position"
        ).fetchall()
    return epoch, [StoredPost(*row) for row in rows]
