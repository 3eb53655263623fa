"""When to do what is done again and again."""

from types import SimpleNamespace

import pytest

from loadtests.support import pace


def test_what_a_late_answer_delays_counts_from_when_it_was_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 10.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds + 0.25  # timers are late; the server is not to blame

    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=lambda: now))
    moments = []
    for moment, takes in zip(pace.paced(1, 6, sleep), [0.5, 2.5, 0, 0, 0.5, 0.5], strict=True):
        moments.append(moment)
        now += takes
    assert moments == [10, 11.25, 12, 13, 14.25, 15.25]
