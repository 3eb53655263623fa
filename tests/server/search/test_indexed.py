"""The greenlets' side of the index."""

from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from geventchat.server.search import indexed
from geventchat.server.search.indexed import IndexedSearch
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
