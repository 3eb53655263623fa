"""A killed server loses no delivered message; its clients resume where they were."""

import signal
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from geventchat.client import Connection, Disconnected, Joined, Post, Reconnected, backoff
from loadtests.support.address import free_port
from tests.conversations.peers import SECONDS
from tests.process import Process, served

SAID = 100


def join(chat: Connection) -> Joined:
    """Return the first `joined`; all later posts must be received."""
    with gevent.Timeout(SECONDS):
        return next(event for event in chat if isinstance(event, Joined))


def heard(chat: Connection, last: str) -> list[object]:
    """Return the posts up to a text."""
    events: list[object] = []
    with gevent.Timeout(4 * SECONDS):
        for event in chat:
            events.append(event)
            if isinstance(event, Post) and event.text == last:
                break
    return events


def test_messages_around_a_kill_are_delivered_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "MAX_SECONDS", 0.1)
    port = free_port()
    with ExitStack() as servers:

        def start() -> Process:
            return servers.enter_context(served(tmp_path, "--port", str(port)))

        server = start()
        with (
            Connection("127.0.0.1", port, nick="ann") as ann,
            Connection("127.0.0.1", port, nick="bob") as bob,
        ):
            joins = {chat: join(chat) for chat in (ann, bob)}
            for number in range(SAID):
                if number in (30, 60):  # some of the last ones were answered, some were not
                    server.signal(signal.SIGKILL)
                    server.wait(SECONDS)
                    server = start()
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
                assert any(isinstance(event, Disconnected) for event in events)
                assert any(isinstance(event, Reconnected) for event in events)
            assert ann.pending == []
