"""A redacted text is nowhere in the files of the database: not in the log, and in no unused part.

Each text has a mark that is searched for, byte by byte.
"""

import os
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gevent
import pytest

from geventchat.server.timeline.sqlite import remains
from geventchat.server.timeline.sqlite.integrity import check
from geventchat.server.timeline.sqlite.schema import connect
from geventchat.server.timeline.sqlite.store import Store
from tests.server.record import Record, edit, on_disk, redact, say

ROOMS = [f"room{number}" for number in range(12)]
LENGTHS = [5, 20, 60, 200, 900, 3_000, 9_000]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store(str(path))) as store:
        yield store


def files(path: Path) -> bytes:
    """Return all bytes of a database and its log."""
    wal = path.with_name(f"{path.name}-wal")
    return path.read_bytes() + (wal.read_bytes() if wal.exists() else b"")


def unclean(store: Store) -> bool:
    return store.has_remains


def mark(room: str, position: int) -> str:
    return f"<{room}:{position}>"


def fill(store: Store, rounds: int) -> dict[str, int]:
    """Say something in all rooms in turn, as they are used; return the newest positions."""
    chance = random.Random(1)
    tops = dict.fromkeys(ROOMS, 0)
    for _ in range(rounds):
        said = []
        for room in chance.choices(ROOMS, k=10):
            tops[room] += 1
            text = mark(room, tops[room]) + "x" * chance.choice(LENGTHS)
            said.append(say(text, f"{tops[room]}", room=room))
        assert not store.store(said).failed
    return tops


def clean(store: Store) -> list[int]:
    """Clean the file; return the pages with remains."""
    file = store.begin_cleaning()
    assert file is not None
    pages = remains.find(file, lambda: None)
    assert store.remove_remains(pages)
    store.end_cleaning()
    assert remains.find(file, lambda: None) == []
    return pages


def test_no_redacted_text_is_left_in_the_file_or_the_log(store: Store, path: Path) -> None:
    tops = fill(store, 300)
    places = [(room, position) for room, top in tops.items() for position in range(1, top + 1)]
    taken = random.Random(2).sample(places, 600)
    for first in range(0, len(taken), 50):
        batch = store.store([redact(at, room=room) for room, at in taken[first : first + 50]])
        assert len(batch.entries) == 50
    assert unclean(store)
    assert clean(store), "nothing was left: this test shows nothing"
    left = set(re.findall(rb"<room\d+:\d+>", files(path)))
    assert left == {mark(*place).encode() for place in set(places) - set(taken)}
    assert not unclean(store)
    assert store.records("remains") == []
    with closing(connect(str(path), readonly=True)) as db:
        assert check(db) == ""
    fill(store, 5)  # it goes on


def test_pages_that_map_others_are_left_alone(store: Store, path: Path) -> None:
    """Some of them begin like a page with rows."""
    fill(store, 100)
    file = store.begin_cleaning()
    assert file is not None
    shape = remains.layout(file)
    assert shape.vacuums
    assert shape.is_map(2)
    before = os.pread(file, shape.page_bytes, shape.page_bytes)
    remains.remove(file, [*range(1, os.fstat(file).st_size // shape.page_bytes + 1)])
    assert os.pread(file, shape.page_bytes, shape.page_bytes) == before
    with closing(connect(str(path), readonly=True)) as db:
        assert check(db) == ""


def test_a_crash_before_the_search_is_made_up_for(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.store([say("secret text")])
        store.store([redact(1)])
    with closing(Store(str(path))) as store:
        assert unclean(store)
        clean(store)
    with closing(Store(str(path))) as store:
        assert not unclean(store)
    assert b"secret text" not in files(path)


def test_what_is_redacted_during_a_search_is_searched_for_again(store: Store) -> None:
    store.store([say("one"), say("two")])
    store.store([redact(1)])
    file = store.begin_cleaning()
    assert file is not None
    store.store([redact(2)])
    assert store.remove_remains(remains.find(file, lambda: None))
    store.end_cleaning()
    assert unclean(store)
    assert store.records("remains") != []
    clean(store)
    assert not unclean(store)


def test_while_another_program_reads_the_log_it_is_tried_again(store: Store, path: Path) -> None:
    store.store([say("secret text")])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM posts").fetchone()
        store.store([redact(1)])
        assert store.begin_cleaning() is None
        assert unclean(store)
    clean(store)
    assert b"secret text" not in files(path)


def test_a_running_server_cleans_the_file_by_itself(path: Path) -> None:
    record = Record(on_disk(path))
    record.turn(say("first secret"), say("second secret"))
    record.turn(edit(1, "an edited secret"))
    record.turn(redact(1), redact(2))
    with gevent.Timeout(20):
        while b"secret" in files(path):
            gevent.sleep(0.01)
    assert record.turn(say("on")).entries
    record.close()
