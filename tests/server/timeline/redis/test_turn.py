"""Turns of one node in real engines."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol.events import Edited, Redacted, Topic
from geventchat.server.timeline import Batch, Submission
from geventchat.server.timeline.redis import turn
from geventchat.server.timeline.redis.engine import Away, Rejected
from geventchat.server.timeline.redis.stored import post_of
from tests.engines import KINDS, RunningEngine, running
from tests.server.record import edit, posts_of, redact, say, set_topic, verdicts
from tests.server.timeline.redis.turns import LIFE, NODE, Turns, results


@pytest.fixture
def turns(engine: RunningEngine) -> Iterator[Turns]:
    with closing(Turns(engine)) as turns:
        yield turns


def by(
    account: str | None = None, *, client: bytes = b"c1", hook: bool = False, text: str = "one"
) -> Submission:
    said = say(text, client=client)
    said.account, said.hook = account, hook
    return said


# Says


def test_positions_are_dense_in_each_room(turns: Turns) -> None:
    first = turns.take(say("one"), say("two", room="tea"), say("three"))
    second = turns.take(say("four", room="tea"), say("five"))
    assert verdicts(first).posts == [("lobby", 1, "one"), ("tea", 1, "two"), ("lobby", 2, "three")]
    assert verdicts(second).posts == [("tea", 2, "four"), ("lobby", 3, "five")]


def test_a_repetition_has_the_position_of_its_post(turns: Turns) -> None:
    batch = turns.take(say("one", "k"), say("two"), say("one", "k"))
    assert verdicts(batch).repeated == [("one", 1)]
    assert verdicts(turns.take(say("one", "k"))).repeated == [("one", 1)]
    assert verdicts(turns.take(say("three"))).posts == [("lobby", 3, "three")]


def test_another_text_for_the_same_key_is_a_conflict(turns: Turns) -> None:
    batch = turns.take(say("one", "k"), say("other", "k"))
    assert verdicts(batch).conflicts == ["other"]
    assert verdicts(turns.take(say("another", "k"))).conflicts == ["another"]


def test_a_key_is_a_clients_in_one_room(turns: Turns) -> None:
    said = [say("one", "k"), say("two", "k", room="tea"), say("three", "k", client=b"c2")]
    assert len(posts_of(turns.take(*said))) == 3


@pytest.mark.parametrize("change", [edit(1, "two"), redact(1)])
def test_a_repetition_of_a_changed_post_is_one_whatever_its_text(
    turns: Turns, change: Submission
) -> None:
    turns.take(say("one", "k"), change)
    assert verdicts(turns.take(say("anything", "k"))).repeated == [("anything", 1)]


def test_what_is_stored_is_what_the_batch_has(turns: Turns) -> None:
    said = [
        by("a", text="ä\0€𝄞"), by(hook=True, text="x" * 70_000), by(client=b"", text=""),
        say("with a key", "k", client=bytes(range(240, 256))),
    ]  # fmt: skip
    posts = posts_of(turns.take(*said))
    stored = turns.engine.call("XRANGE", "{gc}:room:lobby", "-", "+")
    assert posts == [
        post_of("lobby", place, fields[1], fields[3]) for place, (_, fields) in enumerate(stored, 1)
    ]


def test_a_turn_may_have_512_submissions(turns: Turns) -> None:
    said = [say(f"{n}", f"k{n}" if n % 2 else None, room=f"r{n % 7}") for n in range(512)]
    posts = posts_of(turns.take(*said))
    assert [post.text for post in posts] == [each.text for each in said]
    again = turns.take(*said)
    assert len(again.repeated) == len(posts_of(again)) == 256


def test_the_time_never_goes_back(turns: Turns) -> None:
    turns.engine.call("HSET", "{gc}:life", "time", 9_000_000_000_000)
    (post,) = posts_of(turns.take(say("one")))
    assert post.time == 9_000_000_000_000
    turns.engine.call("HSET", "{gc}:life", "time", 1)
    (post,) = posts_of(turns.take(say("two")))
    assert 1 < post.time < 9_000_000_000_000


# Topics


def test_a_topic_that_is_overtaken_in_its_turn_is_answered_but_not_stored(turns: Turns) -> None:
    batch = turns.take(set_topic("one"), say("text"), set_topic("two"))
    first, _, second = (entry for entry, _ in batch.entries)
    assert first == Topic(room="lobby", topic="one", by="anna")
    assert second == Topic(room="lobby", topic="two", by="anna")
    assert turns.engine.call("HGET", "{gc}:topics", "lobby") == b"two"


def test_rooms_with_a_topic_are_listed_while_they_have_one(turns: Turns) -> None:
    turns.take(set_topic("one", room="tea"), set_topic("two", room=".secret"), say("text"))
    assert turns.engine.call("ZRANGE", "{gc}:listed", 0, -1) == [b"tea"]
    assert turns.engine.call("ZRANGE", "{gc}:rooms", 0, -1) == [b".secret", b"lobby", b"tea"]
    turns.take(set_topic("", room="tea"), set_topic("", room=".secret"))
    assert turns.engine.call("ZRANGE", "{gc}:listed", 0, -1) == []
    assert turns.engine.call("HLEN", "{gc}:topics") == 0
    assert turns.engine.call("ZCARD", "{gc}:rooms") == 3


# Changes


def test_an_edit_and_a_redaction_are_entries_with_numbers(turns: Turns) -> None:
    turns.take(say("one"), say("two"), say("other", room="tea"))
    batch = turns.take(edit(1, "ONE"), redact(2), edit(1, "uno"), redact(1, room="tea"))
    assert verdicts(batch).changes == [
        Edited(room="lobby", position=1, change=1, text="ONE", by="anna"),
        Redacted(room="lobby", position=2, change=2, by="anna"),
        Edited(room="lobby", position=1, change=3, text="uno", by="anna"),
        Redacted(room="tea", position=1, change=1, by="anna"),
    ]


def test_a_changed_post_keeps_everything_but_its_text(turns: Turns) -> None:
    said = by("a", client=b"\xff\0", text="x" * 300)
    said.key = "k"
    (post,) = posts_of(turns.take(said))
    for change in edit(1, "y" * 40, account="a"), redact(1, account="a"):
        turns.take(change)
        stored = turns.engine.call("HGET", "{gc}:changed:lobby", 1)
        now = post_of("lobby", 1, None, stored)
        assert (now.author, now.time, now.key, now.account) == ("anna", post.time, "k", "a")
        assert (now.text, now.redacted) == (change.text, change.kind == "redact")


def test_a_former_text_is_nowhere_but_in_the_feed(turns: Turns) -> None:
    turns.take(say("secret one", "k"), say("secret two"))
    turns.take(edit(1, "x"), redact(2), edit(1, "secret three"), edit(1, "y"))
    del (contents := turns.contents())[b"{gc}:feed"]
    assert b"secret" not in repr(contents).encode()
    assert turns.engine.call("LRANGE", "{gc}:remains", 0, -1) == [b"\x92\xa5lobby\x02"]


@pytest.mark.parametrize(
    ("post", "change", "owns"),
    [
        (by(), edit(1, "x"), True),
        (by(), edit(1, "x", client=b"c2"), False),
        (by(), edit(1, "x", account="a"), True),
        (by("a"), edit(1, "x"), False),
        (by("a"), edit(1, "x", account="b"), False),
        (by("a"), edit(1, "x", client=b"c2", account="a"), True),
        (by(hook=True), edit(1, "x"), False),
        (by(client=b""), edit(1, "x", client=b""), False),
        (by("a"), redact(1), False),
        (by("a"), redact(1, may_redact_any=True), True),
        (by(hook=True), redact(1, may_redact_any=True), True),
        (by(client=b""), redact(1, client=b"", may_redact_any=True), True),
        (by("a"), edit(1, "x", may_redact_any=True), False),
    ],
)
def test_only_the_author_changes_a_post(
    turns: Turns, post: Submission, change: Submission, owns: bool
) -> None:
    """Its account, or without one its client; a moderator redacts any."""
    turns.take(post)
    assert verdicts(turns.take(change)).refused == ([] if owns else [(1, "forbidden")])
    turns.take(edit(1, "y", account="a"))  # also when it was changed before
    assert verdicts(turns.take(change)).refused == ([] if owns else [(1, "forbidden")])


@pytest.mark.parametrize("position", [0, 2, 10**14, 2**53])
def test_a_post_that_is_not_there_cannot_be_changed(turns: Turns, position: int) -> None:
    turns.take(say("one"))
    batch = turns.take(edit(position, "x"), redact(position, may_redact_any=True))
    assert verdicts(batch).refused == [(position, "no_such_post")] * 2
    assert verdicts(turns.take(edit(1, "x", room="never"))).refused == [(1, "no_such_post")]


def test_a_change_that_changes_nothing_has_the_number_of_the_last(turns: Turns) -> None:
    turns.take(say("one"), say("two"))
    assert turns.take(edit(1, "one")).unchanged[0][1].change == 0
    turns.take(edit(1, "ONE"), redact(2))
    batch = turns.take(edit(1, "ONE"), redact(2))
    assert [change.change for _, change in batch.unchanged] == [1, 2]


def test_a_redacted_post_is_not_edited_any_more(turns: Turns) -> None:
    turns.take(say("one"), redact(1))
    assert verdicts(turns.take(edit(1, ""), edit(1, "x"))).refused == [(1, "forbidden")] * 2


def test_a_post_that_cleaning_has_moved_can_be_changed(turns: Turns) -> None:
    turns.take(say("one"))
    ((_, fields),) = turns.engine.call("XRANGE", "{gc}:room:lobby", "-", "+")
    turns.engine.call("XDEL", "{gc}:room:lobby", "0-1")
    turns.engine.call("HSET", "{gc}:moved:lobby", 1, fields[1] + b" " + fields[3])
    assert verdicts(turns.take(edit(1, "two"))).changes[0].change == 1
    assert turns.engine.call("EXISTS", "{gc}:moved:lobby") == 0


# Numbers, nodes and lives


def test_a_turn_asked_for_again_is_answered_again_and_stores_nothing(turns: Turns) -> None:
    said = [say("one"), say("two", "k"), set_topic("t"), edit(1, "x"), redact(9)]
    answer = turns.ask(1, *said)
    stored = turns.contents()
    assert turns.ask(1, *said) == answer
    assert turns.contents() == stored
    assert results(answer) == [[0, 1], [0, 2], [7], [3, 1], [5, 1]]


def test_a_turn_that_is_late_stores_nothing(turns: Turns) -> None:
    turns.ask(2, say("one"))
    stored = turns.contents()
    with pytest.raises(Rejected, match=r"^STALE "):
        turns.ask(1, say("late"))
    assert turns.contents() == stored


@pytest.mark.parametrize(("node", "life"), [("n2", LIFE), (NODE, LIFE - 1), (NODE, LIFE + 1)])
def test_a_node_or_life_that_is_not_registered_stores_nothing(
    turns: Turns, node: str, life: int
) -> None:
    turns.take(say("one"))
    stored = turns.contents()
    for number in 1, 2:
        with pytest.raises(Rejected, match=r"^FENCED "):
            turns.ask(number, say("two"), node=node, life=life)
    assert turns.contents() == stored


def test_an_empty_store_takes_nothing(turns: Turns) -> None:
    turns.engine.call("FLUSHALL")
    with pytest.raises(Rejected, match=r"^FENCED "):
        turns.ask(1, say("one"))
    assert turns.contents() == {}


def test_without_the_feed_nothing_is_stored(turns: Turns) -> None:
    """Its entries would begin again, where no node looks for them."""
    turns.engine.call("DEL", "{gc}:feed")
    with pytest.raises(Rejected, match=r"^FENCED the feed is missing"):
        turns.ask(1, say("one"))
    assert turns.engine.call("EXISTS", "{gc}:room:lobby") == 0


# The feed


def test_another_process_reads_the_same_entries_from_the_feed(turns: Turns) -> None:
    said = [
        say("one", "k"), by("a", hook=True), say("one", "k"), set_topic("t"), edit(1, "x"),
        redact(2, account="a", may_redact_any=True), redact(7), edit(1, "x"), say("y", "k"),
    ]  # fmt: skip
    batch = turns.take(*said)
    (entry,) = turns.feed()
    assert (entry[b"n"], entry[b"t"]) == (NODE.encode(), b"1")
    read = turn.batch(turn.unpacked(entry[b"b"]), int(entry[b"m"]), entry[b"r"])
    assert [entry for entry, _ in read.entries] == [entry for entry, _ in batch.entries]
    read.entries.clear()
    assert read == Batch()  # verdicts are for who submitted


def test_a_turn_that_stores_nothing_waits_for_the_last_entry(turns: Turns) -> None:
    stored = turns.ask(1, say("one", "k"))
    again = turns.ask(2, say("one", "k"), redact(5))
    assert again[0] == stored[0] == f"{LIFE}-1".encode()
    assert len(turns.feed()) == 1


@given(
    st.lists(
        st.builds(
            Submission,
            st.just(0),
            st.text(min_size=1),
            st.text(),
            st.text(),
            st.binary(max_size=40),
            st.none() | st.text(),
            account=st.none() | st.text(min_size=1),
            hook=st.booleans(),
        )
    )
)
def test_what_is_packed_can_be_unpacked(submitted: list[Submission]) -> None:
    fields = Submission.__struct_fields__
    unpacked = turn.unpacked(turn.packed(submitted))
    for before, after in zip(submitted, unpacked, strict=True):
        assert [getattr(before, each) for each in fields] == [
            getattr(after, each) for each in fields
        ]


# What is damaged, and what is full


@pytest.mark.parametrize("key", ["{gc}:room:tea", "{gc}:keys:tea"])
def test_a_key_of_another_type_fails_only_what_needs_it(turns: Turns, key: str) -> None:
    turns.engine.call("SET", key, "poison")
    batch = turns.take(say("one"), say("two", "k", room="tea"), say("three"), set_topic("t"))
    assert verdicts(batch).failed == ["two"]
    assert verdicts(batch).posts == [("lobby", 1, "one"), ("lobby", 2, "three")]
    assert turns.engine.call("GET", key) == b"poison"


@pytest.mark.parametrize("key", ["changed:tea", "order:tea", "moved:tea", "changes", "remains"])
def test_a_change_that_fails_has_not_begun(turns: Turns, key: str) -> None:
    turns.take(say("one"), say("two", room="tea"))
    turns.engine.call("SET", f"{{gc}}:{key}", "poison")
    stored = turns.contents()
    batch = turns.take(redact(1, room="tea"), edit(1, "x", room="tea"))
    assert len(batch.failed) == 2
    changed = [key for key, value in turns.contents().items() if value != stored[key]]
    assert changed == [b"{gc}:nodes"]
    assert verdicts(turns.take(say("three"))).posts


@pytest.mark.parametrize("key", ["{gc}:topics", "{gc}:listed", "{gc}:rooms"])
def test_a_topic_that_fails_has_not_begun(turns: Turns, key: str) -> None:
    turns.engine.call("SET", key, "poison")
    batch = turns.take(set_topic("t"), say("one"))
    assert verdicts(batch).failed == ["t"]
    assert verdicts(batch).posts == [("lobby", 1, "one")]
    assert turns.engine.call("EXISTS", "{gc}:topics", "{gc}:listed", "{gc}:rooms") <= 2


def test_a_stream_that_another_program_wrote_to_takes_no_posts(turns: Turns) -> None:
    turns.engine.call("XADD", "{gc}:room:tea", "17-1", "some", "thing")
    batch = turns.take(say("one", "k", room="tea"), edit(1, "x", room="tea"), say("two"))
    assert verdicts(batch).failed == ["one"]
    assert verdicts(batch).posts == [("lobby", 1, "two")]
    assert turns.engine.call("EXISTS", "{gc}:keys:tea") == 0


def test_a_key_whose_post_is_missing_is_not_used_again(turns: Turns) -> None:
    turns.take(say("one", "k"))
    turns.engine.call("XDEL", "{gc}:room:lobby", "0-1")
    assert verdicts(turns.take(say("one", "k"))).failed == ["one"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_engine_stores_nothing_and_then_all(kind: str) -> None:
    with running(kind) as engine, closing(Turns(engine)) as turns:
        turns.take(say("one"))
        stored = turns.contents()
        turns.engine.call("CONFIG", "SET", "maxmemory", 1)
        said = say("two"), set_topic("t"), redact(1), set_topic("")
        with pytest.raises((Rejected, Away), match=r"^OOM "):
            turns.ask(2, *said)
        assert turns.contents() == stored
        turns.engine.call("CONFIG", "SET", "maxmemory", 0)
        assert len(turns.take(*said).entries) == 4
