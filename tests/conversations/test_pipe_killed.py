"""A pipe is stored whole, each line once and in order, although the server is killed meanwhile."""

import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from geventchat.client import Connection, Post, backoff
from loadtests.support.address import free_port
from tests.conversations.peers import SECONDS
from tests.process import Process, served

LINES = 5_000
KILLS = (500, 2_500)
"""Posts heard before each."""


def test_every_line_of_a_pipe_is_stored_once_and_in_order_around_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "MAX_SECONDS", 0.1)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    port = free_port()
    lines = [str(number) for number in range(LINES)]
    with ExitStack() as stack:

        def start() -> Process:
            return stack.enter_context(served(tmp_path, "--port", str(port)))

        server = start()
        bob = stack.enter_context(Connection("127.0.0.1", port, rooms=["bulk"]))
        command = [sys.executable, "-m", "geventchat", "connect", f":{port}", "--room", "bulk"]
        pipe = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        stack.callback(pipe.kill)
        assert pipe.stdin
        pipe.stdin.write("\n".join(lines[:-1]))
        pipe.stdin.flush()
        posts: list[Post] = []
        with gevent.Timeout(5 * SECONDS):
            for event in bob:
                if isinstance(event, Post):
                    posts.append(event)
                    if len(posts) in KILLS:
                        server.signal(signal.SIGKILL)
                        server.wait(SECONDS)
                        server = start()
                    if len(posts) == KILLS[-1]:  # so that it runs at each of them
                        pipe.stdin.write(f"\n{lines[-1]}\n")
                        pipe.stdin.close()
                    if len(posts) == LINES:
                        break
            assert pipe.wait(timeout=SECONDS) == 0
        assert [post.text for post in posts] == lines
        assert [post.position for post in posts] == list(range(1, LINES + 1))
        assert pipe.stderr
        assert "Reconnecting" in pipe.stderr.read()
        assert bob.ping() >= 0
        assert [event for event in bob.heard() if isinstance(event, Post)] == []
