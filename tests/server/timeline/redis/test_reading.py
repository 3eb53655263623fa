"""Reading and deleting by a timeline on real engines, as a server does it."""

from collections.abc import Callable, Iterator

import gevent
import pytest

from geventchat.config import Limits
from geventchat.protocol.errors import Refused
from geventchat.server.search.query import Query
from geventchat.server.search.scan import ScanSearch
from geventchat.server.timeline.redis import RedisTimeline
from geventchat.server.timeline.redis import maintenance as module
from geventchat.server.timeline.redis.engine import Engine
from tests.engines import RunningEngine
from tests.server.record import Record, edit, on_engine, posts_of, redact, say, verdicts


@pytest.fixture
def record(engine: RunningEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Record]:
    """Return a timeline that keeps ten posts in each room, and none in the server's memory."""
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.002)
    limits = Limits(history_posts_per_room=10)
    record = Record(on_engine(engine.url, recent_bytes=0, limits=limits))
    yield record
    record.close()


def until(holds: Callable[[], object]) -> None:
    with gevent.Timeout(20):
        while not holds():
            gevent.sleep(0.002)


def test_what_is_trimmed_is_not_read_and_its_keys_are_forgotten(
    record: Record, connection: Engine
) -> None:
    timeline = record.timeline
    record.turn(say("first", "k1"))
    record.fill(["other"] * 30)
    until(lambda: timeline.oldest("lobby") == 22)
    assert timeline.position("lobby") == 31
    assert [post.position for post in record.everything()] == list(range(22, 32))
    assert verdicts(record.turn(say("first", "k1"))).posts == [("lobby", 32, "first")]
    until(lambda: connection.call("HLEN", "{gc}:keys:lobby") == 1)


def test_a_room_that_is_opened_after_a_trim_begins_where_it_should(record: Record) -> None:
    record.fill(["other"] * 30)
    until(lambda: record.timeline.oldest("lobby") == 21)
    record.close()
    record.reopen()
    assert record.timeline.oldest("lobby") == 21


def test_other_limits_hold_without_a_restart(record: Record) -> None:
    record.fill(["other"] * 10)
    record.timeline.configure(Limits(history_posts_per_room=3))
    until(lambda: record.timeline.oldest("lobby") == 8)


def test_what_surrounds_a_redacted_post_is_read_and_changed_as_before(
    record: Record, connection: Engine
) -> None:
    record.turn(*(say(text) for text in ("one", "secret", "three")))
    record.turn(redact(2))
    until(lambda: connection.call("XLEN", "{gc}:room:lobby") == 0)
    record.turn(edit(3, "THREE"), say("four"))
    assert [post.text for post in record.everything()] == ["one", "", "THREE", "four"]


def test_a_change_that_is_read_ahead_of_the_feed_is_told(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeline = record.timeline
    assert isinstance(timeline, RedisTimeline)
    record.turn(say("one"))
    ((first, _),) = record.turn(edit(1, "ONE")).entries
    record.turn(edit(1, "uno"))
    reader = timeline._pages.reader
    real = reader.changes

    def changes(room: str, after: int, position: int) -> object:
        timeline._pages.hear(first)  # as if the feed had come only there
        return real(room, after, position)

    monkeypatch.setattr(reader, "changes", changes)
    page, upto = timeline.changes("lobby", 0, 1)
    assert ([change.change for change in page], upto) == ([2], 2)


def test_everything_that_is_kept_can_be_searched(record: Record) -> None:
    timeline = record.timeline
    timeline.configure(Limits(history_posts_per_room=1_000))
    record.turn(*(say(f"tea {number}") for number in range(150)))
    gevent.sleep(0.002)  # the later ones are of a later millisecond
    later = posts_of(record.turn(*(say(f"tea {number}") for number in range(150))))
    record.turn(*(say(f"tea {number}", room="other") for number in range(300)))
    search = ScanSearch(timeline)
    rooms = {"lobby": 1, "other": 200}
    found = search.find(Query("tea 7"), rooms, author=None, before=None, limit=50)
    assert found.complete
    assert [(place.room, place.position) for place in found.places] == [
        ("lobby", 158),
        ("lobby", 8),
    ]
    older = search.find(Query("tea 7"), rooms, author=None, before=later[0].time, limit=50)
    assert [(place.room, place.position) for place in older.places] == [("lobby", 8)]


def test_a_damaged_room_is_left_out_of_a_search(record: Record, connection: Engine) -> None:
    record.turn(say("green", room="tea"), say("green", room="wine"))
    connection.call("DEL", "{gc}:room:tea")
    search = ScanSearch(record.timeline)
    rooms = {"tea": 1, "wine": 1}
    found = search.find(Query("green"), rooms, author=None, before=None, limit=50)
    assert [place.room for place in found.places] == ["wine"]
    assert not found.complete
    with pytest.raises(Refused):
        search.find(Query("green"), {"tea": 1}, author=None, before=None, limit=50)


def test_an_engine_that_is_away_is_no_empty_search(record: Record) -> None:
    record.turn(say("green"), say("green", room="tea"))
    timeline = record.timeline
    assert isinstance(timeline, RedisTimeline)
    timeline._reads.close()
    rooms = {"lobby": 1, "tea": 1}
    with pytest.raises(Refused):
        ScanSearch(timeline).find(Query("green"), rooms, author=None, before=None, limit=50)
