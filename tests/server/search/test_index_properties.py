"""Every post that contains the words is found, and no other, whatever was changed and trimmed."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from geventchat.config import Limits
from geventchat.server.search.query import Query
from tests.server.record import settle
from tests.server.search.test_index import History

_ROOMS = ("tea", "dev")
_PARTS = ("green", "GREEN", "Café", "cafe\u0301", "東京", "京都", '"', "-", "tea,", "a*", " ", "OR")
_TEXTS = st.lists(st.sampled_from(_PARTS), min_size=1, max_size=5).map(" ".join)
_STEPS = st.one_of(
    st.tuples(st.just("post"), st.sampled_from(_ROOMS), _TEXTS),
    st.tuples(st.just("edit"), st.integers(0, 30), _TEXTS),
    st.tuples(st.just("redact"), st.integers(0, 30), st.just("")),
    st.tuples(st.just("trim"), st.just(0), st.just("")),
    st.tuples(st.just("index"), st.just(0), st.just("")),
)
_KEPT = 4


@settings(max_examples=40, deadline=None)
@given(st.lists(_STEPS, min_size=5, max_size=25), st.lists(_TEXTS, min_size=3, max_size=3))
def test_what_is_found_is_what_contains_the_words(
    steps: list[tuple[str, str | int, str]], queries: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        try:
            stored = _follow(history, steps)
            history.index.walk()
            history.catch_up(*_ROOMS)
            for text in queries:
                query = Query(text)
                for room in _ROOMS:
                    expected = {
                        position
                        for (where, position), said in stored.items()
                        if where == room and query and query.matches(said)
                    }
                    found = history.found(text, room) if query else []
                    assert set(found) == expected, (text, room)
                    assert len(found) == len(expected)
        finally:
            history.close()


def _follow(
    history: History, steps: list[tuple[str, str | int, str]]
) -> dict[tuple[str, int], str]:
    """Take the steps; return the texts that are stored then and not redacted."""
    stored: dict[tuple[str, int], str] = {}
    history.timeline.configure(Limits(history_posts_per_room=_KEPT))
    for what, where, text in steps:
        places = list(stored)
        if what == "post":
            [post] = history.store((str(where), text))
            stored[post.room, post.position] = text
        elif what == "index":
            history.catch_up(*_ROOMS)
        elif what == "trim":
            settle(history.timeline)
            while history.timeline._store.trim():
                pass
            kept = _kept(history.path)
            stored = {place: said for place, said in stored.items() if place in kept}
        elif places:
            room, position = places[int(where) % len(places)]
            if what == "edit" and text != stored[room, position]:
                history.change(room, position, text)
                stored[room, position] = text
            elif what == "redact":
                history.change(room, position, None)
                del stored[room, position]
    return stored


def _kept(database: Path) -> set[tuple[str, int]]:
    with closing(sqlite3.connect(database)) as db:
        query = "SELECT name, position FROM posts JOIN rooms ON rooms.id = posts.room"
        return set(db.execute(query))
