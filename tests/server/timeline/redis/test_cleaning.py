"""A redacted text leaves the memory and the files of real engines."""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from signal import SIGKILL

import pytest

from geventchat.server.timeline.redis import cleaning as module
from geventchat.server.timeline.redis.cleaning import Cleaning
from geventchat.server.timeline.redis.engine import Engine, Rejected
from geventchat.server.timeline.redis.reader import Reader
from geventchat.server.timeline.redis.retention import Retention
from geventchat.server.timeline.retention_policy import RetentionPolicy
from tests.engines import KINDS, RunningEngine, running
from tests.server.record import edit, redact, say
from tests.server.timeline.redis import turns as of_turns
from tests.server.timeline.redis.filled import LIFE, NODE, Filled
from tests.server.timeline.redis.turns import Turns

SECRET = "my password is 1234"


@pytest.fixture(params=KINDS)
def own_engine(request: pytest.FixtureRequest) -> Iterator[RunningEngine]:
    """Return an engine whose files are its own, where a text is found again."""
    with running(request.param, "--rdbcompression", "no") as engine:
        yield engine


@pytest.fixture
def connection(own_engine: RunningEngine) -> Iterator[Engine]:
    connection = Engine(own_engine.where, name="test")
    yield connection
    connection.close()


@pytest.fixture
def cleaning(connection: Engine) -> Cleaning:
    return Cleaning(lambda: connection, lambda: (NODE, LIFE))


def rewritten(connection: Engine) -> None:
    """Wait until the engine has rewritten its file."""
    end = time.monotonic() + 20
    while b"aof_rewrite_in_progress:1" in (told := connection.call("INFO", "persistence")) or (
        b"aof_rewrite_scheduled:1" in told
    ):
        assert time.monotonic() < end
        time.sleep(0.01)


def found_in(folder: Path, text: str = SECRET) -> bool:
    return any(text.encode() in file.read_bytes() for file in (folder / "appendonlydir").iterdir())


def clean(cleaning: Cleaning) -> None:
    while cleaning.step():
        pass


def around(count: int, place: int) -> list[str]:
    texts = [f"text {number} of {count}" for number in range(count)]
    texts[place] = SECRET
    return texts


@pytest.mark.parametrize(("count", "place"), [(2, 0), (300, 0), (300, 150), (300, 299)])
def test_a_redacted_text_is_in_no_file_after_it_was_rewritten(
    own_engine: RunningEngine,
    connection: Engine,
    filled: Filled,
    cleaning: Cleaning,
    count: int,
    place: int,
) -> None:
    filled.say("tea", *around(count, place))
    filled.change("tea", place + 1, None)
    connection.call("BGREWRITEAOF")
    rewritten(connection)
    assert found_in(own_engine.folder)  # that is not enough
    clean(cleaning)
    connection.call("BGREWRITEAOF")
    rewritten(connection)
    assert not found_in(own_engine.folder)
    posts = Reader(connection).since("tea", 0, count)
    texts = around(count, place)
    texts[place] = ""
    assert [post.text for post in posts] == texts


def test_posts_that_were_moved_are_read_changed_and_trimmed_like_others(
    connection: Engine, filled: Filled, cleaning: Cleaning
) -> None:
    filled.say("tea", "before", key="k1")
    filled.say("tea", *around(5, 2))
    filled.change("tea", 2, "edited before")
    filled.change("tea", 4, None)
    clean(cleaning)
    assert connection.call("XLEN", "{gc}:room:tea") == 0
    filled.change("tea", 3, "edited after")
    filled.say("tea", "after")
    reader = Reader(connection)
    texts = ["before", "edited before", "edited after", "", "text 3 of 5", "text 4 of 5", "after"]
    assert [post.text for post in reader.since("tea", 0, 7)] == texts
    assert [post.text for post in reader.before("tea", 8, 7)] == texts
    assert [post.text for post in reader.at("tea", range(1, 8))] == texts
    retention = Retention(lambda: connection, lambda: (NODE, LIFE))
    retention.policy = RetentionPolicy(posts_per_room=2)
    assert retention.step()
    assert [post.text for post in reader.since("tea", 5, 7)] == texts[5:]
    assert connection.call("EXISTS", "{gc}:keys:tea") == 0
    assert connection.call("HKEYS", "{gc}:moved:tea") == [b"6"]


def test_a_redaction_of_a_post_that_is_trimmed_already_is_cleaned_up(
    connection: Engine, filled: Filled, cleaning: Cleaning
) -> None:
    filled.say("tea", *around(10, 1))
    filled.change("tea", 2, None)
    retention = Retention(lambda: connection, lambda: (NODE, LIFE))
    retention.policy = RetentionPolicy(posts_per_room=5)
    retention.step()
    clean(cleaning)
    assert connection.call("XINFO", "STREAM", "{gc}:room:tea")[3] == 0  # no node is left
    assert len(Reader(connection).since("tea", 0, 10)) == 5


def test_a_room_that_is_damaged_does_not_stop_the_cleaning_of_others(
    connection: Engine, filled: Filled, cleaning: Cleaning
) -> None:
    for room in ("cup", "tea"):
        filled.say(room, SECRET, "b")
        filled.change(room, 1, None)
    connection.call("SET", "{gc}:room:cup", "x")
    clean(cleaning)
    assert connection.call("XLEN", "{gc}:room:tea") == 0


def test_a_node_that_was_replaced_cleans_nothing(connection: Engine, filled: Filled) -> None:
    filled.say("tea", SECRET)
    filled.change("tea", 1, None)
    with pytest.raises(Rejected, match=r"^FENCED"):
        Cleaning(lambda: connection, lambda: ("other", LIFE)).step()


def rewrites(connection: Engine) -> int:
    rewritten(connection)
    for line in connection.call("INFO", "commandstats").decode().splitlines():
        if line.startswith("cmdstat_bgrewriteaof:"):
            return int(line.partition("calls=")[2].partition(",")[0])
    return 0


def clean_later(cleaning: Cleaning, connection: Engine, seconds: int) -> None:
    """Clean, and let all that the engine has noted lie further back."""
    clean(cleaning)
    for field in ("first", "last", "asked"):
        if connection.call("HEXISTS", "{gc}:erase", field):
            connection.call("HINCRBY", "{gc}:erase", field, -1000 * seconds)
    cleaning.step()


def test_the_file_is_rewritten_when_the_feed_has_passed_and_not_often(
    own_engine: RunningEngine,
    connection: Engine,
    filled: Filled,
    cleaning: Cleaning,
) -> None:
    later = partial(clean_later, cleaning, connection)
    filled.say("tea", SECRET, "b")
    filled.change("tea", 1, None)
    later(170)
    assert rewrites(connection) == 0
    later(20)
    assert rewrites(connection) == 1
    assert not found_in(own_engine.folder)
    later(10_000)
    assert rewrites(connection) == 1  # there is nothing new
    filled.say("tea", SECRET)
    filled.change("tea", 2, None)
    later(100)
    filled.change("tea", 3, None)
    later(100)
    assert rewrites(connection) == 2  # and the later one may have been in the feed
    later(500)
    assert rewrites(connection) == 2
    later(200)
    assert rewrites(connection) == 3
    later(10_000)
    assert rewrites(connection) == 3
    assert module.REWRITE_MS > module.FEED_MS


@pytest.mark.parametrize("end", ["the child is killed", "the engine is started again"])
def test_the_file_is_rewritten_again_if_that_has_failed(
    own_engine: RunningEngine, connection: Engine, filled: Filled, cleaning: Cleaning, end: str
) -> None:
    """The engine says yes before it begins, and does not try again by itself."""
    later = partial(clean_later, cleaning, connection)
    filled.say("tea", SECRET, "b")
    filled.change("tea", 1, None)
    connection.call("CONFIG", "SET", "rdb-key-save-delay", 1_000_000)
    later(200)
    children = Path(f"/proc/{own_engine.pid}/task/{own_engine.pid}/children").read_text()
    if end == "the engine is started again":
        own_engine.kill()
    os.kill(int(children), SIGKILL)  # which else keeps the connections open
    if end == "the engine is started again":
        own_engine.start()
    connection.call("CONFIG", "SET", "rdb-key-save-delay", 0)
    rewritten(connection)
    assert found_in(own_engine.folder)
    later(700)  # learns that it has failed
    later(0)
    rewritten(connection)
    assert not found_in(own_engine.folder)


def test_nothing_that_a_turn_stored_has_a_redacted_text_when_the_feed_has_passed(
    own_engine: RunningEngine,
) -> None:
    turns = Turns(own_engine)
    turns.take(*(say(text, f"k{at}") for at, text in enumerate(around(200, 100))))
    turns.take(edit(101, f"{SECRET}, I mean 4321"), say("other"))
    turns.take(redact(101))
    connection = turns.engine
    clean(Cleaning(lambda: connection, lambda: (of_turns.NODE, of_turns.LIFE)))
    connection.call("XTRIM", "{gc}:feed", "MAXLEN", 0)
    connection.call("BGREWRITEAOF")
    rewritten(connection)
    assert not found_in(own_engine.folder)
    assert [post.text for post in Reader(connection).since("lobby", 99, 102)] == [
        "text 99 of 200", "", "text 101 of 200",
    ]  # fmt: skip
    turns.close()
