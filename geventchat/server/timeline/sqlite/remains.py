"""What SQLite leaves of texts in unused parts of pages, and its removal from the file.

With `secure_delete` SQLite overwrites what is deleted. But when it divides a full page it moves
rows to others and leaves copies of them in the unused part of the page: a row that is redacted
later may have one elsewhere. (Of 500 redacted posts in 30 rooms 7 were still in the file.) SQLite
cannot find or overwrite them, so this reads the pages itself and fills their unused parts with
zeros. It needs no knowledge of the texts, and so survives a crash.

The format is at https://www.sqlite.org/fileformat2.html. All functions block.
"""

import os
import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

_CHUNK_PAGES: Final = 256
_MOST_PAGES: Final = 1 << 25
"""Page numbers above this could be taken for the type of a page: 128 GB."""
_HEADER_BYTES: Final = {2: 12, 5: 12, 10: 8, 13: 8}
"""Size of a page's header by its type: interior and leaf pages of indexes and tables."""
_HEADER: Final = struct.Struct(">BHHH")
_PAIR: Final = struct.Struct(">HH")
_ZEROS: Final = bytes(1 << 16)


class Layout(NamedTuple):
    """How a database file is divided."""

    page_bytes: int
    usable_bytes: int
    vacuums: bool
    """Whether it has pages that map others, for `auto_vacuum`."""

    def is_map(self, number: int) -> bool:
        """Return whether a page maps others; it may look like any other."""
        return self.vacuums and number >= 2 and (number - 2) % (self.usable_bytes // 5 + 1) == 0


def layout(file: int) -> Layout:
    """Read the header of a database."""
    header = os.pread(file, 100, 0)
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 1 << 16 if page_bytes == 1 else page_bytes
    return Layout(page_bytes, page_bytes - header[20], any(header[52:56]))


def find(file: int, rest: Callable[[], object]) -> list[int]:
    """Return the numbers of pages with something in their unused parts.

    `rest` is called now and then, so that other threads may run.
    """
    shape = layout(file)
    size = shape.page_bytes
    found: list[int] = []
    first = 1
    while chunk := os.pread(file, _CHUNK_PAGES * size, (first - 1) * size):
        whole = len(chunk) // size
        for index in range(whole):
            # Most pages without a type are parts of long texts.
            if chunk[index * size] not in _HEADER_BYTES and first + index > 1:
                continue
            page = chunk[index * size : (index + 1) * size]
            if any(_has_remains(page, part) for part in _unused(page, first + index, shape)):
                found.append(first + index)
        if whole < _CHUNK_PAGES or first > _MOST_PAGES:
            break
        first += whole
        rest()
    return found


def remove(file: int, numbers: list[int]) -> None:
    """Fill the unused parts of pages with zeros, durably.

    Nothing may write the file meanwhile, and its write-ahead log must be empty. What reads it does
    not read these parts.
    """
    shape = layout(file)
    for number in numbers:
        start = (number - 1) * shape.page_bytes
        page = os.pread(file, shape.page_bytes, start)
        if len(page) < shape.page_bytes or not _is_sound(page, number, shape):
            continue
        for part in _unused(page, number, shape):
            if _has_remains(page, part):
                os.pwrite(file, _ZEROS[: part.stop - part.start], start + part.start)
    os.fdatasync(file)


def _has_remains(page: bytes, part: range) -> bool:
    return page[part.start : part.stop] != _ZEROS[: len(part)]


def _unused(page: bytes, number: int, shape: Layout) -> Iterator[range]:
    """Yield the parts of a page that hold nothing: between pointers and rows, and free blocks."""
    start = 100 if number == 1 else 0
    kind, free, cells, content = _HEADER.unpack_from(page, start)
    if kind not in _HEADER_BYTES or shape.is_map(number):
        return
    end = content or 1 << 16
    begin = start + _HEADER_BYTES[kind] + 2 * cells
    if not begin <= end <= shape.usable_bytes:
        return
    yield range(begin, end)
    while end <= free <= shape.usable_bytes - 4:  # in rising order
        following, size = _PAIR.unpack_from(page, free)
        end = free + size
        if size < 4 or end > shape.usable_bytes:
            return
        yield range(free + 4, end)
        free = following


def _is_sound(page: bytes, number: int, shape: Layout) -> bool:
    """Return whether a page is what it looks like: all its rows are where they have to be."""
    start = 100 if number == 1 else 0
    kind, _, cells, content = _HEADER.unpack_from(page, start)
    first = start + _HEADER_BYTES.get(kind, 0)
    if kind not in _HEADER_BYTES or first + 2 * cells > len(page):
        return False
    pointers = struct.unpack_from(f">{cells}H", page, first)
    low, high = content or 1 << 16, shape.usable_bytes
    return all(low <= pointer < high for pointer in pointers)
