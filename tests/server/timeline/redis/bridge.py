"""Exports of histories, and their way through a database and through an engine."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import strategies as st

from geventchat.server.timeline.lines import RecordLine, RoomLine, StoredPost, written
from geventchat.server.timeline.redis import export, restore
from geventchat.server.timeline.redis.engine import Engine
from geventchat.server.timeline.sqlite import export as sqlite_export
from geventchat.server.timeline.sqlite import restore as sqlite_restore
from geventchat.server.timeline.sqlite.schema import prepare
from tests.engines import RunningEngine

POSITIONS = st.integers(1, 40)
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
NAMES = st.sampled_from(["lobby", "tea", "café", ".hidden", "@AbCdEf_h-234", "über", "a"])
CLIENTS = st.one_of(st.just(""), st.binary(min_size=32, max_size=32).map(bytes.hex))


@st.composite
def rooms(draw: st.DrawFn) -> list[tuple[RoomLine, list[StoredPost]]]:
    """Return rooms by name, with dense posts, some of them changed or damaged."""
    found = []
    for name in sorted(draw(st.sets(NAMES)), key=lambda name: name.encode()):
        first, count = draw(POSITIONS), draw(st.integers(0, 12))
        changes = iter(draw(st.permutations(range(1, 30))))
        posts = [draw(posts_at(first + place, changes)) for place in range(count)]
        top = posts[-1].position if posts else draw(st.integers(0, 40))
        change = max((post.change for post in posts), default=0) + draw(st.integers(0, 2))
        found.append((RoomLine(name=name, topic=draw(TEXTS), top=top, change=change), posts))
    return found


@st.composite
def posts_at(draw: st.DrawFn, position: int, changes: Iterator[int]) -> StoredPost:
    optional = st.none() | st.text("abcé", min_size=1, max_size=8)
    changed = draw(st.booleans())
    redacted = changed and draw(st.booleans())
    return StoredPost(
        position=position,
        time=draw(st.integers(0, 1 << 42)),
        author=draw(st.text("abcé 🎈", min_size=1)),
        text="" if redacted else draw(TEXTS),
        client=draw(CLIENTS),
        key=None if draw(st.booleans()) else f"key {position}",
        account=draw(optional),
        hook=draw(st.booleans()),
        change=next(changes) if changed else 0,
        changed_top=draw(POSITIONS) if changed else 0,
        changed_by=draw(st.text("abc", min_size=1)) if changed else None,
        changed_account=draw(optional) if changed else None,
        redacted=redacted,
        damaged=not changed and draw(st.integers(0, 9)) == 0,
    )


KEPT = st.dictionaries(st.tuples(st.text("ab/é@", min_size=1), TEXTS), st.binary(max_size=40))


def lines_of(
    found: list[tuple[RoomLine, list[StoredPost]]], kept: dict[tuple[str, str], bytes]
) -> list[bytes]:
    records = (
        RecordLine(kind=kind, id=identity, value=kept[kind, identity])
        for kind, identity in sorted(kept, key=lambda key: (key[0].encode(), key[1].encode()))
    )
    return [line + b"\n" for line in written(found, records)]


def connected(engine: RunningEngine) -> "closing[Engine]":
    return closing(Engine(engine.where, name=restore.NAME))


def through_sqlite(lines: list[bytes]) -> list[bytes]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        prepare(db)
        sqlite_restore.import_lines(db, lines)
        return [line + b"\n" for line in sqlite_export.export_lines(db)]


def through_engine(engine: RunningEngine, lines: list[bytes]) -> list[bytes]:
    with connected(engine) as connection:
        restore.import_lines(connection, lines, "e" * 22)
        assert list(export.damage(connection)) == []
        return [line + b"\n" for line in export.export_lines(connection)]


ROOM = RoomLine(name="lobby", topic="tea", top=2)
POST = StoredPost(position=1, author="anna", text="one", client="c1" * 32, key="k")
HISTORY = [(ROOM, [POST, StoredPost(position=2, author="anna", text="two")])]


def stored_keys(engine: RunningEngine) -> list[bytes]:
    return sorted(engine.call("KEYS", "*"))


MANY = lines_of(
    [(ROOM, [StoredPost(position=place, text="x" * 100) for place in range(1, 20_001)])], {}
)


class Killed(BaseException):
    """The end of a process, as far as its engine can tell."""


def interrupted(engine: RunningEngine, lines: list[bytes]) -> None:
    """Import lines in a process that is killed before the last."""

    def until_killed() -> Iterator[bytes]:
        yield from lines[:-1]
        connection.close()
        raise Killed

    with connected(engine) as connection, pytest.raises(Killed):
        restore.import_lines(connection, until_killed(), "epoch")
