"""`geventchat serve --workers 2` on an engine, and clients that talk through it, for tests."""

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import gevent
import gevent.event
import psutil

from geventchat.client import Connection, Post
from tests.command import COMMAND
from tests.engines import RunningEngine

SECONDS: Final = 30
"""The most that something may take on a busy machine."""


class Cluster:
    """A parent with its workers."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self.process = process
        self._log = folder / "log"
        self.token_file = folder / "operator"
        line = self.line("listening on")
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
        assert found
        self.port = int(found[1])
        found = re.search(r"(http://127\.0\.0\.1:\d+)/", self.line("/healthz"))
        assert found
        self.admin = found[1]

    def lines(self, text: str = "") -> list[str]:
        """Return the lines of the log that contain a text."""
        return [line for line in self._log.read_text("utf-8").splitlines() if text in line]

    def line(self, text: str) -> str:
        """Wait for the first line of the log that contains a text; return it."""

        def there() -> bool:
            assert self.process.poll() is None or self.lines(text), self.lines()
            return bool(self.lines(text))

        until(there)
        return self.lines(text)[0]

    def workers(self) -> list[psutil.Process]:
        """Return the processes of the workers, the oldest first."""
        found: list[psutil.Process] = psutil.Process(self.process.pid).children()
        return sorted(found, key=lambda each: each.create_time())

    def page(self, path: str) -> tuple[int, str]:
        """Return status and body of a page of the admin port."""

        def fetch() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(self.admin + path, timeout=SECONDS) as found:
                    return found.status, found.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        found: tuple[int, str] = gevent.get_hub().threadpool.apply(fetch)
        return found

    def connections(self) -> list[int]:
        """Return how many clients each worker has."""
        _, text = self.page("/metrics")
        counts: Counter[str] = Counter()
        for node, count in re.findall(r'\ngeventchat_connections\{.*node="(\d)"\} (\d+)', text):
            counts[node] += int(count)
        return [counts[node] for node in sorted(counts)]

    def ready(self) -> None:
        """Wait until all workers are."""
        until(lambda: self.page("/healthz") == (200, "ready\n"))

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of an operator, while greenlets go on."""
        server = ["--server", f"127.0.0.1:{self.port}", "--operator-file", str(self.token_file)]
        done: subprocess.CompletedProcess[str] = gevent.get_hub().threadpool.apply(
            lambda: subprocess.run(
                [*COMMAND, *arguments, *server],
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        )
        return done


class Person:
    """A client that notes what it hears in one room."""

    def __init__(self, cluster: Cluster, nick: str, room: str) -> None:
        self.room = room
        self.chat = Connection("127.0.0.1", cluster.port, nick=nick, rooms=[room])
        self.posts: list[Post] = []
        self.events: list[object] = []
        self._reader = gevent.spawn(self._read)

    @property
    def texts(self) -> list[str]:
        """What was said, in the order in which it was heard."""
        return [post.text for post in self.posts]

    def count(self, kind: type) -> int:
        """Return how many events of a kind there were."""
        return sum(isinstance(event, kind) for event in self.events)

    def close(self) -> None:
        with suppress(Exception):
            self.chat.close()
        self._reader.kill()

    def _read(self) -> None:
        for event in self.chat:
            if isinstance(event, Post) and event.room == self.room:
                self.posts.append(event)
            self.events.append(event)


@contextmanager
def cluster(
    folder: Path, engine: RunningEngine, *options: str, database: int = 0
) -> Iterator[Cluster]:
    """Run a parent with two workers on an engine until the block ends."""
    serve = [*COMMAND, "serve", "--port", "0", "--admin", "127.0.0.1:0", "--workers", "2"]
    serve += [
        "--timeline",
        f"{engine.url}?db={database}",
        "--operator-file",
        str(folder / "operator"),
    ]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([*serve, *options], stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        found: list[psutil.Process] = []
        try:
            made = Cluster(process, folder)
            made.ready()
            found = made.workers()
            yield made
        finally:
            if process.poll() is None:
                found += psutil.Process(process.pid).children()
                process.terminate()
            gone = gevent.get_hub().threadpool.apply(psutil.wait_procs, (found, SECONDS))
            process.kill()
            for each in gone[1]:
                each.kill()


@contextmanager
def people(cluster: Cluster, count: int) -> Iterator[list[Person]]:
    """Connect so many people, and more until some are on each worker, to a room of their own."""
    room = f"tea{time.monotonic_ns()}"
    with ExitStack() as stack:
        found: list[Person] = []
        while len(found) < count or not all(cluster.connections()):
            person = Person(cluster, f"p{len(found)}", room)
            stack.callback(person.close)
            found.append(person)
        until(lambda: sum(cluster.connections()) == len(found))
        yield found


@contextmanager
def talking(speakers: list[Person], seconds: float = 0.03) -> Iterator[list[str]]:
    """Have people talk all the time; yield what is stored."""
    said: list[str] = []
    ended = gevent.event.Event()

    def talk(person: Person, name: int) -> None:
        number = 0
        while not ended.wait(seconds):
            number += 1
            text = f"{name}: {number}"
            person.chat.say(person.room, text)
            said.append(text)

    greenlets = [gevent.spawn(talk, person, name) for name, person in enumerate(speakers)]
    try:
        until(lambda: len(said) > 10)
        yield said
    finally:
        ended.set()
        gevent.joinall(greenlets, timeout=SECONDS, raise_error=True)


def check_all_heard(found: list[Person], said: list[str]) -> None:
    """Check that all heard all of it once, in the same order, with dense positions."""
    until(lambda: all(len(person.posts) >= len(said) for person in found))
    for person in found:
        positions = [post.position for post in person.posts]
        assert positions == [*range(positions[0], positions[0] + len(positions))]
        assert Counter(person.texts) == Counter(said)
        assert person.texts == found[0].texts


def until(true: Callable[[], object]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        gevent.sleep(0.02)


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a process a signal."""
    os.kill(pid, number)
