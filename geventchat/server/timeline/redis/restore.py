"""Import of an export into an engine, for `geventchat history`. All functions wait.

Until it has ended a key keeps every server out, also when it was interrupted: the next import then
begins by deleting what is there. So to servers it is all or nothing.
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from geventchat.protocol import names
from geventchat.server.timeline.lines import (
    EndLine,
    ImportFailed,
    PostLine,
    RecordLine,
    RoomLine,
    StoredPost,
    read,
)
from geventchat.server.timeline.redis import keys
from geventchat.server.timeline.redis.engine import Engine, EngineError, Part, Rejected
from geventchat.server.timeline.redis.export import answers, scan
from geventchat.server.timeline.redis.life import lives
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.stored import Changed, Fields, pack, string

NAME: Final = "geventchat-import"
"""What `CLIENT LIST` shows of the connection of an import."""
_IMPORTED: Final = Script("imported")
_COMMANDS: Final = 1_000
"""Commands that are sent at once,"""
_BYTES: Final = 256 << 10
"""unless their texts are longer than this."""


class Unusable(Exception):
    """The store cannot be imported into; the message says why, and what to do."""

    def __init__(self, reason: str, *, temporary: bool = False) -> None:
        super().__init__(reason)
        self.temporary = temporary


def import_lines(engine: Engine, lines: Iterable[bytes], epoch: str) -> EndLine:
    """Store the lines of an export in an empty store; return the last one.

    `epoch` is for an export without one; `engine` is named NAME. All or nothing. Raises Unusable,
    EngineError, ImportFailed, or Incomplete if the end is missing.
    """
    with _claimed(engine) as token:
        run = _run_of(engine)
        importing = _Import(engine)
        for number, item in read(lines):
            if isinstance(item, EndLine):
                end = item
            else:
                importing.add(number, item)
        importing.end_room()
        importing.send()
        if _run_of(engine) != run:  # it may have come back with less
            raise Unusable("the engine was restarted meanwhile; import it again", temporary=True)
        engine.run(_IMPORTED, (), token, end.epoch or epoch, run, importing.newest_ms)
    return end


class _Import:
    """The commands that are still to be sent, and the room that is being stored."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._commands: list[tuple[Part, ...]] = []
        self._checks: dict[int, tuple[int, str]] = {}
        """Of commands whose answer must be 1: the line, and what is wrong with it otherwise."""
        self._bytes = 0
        self._room: RoomLine | None = None
        self._first = self._last = self._in_stream = self._change = 0
        """Positions in the room, and its newest change."""
        self.newest_ms = 0
        """The time of the newest post."""

    def add(self, number: int, item: RoomLine | PostLine | RecordLine) -> None:
        """Store what a line has. Raises ImportFailed, EngineError."""
        if isinstance(item, PostLine):
            self._add_post(number, item.post)
        elif isinstance(item, RoomLine):
            self.end_room()
            self._begin_room(number, item)
        else:
            again = f"the record {item.kind} {item.id} is there twice"
            self._add_new(number, again, "HSETNX", keys.records(item.kind), item.id, item.value)
            self._bytes += len(item.value)
        if len(self._commands) >= _COMMANDS or self._bytes >= _BYTES:
            self.send()

    def end_room(self) -> None:
        """Store what is known only when all posts of a room are."""
        room = self._room
        if room is None:
            return
        name = room.name
        # As in a file: the posts themselves say more.
        top = self._last or room.top
        if top > self._in_stream:  # the stream counts also what is not in it
            self._add("XADD", keys.room(name), f"0-{top}", "t", 0, "p", "")
            self._add("XDEL", keys.room(name), f"0-{top}")
        if (oldest := self._first or top + 1) > 1:
            self._add("HSET", keys.OLDEST, name, oldest)
        if change := max(self._change, room.change):
            self._add("HSET", keys.CHANGES, name, change)
        self._room = None

    def send(self) -> None:
        """Send what is still to be sent. Raises ImportFailed, EngineError."""
        for place, answer in enumerate(self._engine.pipeline(self._commands)):
            number, reason = self._checks.get(place, (0, ""))
            if number and answer != 1:
                raise ImportFailed(f"line {number}: {reason}")
            if isinstance(answer, Rejected):
                raise answer
        self._commands, self._checks, self._bytes = [], {}, 0

    def _begin_room(self, number: int, room: RoomLine) -> None:
        self._room = room
        self._first = self._last = self._in_stream = self._change = 0
        self._add_new(
            number, f"the room {room.name} is there twice", "ZADD", keys.ROOMS, 0, room.name
        )
        if room.topic:
            self._add("HSET", keys.TOPICS, room.name, room.topic)
            if names.listed(room.name):
                self._add("ZADD", keys.LISTED, 0, room.name)

    def _add_post(self, number: int, post: StoredPost) -> None:
        assert self._room is not None
        name, position, client = self._room.name, post.position, bytes.fromhex(post.client)
        text = "" if post.change else post.text
        packed = pack(Fields(post.author, text, string(client), post.key, post.account, post.hook))
        if post.change:
            by, account = post.changed_by or "", post.changed_account or ""
            changed = pack(
                Changed(
                    post.change, post.changed_top, by, account, post.redacted, post.text,
                    post.time, string(packed),
                )
            )  # fmt: skip
            self._add("HSET", keys.changed(name), position, changed)
            self._add("ZADD", keys.order(name), post.change, position)
            again = f"the change {post.change} of {name} is there twice"
            self._add_new(number, again, "ZCOUNT", keys.order(name), post.change, post.change)
            self._change = max(self._change, post.change)
        else:
            self._add("XADD", keys.room(name), f"0-{position}", "t", post.time, "p", packed)
            self._in_stream = position
        if post.key is not None:
            again = f"the key {post.key} of this client is there twice"
            key = client + post.key.encode()
            self._add_new(number, again, "HSETNX", keys.keys(name), key, position)
        self._first = self._first or position
        self._last = position
        self._bytes += len(post.text)
        self.newest_ms = max(self.newest_ms, post.time)

    def _add(self, *command: Part) -> None:
        self._commands.append(command)

    def _add_new(self, number: int, again: str, *command: Part) -> None:
        """Add a command that answers 1 unless a line is `again` what was there."""
        self._checks[len(self._commands)] = number, again
        self._commands.append(command)


@contextmanager
def _claimed(engine: Engine) -> Iterator[str]:
    """Keep servers and other imports out by what it yields; delete all if the block fails."""
    _check_alone(engine)
    token = secrets.token_hex(16)
    interrupted, life = answers(engine, ("SET", keys.IMPORT, token, "GET"), ("EXISTS", keys.LIFE))
    if interrupted is None or life:
        try:
            _check_empty(engine)
        except BaseException:
            engine.call("DEL", keys.IMPORT)
            raise
    _delete_all(engine)
    try:
        yield token
    except BaseException:
        # Where this fails, too, the key stays, and the next import deletes everything.
        with suppress(EngineError, Unusable):
            _check_alone(engine)
            held, life = answers(engine, ("GET", keys.IMPORT), ("EXISTS", keys.LIFE))
            if held == token.encode() or (held is None and not life):
                _delete_all(engine)
                engine.call("DEL", keys.IMPORT)
        raise


def _check_alone(engine: Engine) -> None:
    """Raise Unusable if there is another import."""
    own, clients = answers(engine, ("CLIENT", "ID"), ("CLIENT", "LIST"))
    for line in clients.decode().splitlines():
        client = dict(pair.partition("=")[::2] for pair in line.split(" "))
        here = client["db"] == str(engine.where.database)
        if client["name"] == NAME and here and client["id"] != str(own):
            raise Unusable("another import into it is under way", temporary=True)


def _check_empty(engine: Engine) -> None:
    """Raise Unusable if there is a history, or a server that uses the store."""
    (rooms,) = answers(engine, ("ZCARD", keys.ROOMS))
    if lives(engine):
        raise Unusable("a server is using it; stop that first", temporary=True)
    if rooms or any(scan(engine, "SCAN", "0", "MATCH", keys.records("*"))):
        other = f"redis://HOST:PORT/{engine.where.database + 1}"
        raise Unusable(f"is not empty; import into another database, such as {other}")


def _delete_all(engine: Engine) -> None:
    """Delete all keys of the store but that of the import."""
    for page in scan(engine, "SCAN", "0", "MATCH", keys.EVERY):
        if found := [key for key in page if key != keys.IMPORT.encode()]:
            engine.call("UNLINK", *found)


def _run_of(engine: Engine) -> str:
    """Return what changes when an engine is started again."""
    lines = engine.call("INFO", "server").decode("utf-8", "replace").splitlines()
    (run,) = (line.partition(":")[2] for line in lines if line.startswith("run_id:"))
    return str(run)
