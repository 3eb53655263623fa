"""A server that is killed loses nothing that was heard; its clients go on where they were."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import gevent
import pytest

from geventchat.client import Away, Back, Connection, Joined, Post, backoff
from loadtests.address import free_port
from tests.conversations.peers import SECONDS

SAID = 100


class Server:
    """A server as a process, which comes back on the same port with the same posts."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-m", "geventchat", "serve", "--port", str(self.port)]
        self._command += ["--timeline", f"sqlite:{folder}/chat.db"]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert re.search("listens on", self._process.stdout.readline())

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()


def join(chat: Connection) -> Joined:
    """Give the first join; what is said from then on must come."""
    with gevent.Timeout(SECONDS):
        return next(event for event in chat if isinstance(event, Joined))


def heard(chat: Connection, last: str) -> list[object]:
    """Give what is heard up to a post."""
    events: list[object] = []
    with gevent.Timeout(4 * SECONDS):
        for event in chat:
            events.append(event)
            if isinstance(event, Post) and event.text == last:
                break
    return events


def test_what_is_said_while_the_server_is_killed_is_heard_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "MOST_SECONDS", 0.1)
    server = Server(tmp_path)
    server.start()
    try:
        with (
            Connection("127.0.0.1", server.port, nick="ann") as ann,
            Connection("127.0.0.1", server.port, nick="bob") as bob,
        ):
            joins = {chat: join(chat) for chat in (ann, bob)}
            for number in range(SAID):
                if number in (30, 60):  # some of the last ones were answered, some were not
                    server.end(signal.SIGKILL)
                    server.start()
                ann.send("lobby", str(number))
            last = str(SAID - 1)
            for chat in (ann, bob):
                events = heard(chat, last)
                posts = [event for event in events if isinstance(event, Post)]
                assert [post.text for post in posts] == [str(number) for number in range(SAID)]
                assert [post.position for post in posts] == list(range(1, SAID + 1))
                assert joins[chat].recovered is None
                again = [event.recovered for event in events if isinstance(event, Joined)]
                assert again == [True] * len(again)
                assert any(isinstance(event, Away) for event in events)
                assert any(isinstance(event, Back) for event in events)
            assert ann.unsaid == []
    finally:
        server.end(signal.SIGKILL)
