"""A server that loses a core greenlet shuts down; it never runs without receiving or storing.

Each runs as a process, so that the exit code and the log are the real ones.
"""

import re
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from tests.conversations.peers import Rich, of
from tests.process import served

WOUNDED = "tests.conversations.wounded"
SUPERVISED = ("timeline", "maintenance", "delivery", "clock")


def health(line: str) -> int:
    """Request /healthz at the address in a line of the log; return the status."""
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+", line)
    try:
        with urllib.request.urlopen(f"{address}/healthz") as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("greenlet", SUPERVISED)
@pytest.mark.parametrize("killed", [False, True], ids=["raises", "is killed"])
def test_a_server_that_loses_a_core_greenlet_drains_and_exits_with_1(
    greenlet: str, killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSE", greenlet)
    if killed:
        monkeypatch.setenv("KILL", "1")
    with served(tmp_path, "--drain-seconds", "2", program=WOUNDED) as process:
        with Rich(process.address, "ann") as ann:
            ann.say("lobby", "stored before", key="k")
            assert ann.posts(1)[0]["key"] == "k"
            process.signal(signal.SIGUSR1)
            byes = of("bye", ann.closing())
            assert [bye["code"] for bye in byes] == ["shutdown"]
        assert process.wait(20) == 1
        (why,) = process.lines("shutting down: ")
        assert "CRITICAL" in why
        assert greenlet in why
        assert len(process.lines("Traceback")) == (not killed)
        with closing(sqlite3.connect(f"{tmp_path}/chat.db")) as db:
            assert db.execute("SELECT text FROM posts").fetchall() == [("stored before",)]


def test_healthz_is_503_from_the_moment_a_core_greenlet_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSE", "timeline")
    options = "--drain-seconds", "4", "--admin", "127.0.0.1:0"
    with served(tmp_path, *options, program=WOUNDED) as process:
        admin = process.line("/healthz")
        assert health(admin) == 200
        with Rich(process.address, "ann") as ann:
            process.signal(signal.SIGUSR1)
            ann.say("lobby", "never stored")  # keeps the server draining
            while not process.lines("shutting down: "):
                time.sleep(0.01)
            assert health(admin) == 503
        assert process.wait(20) == 1


def test_a_hanging_commit_does_not_delay_the_shutdown(tmp_path: Path) -> None:
    with served(tmp_path, "--drain-seconds", "2", program=WOUNDED) as process:
        with Rich(process.address, "ann") as ann:
            ann.say("lobby", "acknowledged", key="k")
            assert ann.posts(1)[0]["key"] == "k"
            process.signal(signal.SIGUSR2)
            ann.pong()  # the signal was seen
            ann.say("lobby", "in doubt", key="doubt")
            ann.pong()
            process.signal(signal.SIGTERM)
            began = time.monotonic()
            assert of("post", ann.closing()) == []
        assert process.wait(20) == 1
        assert time.monotonic() - began < 20  # the commit would take an hour
        assert process.lines("some messages were not stored in time")
        with closing(sqlite3.connect(f"{tmp_path}/chat.db")) as db:
            assert db.execute("SELECT text FROM posts").fetchall() == [("acknowledged",)]
