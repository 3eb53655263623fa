"""Search without an index: by many at once, and in parts."""

import time
from collections.abc import Sequence
from itertools import count
from statistics import median
from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event

from geventchat.protocol.events import Post
from geventchat.server.search import Place, Places, scan
from geventchat.server.search.query import Query
from geventchat.server.search.scan import ScanSearch
from geventchat.server.slices import SLICE_SECONDS, RoundBudget
from tests.server.record import Record, in_memory, say


def test_many_searches_together_take_no_more_of_a_round_than_one() -> None:
    record = Record(in_memory())
    record.fill(["the build is green"] * 4_000)
    search = ScanSearch(record.timeline)

    def find() -> None:
        search.find(Query("absent"), {"lobby": 1}, author=None, before=None, limit=50)

    searches = [gevent.spawn(find) for _ in range(40)]
    took: list[float] = []
    try:
        gevent.sleep(0.005)
        for _ in range(20):
            began = time.thread_time()
            gevent.sleep(0.001)
            took.append(time.thread_time() - began)
        ended = all(search.ready() for search in searches)
    finally:
        gevent.killall(searches)
        record.close()
    assert median(took) < 0.03  # a garbage collection makes one of them long
    assert not ended  # else they were not measured


def test_a_search_does_not_wait_longer_for_others_than_it_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "SECONDS", 0.01)
    record, go = Record(in_memory()), Event()
    record.fill(["green"])
    before = record.timeline.before

    def wait(room: str, end: int, limit: int) -> list[Post]:
        go.wait()
        return before(room, end, limit)

    monkeypatch.setattr(record.timeline, "before", wait)
    search = ScanSearch(record.timeline)

    def find() -> Places:
        return search.find(Query("green"), {"lobby": 1}, author=None, before=None, limit=5)

    reading, waiting = gevent.spawn(find), gevent.spawn(find)
    found = waiting.get(timeout=20)
    assert (found.places, found.complete) == ([], False)
    go.set()
    reading.get(timeout=20)
    record.close()


def test_a_search_beside_others_reads_many_posts_each_time_it_has_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = Record(in_memory())
    record.fill(["the build is green"] * 4_000)
    waits = 0

    class Counted(RoundBudget):
        def wait(self, seconds: float = SLICE_SECONDS) -> None:
            nonlocal waits
            waits += 1
            super().wait(seconds)

    monkeypatch.setattr(scan, "REQUESTS", Counted())
    search = ScanSearch(record.timeline)
    try:
        places = search.find(Query("absent"), {"lobby": 1}, author=None, before=None, limit=50)
    finally:
        record.close()
    assert places.complete
    assert waits < 1_000


def test_others_have_their_turn_while_a_long_text_is_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The words of one text may take as long as those of a thousand others."""
    record = Record(in_memory())
    record.fill(["\ufdfa" * 20_000])
    waits = 0

    class Counted(RoundBudget):
        def wait(self, seconds: float = SLICE_SECONDS) -> None:
            nonlocal waits
            waits += 1

    monkeypatch.setattr(scan, "REQUESTS", Counted())
    monkeypatch.setattr(scan, "_STEP_SECONDS", 0)
    search = ScanSearch(record.timeline)
    try:
        places = search.find(Query("absent"), {"lobby": 1}, author=None, before=None, limit=50)
    finally:
        record.close()
    assert (places.places, places.complete) == ([], True)
    assert waits >= 20


# In parts


class Ticking:
    """A search whose clock goes on by a second with each look at it, so that it is cut short."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, record: Record, looks: int) -> None:
        self._monkeypatch = monkeypatch
        self._search = ScanSearch(record.timeline)
        self._looks = looks

    def find(self, rooms: dict[str, int], before: int | None) -> Places:
        ticks = count()
        self._monkeypatch.setattr(scan, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
        self._monkeypatch.setattr(scan, "SECONDS", self._looks)
        return self._search.find(Query("green"), rooms, author=None, before=before, limit=50)


def say_at(monkeypatch: pytest.MonkeyPatch, record: Record, room: str, text: str, ms: int) -> None:
    monkeypatch.setattr("geventchat.server.timeline.memory.time.time", lambda: ms / 1000)
    record.turn(say(text, room=room))


@pytest.mark.parametrize("looks", [4, 7, 12, 40])
@pytest.mark.parametrize("together", [1, 2, 5])
def test_a_search_that_is_cut_short_again_and_again_finds_each_post_once(
    monkeypatch: pytest.MonkeyPatch, looks: int, together: int
) -> None:
    record = Record(in_memory())
    expected = []
    with monkeypatch.context() as patched:
        for number in range(40):
            room = "tea" if number % 3 else "wine"
            text = "green" if number % 7 == 0 else "other"
            # Some are of the same millisecond.
            say_at(patched, record, room, text, 1_000_000 + number // together)
            if text == "green":
                expected.append((room, record.timeline.position(room)))
    search = Ticking(monkeypatch, record, looks + 8 * together)
    found, before = list[Place](), None
    for _ in range(200):
        places = search.find({"tea": 1, "wine": 1}, before)
        found += places.places
        if places.complete:
            break
        assert places.before is not None
        assert before is None or places.before < before
        before = places.before
    record.close()
    assert places.complete
    assert sorted((place.room, place.position) for place in found) == sorted(expected)
    assert [place.time for place in found] == sorted((each.time for each in found), reverse=True)


def test_a_search_that_is_continued_reads_only_what_is_older(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = Record(in_memory())
    with monkeypatch.context() as patched:
        for number in range(0, 2_000, 50):
            patched.setattr(
                "geventchat.server.timeline.memory.time.time", lambda number=number: number
            )
            record.fill(["green"] * 50)
    pages = list[int]()
    before = record.timeline.before

    def counted(room: str, end: int, limit: int) -> Sequence[Post]:
        pages.append(limit)
        return before(room, end, limit)

    monkeypatch.setattr(record.timeline, "before", counted)
    search = ScanSearch(record.timeline)
    places = search.find(Query("green"), {"lobby": 1}, author=None, before=101_000, limit=10)
    record.close()
    assert [place.time for place in places.places[:1]] == [100_000]
    assert sum(pages) < 250


def test_a_room_is_searched_from_the_position_that_may_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = Record(in_memory())
    with monkeypatch.context() as patched:
        for ms in range(1_000_000, 1_000_010):
            say_at(patched, record, "tea", "green", ms)
    search = ScanSearch(record.timeline)
    for before, expected in ((None, [10, 9, 8]), (1_000_008, [8]), (1_000_001, [])):
        places = search.find(Query("green"), {"tea": 8}, author=None, before=before, limit=50)
        assert [place.position for place in places.places] == expected
    record.close()
