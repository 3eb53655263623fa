"""The index has what the history has, and nothing else."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from geventchat.config import Limits
from geventchat.protocol.events import Post
from geventchat.server.search.finder import Finder
from geventchat.server.search.index import STEP_POSTS, Index
from geventchat.server.search.query import Query
from geventchat.server.timeline import Batch, Kind, Submission
from geventchat.server.timeline.sqlite import SqliteTimeline
from tests.server.record import settle


class History:
    """A database, its index, and what is found."""

    def __init__(self, path: Path) -> None:
        self.path = path / "chat.db"
        self.batches: list[Batch] = []
        self.timeline = SqliteTimeline(self.batches.append, str(self.path))
        self.index = self.opened()
        self._number = 0

    def opened(self) -> Index:
        return Index(str(self.path), f"{self.path}.search", self.timeline.epoch)

    def store(self, *submissions: tuple[str, str], **more: object) -> list[Post]:
        """Store texts in rooms."""
        asked = []
        for room, text in submissions:
            self._number += 1
            asked.append(
                Submission(self._number, room, "Ann", text, b"c" * 16, str(self._number), **more)  # type: ignore[arg-type]
            )
        batch = self.timeline._store.store(asked)
        assert not batch.failed
        return [entry for entry, _ in batch.entries if isinstance(entry, Post)]

    def change(self, room: str, position: int, text: str | None) -> None:
        self._number += 1
        kind: Kind = "edit" if text is not None else "redact"
        asked = Submission(
            self._number, room, "Ann", text or "", b"c" * 16, None, kind, position=position
        )
        batch = self.timeline._store.store([asked])
        assert batch.entries, batch

    def catch_up(self, *rooms: str) -> None:
        while self.index.step(list(rooms)):
            rooms = ()

    def found(self, text: str, *rooms: str, limit: int = 50, **more: object) -> list[int]:
        finder = Finder(str(self.path), f"{self.path}.search")
        try:
            given = {"author": None, "before": None, **more}
            places, complete = finder.find(
                Query(text).match,
                dict.fromkeys(rooms, 0),
                limit=limit,
                seconds=5,
                **given,  # type: ignore[arg-type]
            )
            assert complete
            return [position for _, position, _, _ in places]
        finally:
            finder.close()

    def close(self) -> None:
        self.index.close()
        self.timeline.close(1)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path)
    yield history
    history.close()


def test_posts_are_found_in_the_rooms_that_are_asked_for_the_newest_first(
    history: History,
) -> None:
    history.store(("tea", "green tea"), ("dev", "green build"), ("tea", "black tea"))
    history.store(("tea", "more green tea"))
    history.catch_up()
    assert history.found("green", "tea") == [3, 1]
    assert history.found("green", "dev") == [1]
    assert history.found("green", "attic") == []
    assert history.found("tea", "tea", limit=1, author="Eve") == []
    assert history.found("tea", "tea", author="aNN") == [3, 2, 1]


def test_more_than_a_step_is_indexed_in_several(history: History) -> None:
    count = 2 * STEP_POSTS + 7
    for _ in range(3):
        history.store(*[("tea", "leaf")] * count, *[("dev", "leaf")] * 5)
    history.catch_up()
    assert len(history.found("leaf", "tea", limit=10_000)) == 3 * count
    assert len(history.found("leaf", "dev", limit=10_000)) == 15


def test_what_is_new_is_found_after_the_next_step_in_its_room(history: History) -> None:
    history.catch_up()
    history.store(("tea", "fresh"))
    assert history.found("fresh", "tea") == []
    history.catch_up("tea")
    assert history.found("fresh", "tea") == [1]


def test_an_edited_post_is_found_by_its_new_words_alone(history: History) -> None:
    history.store(("tea", "green tea"))
    history.catch_up()
    history.change("tea", 1, "black tea")
    history.catch_up("tea")
    assert history.found("green", "tea") == []
    assert history.found("black", "tea") == [1]


def test_a_post_that_is_redacted_within_the_step_that_indexes_it_is_forgotten(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its room may be looked at twice in a step: as it has something new, and by the walk."""
    history.store(("tea", "green tea"))
    walk = history.index._walk

    def redact(*arguments: Any) -> int:
        history.change("tea", 1, None)
        monkeypatch.undo()
        return walk(*arguments)

    monkeypatch.setattr(history.index, "_walk", redact)
    history.catch_up("tea")
    history.catch_up("tea")
    assert history.found("green", "tea") == []


def test_nothing_is_left_of_a_redacted_text(history: History) -> None:
    history.store(*[("tea", f"leaf number{number}") for number in range(500)])
    history.store(("tea", "unmistakable"))
    history.catch_up()
    assert b"unmistakable" in everything(history)
    history.change("tea", 501, None)
    history.catch_up("tea")
    assert history.found("unmistakable", "tea") == []
    assert b"unmistakable" not in everything(history)
    assert b"number7" in everything(history)


def test_nothing_is_left_of_a_redacted_text_if_the_server_ends_before_it_has_merged(
    history: History,
) -> None:
    history.store(*[("tea", f"unmistakable{number}") for number in range(STEP_POSTS)])
    history.catch_up()
    for position in range(1, STEP_POSTS + 1):
        history.change("tea", position, None)
    history.index.step(["tea"])  # deletes, and has no time left to merge
    assert b"unmistakable" in everything(history)
    history.index.close()
    history.index = history.opened()
    history.catch_up()
    assert b"unmistakable" not in everything(history)


def test_nothing_is_left_of_texts_that_were_moved_before_they_were_redacted(
    history: History,
) -> None:
    rng = random.Random(1)
    top = dict.fromkeys((f"room{number}" for number in range(30)), 0)
    texts, redacted = [], []
    for number in range(1500):
        room, mark = rng.choice(list(top)), f"mark{number}x"
        top[room] += 1
        texts.append((room, f"{mark} {''.join(rng.choices('abcdefgh ', k=rng.randrange(600)))}"))
        if number % 6 == 0:
            redacted.append((room, top[room], mark.encode()))
    for text in texts:
        history.store(text)
    history.catch_up()  # room by room, so pages are divided
    for room, position, _ in redacted:
        history.change(room, position, None)
    history.catch_up(*top)
    left = everything(history)
    assert [mark for _, _, mark in redacted if mark in left] == []
    assert history.found("mark1x", *top)


def test_a_post_that_was_redacted_before_it_was_indexed_never_is(history: History) -> None:
    history.store(("tea", "unmistakable"))
    history.change("tea", 1, None)
    history.catch_up()
    assert b"unmistakable" not in everything(history)


def test_trimmed_posts_are_forgotten(history: History) -> None:
    history.store(*[("tea", "leaf")] * 50)
    history.catch_up()
    history.timeline.configure(Limits(history_posts_per_room=10))
    settle(history.timeline)
    while history.timeline._store.trim():
        pass
    history.index.walk()
    history.catch_up()
    assert len(history.found("leaf", "tea")) == 10


def test_the_index_goes_on_where_it_was(history: History) -> None:
    history.store(("tea", "one"))
    history.catch_up()
    history.index.close()
    history.store(("tea", "two"))
    history.index = history.opened()
    history.catch_up()
    assert history.found("one", "tea") == [1]
    assert history.found("two", "tea") == [2]


@pytest.mark.parametrize(
    "damage",
    ["text = CAST(x'ff' AS TEXT)", "text = x'ff'", f"time = {1 << 62}", "author = 7"],
)
@pytest.mark.parametrize("changed", [False, True])
def test_a_damaged_post_is_not_found_and_all_others_are(
    history: History, damage: str, changed: bool
) -> None:
    history.store(("tea", "green"), ("tea", "green"), ("dev", "green"))
    if changed:
        history.catch_up()
        history.change("tea", 2, "green too")
    with closing(sqlite3.connect(history.path)) as db:
        db.execute(f"UPDATE posts SET {damage} WHERE position = 2")
        db.commit()
    history.store(("tea", "green"))
    history.catch_up("tea")
    assert history.found("green", "tea") == [3, 1]
    assert history.found("green", "dev") == [1]


@pytest.mark.parametrize("damage", ["other epoch", "not a database", "missing"])
def test_an_index_that_cannot_be_used_is_made_again(history: History, damage: str) -> None:
    history.store(("tea", "one"))
    history.catch_up()
    history.index.close()
    path = Path(f"{history.path}.search")
    if damage == "other epoch":
        with sqlite3.connect(path) as db:
            db.execute("UPDATE about SET epoch = 'other'")
        db.close()
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"nonsense" * 1000)
    history.index = history.opened()
    history.catch_up()
    assert history.found("one", "tea") == [1]


def test_pages_continue_by_time(history: History) -> None:
    posts = history.store(*[("tea", "leaf")] * 3)
    history.catch_up()
    newest = posts[-1].time
    assert history.found("leaf", "tea", before=newest + 1) == [3, 2, 1]
    assert history.found("leaf", "tea", before=posts[0].time) == []


def everything(history: History) -> bytes:
    paths = Path(history.path.parent).glob("chat.db.search*")
    return b"".join(path.read_bytes() for path in paths)


def test_many_posts_of_one_millisecond_are_indexed_as_quickly_as_others(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.store(*[("tea", "leaf")] * 2_000)
    asked: list[str] = []
    history.index._db.set_trace_callback(asked.append)
    history.catch_up()
    assert len(history.found("leaf", "tea", limit=5_000)) == 2_000
    assert len(asked) < 50 * 2_000  # those of FTS5 itself are among them
