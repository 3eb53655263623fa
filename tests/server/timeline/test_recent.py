"""The cache of the newest posts: reads from it equal reads from the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from geventchat.config import Limits
from geventchat.protocol.events import Post
from geventchat.server.timeline import PAGE_BYTES
from geventchat.server.timeline.recent import RecentPosts
from geventchat.server.timeline.sqlite import SqliteTimeline
from tests.server.record import Record, in_file, say, settle

ROOMS = ["lobby", "other", "third"]
TEXTS = st.sampled_from(["", "x", "x" * 300, "☃" * 40, "x" * (PAGE_BYTES // 3)])


@contextmanager
def recording(recent_bytes: int) -> Iterator[tuple[Record, SqliteTimeline]]:
    with TemporaryDirectory() as folder:
        record = Record(in_file(Path(folder) / "chat.db", recent_bytes))
        assert isinstance(record.timeline, SqliteTimeline)
        yield record, record.timeline
        record.close()


def posts(number: int, text: str = "x", room: str = "lobby") -> list[Post]:
    return [Post(room, position, "anna", 0, text) for position in range(1, number + 1)]


@given(
    turns=st.lists(
        st.lists(st.tuples(st.sampled_from(ROOMS), TEXTS), min_size=1, max_size=4), max_size=6
    ),
    recent_bytes=st.sampled_from([0, 1_300, 2_200, 5_000, PAGE_BYTES, 1 << 24]),
    kept=st.none() | st.integers(1, 4),
)
def test_reads_at_the_edge_of_the_cache_equal_reads_from_the_disk(
    turns: list[list[tuple[str, str]]], recent_bytes: int, kept: int | None
) -> None:
    with recording(recent_bytes) as (record, timeline):
        for turn in turns:
            record.turn(*[say(text, room=room) for room, text in turn])
        timeline.configure(Limits(history_posts_per_room=kept))
        settle(timeline)
        while kept and timeline._store.trim():
            pass
        assert timeline._recent.size <= recent_bytes
        for room in ROOMS:
            record.open(room)
            stored = timeline._store.rooms[room]
            top = timeline.position(room)
            for after in range(-1, top + 3):
                for upto in (after - 1, after, after + 1, after + 2, top, 2**53):
                    assert timeline.since(room, after, upto) == timeline._reader.since(
                        room, stored, after, upto
                    )
                for limit in (1, 2, top + 1, 500):
                    read = timeline._reader.before(room, stored, after, limit)[::-1]
                    assert timeline.before(room, after, limit) == read


def test_a_short_gap_is_served_without_the_disk() -> None:
    with recording(1 << 20) as (record, timeline):
        record.fill([str(number) for number in range(200)])
        timeline._reader.close()
        assert [post.text for post in timeline.since("lobby", 100, 200)] == [
            str(number) for number in range(100, 200)
        ]
        assert len(timeline.before("lobby", 201, 50)) == 50


def test_the_oldest_posts_of_all_rooms_are_evicted_first() -> None:
    ring = RecentPosts(5_000)
    for post in [*posts(3, "x" * 1_000), *posts(1, "y" * 1_000, "other")]:
        ring.add(post)
    assert ring.size <= 5_000
    assert ring.since("lobby", 0, 3) is None
    assert ring.since("lobby", 2, 3) == posts(3, "x" * 1_000)[2:]
    assert ring.since("other", 0, 1) == posts(1, "y" * 1_000, "other")
    for post in posts(9, "z", "third"):
        ring.add(post)
    assert ring.since("lobby", 2, 3) is None


def test_the_cache_is_bounded_in_bytes() -> None:
    ring = RecentPosts(10_000)
    for number in range(1, 500):
        ring.add(Post(f"room {number % 7}", number, "anna", 0, "☃" * (number % 40)))
        assert ring.size <= 10_000
    assert len(ring._rooms) == 7


def test_an_emptied_cache_uses_no_bytes() -> None:
    ring = RecentPosts(2_000)
    for post in posts(3):
        ring.add(post)
    ring.add(Post("other", 1, "anna", 0, "x" * 10_000))  # more than the limit
    assert ring.size == 0
    assert ring.since("lobby", 2, 3) is None


def test_posts_not_yet_in_the_cache_are_read_from_the_disk() -> None:
    ring = RecentPosts(10_000)
    assert ring.since("lobby", 0, 1) is None
    for post in posts(3):
        ring.add(post)
    assert ring.since("lobby", 0, 4) is None
    assert ring.before("lobby", 1, 5) is None
    assert ring.before("lobby", 1, 4) == posts(3)
