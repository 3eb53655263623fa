"""The thread that writes the log: nothing ends it while there is somewhere to write to."""

import os

import pytest

from geventchat.server.logs import writer
from geventchat.server.logs.writer import LogWriter


class Pipe:
    """The reading end of a pipe; what was written, once the writer is closed."""

    def __init__(self) -> None:
        self._end, self.end = os.pipe()

    def lines(self, printer: LogWriter) -> list[str]:
        printer.close(5)
        os.close(self.end)
        with os.fdopen(self._end, encoding="utf-8") as stream:
            return stream.read().splitlines()


@pytest.mark.parametrize("error", [RuntimeError("our bug"), MemoryError(), ValueError()])
def test_lines_after_an_error_in_the_thread_are_written_and_the_lost_ones_counted(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    errors = [error]
    tried = writer._allocate_lock()
    tried.acquire()

    def page(self: LogWriter, waiting: list[tuple[int, str | None]], *others: int) -> str:
        if errors and waiting[0][1] == "two":
            tried.release()
            raise errors.pop()
        return whole(self, waiting, *others)

    whole = LogWriter._page
    monkeypatch.setattr(LogWriter, "_page", page)
    monkeypatch.setattr(writer, "LINES_PER_WRITE", 1)
    monkeypatch.setattr(writer, "PAUSE_SECONDS", 0)
    pipe = Pipe()
    printer = LogWriter(pipe.end)
    printer.put("one")
    printer.put("two")
    assert tried.acquire(timeout=20)
    printer.put("three")
    assert pipe.lines(printer) == ["one", "… dropped 1 lines", "three"]


def test_an_error_in_the_summary_of_dropped_lines_does_not_end_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "WAITING_LINES", 0)
    pipe = Pipe()
    wrong = [True]

    def left_out(lines: int) -> str:
        if wrong:
            wrong.clear()
            raise RuntimeError("our bug")
        return f"dropped {lines}"

    printer = LogWriter(pipe.end, left_out)
    assert not printer.admits()
    printer.put("one")
    while wrong:
        writer._sleep(0.001)
    printer.put("two")
    assert pipe.lines(printer) == ["dropped 2", "two"]
