"""What the promises rest on: an engine answers when the disk has it, and ends if that fails."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import gevent
import pytest

from geventchat.server.timeline.redis.engine import InDoubt
from tests.engines import KINDS, RunningEngine, running
from tests.server.timeline.redis.conftest import Connect

_CALLS = "fdatasync,fsync,write,writev,sendto,sendmsg"
_PATTERNS = {
    "file": r"write\(\d+<[^>]*incr.aof",
    "disk": r"f(data)?sync\(\d+<[^>]*incr.aof.*= 0",
    "answer": r"(write|writev|sendto|sendmsg)\(\d+<(socket|UNIX)",
}


@contextmanager
def traced(engine: RunningEngine, log: Path, *options: str) -> Iterator[None]:
    """Write the system calls of an engine into a file, or let them fail."""
    command = ["strace", "-f", "-y", "-e", f"trace={_CALLS}", *options, "-o", str(log)]
    with subprocess.Popen(
        [*command, "-p", str(engine.pid)], stderr=subprocess.PIPE, text=True
    ) as strace:
        assert strace.stderr is not None
        if "attached" not in (line := strace.stderr.readline()):
            pytest.skip(line)  # often forbidden for a process that is not a child
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)  # detaches
            with suppress(subprocess.TimeoutExpired):  # from one that ends it may not
                strace.wait(5)
            strace.kill()


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("kind", KINDS)
def test_neither_the_author_nor_a_reader_is_answered_before_the_disk_has_it(
    kind: str, threads: str, connect: Connect, tmp_path: Path
) -> None:
    with running(kind, "--io-threads", threads) as engine:
        author, reader = connect(engine), connect(engine)
        author.call("XADD", "feed", "0-1", "a", "b")
        reading = gevent.spawn(reader.call, "XREAD", "BLOCK", 5000, "STREAMS", "feed", "0-1")
        while b"blocked_clients:1" not in author.call("INFO", "clients"):
            gevent.sleep(0.001)

        with traced(engine, tmp_path / "trace"):
            author.call("XADD", "feed", "0-2", "a", "b")
            reading.get()

    calls = (tmp_path / "trace").read_text("utf-8").splitlines()
    order = [name for call in calls for name in _PATTERNS if re.search(_PATTERNS[name], call)]
    assert order == ["file", "disk", "answer", "answer"]


def test_an_engine_whose_disk_fails_answers_nobody_and_ends(
    own: RunningEngine, connect: Connect, tmp_path: Path
) -> None:
    line = connect(own)
    line.call("PING")
    failing = "inject=fdatasync,fsync:error=EIO"
    with traced(own, tmp_path / "trace", "-e", failing):
        with pytest.raises(InDoubt):
            line.call("SET", "a", "b")
        assert own.ended() != 0
