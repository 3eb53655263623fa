"""Properties of every timeline: in memory, in a file, on Redis and on Valkey."""

import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from geventchat.protocol.events import History, Post, Topic, encode
from geventchat.protocol.frames import MAX_SERVER_FRAME_BYTES
from geventchat.server.timeline import PAGE_BYTES, Batch
from tests.server.record import (
    Open,
    Record,
    Verdicts,
    edit,
    in_file,
    in_memory,
    posts_of,
    say,
    set_topic,
    verdicts,
)
from tests.server.switches import never_switches


@pytest.fixture
def record(opening: Open) -> Iterator[Record]:
    record = Record(opening)
    yield record
    record.close()


def positions(posts: list[Post]) -> list[int]:
    return [post.position for post in posts]


# Positions and order


def test_positions_are_1_2_3_in_each_room(record: Record) -> None:
    batch = record.turn(
        say("a", room="one"), say("b", room="two"), say("c", room="one"), say("d", room="one")
    )
    assert verdicts(batch).posts == [
        ("one", 1, "a"), ("two", 1, "b"), ("one", 2, "c"), ("one", 3, "d"),
    ]  # fmt: skip
    batch = record.turn(say("e", room="two"), say("f", room="one"), say("g", room="three"))
    assert verdicts(batch).posts == [("two", 2, "e"), ("one", 4, "f"), ("three", 1, "g")]


def test_submissions_keep_their_order(record: Record) -> None:
    texts = [str(number) for number in range(1_000)]
    batch = record.turn(*[say(text) for text in texts])
    assert [post.text for post in posts_of(batch)] == texts
    assert [(post.position, post.text) for post in record.everything()] == list(
        enumerate(texts, start=1)
    )


def test_one_turn_takes_everything_submitted_before_it(record: Record) -> None:
    for number in range(100):
        gevent.spawn(record.timeline.append, say(str(number)))
    assert len(record.wait().entries) == 100


def test_each_post_comes_with_its_submission(record: Record) -> None:
    said = [say("one", "k"), say("two")]
    batch = record.turn(*said)
    assert [number for _, number in batch.entries] == [each.number for each in said]


def test_a_post_says_when_it_was_stored_in_milliseconds(record: Record) -> None:
    before = int(time.time() * 1000)
    [post] = posts_of(record.turn(say("one")))
    assert before <= post.time <= time.time() * 1000


def test_posts_read_back_equal_the_posts_delivered(record: Record) -> None:
    delivered = posts_of(record.turn(say("one", "k"), say("two"), say(" \n")))
    assert record.everything() == delivered


@pytest.mark.parametrize(
    "text", ["x", "'; DROP TABLE posts; --", "٣ 😀 é", "\t\r\n", "\x1e{", "☃" * 9_999]
)
def test_any_text_is_stored_unchanged(record: Record, text: str) -> None:
    record.turn(say(text, room="röom"))
    assert record.everything("röom")[0].text == text


def test_appending_never_switches(record: Record) -> None:
    with never_switches():
        for number in range(100):
            record.timeline.append(say(str(number)))
    assert len(record.wait().entries) == 100


def test_reading_position_and_oldest_never_switches(record: Record) -> None:
    record.fill(["one", "two"])
    with never_switches():
        assert (record.timeline.oldest("lobby"), record.timeline.position("lobby")) == (1, 2)
        assert (record.timeline.oldest("empty"), record.timeline.position("empty")) == (1, 0)
        assert record.timeline.topic("lobby") == ""


def test_a_post_is_stored_before_it_is_delivered(opening: Open) -> None:
    stored: list[int] = []

    def deliver(batch: Batch) -> None:
        stored.append(timeline.position("lobby"))
        read = timeline.since("lobby", 0, 9)
        assert posts_of(batch) == read[-len(batch.entries) :]
        stored.append(len(read))

    timeline = opening(deliver)
    timeline.start()
    timeline.open("lobby")
    timeline.append(say("one"))
    timeline.append(say("two"))
    timeline.close(10)
    assert stored == [2, 2]


# Repetitions


def test_a_key_repeated_in_one_turn_is_one_post(record: Record) -> None:
    batch = record.turn(say("hi", "k"), say("hi", "k"), say("ho"), say("hi", "k"))
    assert verdicts(batch) == Verdicts(
        posts=[("lobby", 1, "hi"), ("lobby", 2, "ho")], repeated=[("hi", 1), ("hi", 1)]
    )


def test_a_key_repeated_in_a_later_turn_is_answered_with_its_position(record: Record) -> None:
    record.turn(say("ho"), say("hi", "k"))
    batch = record.turn(say("hi", "k"))
    assert verdicts(batch) == Verdicts(repeated=[("hi", 2)])
    assert verdicts(record.turn(say("on"))).posts == [("lobby", 3, "on")]


def test_a_repeated_say_uses_no_position_of_those_around_it(record: Record) -> None:
    record.turn(say("hi", "k"))
    batch = record.turn(say("one"), say("hi", "k"), say("two", "l"), say("hi", "k"), say("three"))
    assert verdicts(batch) == Verdicts(
        posts=[("lobby", 2, "one"), ("lobby", 3, "two"), ("lobby", 4, "three")],
        repeated=[("hi", 1), ("hi", 1)],
    )


def test_a_say_repeated_around_its_own_edit_is_one_post(record: Record) -> None:
    say_again = say("hi", "k")
    batch = record.turn(say("hi", "k"), edit(1, "ho"), say_again, say("on"), edit(2, "off"))
    told = verdicts(batch)
    assert told.posts == [("lobby", 1, "hi"), ("lobby", 2, "on")]
    assert [(change.position, change.change) for change in told.changes] == [(1, 1), (2, 2)]
    assert told.repeated == [("hi", 1)]
    assert [post.text for post in record.everything()] == ["ho", "off"]


def test_the_same_key_in_another_room_is_another_post(record: Record) -> None:
    batch = record.turn(say("hi", "k"), say("hi", "k", room="other"))
    assert verdicts(batch).posts == [("lobby", 1, "hi"), ("other", 1, "hi")]
    batch = record.turn(say("hi", "k", room="third"))
    assert verdicts(batch).posts == [("third", 1, "hi")]


def test_the_same_key_of_another_client_is_another_post(record: Record) -> None:
    batch = record.turn(say("hi", "k", client=b"c1"), say("hi", "k", client=b"c2"))
    assert len(batch.entries) == 2
    assert len(record.turn(say("hi", "k", client=b"c3")).entries) == 1


def test_the_same_key_with_another_text_is_a_conflict(record: Record) -> None:
    batch = record.turn(say("hi", "k"), say("ho", "k"))
    assert verdicts(batch) == Verdicts(posts=[("lobby", 1, "hi")], conflicts=["ho"])
    batch = record.turn(say("on"), say("he", "k"), say("hi", "k"))
    assert verdicts(batch) == Verdicts(
        posts=[("lobby", 2, "on")], repeated=[("hi", 1)], conflicts=["he"]
    )


def test_without_a_key_nothing_is_a_repetition(record: Record) -> None:
    record.turn(say("hi"), say("hi", client=b""))
    assert len(record.turn(say("hi"), say("hi", client=b"")).entries) == 2


def test_a_turn_of_repetitions_alone_brings_no_post(record: Record) -> None:
    record.turn(say("hi", "k"), say("ho", "l"))
    batch = record.turn(say("ho", "l"), say("hi", "k"))
    assert verdicts(batch) == Verdicts(repeated=[("ho", 2), ("hi", 1)])


def test_every_say_has_one_verdict(record: Record) -> None:
    record.turn(say("hi", "k"))
    said = [say("hi", "k"), say("ho", "k"), say("on"), say("in", "l"), say("in", "l")]
    batch = record.turn(*said)
    judged = [each for _, each in batch.entries] + [each for each, _ in batch.repeated]
    judged += batch.conflicts + batch.failed
    assert sorted(judged) == [each.number for each in said]


# Reading


def test_since_returns_posts_after_one_position_up_to_another(record: Record) -> None:
    record.fill([str(number) for number in range(1, 11)])
    timeline = record.timeline
    assert positions(timeline.since("lobby", 0, 10)) == list(range(1, 11))
    assert positions(timeline.since("lobby", 3, 6)) == [4, 5, 6]
    assert positions(timeline.since("lobby", 9, 99)) == [10]
    assert timeline.since("lobby", 10, 99) == []
    assert timeline.since("lobby", 99, 999) == []
    assert timeline.since("lobby", 4, 4) == []


def test_before_returns_the_last_posts_below_a_position(record: Record) -> None:
    record.fill([str(number) for number in range(1, 11)])
    timeline = record.timeline
    assert positions(timeline.before("lobby", 11, 3)) == [8, 9, 10]
    assert positions(timeline.before("lobby", 5, 3)) == [2, 3, 4]
    assert positions(timeline.before("lobby", 3, 500)) == [1, 2]
    assert positions(timeline.before("lobby", 99, 2)) == [9, 10]
    assert timeline.before("lobby", 1, 3) == []
    assert timeline.before("lobby", 0, 3) == []


def test_the_largest_positions_of_the_protocol_work(record: Record) -> None:
    record.fill(["one", "two"])
    assert record.timeline.since("lobby", 2**53, 2**53) == []
    assert positions(record.timeline.before("lobby", 2**53, 500)) == [1, 2]


def test_a_room_without_posts_is_empty(record: Record) -> None:
    record.fill(["elsewhere"])
    timeline = record.timeline
    assert (timeline.position("empty"), timeline.oldest("empty")) == (0, 1)
    assert timeline.since("empty", 0, 9) == timeline.before("empty", 9, 9) == []


def test_a_room_has_only_its_own_posts(record: Record) -> None:
    record.turn(say("a", room="one"), say("b", room="two"), say("c", room="one"))
    assert [post.text for post in record.timeline.since("one", 0, 9)] == ["a", "c"]
    assert [post.text for post in record.timeline.before("two", 9, 9)] == ["b"]


def test_a_page_is_bounded_in_text(record: Record) -> None:
    quarter = PAGE_BYTES // 4 - 200
    record.fill(["x" * quarter] * 9)
    timeline = record.timeline
    assert positions(timeline.since("lobby", 0, 9)) == [1, 2, 3, 4]
    assert positions(timeline.since("lobby", 4, 9)) == [5, 6, 7, 8]
    assert positions(timeline.before("lobby", 10, 500)) == [6, 7, 8, 9]
    assert len(record.everything()) == 9


def test_a_page_is_measured_in_bytes(record: Record) -> None:
    record.fill(["😀" * 8_000] * 20)
    for page in (record.timeline.since("lobby", 0, 20), record.timeline.before("lobby", 21, 500)):
        assert PAGE_BYTES // 2 < sum(len(post.text.encode()) for post in page) <= PAGE_BYTES


@pytest.mark.parametrize("character", ["x", "é", "😀", '"', "\x01"])
def test_a_page_of_any_text_fits_into_a_frame(record: Record, character: str) -> None:
    long_text = character * (65_536 // len(character.encode()))
    record.fill([long_text] * 20)
    page = record.timeline.before("lobby", 21, 500)
    frame = encode(History(room="lobby", posts=page, complete=False))
    assert len(frame) <= MAX_SERVER_FRAME_BYTES


def test_a_single_post_may_be_longer_than_a_page(record: Record) -> None:
    record.fill(["short", "x" * (PAGE_BYTES + 1), "y" * (PAGE_BYTES + 2), "short"])
    timeline = record.timeline
    assert positions(timeline.since("lobby", 0, 4)) == [1]
    assert positions(timeline.since("lobby", 1, 4)) == [2]
    assert positions(timeline.before("lobby", 4, 9)) == [3]
    assert positions(timeline.before("lobby", 5, 9)) == [4]
    assert len(record.everything()) == 4


def test_stored_posts_are_counted(record: Record) -> None:
    record.turn(say("one", "k"), say("two"))
    record.turn(say("one", "k"))
    assert (record.timeline.store_times.count, record.timeline.posts_stored) == (2, 2)


# Topics


def test_a_topic_is_kept_until_there_is_another(record: Record) -> None:
    timeline = record.timeline
    record.turn(set_topic("tea"), set_topic("coffee", room="other"))
    assert (timeline.topic("lobby"), timeline.topic("other")) == ("tea", "coffee")
    record.turn(set_topic("biscuits"))
    assert timeline.topic("lobby") == "biscuits"
    record.turn(set_topic(""))
    assert (timeline.topic("lobby"), timeline.topic("other")) == ("", "coffee")


def test_the_last_topic_of_a_turn_holds(record: Record) -> None:
    record.turn(*(set_topic(topic) for topic in ("one", "two", "three")))
    assert record.timeline.topic("lobby") == "three"


def test_topics_and_posts_of_a_turn_are_in_one_order(record: Record) -> None:
    batch = record.turn(say("a"), set_topic("tea"), say("b"), say("c", room="other"))
    entries = [entry for entry, _ in batch.entries]
    texts = [entry.topic if isinstance(entry, Topic) else entry.text for entry in entries]  # type: ignore[union-attr]
    assert texts == ["a", "tea", "b", "c"]
    assert [post.position for post in posts_of(batch)] == [1, 2, 1]


def test_a_topic_before_the_first_post_uses_no_position(record: Record) -> None:
    record.turn(set_topic("tea", room="fresh"))
    assert record.timeline.position("fresh") == 0
    assert verdicts(record.turn(say("a", room="fresh"))).posts == [("fresh", 1, "a")]
    assert record.timeline.topic("fresh") == "tea"


# Start and end


def test_an_epoch_is_long_and_each_store_has_its_own(tmp_path: Path) -> None:
    openings = [in_memory(), in_memory(), in_file(tmp_path / "1.db"), in_file(tmp_path / "2.db")]
    epochs = set()
    for opening in openings:
        record = Record(opening)
        epochs.add(record.timeline.epoch)
        record.close()
    assert len(epochs) == 4
    assert min(map(len, epochs)) >= 16


def test_closing_stores_and_delivers_what_was_appended(opening: Open) -> None:
    record = Record(opening)
    for number in range(10):
        record.timeline.append(say(str(number)))
    record.close()
    assert sum(len(batch.entries) for batch in record.batches) == 10


def test_closing_stores_what_is_submitted_during_the_last_turn(opening: Open) -> None:
    delivered: list[str] = []

    def deliver(batch: Batch) -> None:
        delivered.extend(post.text for post in posts_of(batch))
        if "answer" not in delivered:
            timeline.append(say("answer"))

    timeline = opening(deliver)
    timeline.start()
    timeline.append(say("question"))
    timeline.close(10)
    assert delivered == ["question", "answer"]


def test_an_unused_timeline_closes(opening: Open) -> None:
    Record(opening).close()


def test_a_failed_delivery_does_not_stop_the_timeline(
    opening: Open, caplog: pytest.LogCaptureFixture
) -> None:
    delivered: list[str] = []

    def deliver(batch: Batch) -> None:
        [post] = posts_of(batch)
        if post.text == "bug":
            raise ZeroDivisionError("of the test")
        delivered.append(post.text)

    timeline = opening(deliver)
    timeline.start()
    timeline.open("lobby")
    timeline.append(say("bug"))
    with gevent.Timeout(20):
        while not caplog.records:
            gevent.sleep(0.001)
    timeline.append(say("on"))
    timeline.close(10)
    assert delivered == ["on"]
    assert timeline.position("lobby") == 2
    assert "ZeroDivisionError" in caplog.text
