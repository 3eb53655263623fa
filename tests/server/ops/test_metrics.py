"""Metrics for Prometheus, collected without delaying clients."""

import threading
from collections import Counter

import pytest
from prometheus_client import ProcessCollector

from geventchat.server.ops.metrics import Metrics
from tests.server.hub_harness import Harness


def test_process_metrics_are_read_outside_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    collect = ProcessCollector.collect

    def collected(self: ProcessCollector) -> object:
        threads.append(threading.get_native_id())
        return collect(self)

    monkeypatch.setattr(ProcessCollector, "collect", collected)
    assert b"\nprocess_open_fds " in Metrics(Harness().hub, Counter(), Counter(), Counter()).text()
    assert len(threads) == 1
    assert threads != [threading.get_native_id()]


def test_trimmed_messages_and_the_size_of_the_database_are_shown() -> None:
    harness = Harness()
    harness.hub.timeline.posts_trimmed = 7
    harness.hub.timeline.file_bytes = 4096, 8192
    text = Metrics(harness.hub, Counter(), Counter(), Counter()).text()
    assert b"\ngeventchat_messages_trimmed_total 7.0\n" in text
    assert b"\ngeventchat_database_bytes 4096.0\n" in text
    assert b"\ngeventchat_wal_bytes 8192.0\n" in text
