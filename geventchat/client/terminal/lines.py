"""Standard input as lines to send, each with its number and what is wrong with it, if anything."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from gevent import socket

from geventchat.client.terminal.errors import Failed
from geventchat.protocol import text

MAX_LINE_BYTES: Final = 1 << 20
"""More than any server accepts; of a longer line no more is kept."""
_STDIN: Final = 0
_READ_BYTES: Final = 65_536


class Line(NamedTuple):
    """A line of the input, without its end."""

    number: int
    """1 for the first one."""
    text: str
    fault: str = ""
    """Why it cannot be sent; empty: it can."""


def read_lines() -> Iterator[list[Line]]:
    """Yield the lines of standard input as they arrive, empty ones left out. Waits.

    A byte order mark at the beginning of a line is left out too, since files are often joined.
    Raises Failed if the input cannot be read or is UTF-16.
    """
    try:
        yield from _lines(_read())
    except OSError as error:
        raise Failed(f"standard input: {error.strerror}") from None


def _read() -> Iterator[bytes]:
    while sys.stdin is not None:  # None: closed before we began
        socket.wait_read(_STDIN)
        data = os.read(_STDIN, _READ_BYTES)
        if not data:
            return
        yield data


def _lines(chunks: Iterable[bytes]) -> Iterator[list[Line]]:
    number, rest = 1, None
    for data in chunks:
        if rest is None:
            rest = b""
            if text.is_utf16(data):
                raise Failed(f"the input {text.UTF_16}")
        *whole, rest = (rest + data).split(b"\n")
        yield [line for at, each in enumerate(whole, number) if (line := _line(at, each))]
        number += len(whole)
        rest = rest[: MAX_LINE_BYTES + 1]  # one too long: what follows of it does not matter
    if rest and (line := _line(number, rest)):
        yield [line]


def _line(number: int, data: bytes) -> Line | None:
    if len(data) > MAX_LINE_BYTES:
        return Line(number, "", f"longer than {MAX_LINE_BYTES:,} bytes")
    data = data.removesuffix(b"\r").removeprefix(text.BOM)
    try:
        decoded = data.decode()
    except UnicodeDecodeError:
        return Line(number, "", "not UTF-8")
    if "\0" in decoded:
        return Line(number, "", "holds U+0000, which no message can")
    return Line(number, decoded) if decoded else None
