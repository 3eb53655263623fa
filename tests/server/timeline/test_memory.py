"""The timeline in memory: it never exceeds its limits."""

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from geventchat.server.timeline.memory import MemoryTimeline
from tests.server.record import Record, Verdicts, in_memory, posts_of, say, set_topic, verdicts

Start = Callable[[int, int], Record]


@pytest.fixture
def start() -> Iterator[Start]:
    records = []

    def start(posts_per_room: int, total_bytes: int) -> Record:
        records.append(Record(in_memory(posts_per_room, total_bytes)))
        return records[-1]

    yield start
    for record in records:
        record.close()


def ends(record: Record, room: str = "lobby") -> tuple[int, int]:
    return record.timeline.oldest(room), record.timeline.position(room)


def stored_bytes(record: Record) -> int:
    """Return the bytes of text in all rooms."""
    assert isinstance(record.timeline, MemoryTimeline)
    return sum(
        sys.getsizeof(post.text)
        for room in record.timeline._rooms
        for post in record.everything(room)
    )


def test_the_newest_posts_of_each_room_are_kept(start: Start) -> None:
    record = start(3, 1 << 20)
    record.turn(*[say(str(number)) for number in range(1, 11)], say("alone", room="other"))
    assert [post.text for post in record.everything()] == ["8", "9", "10"]
    assert ends(record) == (8, 10)
    assert ends(record, "other") == (1, 1)


def test_reading_starts_at_the_oldest_kept_post(start: Start) -> None:
    record = start(3, 1 << 20)
    record.fill([str(number) for number in range(1, 11)])
    timeline = record.timeline
    assert [post.position for post in timeline.since("lobby", 0, 9)] == [8, 9]
    assert [post.position for post in timeline.before("lobby", 10, 500)] == [8, 9]
    assert timeline.since("lobby", 0, 7) == timeline.before("lobby", 8, 500) == []


def test_the_key_of_a_kept_post_is_known(start: Start) -> None:
    record = start(3, 1 << 20)
    record.turn(say("1"), say("2", "k"), say("3"), say("4"))
    assert verdicts(record.turn(say("2", "k"))) == Verdicts(repeated=[("2", 2)])


def test_the_key_of_a_deleted_post_is_forgotten(start: Start) -> None:
    record = start(3, 1 << 20)
    record.turn(say("1", "k"), say("2"), say("3"), say("4"))
    assert verdicts(record.turn(say("again", "k"))) == Verdicts(posts=[("lobby", 5, "again")])
    record.turn(say("6"), say("7"))
    assert verdicts(record.turn(say("again", "k"))) == Verdicts(repeated=[("again", 5)])


def test_a_key_may_be_forgotten_and_reused_in_one_turn(start: Start) -> None:
    record = start(2, 1 << 20)
    batch = record.turn(
        say("1", "k"), say("1", "k"), say("2"), say("3"), say("1", "k"), say("1", "k")
    )
    assert verdicts(batch) == Verdicts(
        posts=[("lobby", 1, "1"), ("lobby", 2, "2"), ("lobby", 3, "3"), ("lobby", 4, "1")],
        repeated=[("1", 1), ("1", 4)],
    )


def test_all_rooms_together_stay_within_the_byte_limit(start: Start) -> None:
    record = start(10_000, 100_000)
    for turn in range(50):
        record.turn(*[say("x" * (turn * 37 % 997), room=str(room)) for room in range(7)])
        assert stored_bytes(record) < 100_000
    assert stored_bytes(record) > 30_000


def test_the_largest_room_is_trimmed_first(start: Start) -> None:
    record = start(10_000, 100_000)
    record.fill(["small"], room="quiet")
    for _ in range(40):
        record.fill(["x" * 10_000], room="loud")
    assert ends(record, "quiet") == (1, 1)
    low, top = ends(record, "loud")
    assert (low, top) == (32, 40)


def test_a_trimmed_room_continues_its_positions(start: Start) -> None:
    record = start(10_000, 10_000)
    record.fill(["x" * 50_000, "y" * 50_000])
    assert ends(record) == (3, 2)
    assert record.everything() == []
    assert verdicts(record.turn(say("on"))).posts == [("lobby", 3, "on")]
    assert ends(record) == (3, 3)


def test_a_room_without_posts_takes_memory_only_for_its_position(start: Start) -> None:
    record = start(10_000, 10_000)
    for number in range(100):
        record.fill(["x" * 1_000], room=str(number))
    assert isinstance(record.timeline, MemoryTimeline)
    assert len(record.timeline._rooms) == sum(map(len, record.timeline._by_size)) == 6
    assert ends(record, "93") == (2, 1)
    assert ends(record, "94") == (1, 1)
    assert verdicts(record.turn(say("on", room="0"))).posts == [("0", 2, "on")]


def test_the_cost_of_a_turn_does_not_grow_with_the_rooms(start: Start) -> None:
    assert longest_turn(start, rooms=500) == longest_turn(start, rooms=50)


def longest_turn(start: Start, rooms: int) -> int:
    """Return the maximum number of calls in a turn of one post, in a full timeline."""
    timeline = start(10_000, rooms * 1_000).timeline
    assert isinstance(timeline, MemoryTimeline)
    counted: Counter[str] = Counter()
    longest = 0
    for number in range(2 * rooms):
        said = [say("x" * 500, room=str(number))]
        counted.clear()
        gc.disable()  # its callbacks would be counted, too
        sys.setprofile(lambda _, event, __: counted.update([event]))
        try:
            timeline._store(said)
        finally:
            sys.setprofile(None)
            gc.enable()
        longest = max(longest, counted["call"] + counted["c_call"])
    return longest


def test_a_post_that_is_trimmed_at_once_is_still_delivered(start: Start) -> None:
    record = start(10_000, 1_000)
    batch = record.turn(say("x" * 5_000, "k"), say("x" * 5_000, "k"))
    assert [post.position for post in posts_of(batch)] == [1]
    assert [position for _, position in batch.repeated] == [1]


# Rooms and topics are never forgotten, so there is an end to how many there may be


def is_full(record: Record) -> bool:
    return record.timeline.full


def test_topics_have_a_bound_and_what_is_there_stays(start: Start) -> None:
    """Over it a topic is refused, unless it is no longer than the one it replaces."""
    record = start(10_000, 100_000)
    timeline = record.timeline
    number = 0
    while not is_full(record):
        assert len(record.turn(set_topic("t" * 100, room=str(number))).entries) == 1
        number += 1
        assert number < 100
    assert verdicts(record.turn(set_topic("more", room="new"))).failed == ["more"]
    assert verdicts(record.turn(set_topic("t" * 101, room="0"))).failed == ["t" * 101]
    assert len(record.turn(set_topic("u" * 100, room="0")).entries) == 1
    assert {timeline.topic(str(each)) for each in range(1, number)} == {"t" * 100}
    assert (timeline.topic("0"), timeline.topic("new")) == ("u" * 100, "")


def test_a_topic_that_is_cleared_makes_room_for_another(start: Start) -> None:
    record = start(10_000, 100_000)
    number = 0
    while not is_full(record):
        record.turn(set_topic("t" * 100, room=str(number)))
        number += 1
    record.turn(set_topic("", room="0"))
    assert not is_full(record)
    assert len(record.turn(set_topic("tea", room="new")).entries) == 1


def test_the_position_of_a_room_is_never_forgotten_however_many_there_are(start: Start) -> None:
    record = start(10_000, 100_000)
    number = 0
    while not is_full(record):
        record.turn(say("x", room=str(number)))
        number += 1
        assert number < 1_000
    assert number > 100
    for turn in range(10):
        record.turn(say("y" * 5_000, room="0"))
        assert record.timeline.position("0") == turn + 2
    assert [record.timeline.position(str(each)) for each in range(1, number)] == [1] * (number - 1)


def test_evicted_posts_are_counted() -> None:
    record = Record(in_memory(posts_per_room=2))
    record.fill(["one", "two", "three", "four"])
    assert record.timeline.posts_trimmed == 2
    record.close()
