"""Log records: each is one line or object that nobody can forge; frequent ones are summarised."""

import json
import logging
import re
from collections.abc import Callable, Iterator

import gevent
import pytest

from geventchat.server.logs import records as logs
from geventchat.server.logs.console import Console
from geventchat.server.logs.records import LogHandler, log_death
from tests.server.logs.conftest import Window

Logger = Callable[[str], logging.Logger]


@pytest.fixture
def logger(window: Window) -> Iterator[Logger]:
    """Return a logger that writes to the window in this format."""
    logger = logging.Logger("geventchat.test")  # noqa: LOG001 - of this test alone

    def with_form(form: str) -> logging.Logger:
        logger.addHandler(LogHandler(window.printer, form))
        return logger

    yield with_form
    for handler in logger.handlers:
        handler.close()


def test_a_log_line_has_time_level_logger_and_message(window: Window, logger: Logger) -> None:
    logger("text").warning("%s clients are too many", 3)

    (line,) = window.lines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING geventchat.test: 3 clients are too many",
        line,
    )


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_line_cannot_be_forged(window: Window, logger: Logger, form: str) -> None:
    logger(form).info("from %s", "me\n2026 ERROR forged\r\x1b[2J\u2028\u202e")

    (line,) = window.lines()
    assert line.isascii()
    assert line.isprintable()


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("times", [1, 20], ids=["once", "often"])
def test_a_record_that_cannot_be_formatted_is_a_line_and_nothing_on_standard_error(
    window: Window, logger: Logger, form: str, times: int, capfd: pytest.CaptureFixture[str]
) -> None:
    log = logger(form)
    for _ in range(times):
        log.warning("%d clients", "three")
    log.handlers[0].flush()
    log.warning("all is well")

    *lines, last = window.lines()
    assert "all is well" in last
    assert len(lines) == min(times, 11)
    assert all("cannot format the log record of " in line for line in lines)
    assert all(__file__ in line for line in lines)
    assert capfd.readouterr().err == ""


def test_a_traceback_is_indented_below_its_line(window: Window, logger: Logger) -> None:
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        logger("text").exception("our bug")

    first, *trace = window.lines()
    assert first.endswith("ERROR geventchat.test: our bug")
    assert trace[0] == "    Traceback (most recent call last):"
    assert trace[-2:] == ["    RuntimeError: first", "    second"]


def test_a_record_is_one_json_object_traceback_included(window: Window, logger: Logger) -> None:
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        logger("json").exception("our bug", extra={"details": {"who": "guest-3", "clients": 2}})

    (line,) = window.lines()
    event = json.loads(line)
    assert event["level"] == "error"
    assert event["logger"] == "geventchat.test"
    assert event["message"] == "our bug"
    assert (event["who"], event["clients"]) == ("guest-3", 2)
    assert event["traceback"].endswith("RuntimeError: first\nsecond")


@pytest.mark.parametrize("form", ["text", "json"])
def test_frequent_records_are_summarised_after_a_second(
    window: Window, logger: Logger, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SECOND", 0.001)
    log = logger(form)
    for number in range(2_000):
        log.info("guest-%d came", number)
    gevent.sleep(0.01)  # by then it has ended
    log.info("guest-2000 came")

    *first, summary, last = window.lines()
    assert len(first) == 10
    assert "1,990 more like this: guest-1999 came" in summary
    assert "guest-2000 came" in last


def test_the_last_summary_is_written_at_close(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [LogHandler(window.printer, "text")])
    console = Console(window.printer, echo=False)
    for number in range(100, 0, -1):
        root.warning("guest-%d left", number)
    console.close(5)

    assert window.lines()[-1].endswith("90 more like this: guest-1 left")


def test_a_crashed_greenlet_is_logged_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gevent.get_hub(), "print_exception", log_death)
    greenlet = gevent.spawn(int, "no number")
    greenlet.join()

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info
    assert record.exc_info[1] is greenlet.exception
