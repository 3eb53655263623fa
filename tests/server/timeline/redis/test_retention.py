"""Retention on real engines: what goes, what goes with it, and what stays."""

import time
from collections.abc import Iterator

import msgspec
import pytest

from geventchat.config import Limits
from geventchat.protocol.errors import Refused
from geventchat.server.timeline.clock import DAY_MS
from geventchat.server.timeline.redis import retention as module
from geventchat.server.timeline.redis.engine import Engine, Rejected
from geventchat.server.timeline.redis.reader import Reader
from geventchat.server.timeline.redis.retention import POSTS_PER_ROOM, Retention, policy_of
from geventchat.server.timeline.retention_policy import RetentionPolicy
from tests.server.timeline.redis.filled import LIFE, NODE, Filled


@pytest.fixture
def reader(connection: Engine) -> Reader:
    return Reader(connection)


@pytest.fixture
def retention(connection: Engine) -> Retention:
    return Retention(lambda: connection, lambda: (NODE, LIFE))


def trim(retention: Retention, **policy: int) -> int:
    """Let it trim until there is nothing more to do; return the number of deleted posts."""
    retention.policy = RetentionPolicy(**policy)
    before, rounds = retention.trimmed, retention.rounds
    while retention.step() or retention.rounds < rounds + 2:
        pass
    return retention.trimmed - before


def keys(connection: Engine) -> set[str]:
    return {key.decode() for key in connection.call("KEYS", "*")}


def test_a_room_keeps_its_newest_posts(
    retention: Retention, reader: Reader, filled: Filled
) -> None:
    filled.say("tea", *map(str, range(1, 1_001)))
    filled.say("wine", "few")
    assert trim(retention, posts_per_room=5) == 995
    assert reader.open("tea")[:2] == (1_000, 996)
    assert [post.text for post in reader.since("tea", 0, 1_000)] == [
        "996", "997", "998", "999", "1000",
    ]  # fmt: skip
    assert len(reader.since("wine", 0, 1)) == 1


def test_a_room_that_is_written_to_does_not_wait_for_the_walk(
    retention: Retention, filled: Filled
) -> None:
    for number in range(200):
        filled.say(f"a{number}", "hi")
    filled.say("tea", *map(str, range(10)))
    retention.policy = RetentionPolicy(posts_per_room=5)
    retention.note_written("a1", 5)
    retention.note_written("tea", 10)
    assert retention.step()
    assert (retention.trimmed, retention.rounds) == (5, 0)


def test_keys_and_changes_go_with_their_posts(
    retention: Retention, filled: Filled, connection: Engine
) -> None:
    filled.say("tea", "a", key="k1")
    filled.say("tea", "b", key="k2")
    filled.say("tea", "c", key="k3")
    filled.change("tea", 1, "A")
    filled.change("tea", 2, None)
    filled.change("tea", 3, "C")
    trim(retention, posts_per_room=1)
    assert connection.call("HGETALL", "{gc}:keys:tea") == [b"c1k3", b"3"]
    assert connection.call("HKEYS", "{gc}:changed:tea") == [b"3"]
    assert connection.call("ZRANGE", "{gc}:order:tea", 0, -1) == [b"3"]
    trim(retention, posts_per_room=0, days=1)
    assert not {key for key in keys(connection) if key.endswith(":tea")} - {"{gc}:room:tea"}


def test_a_room_that_is_trimmed_empty_keeps_its_newest_position(
    retention: Retention, reader: Reader, filled: Filled
) -> None:
    filled.say("tea", "a", "b")
    filled.change("tea", 2, "B")
    assert trim(retention, days=1) == 2
    assert reader.open("tea")[:4] == (2, 3, "", 1)
    assert reader.since("tea", 0, 2) == reader.before("tea", 3, 5) == []
    assert reader.changes("tea", 0, 2) == ([], 1)
    assert reader.missed("tea", 2, None) == 1
    filled.say("tea", "c")
    assert [post.position for post in reader.since("tea", 2, 3)] == [3]


def test_posts_that_are_too_old_go_and_others_stay(
    retention: Retention, reader: Reader, filled: Filled
) -> None:
    now = int(time.time() * 1000)
    filled.now = now - 3 * DAY_MS
    filled.say("tea", *map(str, range(300)))
    filled.change("tea", 1, None)
    filled.now = now - DAY_MS
    filled.say("tea", "yesterday")
    filled.say("wine", "yesterday")
    assert trim(retention, days=2) == 300
    assert [post.text for post in reader.since("tea", 0, 301)] == ["yesterday"]
    assert reader.open("wine")[:2] == (1, 1)


def test_a_clock_that_was_put_forward_makes_nothing_old(
    retention: Retention, filled: Filled, connection: Engine
) -> None:
    filled.now = int(time.time() * 1000) - 20 * DAY_MS
    filled.say("tea", "long ago by this clock")
    connection.call("HSET", "{gc}:life", "used", filled.now)
    assert trim(retention, days=10) == 0


def test_an_engine_whose_clock_is_ahead_makes_nothing_old(
    retention: Retention, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    yesterday = int((time.time() - 86_400) * 1000)
    filled.now = yesterday - DAY_MS
    filled.say("tea", "by the engine's clock of today two days old")
    monkeypatch.setattr("geventchat.server.timeline.clock.Clock.now_ms", lambda _: yesterday)
    assert trim(retention, days=2) == 0


def test_the_use_of_the_store_is_noted(
    retention: Retention, filled: Filled, connection: Engine
) -> None:
    trim(retention, days=10)
    assert int(connection.call("HGET", "{gc}:life", "used")) > filled.now


def test_the_largest_room_loses_posts_when_the_engine_has_too_much(
    retention: Retention, reader: Reader, filled: Filled, connection: Engine
) -> None:
    filled.say("tea", *["x" * 1_000] * 2_000)
    filled.say("wine", *["x" * 1_000] * 50)
    (line,) = (
        line for line in connection.call("INFO", "memory").splitlines() if b"_dataset:" in line
    )
    count = trim(retention, total_bytes=int(line.partition(b":")[2]) - 1_000_000)
    assert 800 <= count <= 1_800
    assert reader.open("wine")[:2] == (50, 1)


def test_the_feed_tells_what_was_trimmed(
    retention: Retention, filled: Filled, connection: Engine
) -> None:
    filled.say("tea", *map(str, range(300)))
    trim(retention, posts_per_room=10)
    told = [
        msgspec.msgpack.decode(fields[1])
        for _, fields in connection.call("XRANGE", "{gc}:feed", "-", "+")
        if fields[0] == b"x"
    ]
    assert told == [["tea", 201], ["tea", 291]]


@pytest.mark.parametrize("identity", [("other", LIFE), (NODE, LIFE + 1)])
def test_a_node_that_was_replaced_deletes_nothing(
    connection: Engine, filled: Filled, identity: tuple[str, int]
) -> None:
    filled.say("tea", "a", "b")
    retention = Retention(lambda: connection, lambda: identity)
    with pytest.raises(Rejected, match=r"^FENCED"):
        trim(retention, posts_per_room=1)
    assert connection.call("XLEN", "{gc}:room:tea") == 2


def test_a_feed_of_a_later_life_keeps_everything(
    retention: Retention, filled: Filled, connection: Engine
) -> None:
    filled.say("tea", "a", "b")
    connection.call("XADD", "{gc}:feed", f"{LIFE + 1}-1", "h", "n2")
    with pytest.raises(Rejected):
        trim(retention, posts_per_room=1)
    assert connection.call("XLEN", "{gc}:room:tea") == 2
    assert connection.call("HGET", "{gc}:oldest", "tea") is None


def test_a_damaged_room_does_not_keep_others_from_being_trimmed(
    retention: Retention, filled: Filled, connection: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    for room in ("cup", "tea", "wine"):
        filled.say(room, "a", "b", "c")
    connection.call("SET", "{gc}:room:cup", "x")
    connection.call("XADD", "{gc}:room:tea", "*", "from", "elsewhere")
    retention.note_written("cup", 3)
    retention.policy = RetentionPolicy(posts_per_room=1)
    retention.note_written("cup", 3)
    assert trim(retention, posts_per_room=1) == 2
    assert [record.message for record in caplog.records] == [caplog.records[0].message]


def test_a_damaged_post_is_trimmed_like_others(
    retention: Retention, reader: Reader, filled: Filled, connection: Engine
) -> None:
    filled.say("tea", "a", "b", "c", "d")
    connection.call("XDEL", "{gc}:room:tea", "0-1")
    connection.call("HSET", "{gc}:moved:tea", 2, "1 \x91")
    with pytest.raises(Refused):
        reader.since("tea", 0, 4)
    assert trim(retention, posts_per_room=2) == 2
    assert [post.position for post in reader.since("tea", 2, 4)] == [3, 4]


@pytest.fixture
def full(connection: Engine, filled: Filled) -> Iterator[None]:
    filled.say("tea", *map(str, range(100)), key=None)
    connection.call("CONFIG", "SET", "maxmemory", 1)
    yield
    connection.call("CONFIG", "SET", "maxmemory", 0)


@pytest.mark.usefixtures("full")
def test_an_engine_whose_memory_is_used_up_can_be_read_and_trimmed(
    retention: Retention, reader: Reader
) -> None:
    assert len(reader.since("tea", 0, 100)) == 100
    assert trim(retention, posts_per_room=10) == 90


def test_without_limits_there_are_defaults() -> None:
    assert policy_of(RetentionPolicy.of(Limits())) == RetentionPolicy(
        posts_per_room=POSTS_PER_ROOM, total_bytes=module.TOTAL_BYTES
    )
    policy = RetentionPolicy(days=3, posts_per_room=7, total_bytes=1 << 40)
    assert policy_of(policy) == policy
