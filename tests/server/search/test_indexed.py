"""The greenlets' side of the index."""

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import gevent
import pytest

from geventchat.protocol.errors import Refused
from geventchat.server.search import indexed
from geventchat.server.search.index import Index
from geventchat.server.search.indexed import IndexedSearch
from geventchat.server.search.query import Query
from geventchat.server.timeline import Batch
from geventchat.server.timeline.sqlite import SqliteTimeline
from geventchat.server.timeline.submission import Submission


@pytest.mark.parametrize("rounds", range(6))
def test_a_search_that_ends_while_it_begins_leaves_nothing_open(
    tmp_path: Path, rounds: int
) -> None:
    """Else the database keeps a write-ahead log, which a restored copy would take up."""
    path = tmp_path / "chat.db"
    timeline = SqliteTimeline(lambda batch: None, str(path))
    timeline.start()
    search = IndexedSearch(str(path), timeline.epoch)
    search.start()
    for _ in range(rounds):
        gevent.sleep(0)
    search.close()
    timeline.close(1)
    assert not list(tmp_path.glob("*-wal"))


def test_a_post_that_is_stored_during_a_step_is_indexed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the next walk through all rooms, minutes later: nothing else may ever be posted."""
    monkeypatch.setattr(indexed, "_GATHER_SECONDS", 0.01)
    stored: list[Batch] = []
    path = str(tmp_path / "chat.db")
    with ExitStack() as stack:
        timeline = SqliteTimeline(stored.append, path)
        timeline.start()
        stack.callback(timeline.close, 1)
        search = IndexedSearch(path, timeline.epoch)
        stack.callback(search.close)
        ask = search._indexing.ask

        def ask_and_post_meanwhile(line: bytes, seconds: float) -> bytes:
            answer = ask(line, seconds)
            monkeypatch.setattr(search._indexing, "ask", ask)
            timeline.append(Submission(1, "tea", "ann", "kettle"))
            with gevent.Timeout(20):
                while not stored:
                    gevent.sleep(0.001)
            search.note(stored[0])
            return answer

        monkeypatch.setattr(search._indexing, "ask", ask_and_post_meanwhile)
        search.start()
        with gevent.Timeout(20):
            while not stored or search.lag:
                gevent.sleep(0.001)


@pytest.mark.parametrize("where", ["pages", "words"])
def test_an_index_that_is_damaged_while_the_server_runs_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The indexing process finds damaged pages; damaged words are only found by a search."""
    monkeypatch.setattr(indexed, "_GATHER_SECONDS", 0.01)
    monkeypatch.setattr(indexed, "_RETRY_SECONDS", 0.01)
    path = tmp_path / "chat.db"
    with ExitStack() as stack:
        timeline = SqliteTimeline(lambda batch: None, str(path))
        stack.callback(timeline.close, 1)
        says = [
            Submission(n, "tea", "ann", f"{n} of many kettles", b"c", str(n))
            for n in range(1, 1_001)
        ]
        assert not timeline._store.store(says).failed
        index = Index(str(path), f"{path}.search", timeline.epoch)
        while index.step([]):
            pass
        index.close()
        damage(Path(f"{path}.search"), where)
        search = IndexedSearch(str(path), timeline.epoch)
        stack.callback(search.close)
        search.start()
        assert not timeline._store.store([Submission(1_001, "tea", "ann", "the last")]).failed
        with gevent.Timeout(60):
            for text in "500 of many", "last":
                while not found(search, text):
                    gevent.sleep(0.01)


def damage(path: Path, where: str) -> None:
    if where == "words":
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("UPDATE words_data SET block = x'00' WHERE id > 10")
        return
    data = bytearray(path.read_bytes())
    for start in range(5 * 4096, len(data), 4096):
        data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)


def found(search: IndexedSearch, text: str) -> int:
    try:
        return len(search.find(Query(text), {"tea": 1}, author=None, before=None, limit=10).places)
    except Refused:
        return 0
