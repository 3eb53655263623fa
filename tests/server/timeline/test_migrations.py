"""Databases of older versions: a start brings them up to date, with all that they hold."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from geventchat.server.timeline.sqlite.schema import VERSION, checksum, room_bytes
from tests.server.record import Record, on_disk, say, set_topic, verdicts
from tests.server.timeline.test_sqlite import SCHEMA_1

SCHEMA_2 = """
CREATE TABLE store (epoch TEXT NOT NULL);
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, topic TEXT NOT NULL DEFAULT '',
    top INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE posts (
    room INTEGER NOT NULL REFERENCES rooms,
    position INTEGER NOT NULL,
    time INTEGER NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    client BLOB,
    key TEXT,
    sum INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (room, position)
) WITHOUT ROWID;
CREATE UNIQUE INDEX said_once ON posts (client, key, room) WHERE key IS NOT NULL;
INSERT INTO store VALUES ('an-epoch-of-a-second-version');
INSERT INTO rooms VALUES (1, 'lobby', 'tea 🎈', 0), (2, 'trimmed', '', 7), (3, 'part', '', 2);
PRAGMA application_id = 0x67766368;
PRAGMA user_version = 2;
"""
SAID_ONCE_5 = "CREATE UNIQUE INDEX said_once ON posts (client, key, room) WHERE key IS NOT NULL"
POSTS = [
    (1, 1, 5, "anna", "one", b"c1", "k"),
    (1, 2, 6, "bert", "zwei 🎈", b"", None),
    (3, 3, 7, "anna", "kept", b"c1", None),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of the second version: a room with posts, one trimmed empty, one in part."""
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(SCHEMA_2)
        rows = [(*post, checksum(*post)) for post in POSTS]
        db.executemany("INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return path


def sums(path: Path) -> tuple[int, int, int]:
    """Return the version of a database and its totals: posts, and size of rooms and topics."""
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        posts, rooms = db.execute("SELECT posts, room_bytes FROM store").fetchone()
    return version, posts, rooms


def index(path: Path) -> str:
    """Return how the index of repetitions is made."""
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT sql FROM sqlite_master WHERE name = 'said_once'"
        found: tuple[str] = db.execute(query).fetchone()
    return found[0]


def test_a_database_of_the_second_version_is_migrated(path: Path) -> None:
    record = Record(on_disk(path))
    record.open("trimmed", "part")
    timeline = record.timeline
    assert timeline.epoch == "an-epoch-of-a-second-version"
    assert timeline.topic("lobby") == "tea 🎈"
    assert [post.text for post in record.everything()] == ["one", "zwei 🎈"]
    assert (timeline.oldest("trimmed"), timeline.position("trimmed")) == (8, 7)
    assert (timeline.oldest("part"), timeline.position("part")) == (3, 3)
    assert verdicts(record.turn(say("one", "k"))).repeated == [("one", 1)]
    batch = record.turn(say("three"), say("on", room="trimmed"))
    assert verdicts(batch).posts == [("lobby", 3, "three"), ("trimmed", 8, "on")]
    record.close()
    record.reopen()
    assert [post.text for post in record.everything()] == ["one", "zwei 🎈", "three"]
    record.close()


def test_a_database_of_the_fifth_version_finds_repetitions_as_a_new_one_does(
    tmp_path: Path,
) -> None:
    path = tmp_path / "fifth.db"
    record = Record(on_disk(path))
    record.turn(say("one", "k"), say("two", "l"))
    record.close()
    new = index(path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"DROP INDEX said_once; {SAID_ONCE_5}; PRAGMA user_version = 5")
    record = Record(on_disk(path))
    assert verdicts(record.turn(say("two", "l"), say("three", "m"))).repeated == [("two", 2)]
    record.close()
    assert index(path) == new


def test_a_migrated_database_knows_its_sums(path: Path) -> None:
    Record(on_disk(path)).close()
    rooms = sum(map(room_bytes, ("tea 🎈", "", "")))
    assert sums(path) == (VERSION, 2 + 7 + 3, rooms)
    record = Record(on_disk(path))
    record.turn(say("three"), set_topic("tea", room="new"))
    record.close()
    assert sums(path) == (VERSION, 2 + 7 + 3 + 1, rooms + room_bytes("tea"))


def test_a_migrated_database_of_the_first_version_knows_its_sums(tmp_path: Path) -> None:
    path = tmp_path / "first.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA_1)
    Record(on_disk(path)).close()
    assert sums(path) == (VERSION, 2, room_bytes("tea"))


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()
    with monkeypatch.context() as broken:
        broken.setattr(
            "geventchat.server.timeline.sqlite.schema._UPGRADE_FROM_2", "UPDATE nothing SET x"
        )
        with pytest.raises(Exception, match="nothing"):
            Record(on_disk(path))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert len(db.execute("PRAGMA table_info(store)").fetchall()) == 1
    assert len(path.read_bytes()) == len(before)
    record = Record(on_disk(path))
    assert [post.text for post in record.everything()] == ["one", "zwei 🎈"]
    record.close()
