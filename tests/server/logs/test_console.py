"""The console: what happens is a line that nobody can forge, and no terminal blocks the server."""

import errno
import json
import logging
import os
import pty
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from geventchat.config import Config
from geventchat.server.logs.console import SHOWN_CHARACTERS, Console, open_console
from geventchat.server.logs.writer import WAITING_LINES, LogWriter
from tests.server.logs.conftest import Window


@pytest.fixture
def console(window: Window) -> Console:
    return Console(window.printer, echo=True)


def test_connects_renames_and_disconnects_are_lines(window: Window, console: Console) -> None:
    console.connected("guest-3", "192.0.2.1", 2)
    console.renamed("guest-3", "ann")
    console.disconnected("ann", "quit", 1)
    console.connected("guest-4", "192.0.2.1", 1_234)

    assert window.lines() == [
        "guest-3 connected from 192.0.2.1, 2 clients online",
        "guest-3 is now known as ann",
        "ann disconnected (quit), 1 client online",
        "guest-4 connected from 192.0.2.1, 1,234 clients online",
    ]


def test_a_message_is_a_line_with_time_room_and_author(window: Window, console: Console) -> None:
    console.message("lobby", "guest-3", "hello")

    (line,) = window.lines()
    assert re.fullmatch(r"\d\d:\d\d #lobby guest-3: hello", line)


def test_a_message_in_a_private_room_shows_the_number_of_the_room_alone(
    window: Window, console: Console
) -> None:
    console.private_message(12)

    (line,) = window.lines()
    assert re.fullmatch(r"\d\d:\d\d private room 12: a message", line)


def test_the_line_end_of_a_message_is_not_shown(window: Window, console: Console) -> None:
    for text in ("hello\r", "hello\r\n", "hello\n", "a\r\nb\r\n"):
        console.message("lobby", "guest-3", text)

    assert [line.partition(": ")[2] for line in window.lines()] == [*["hello"] * 3, r"a\r\nb"]


def test_escape_sequences_are_escaped(window: Window, console: Console) -> None:
    console.message("lobby", "\x1bguest", "\x1b[2Jgone\n12:34 #lobby boss: forged\u202e")
    console.connected("\x9bwho", "192.0.2.1", 1)

    message, came = window.lines()
    assert message.endswith(r"#lobby \x1bguest: \x1b[2Jgone\n12:34 #lobby boss: forged\u202e")
    assert came == r"\x9bwho connected from 192.0.2.1, 1 client online"


def test_a_huge_message_is_truncated_and_says_by_how_much(window: Window, console: Console) -> None:
    console.message("lobby", "guest-3", "x" * (SHOWN_CHARACTERS + 61_440))

    (line,) = window.lines()
    assert line.endswith(f"guest-3: {'x' * SHOWN_CHARACTERS}… (61,440 more characters)")


def test_without_echo_messages_are_not_shown(window: Window) -> None:
    Console(window.printer, echo=False).message("lobby", "guest-3", "private")
    Console(window.printer, echo=False).private_message(12)

    assert window.lines() == []


def test_without_echo_connects_and_disconnects_are_log_records(
    window: Window, caplog: pytest.LogCaptureFixture
) -> None:
    console = Console(window.printer, echo=False)
    with caplog.at_level(logging.INFO, "geventchat"):
        console.connected("guest-3", "192.0.2.1", 2)
        console.disconnected("guest-3", "slow", 1)
        console.line("the server says this")

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "guest-3 connected from 192.0.2.1, 2 clients online"),
        ("INFO", "guest-3 disconnected (slow), 1 client online"),
        ("INFO", "the server says this"),
    ]


def test_with_json_each_line_is_an_object_and_echo_only_adds_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shown(*, echo: bool) -> list[dict[str, object]]:
        """Return the lines of a server for one conversation, without times."""
        reading, end = os.pipe()
        with os.fdopen(end, "w") as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            monkeypatch.setattr(logging.getLogger(), "handlers", [])
            console = open_console(Config(log_format="json", echo=echo))
            console.connected("guest-3", "192.0.2.1", 1)
            console.message("lobby", "guest-3", "gr\u00fc\u00dfe\x1b[2J")
            console.line("the server says this")
            console.close(5)
        with os.fdopen(reading, encoding="utf-8") as stream:
            events = [json.loads(line) for line in stream]
        return [{key: event[key] for key in event if key != "time"} for event in events]

    came, said, line = shown(echo=True)
    assert shown(echo=False) == [came, line]
    assert (came["event"], came["nick"]) == ("connected", "guest-3")
    assert line["message"] == "the server says this"
    assert said == {
        "level": "info",
        "logger": "geventchat",
        "message": "#lobby guest-3: gr\u00fc\u00dfe\x1b[2J",
        "event": "message",
        "room": "lobby",
        "author": "guest-3",
        "text": "gr\u00fc\u00dfe\x1b[2J",
    }


def test_a_stopped_terminal_never_blocks_the_caller() -> None:
    terminal, end = pty.openpty()  # its buffer takes some 4 KiB
    console = Console(LogWriter(end), echo=True)
    try:
        begun = time.monotonic()
        for _ in range(3 * WAITING_LINES):
            console.message("lobby", "guest-3", "x" * 4_096)
        console.close(0.05)

        assert time.monotonic() - begun < 30
    finally:
        os.close(end)
        os.close(terminal)


def test_a_flood_is_summarised_by_the_number_of_dropped_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each line is either written or counted as dropped."""
    monkeypatch.setattr("geventchat.server.logs.writer.PAUSE_SECONDS", 0)
    reading, end = os.pipe()
    printer = LogWriter(end)
    console = Console(printer, echo=True)
    flood = 2 * WAITING_LINES
    # Far more than the pipe holds, and nobody reads it yet.
    for _ in range(flood):
        console.message("lobby", "guest-3", "x" * 1_000)
    text = b""
    while not text.endswith(b" lines\n"):
        text += os.read(reading, 1 << 20)
    console.line("room again")
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(_read_to_end, reading)
        printer.close(5)
        os.close(end)
        text += rest.result()

    *lines, last = text.decode().splitlines()
    dropped = [re.fullmatch(r"… dropped ([\d,]+) lines", line) for line in lines]
    counts = [int(each[1].replace(",", "")) for each in dropped if each]
    shown = len(lines) - len(counts)  # it may have had room for some in between
    assert shown + sum(counts) == flood
    assert shown >= WAITING_LINES
    assert last == "room again"


def _read_to_end(descriptor: int) -> bytes:
    with open(descriptor, "rb") as pipe:
        return pipe.read()


def test_with_json_the_summary_of_dropped_lines_is_an_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geventchat.server.logs.writer.WAITING_LINES", 2)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    reading, end = os.pipe()
    with os.fdopen(end, "w") as stdout, os.fdopen(reading) as stream:
        monkeypatch.setattr(sys, "stdout", stdout)
        console = open_console(Config(log_format="json", echo=True))
        flood = 5_000
        for _ in range(flood):
            console.message("lobby", "guest-3", "x" * 1_000)
        shown = left_out = 0
        while shown + left_out < flood:
            event = json.loads(stream.readline())
            if event.get("event") == "message":
                shown += 1
            else:
                more = re.fullmatch(r"dropped ([\d,]+) lines", event["message"])
                assert more
                left_out += int(more[1].replace(",", ""))
        console.close(5)

    assert shown + left_out == flood
    assert left_out > 0


def test_a_closed_terminal_blocks_nothing() -> None:
    reading, end = os.pipe()
    os.close(reading)
    printer = LogWriter(end)
    os.close(end)
    console = Console(printer, echo=True)
    for _ in range(2 * WAITING_LINES):
        console.message("lobby", "guest-3", "hello")
    console.close(5)
    console.connected("guest-3", "192.0.2.1", 1)

    assert not printer.admits()


def test_a_full_disk_blocks_nothing() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    console = Console(LogWriter(full), echo=True)
    os.close(full)
    began = time.monotonic()
    for _ in range(2 * WAITING_LINES):
        console.message("lobby", "guest-3", "hello")
    console.close(0.05)
    assert time.monotonic() - began < 30


def test_pending_lines_are_written_when_the_disk_has_room_again(
    window: Window, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    refused: list[bytes] = []

    def full(fd: int, data: bytes) -> int:
        if len(refused) < 3:
            refused.append(data)
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", full)
    console.line("before")
    console.line("after")
    assert window.lines() == ["before", "after"]
    assert len(refused) == 3


def test_without_standard_output_lines_are_dropped() -> None:
    printer = LogWriter(None)
    console = Console(printer, echo=True)
    for _ in range(2 * WAITING_LINES):
        console.connected("guest-3", "192.0.2.1", 1)
    assert not printer.admits()
    assert printer._lines.empty()
    console.close(5)


@pytest.mark.parametrize(
    ("config", "on_terminal"),
    [
        (Config(), True),
        (Config(echo=False), False),
        (Config(log_format="json"), False),
        (Config(log_format="json", echo=True), True),
    ],
)
def test_messages_are_shown_on_a_terminal_by_default(
    monkeypatch: pytest.MonkeyPatch, config: Config, *, on_terminal: bool
) -> None:
    handlers = logging.getLogger().handlers[:]
    terminal, end = pty.openpty()
    try:
        with os.fdopen(end, "w") as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            console = open_console(config)
            console.message("lobby", "guest-3", "hello")
            console.line("end")
            console.close(5)
            shown = ""
            while "end" not in shown:
                shown += os.read(terminal, 10_000).decode()
    finally:
        os.close(terminal)
        logging.getLogger().handlers[:] = handlers

    assert ("#lobby guest-3: hello" in shown) is on_terminal
