"""Log lines about rejected connections."""

import logging

import gevent
import pytest

from geventchat.server.logs import rejections as rejections_module
from geventchat.server.logs.rejections import Rejections

ANN, BOB = "192.0.2.1", "192.0.2.2"


def test_rejections_are_logged_in_one_line_a_second(caplog: pytest.LogCaptureFixture) -> None:
    rejections = Rejections()
    with caplog.at_level(logging.WARNING):
        rejections.note("full", ANN)
        for _ in range(1_000):
            rejections.note("address", ANN)
        rejections.note("full", BOB)
        assert len(caplog.records) == 1
        rejections.close()
        rejections.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"rejected a connection (full=1, last from {ANN})",
        f"rejected 1,001 connections (address=1,000, full=1, last from {BOB})",
    ]
    assert rejections.counts == {"full": 2, "address": 1_000}


def test_rejections_not_logged_at_once_are_logged_a_second_later(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejections_module, "LINE_SECONDS", 0.001)
    rejections = Rejections()
    with caplog.at_level(logging.WARNING), gevent.Timeout(20):
        rejections.note("full", ANN)
        rejections.note("full", BOB)
        while len(caplog.records) < 2:
            gevent.sleep(0.001)
    assert caplog.records[-1].getMessage() == f"rejected a connection (full=1, last from {BOB})"
    rejections.close()


def test_rejections_are_logged_once_a_second_at_most() -> None:
    assert rejections_module.LINE_SECONDS == 1
