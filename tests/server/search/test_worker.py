"""The program of the index, without a server."""

import json
import select
import socket
import subprocess
import sys
from pathlib import Path

from geventchat.server.timeline.sqlite import SqliteTimeline


def test_it_ends_quietly_when_the_server_is_killed_before_it_has_read_an_answer(
    tmp_path: Path,
) -> None:
    database = tmp_path / "chat.db"
    timeline = SqliteTimeline(lambda batch: None, str(database))
    timeline.start()
    command = "-m", "geventchat.server.search.worker", "index", str(database), f"{database}.search"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = subprocess.Popen(
            [sys.executable, *command, timeline.epoch],
            stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE,
        )  # fmt: skip
        theirs.close()
        ours.sendall(json.dumps({"rooms": [], "walk": False}).encode() + b"\n")
        assert select.select([ours], [], [], 20)[0]
    _, said = worker.communicate(timeout=30)  # its next read is a reset
    assert (worker.returncode, said) == (0, b"")
    timeline.close(1)
