"""A server that cannot begin, since what it needs went away meanwhile."""

import socket

import gevent
import pytest

from geventchat.config import BadSetting, Config
from geventchat.server.logs.console import Console
from geventchat.server.logs.writer import LogWriter
from geventchat.server.server import Server
from geventchat.server.timeline.redis import RedisTimeline
from tests.engines import RunningEngine


def test_a_server_whose_engine_goes_while_it_starts_says_so_and_leaves_nothing_open(
    own: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(timeline: RedisTimeline) -> None:
        started(timeline)
        bound.append(server.address)
        own.kill()

    bound: list[tuple[str, int]] = []
    started = RedisTimeline.start
    monkeypatch.setattr(RedisTimeline, "start", start)
    config = Config(port=0, timeline=own.url, web="none", admin="none")
    server = Server(config, Console(LogWriter(None), echo=False))

    with pytest.raises(BadSetting) as error:
        server.start()

    assert error.value.temporary
    assert str(error.value).startswith(f"--timeline {own.url}: ")
    gevent.sleep(0)
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(bound[0])
