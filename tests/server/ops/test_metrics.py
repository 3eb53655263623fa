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
    assert b"\nprocess_open_fds " in Metrics(Harness().hub, Counter(), Counter()).text()
    assert len(threads) == 1
    assert threads != [threading.get_native_id()]
