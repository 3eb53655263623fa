"""Redis or Valkey: an engine, with a proxy between it and the server."""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

from loadtests.support.address import free_port
from tests.engines import RunningEngine, running
from tests.proof.checker import Run
from tests.proof.contents import Place
from tests.proof.moments import ENGINE
from tests.proof.server import limit_files
from tests.proof.stores import layout
from tests.proof.stores.base import Fault, Scene, Store
from tests.proof.stores.proxied import Proxy, proxied

ENGINE_SECONDS: Final = 60.0
"""How soon a redacted text has to be gone from the memory of the engine."""
_ENDED_SECONDS: Final = 15.0
"""How soon a node has to end that was told to, or whose lease has ended."""
_POSTS_SECONDS: Final = 15.0
"""How soon somebody says something, after a fault."""
_OPTIONS: Final = (
    *("--rdbcompression", "no"),  # so that texts can be found
    *("--stream-node-max-entries", "10"),  # so that the feed forgets them in seconds, not minutes
)


class EngineStore(Store):
    """An engine that is killed, paused, filled and cut off, or exchanged for one that has less."""

    moments = tuple(ENGINE)
    fault_share = 0.85
    kill_share = 0.4

    def __init__(self, kind: str, folder: Path, stack: ExitStack) -> None:
        self._kind, self._folder, self._stack = kind, folder, stack
        self._port = free_port()
        self._engine = self._run("--port", str(self._port))
        self._sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gc-")))
        self._proxies: list[Proxy] = []
        """One for each node."""
        self.timeline = self.timeline_of(0)
        self._over: set[str] = set()
        self.faults: dict[str, Fault] = {
            "engine killed": self._kill,
            "engine and server killed": self._kill_both,
            "engine paused": self._pause,
            "connections ended by the engine": self._end_connections,
            "scripts forgotten": self._forget_scripts,
            "memory full": self._fill_memory,
            "engine read-only": self._forbid_writing,
            "engine's disk full": self._fill_disk,
            "answers late": self._delay,
            "feed late": partial(self._delay_some, "XREAD"),
            "scripts late": partial(self._delay_some, "EVALSHA"),
            "network stalled": self._stall,
            "network cut within a command": partial(self._cut, "cut_command"),
            "network cut within an answer": partial(self._cut, "cut_answer"),
            "answers lost": self._lose_answers,
            "answers withheld, then cut off": self._withhold,
            "network half open": self._half_open,
            "another node for a moment": self._start_another,
            "node paused beyond its lease": self._outlive_lease,
        }
        self.losses = {
            "everything deleted": self._lose(self._delete_all),
            "older file put back": self._lose(self._put_back),
            "stale replica promoted": self._lose(self._promote),
        }

    def timeline_of(self, number: int) -> str:
        path = str(self._sockets / f"{number}.sock")
        self._proxies.append(self._stack.enter_context(proxied(path, self._engine.path)))
        return f"unix://{path}"

    def read(self) -> Run:
        run = layout.read(self._engine.call)
        run.over = self._over
        return run

    def places(self, late_seconds: float) -> Iterable[Place]:
        seconds = min(ENGINE_SECONDS, late_seconds)
        yield Place("engine", seconds, partial(layout.dump, self._engine.call))
        yield Place("append-only file", late_seconds, self._file)

    def _run(self, *options: str) -> RunningEngine:
        """Run an engine; its files are copied beside the logs at the end."""
        engine = self._stack.enter_context(running(self._kind, *_OPTIONS, *options))
        copy = partial(shutil.copytree, dirs_exist_ok=True, ignore=lambda *_: {"engine.sock"})
        self._stack.callback(copy, engine.folder, self._folder / "engine")
        return engine

    def _file(self) -> bytes:
        while True:
            files = (self._engine.folder / "appendonlydir").iterdir()
            with suppress(FileNotFoundError):  # it was just written anew, into others
                return b"".join(path.read_bytes() for path in sorted(files))

    # Faults of the engine

    def _kill(self, scene: Scene) -> None:
        self._engine.kill()
        time.sleep(scene.dice.choice((0.0, 0.3, 1.5)))
        self._engine.start()

    def _kill_both(self, scene: Scene) -> None:
        self._engine.kill()
        scene.server.kill()
        self._engine.start()
        scene.server.start()

    def _pause(self, scene: Scene) -> None:
        """Sometimes for longer than a command may take."""
        self._engine.signal(signal.SIGSTOP)
        time.sleep(_moment(scene))
        self._engine.signal(signal.SIGCONT)

    def _end_connections(self, scene: Scene) -> None:
        for _ in range(scene.dice.randrange(1, 5)):
            self._engine.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            time.sleep(scene.dice.uniform(0, 0.2))

    def _forget_scripts(self, scene: Scene) -> None:
        for _ in range(scene.dice.randrange(1, 20)):
            self._engine.call("SCRIPT", "FLUSH")
            time.sleep(scene.dice.uniform(0, 0.05))

    def _fill_memory(self, scene: Scene) -> None:
        self._engine.call("CONFIG", "SET", "maxmemory", "1")
        time.sleep(scene.dice.uniform(0.1, 2))
        self._engine.call("CONFIG", "SET", "maxmemory", "0")

    def _forbid_writing(self, scene: Scene) -> None:
        """Make it a replica of a primary that is not there."""
        self._engine.call("REPLICAOF", "127.0.0.1", str(free_port()))
        time.sleep(scene.dice.uniform(0.1, 2))
        self._engine.call("REPLICAOF", "NO", "ONE")

    def _fill_disk(self, scene: Scene) -> None:
        """Let a write to its file fail in the middle, which ends it."""
        files = (self._engine.folder / "appendonlydir").iterdir()
        size = max(path.stat().st_size for path in files)
        limit_files(self._engine.pid, size + scene.dice.randrange(1, 2_000))
        time.sleep(scene.dice.uniform(0.2, 1.5))
        self._engine.restart()

    # Faults of the network, between one node and the engine

    def _proxy(self, scene: Scene) -> Proxy:
        return self._proxies[scene.server.number]

    def _delay(self, scene: Scene) -> None:
        self._proxy(scene).do("delay", scene.dice.uniform(0.01, 0.3))
        time.sleep(scene.dice.uniform(0.5, 2.0))
        self._proxy(scene).do("delay", 0.0)

    def _delay_some(self, name: str, scene: Scene) -> None:
        """Delay the answers to one command; sometimes while all clients come back."""
        restarts = scene.dice.random() < 0.5
        # One answer after the other is late, and a start needs a hundred of them.
        self._proxy(scene).do("delay", scene.dice.uniform(0.1, 0.2 if restarts else 0.5), name)
        if restarts:
            scene.server.kill()
            scene.server.start()
        time.sleep(scene.dice.uniform(0.5, 2.0))
        self._proxy(scene).do("delay", 0.0, name)

    def _stall(self, scene: Scene) -> None:
        self._proxy(scene).do("open", False)
        time.sleep(_moment(scene))
        self._proxy(scene).do("open", True)

    def _cut(self, what: str, scene: Scene) -> None:
        for _ in range(scene.dice.randrange(1, 5)):
            self._proxy(scene).do(what, scene.dice.randrange(1, 300))
            time.sleep(scene.dice.uniform(0.05, 0.5))

    def _lose_answers(self, scene: Scene) -> None:
        """Half of all times what was stored comes back by the feed only after it is sent again."""
        late = scene.dice.random() < 0.5
        self._proxy(scene).do("delay", 0.7 if late else 0.0, "XREAD")
        for _ in range(scene.dice.randrange(1, 5)):
            name = "EVALSHA" if late else scene.dice.choice(("EVALSHA", "EVALSHA", "XREAD", "INFO"))
            nth = scene.dice.randrange(1, 3 if late else 10)
            self._proxy(scene).do("lose_answer", name, nth, scene.dice.random() < 0.2)
            time.sleep(scene.dice.uniform(0.05, 0.5))
        self._proxy(scene).do("delay", 0.0, "XREAD")

    def _withhold(self, scene: Scene) -> None:
        """Have commands executed whose answers nobody gets, nor what the feed brings of them."""
        for _ in range(scene.dice.randrange(1, 5)):
            self._proxy(scene).do("delay", 60.0)
            time.sleep(scene.dice.uniform(0.05, 0.5))
            self._proxy(scene).do("delay", 0.0)
            self._proxy(scene).do("cut")
            time.sleep(scene.dice.uniform(0.05, 0.5))

    def _half_open(self, scene: Scene) -> None:
        self._proxy(scene).do("half_open")

    # Nodes

    def _start_another(self, scene: Scene) -> None:
        """Start another node, which others hear of, and end it in some way."""
        number = len(scene.nodes) + 1
        if len(self._proxies) < number:
            self.timeline_of(number - 1)
        another = scene.server.another(number - 1, f"unix://{self._sockets / f'{number - 1}.sock'}")
        scene.stack.callback(another.kill)
        another.spawn()
        another.wait(scene.dice.uniform(0.5, 4.0))
        if scene.dice.random() < 0.5:
            another.signal(signal.SIGTERM)
            if not another.wait(_ENDED_SECONDS):
                scene.note("deaf", "a node does not end")
        another.kill()

    def _outlive_lease(self, scene: Scene) -> None:
        """Stop a node for longer than its lease: when it goes on it has to end, if others live."""
        node = scene.server
        others = [each for each in scene.nodes if each is not node and each.runs()]
        if not others:
            others = [node.another(1)]
            scene.stack.callback(others[0].kill)
            others[0].start()
        node.signal(signal.SIGSTOP)
        time.sleep(scene.dice.uniform(7.5, 9.0))
        node.signal(signal.SIGCONT)
        if not node.wait(_ENDED_SECONDS):
            scene.note("usurped", "a server goes on after its lease has ended")
        elif node.exit_code != 1:
            scene.note("usurped", f"a server without a lease ended with {node.exit_code}")
        node.kill()
        node.start()
        if others[0] not in scene.nodes:
            others[0].kill()

    # Losses

    def _lose(self, how: Callable[[], None]) -> Callable[[Scene], None]:
        """Return a loss, after which the epoch has to be another."""

        def lose(_: Scene) -> None:
            self._over.add(self._engine.call("HGET", "{gc}:life", "epoch").decode())
            how()
            time.sleep(2.0)

        return lose

    def _delete_all(self) -> None:
        self._engine.call("FLUSHALL")

    def _put_back(self) -> None:
        """Put back a copy of the file that is two seconds old, or older if nothing was said."""
        files, copy = self._engine.folder / "appendonlydir", self._engine.folder / "copy"
        self._engine.signal(signal.SIGSTOP)
        shutil.copytree(files, copy)
        self._engine.signal(signal.SIGCONT)
        self._wait_for_posts()
        self._engine.kill()
        shutil.rmtree(files)
        shutil.move(copy, files)
        self._engine.start()

    def _promote(self) -> None:
        """Promote a replica that lacks the last two seconds, or more if nothing was said."""
        replica = self._run("--replicaof", f"127.0.0.1 {self._port}")
        while replica.call("ROLE")[3] != b"connected":
            time.sleep(0.05)
        replica.call("REPLICAOF", "NO", "ONE")
        replica.call("CONFIG", "REWRITE")  # so that it is still a primary when it is started again
        self._wait_for_posts()
        self._engine.kill()
        self._engine = replica
        for proxy in self._proxies:
            proxy.do("engine", replica.path)
            proxy.do("cut")

    def _wait_for_posts(self) -> None:
        """Wait until something was stored that is lost now: clients may all be away."""
        before, end = self._count_posts(), time.monotonic() + _POSTS_SECONDS
        time.sleep(2.0)
        while self._count_posts() == before and time.monotonic() < end:
            time.sleep(0.1)

    def _count_posts(self) -> int:
        call = self._engine.call
        told = [call("XINFO", "STREAM", room) for room in call("KEYS", "{gc}:room:*")]
        return sum(each[each.index(b"entries-added") + 1] for each in told)


def _moment(scene: Scene) -> float:
    """Return for how long nothing is answered: mostly less than a command may take."""
    if scene.dice.random() < 0.8:
        return scene.dice.uniform(0.05, 2.0)
    return scene.dice.uniform(5.5, 9.0)
