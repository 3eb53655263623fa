"""Formats log records as text or as JSON, a line each.

Line breaks and control characters are escaped, so that nobody can forge a record.
"""

import json
import logging
import time
from types import TracebackType
from typing import Final

import gevent

from geventchat.protocol.visible import visible
from geventchat.server.logs.throttle import Throttle
from geventchat.server.logs.writer import LogWriter

SECOND: Final = 1.0

_log: Final = logging.getLogger(__name__)


class LogHandler(logging.Handler):
    """Passes records to a printer, formatted as `text` or `json`. Never waits.

    Of each kind ten a second are written, and one line for the others at the end of the second.
    """

    def __init__(self, printer: LogWriter, form: str, worker: int | None = None) -> None:
        """`worker`: the number of this process, if it is a worker."""
        super().__init__()
        self._printer = printer
        self._repeats = Throttle()
        self._second: gevent.Greenlet[[], None] | None = None
        self.setFormatter((JsonFormatter if form == "json" else TextFormatter)(worker))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless there is no room or there were too many of its kind."""
        if self._second is None:
            self._second = gevent.spawn_later(SECOND, self.flush)
        if self._repeats.admits(record):
            self._write(record)

    def flush(self) -> None:
        """Write a summary of those that were too many, and start a new second."""
        self._second = None
        for record in self._repeats.summary():
            self._write(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Write a line for a record that cannot be formatted.

        logging would write a traceback to standard error, which blocks on a stopped terminal.
        """
        where = f"{record.pathname}:{record.lineno}"
        text, arguments = "cannot format the log record of %s: %r", (where, str(record.msg))
        level, name = logging.ERROR, record.name
        told = logging.LogRecord(name, level, record.pathname, record.lineno, text, arguments, None)
        self._printer.put(self.format(told))

    def _write(self, record: logging.LogRecord) -> None:
        if not self._printer.admits():
            return
        try:
            self._printer.put(self.format(record))
        except Exception:
            self.handleError(record)


def log_death(
    greenlet: object,
    _kind: type[BaseException] | None,
    error: BaseException | str | None,
    _trace: TracebackType | None,
) -> None:
    """Log the error that ended a greenlet; replaces `print_exception` of the hub.

    gevent would write it to standard error, which blocks on a stopped terminal.
    """
    raised = error if isinstance(error, BaseException) else None
    _log.error("greenlet %r crashed: %r", greenlet, error, exc_info=raised)


def left_out(lines: int) -> str:
    """Return a JSON line that stands for dropped lines; called in a native thread."""
    text = f"dropped {lines:,} lines"
    head = {"time": _time(time.time()), "level": "warning", "logger": __name__}
    return json.dumps(head | {"message": text})


def prefix(worker: int | None) -> str:
    """Return what a line of a worker begins with."""
    return "" if worker is None else f"worker {worker}: "


class TextFormatter(logging.Formatter):
    """Time (UTC), level, logger, worker, message; a traceback follows indented."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._prefix = prefix(worker)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or lines with a traceback, without a line break at the end."""
        message = visible(record.getMessage())
        head = f"{_time(record.created)} {record.levelname} {record.name}: {self._prefix}"
        lines = [f"{head}{message}"]
        lines += (f"    {visible(line)}" for line in _trace(self, record).splitlines())
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One object: time (UTC), level, logger, worker, message, `details`, traceback."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """Return the object in pure ASCII, so that nothing in it can act on a terminal."""
        event = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._worker,
            "message": record.getMessage(),
        }
        event |= getattr(record, "details", {})
        if trace := _trace(self, record):
            event["traceback"] = trace
        return json.dumps(event, default=str)


_SECONDS: Final = "%Y-%m-%dT%H:%M:%S"


def _time(seconds: float) -> str:
    return f"{time.strftime(_SECONDS, time.gmtime(seconds))}.{int(seconds % 1 * 1_000):03}Z"


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)
