"""Pages of posts and changes, as they are read from real engines."""

from collections.abc import Callable

import msgspec
import pytest

from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Edited, ListedRoom, Post, Redacted
from geventchat.server.timeline import PAGE_BYTES
from geventchat.server.timeline.changes import MOST_MISSED
from geventchat.server.timeline.redis.engine import Engine
from geventchat.server.timeline.redis.reader import Reader, RoomState
from geventchat.server.timeline.redis.stored import content, string
from tests.server.timeline.redis.filled import NOW, Filled


@pytest.fixture
def reader(connection: Engine) -> Reader:
    return Reader(connection)


def positions(posts: list[Post]) -> list[int]:
    return [post.position for post in posts]


def scripts_run(connection: Engine) -> int:
    """Return how many scripts the engine has run since it was last asked."""
    told = connection.call("INFO", "commandstats").decode()
    connection.call("CONFIG", "RESETSTAT")
    lines = (line for line in told.splitlines() if line.startswith("cmdstat_evalsha:"))
    return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in lines)


# The state of a room


def test_a_room_has_its_newest_position_topic_and_change(reader: Reader, filled: Filled) -> None:
    filled.say("tea", "one", "two")
    filled.change("tea", 1, "ONE")
    filled.topic("tea", "green 🍵")
    filled.engine.call("XADD", "{gc}:feed", "1-*", "h", "n1")
    assert reader.open("tea") == RoomState(2, 1, "green 🍵", 1, b"1-0")


def test_a_room_that_never_was_is_empty(reader: Reader) -> None:
    assert reader.open("tea") == RoomState(0, 1, "", 0, b"0-0")


# Pages


def test_a_post_is_read_as_it_was_said(reader: Reader, filled: Filled) -> None:
    filled.say("tea", "hello\n🍵", key="k1", client=b"\xff" * 32)
    assert reader.since("tea", 0, 1) == [Post("tea", 1, "anna", NOW, "hello\n🍵", "k1")]


def test_pages_are_the_posts_between_two_positions(reader: Reader, filled: Filled) -> None:
    filled.say("tea", *map(str, range(1, 11)))
    assert positions(reader.since("tea", 0, 10)) == list(range(1, 11))
    assert positions(reader.since("tea", 3, 6)) == [4, 5, 6]
    assert reader.since("tea", 10, 10) == reader.since("tea", 5, 4) == []
    assert positions(reader.before("tea", 11, 3)) == [8, 9, 10]
    assert positions(reader.before("tea", 3, 500)) == [1, 2]
    assert reader.before("tea", 1, 5) == reader.before("tea", 0, 5) == []
    assert positions(reader.at("tea", [7, 2, 99])) == [7, 2]
    assert reader.at("tea", []) == []


def test_a_page_of_more_than_one_answer_is_whole(reader: Reader, filled: Filled) -> None:
    filled.say("tea", *map(str, range(1, 701)))
    assert positions(reader.since("tea", 10, 690)) == list(range(11, 691))
    assert positions(reader.before("tea", 701, 500)) == list(range(201, 701))
    assert positions(reader.at("tea", range(1, 701))) == list(range(1, 701))


def test_a_page_takes_one_round_trip(reader: Reader, filled: Filled, connection: Engine) -> None:
    filled.say("tea", *map(str, range(5_000)))
    reader.before("tea", 3_000, 1)
    scripts_run(connection)
    for read in (
        lambda: reader.before("tea", 3_000, 200),
        lambda: reader.since("tea", 3_000, 3_200),
        lambda: reader.open("tea"),
    ):
        read()
        assert scripts_run(connection) == 1


def test_a_page_is_bounded_in_bytes(reader: Reader, filled: Filled) -> None:
    text = "x" * (PAGE_BYTES // 4 - 200)
    filled.say("tea", *[text] * 9)
    assert positions(reader.since("tea", 0, 9)) == [1, 2, 3, 4]
    assert positions(reader.since("tea", 4, 9)) == [5, 6, 7, 8]
    assert positions(reader.before("tea", 10, 500)) == [6, 7, 8, 9]
    assert positions(reader.at("tea", range(1, 10))) == list(range(1, 10))


def test_a_single_post_may_be_longer_than_a_page(reader: Reader, filled: Filled) -> None:
    filled.say("tea", *["x" * (PAGE_BYTES + 1)] * 3)
    assert positions(reader.since("tea", 0, 3)) == [1]
    assert positions(reader.since("tea", 1, 3)) == [2]
    assert positions(reader.before("tea", 4, 9)) == [3]
    assert positions(reader.at("tea", [1, 3])) == [1, 3]


# Changes


def test_pages_have_posts_as_they_are_now(reader: Reader, filled: Filled) -> None:
    filled.say("tea", "a", "b", "c")
    filled.change("tea", 2, None)
    filled.change("tea", 3, "C")
    page = [
        Post("tea", 1, "anna", NOW, "a"),
        Post("tea", 2, "anna", NOW + 1, "", change=1, redacted=True),
        Post("tea", 3, "anna", NOW + 2, "C", change=2),
    ]
    assert reader.since("tea", 0, 3) == page
    assert reader.before("tea", 4, 3) == page
    assert reader.at("tea", [1, 2, 3]) == page


def test_the_newest_post_stays_the_newest_when_it_is_redacted(
    reader: Reader, filled: Filled
) -> None:
    filled.say("@tea", "a", "b")
    filled.change("@tea", 2, None)
    assert reader.open("@tea").top == 2
    assert reader.newest_posts("@") == [("@tea", 2, NOW + 1)]


def test_only_the_latest_change_of_a_post_is_told(reader: Reader, filled: Filled) -> None:
    filled.say("tea", "a", "b", "c")
    for position, text in ((3, "C"), (1, "A"), (3, None), (2, "B")):
        filled.change("tea", position, text)
    edited = Edited(room="tea", position=1, change=2, text="A", by="anna")
    redacted = Redacted(room="tea", position=3, change=3, by="anna")
    assert reader.changes("tea", 0, 1) == ([edited], 4)
    assert reader.changes("tea", 1, 3)[0][:2] == [edited, redacted]
    assert reader.changes("tea", 4, 3) == ([], 4)


def test_a_page_of_changes_is_bounded_and_says_where_the_next_begins(
    reader: Reader, filled: Filled
) -> None:
    filled.say("tea", *map(str, range(6)))
    for position in range(1, 7):
        filled.change("tea", position, "x" * (PAGE_BYTES // 4 - 200))
    found, upto = reader.changes("tea", 0, 6)
    assert ([each.change for each in found], upto) == ([1, 2, 3, 4], 4)
    found, upto = reader.changes("tea", upto, 6)
    assert ([each.change for each in found], upto) == ([5, 6], 6)


def test_changes_of_posts_that_the_client_does_not_know_cost_no_long_stretch(
    reader: Reader, filled: Filled, connection: Engine
) -> None:
    filled.say("tea", *map(str, range(2_500)))
    for position in range(2_500, 0, -1):
        filled.change("tea", position, "y")
    found, upto, pages = [], 0, 0
    while upto < 2_500:
        page, upto = reader.changes("tea", upto, 3)
        found += page
        pages += 1
    assert [each.position for each in found] == [3, 2, 1]
    assert pages == 3
    scripts_run(connection)
    assert reader.missed("tea", 3, 0) == 0
    assert scripts_run(connection) == 2


def test_who_resumes_is_told_the_changes_made_since_its_newest_post(
    reader: Reader, filled: Filled
) -> None:
    filled.say("tea", "a")
    filled.change("tea", 1, "A")
    filled.say("tea", "b")
    assert reader.missed("tea", 1, None) == 0  # made while it was the newest: it may have missed it
    assert reader.missed("tea", 2, None) == 1
    filled.change("tea", 1, "AA")
    assert reader.missed("tea", 2, None) == 1
    assert reader.missed("tea", 2, 2) == 2


@pytest.mark.parametrize("change", [0, None])
def test_who_missed_too_many_changes_starts_anew(
    reader: Reader, filled: Filled, change: int | None
) -> None:
    filled.say("tea", *map(str, range(MOST_MISSED + 1)))
    for position in range(1, MOST_MISSED + 1):
        filled.change("tea", position, None)
    assert reader.missed("tea", MOST_MISSED + 1, change) == 0
    filled.change("tea", MOST_MISSED + 1, None)
    assert reader.missed("tea", MOST_MISSED + 1, change) is None
    assert reader.missed("tea", MOST_MISSED, change) == 0


# Lists


def test_rooms_with_a_topic_come_by_name(reader: Reader, filled: Filled) -> None:
    names = ["-", "a", "aa", "ab", "b", "é", "日本"]
    for name in reversed(names):
        filled.topic(name, f"topic of {name}")
    filled.say("aa", "one", "two")
    assert [room.name for room in reader.with_topic("", "", 9)] == names
    assert reader.with_topic("a", "a", 1) == [
        ListedRoom(name="aa", topic="topic of aa", members=0, position=2)
    ]
    assert [room.name for room in reader.with_topic("a", "aa", 9)] == ["ab"]
    assert reader.with_topic("", "日本", 9) == []


def test_a_long_list_of_rooms_is_whole(reader: Reader, filled: Filled) -> None:
    names = [f"@{number:03}" for number in range(450)]
    for name in names:
        filled.say(name, "hi")
        filled.topic(name, "t")
    filled.say("A", "before")
    filled.say("a", "after")
    assert [room for room, _, _ in reader.newest_posts("@")] == names
    assert [room.name for room in reader.with_topic("", "", 420)] == names[:420]


def test_a_room_whose_posts_are_deleted_has_its_position_and_no_time(
    reader: Reader, filled: Filled
) -> None:
    filled.say("@tea", "a", "b")
    filled.engine.call("XTRIM", "{gc}:room:@tea", "MINID", "0-3")
    filled.engine.call("HSET", "{gc}:oldest", "@tea", 3)
    assert reader.newest_posts("@") == [("@tea", 2, 0)]
    assert reader.open("@tea")[:2] == (2, 3)


@pytest.mark.parametrize("count", [3, 1_000])
def test_records_come_by_their_ids(reader: Reader, connection: Engine, count: int) -> None:
    expected = [(f"id-{number:04}", b"\xff" * number) for number in range(count)]
    connection.pipeline([("HSET", "{gc}:records:account", *each) for each in reversed(expected)])
    assert reader.records("account") == expected
    assert reader.records("other") == []


# Damage


def replaced(command: str, *more: str) -> Callable[[Engine], None]:
    """Return what puts something else in the place of a room's stream."""

    def damage(connection: Engine) -> None:
        connection.call("DEL", "{gc}:room:tea")
        connection.call(command, "{gc}:room:tea", *more)

    return damage


def without_a_post(connection: Engine) -> None:
    connection.call("XDEL", "{gc}:room:tea", "0-2")


def with_a_post_of_others(connection: Engine) -> None:
    connection.call("XDEL", "{gc}:room:tea", "0-2")
    connection.call("HSET", "{gc}:moved:tea", 2, "when? what")


def with_a_damaged_change(connection: Engine) -> None:
    connection.call("HSET", "{gc}:changed:tea", 2, b"\x91\xff")


@pytest.mark.parametrize(
    "damage",
    [
        replaced("SET", "x"),
        replaced("HSET", "t", "1"),
        replaced("XADD", "*", "from", "elsewhere"),
        replaced("XADD", "0-1", "t", "1"),
        replaced("XADD", "0-1", "p", "x", "t", "1"),
        replaced("XADD", "0-1", "t", "noon", "p", "x"),
        replaced("XADD", "0-1", "t", "1", "p", "\x91"),
        without_a_post,
        with_a_post_of_others,
        with_a_damaged_change,
    ],
)  # fmt: skip
def test_damage_is_an_error_of_that_room_only(
    reader: Reader,
    filled: Filled,
    damage: Callable[[Engine], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for room in ("tea", "wine"):
        filled.say(room, "one", "two", "three")
        filled.topic(room, "t")
    damage(filled.engine)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            reader.since("tea", 0, 3)
        assert refused.value.code == "storage"
    assert len(caplog.records) == 1
    with pytest.raises(Refused):
        reader.before("tea", 4, 3)
    assert positions(reader.since("wine", 0, 3)) == [1, 2, 3]
    assert [room.name for room in reader.with_topic("", "", 9)] == ["tea", "wine"]
    assert len(reader.newest_posts("")) == 2
    assert reader.changes("wine", 0, 3) == ([], 0)


def test_the_newest_of_other_software_is_noticed_when_a_room_is_opened(
    reader: Reader, filled: Filled
) -> None:
    filled.say("tea", "one")
    filled.engine.call("XADD", "{gc}:room:tea", "*", "from", "elsewhere")
    with pytest.raises(Refused):
        reader.open("tea")


def test_a_change_without_its_post_is_damage(reader: Reader, filled: Filled) -> None:
    filled.say("tea", "one")
    filled.change("tea", 1, "ONE")
    filled.engine.call("DEL", "{gc}:changed:tea")
    with pytest.raises(Refused):
        reader.changes("tea", 0, 1)
    with pytest.raises(Refused):
        reader.missed("tea", 1, None)


def test_an_engine_that_is_away_is_a_refusal(reader: Reader, filled: Filled) -> None:
    filled.engine.close()
    for read in (lambda: reader.since("tea", 0, 1), lambda: reader.records("account")):
        with pytest.raises(Refused) as refused:
            read()
        assert refused.value.code == "storage"


def test_a_post_of_an_account_and_one_of_a_webhook(reader: Reader, connection: Engine) -> None:
    for post in (["ann", "a", "c", "k", "A1", False], ["hook", "b", "h", None, None, True]):
        fields = "t", 5, "p", msgspec.msgpack.encode(post)
        connection.call("XADD", "{gc}:room:tea", "0-*", *fields)
    assert reader.since("tea", 0, 2) == [
        Post("tea", 1, "ann", 5, "a", "k", "A1"),
        Post("tea", 2, "hook", 5, "b", hook=True),
    ]


@pytest.mark.parametrize("size", [0, 31, 32, 255, 256, 65_535, 65_536])
def test_any_bytes_are_a_string_for_the_scripts(connection: Engine, size: int) -> None:
    data = b"\xff" * size
    packed = msgspec.msgpack.encode([string(data)])
    unpacked = connection.call("EVAL", "return cmsgpack.unpack(ARGV[1])[1]", 0, packed)
    assert unpacked == data
    packed = connection.call("EVAL", "return cmsgpack.pack(ARGV[1])", 0, data)
    assert bytes(content(msgspec.Raw(packed))) == data
