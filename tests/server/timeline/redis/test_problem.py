"""Why an engine does not store is logged, however the reason changes."""

import pytest

from geventchat.server.timeline.redis.url import parse
from geventchat.server.timeline.redis.writer import Problem


def test_each_reason_of_an_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    problem = Problem(parse("redis://127.0.0.1:1/0"))
    for reason in ("it is away", "it has no file", "it is away", "it has no file", None, None):
        problem.note(reason)
    problem.note("it is away")
    said = [record.getMessage().partition(" ")[2] for record in caplog.records]
    assert said == [
        "does not store: it is away", "does not store: it has no file", "stores again",
        "does not store: it is away",
    ]  # fmt: skip


def test_reasons_without_an_end_are_not_logged_without_an_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    problem = Problem(parse("redis://127.0.0.1:1/0"))
    for number in range(1_000):
        problem.note(f"reason {number}")
    assert len(caplog.records) == 10
