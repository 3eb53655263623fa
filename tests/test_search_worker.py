"""The processes for search, beside a server in a process of its own."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from geventchat.client import Connection
from geventchat.protocol.errors import Refused
from tests.process import Process, served

_SECONDS = 20


def children(server: Process) -> list[int]:
    listed = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def finds(chat: Connection, text: str) -> bool:
    try:
        return bool(chat.search(text).posts)
    except Refused:  # until it is started again
        return False


def test_they_end_with_a_server_that_is_killed(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        with Connection(*server.address, rooms=["tea"]) as chat:
            chat.say("tea", "hello")
            until(lambda: finds(chat, "hello"))
        workers = children(server)
        assert len(workers) == 2
        server.signal(signal.SIGKILL)
        server.wait(_SECONDS)
        until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers))


def test_each_is_started_again_and_leaves_no_log_behind(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        with Connection(*server.address, rooms=["tea"]) as chat:
            chat.say("tea", "hello")
            until(lambda: finds(chat, "hello"))
            killed = children(server)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            chat.say("tea", "goodbye")
            until(lambda: finds(chat, "goodbye"))
            assert not {*killed} & {*children(server)}
        server.signal(signal.SIGTERM)
        assert server.wait(_SECONDS) == 0
        assert not server.lines("Traceback")
    assert not list(tmp_path.glob("*-wal"))


def test_a_new_index_is_searched_by_who_searched_the_old_one(tmp_path: Path) -> None:
    with served(tmp_path) as server, Connection(*server.address, rooms=["tea"]) as chat:
        chat.say("tea", "hello")
        until(lambda: finds(chat, "hello"))
        for file in tmp_path.glob("chat.db.search*"):
            file.unlink()
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children(server)}
        (indexing,) = (pid for pid, command in commands.items() if b"\0index\0" in command)
        os.kill(indexing, signal.SIGKILL)
        chat.say("tea", "goodbye")
        until(lambda: finds(chat, "goodbye"))
