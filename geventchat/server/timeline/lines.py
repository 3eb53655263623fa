"""The lines of an export, for `geventchat history`: one format, wherever the history is stored.

The first line names the format; then come rooms, each followed by its posts in order, and records,
which hold secrets of accounts. The last line has the counts, so that an export that was cut off is
not taken for a whole one. An export may have been through other systems: a byte order mark, CR LF
and blank lines do not matter, and what is not UTF-8 text is named.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.protocol.text import BOM, is_utf16

FORMAT: Final = {"geventchat": "history", "version": 1}
_EPOCH: Final = re.compile("[0-9A-Za-z_-]{0,64}")
_LOST: Final = "(This message was damaged on the server's disk and is lost.)"
_NO_EXPORT: Final = "line 1: this is no history that geventchat wrote"
_UTF_16: Final = "is UTF-16; save it as UTF-8"
_NOT_TEXT: Final = {
    b"\x1f\x8b": "is compressed; decompress it first: gzip -d",
    b"\xfd7zXZ": "is compressed; decompress it first: xz -d",
    b"\x28\xb5\x2f\xfd": "is compressed; decompress it first: zstd -d",
    b"BZh": "is compressed; decompress it first: bzip2 -d",
    b"PK": "is a zip archive; unpack it first",
    b"SQLite format 3": "is a database, not an export; name it with --timeline",
}
"""What a file that is no text of lines begins with."""


class StoredPost(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A post as it is stored; only its position is known if it is `damaged`."""

    position: int
    time: int = 0
    author: str = ""
    text: str = ""
    client: str = ""
    """Hash of the author's client id in hexadecimal digits; empty for plain clients."""
    key: str | None = None
    account: str | None = None
    hook: bool = False
    change: int = 0
    """The number of its latest change; 0: none."""
    changed_top: int = 0
    """The newest position in its room at that time."""
    changed_by: str | None = None
    changed_account: str | None = None
    redacted: bool = False
    damaged: bool = False


class RoomLine(msgspec.Struct, kw_only=True, tag="room"):
    """Starts a room. `top` is its newest position, also if that post was trimmed."""

    name: str
    topic: str = ""
    top: int = 0
    change: int = 0
    """The number of the newest change, also if that post was trimmed."""


class PostLine(msgspec.Struct, kw_only=True, tag="post"):
    """A post of the room of the last `RoomLine`."""

    post: StoredPost


class RecordLine(msgspec.Struct, kw_only=True, tag="record"):
    """What is kept beside the history, such as an account."""

    kind: str
    id: str
    value: bytes
    """As it is stored; in JSON as base64."""


class EndLine(msgspec.Struct, kw_only=True, tag="end", omit_defaults=True):
    """Ends a complete export with the number of its rooms, posts and records."""

    rooms: int
    posts: int
    records: int = 0
    epoch: str = ""
    """The epoch, if it moves: it then goes on where the export is imported, and nowhere else."""


Item: TypeAlias = RoomLine | PostLine | RecordLine | EndLine
"""What a line after the first has."""


class ImportFailed(Exception):
    """A line cannot be imported; the message says which, and why."""


class Incomplete(ImportFailed):
    """The export is not complete; the message says what is missing."""


def written(
    rooms: Iterable[tuple[RoomLine, Iterable[StoredPost]]],
    records: Iterable[RecordLine],
    give_away: Callable[[], str] = str,
) -> Iterator[bytes]:
    """Yield the lines of an export, without line ends.

    `give_away` is called before the last line; it returns the epoch if that moves.
    """
    end = EndLine(rooms=0, posts=0)
    yield msgspec.json.encode(FORMAT)
    for room, posts in rooms:
        end.rooms += 1
        yield msgspec.json.encode(room)
        for post in posts:
            end.posts += 1
            yield msgspec.json.encode(PostLine(post=post))
    for record in records:
        end.records += 1
        yield msgspec.json.encode(record)
    end.epoch = give_away()
    yield msgspec.json.encode(end)


def read(lines: Iterable[bytes]) -> Iterator[tuple[int, Item]]:
    """Yield what the lines of an export have, with the number of each line; last, the end.

    A text takes the place of each damaged post. Raises ImportFailed, or Incomplete if the end is
    missing.
    """
    numbered = _numbered(lines)
    try:
        _, first = next(numbered, (1, b""))
        if msgspec.json.decode(first) != FORMAT:
            raise ImportFailed(_NO_EXPORT)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ImportFailed(_NO_EXPORT) from None
    decode = msgspec.json.Decoder(Item).decode
    done = _Done()
    number = 1
    for number, line in numbered:
        whole = line.endswith(b"\n")
        try:
            item = decode(line)
            whole = True
            item = done.checked(item)
        except (Refused, ValueError, RecursionError) as error:
            if not whole and not isinstance(error, msgspec.ValidationError):
                raise done.cut_off(number - 1) from None
            raise ImportFailed(f"line {number}: {error}") from None
        if isinstance(item, EndLine):
            for after, _ in numbered:
                reason = "comes after the end; import one export at a time"
                raise ImportFailed(f"line {after}: {reason}")
            yield number, item
            return
        yield number, item
    raise done.cut_off(number)


class _Done:
    """What was read so far."""

    def __init__(self) -> None:
        self._room = False
        self._position = 0
        self._end = EndLine(rooms=0, posts=0)
        """What the last line must be."""

    def checked(self, item: Item) -> Item:
        """Count the next item, and return it as it is imported.

        Raises ValueError, Refused, and Incomplete if the end has other counts.
        """
        if isinstance(item, RoomLine):
            _check_room(item)
            self._room, self._position = True, 0
            self._end.rooms += 1
        elif isinstance(item, PostLine):
            if not self._room:
                raise ValueError("a post comes before its room")
            _check_post(item.post, self._position)
            self._position = item.post.position
            self._end.posts += 1
            if item.post.damaged:  # visible in the room, so that no message is lost silently
                item.post = replace(item.post, author="server", text=_LOST, damaged=False)
        elif isinstance(item, RecordLine):
            self._end.records += 1
        else:
            self._check_end(item)
        return item

    def _check_end(self, end: EndLine) -> None:
        if not _EPOCH.fullmatch(end.epoch):
            raise ValueError("not a valid epoch")
        if end != replace(self._end, epoch=end.epoch):
            raise Incomplete(
                f"lines are missing: {end.rooms:,} rooms and {end.posts:,} posts were exported,"
                f" here are {self._end.rooms:,} and {self._end.posts:,}; export it again"
            )

    def cut_off(self, number: int) -> Incomplete:
        """Return the error for an export without an end after so many lines."""
        end = msgspec.json.encode(self._end).decode()
        return Incomplete(
            f"the export is cut off after line {number}: what followed is missing, and the last"
            " line, which has the counts; export it again, or accept that and make this the line"
            f" after it: {end}"
        )


def _numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers. Raises ImportFailed."""
    for number, line in enumerate(lines, 1):
        if number == 1:
            if is_utf16(line):
                raise ImportFailed(_UTF_16)
            for start, reason in _NOT_TEXT.items():
                if line.startswith(start):
                    raise ImportFailed(reason)
        text = line.removeprefix(BOM) if number == 1 else line
        if text.strip():
            yield number, text


def _check_room(room: RoomLine) -> None:
    if names.room(room.name) != room.name:
        raise ValueError(f"{room.name!r} is not the name of a room")
    if "\0" in room.topic or not (0 <= room.top < 1 << 53 and 0 <= room.change < 1 << 53):
        raise ValueError("not a valid room")


def _check_post(post: StoredPost, last: int) -> None:
    if not 1 <= post.position < 1 << 53 or (last and post.position != last + 1):
        raise ValueError(f"position {post.position} comes after {last}")
    texts = post.author, post.text, post.key, post.account, post.changed_by, post.changed_account
    numbers = post.time, post.change, post.changed_top
    if "\0" in "".join(filter(None, texts)) or not all(0 <= each < 1 << 53 for each in numbers):
        raise ValueError("not a valid post")
    if post.redacted and (post.text or not post.change):
        raise ValueError("a redacted post has no text")
    bytes.fromhex(post.client)
