"""What the log says of rejected connections."""

import logging

import gevent
import pytest

from geventchat.server.logs import rejections
from geventchat.server.logs.rejections import Refusals

ANN, BOB = "192.0.2.1", "192.0.2.2"


def test_refusals_are_one_line_a_second_that_tells_of_all(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    with caplog.at_level(logging.WARNING):
        refusals.note("full", ANN)
        for _ in range(1_000):
            refusals.note("address", ANN)
        refusals.note("full", BOB)
        assert len(caplog.records) == 1
        refusals.close()
        refusals.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"rejected a connection (full=1, last from {ANN})",
        f"rejected 1,001 connections (address=1,000, full=1, last from {BOB})",
    ]
    assert refusals.counts == {"full": 2, "address": 1_000}


def test_what_was_not_told_is_told_a_second_later(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejections, "LINE_SECONDS", 0.001)
    refusals = Refusals()
    with caplog.at_level(logging.WARNING), gevent.Timeout(5):
        refusals.note("full", ANN)
        refusals.note("full", BOB)
        while len(caplog.records) < 2:
            gevent.sleep(0.001)
    assert caplog.records[-1].getMessage() == f"rejected a connection (full=1, last from {BOB})"
    refusals.close()


def test_rejections_are_logged_once_a_second_at_most() -> None:
    assert rejections.LINE_SECONDS == 1
