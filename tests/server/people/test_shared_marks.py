"""Two nodes count the same posts: their marks agree, and one of them writes what was counted."""

from collections.abc import Sequence

import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Post
from geventchat.server.people import marks
from geventchat.server.people.account import Account, Membership
from geventchat.server.people.marks import COUNTED
from geventchat.server.timeline import RecordChange
from tests.server.switches import let_run
from tests.server.two_nodes import Node, two_nodes

_POSTS = st.lists(st.sampled_from(["own", "mention", "other"]), max_size=30)


def counted(posts: list[str], first: int, upto: int, read: int = 0) -> Membership:
    """Return a mark whose node has counted the posts after one position, up to another."""
    membership = Membership(Account("a", "Ann", 0), "lobby", epoch="e")
    for position, kind in enumerate(posts[:upto], 1):
        if position > first:
            if kind == "own":
                membership.say(position)
            elif kind == "mention":
                membership.mention(position)
    membership.read_to(read)
    return membership


@given(_POSTS, st.data())
def test_merged_marks_are_those_of_a_node_that_has_counted_all(
    posts: list[str], data: st.DataObject
) -> None:
    places = st.integers(0, len(posts))
    one, other = data.draw(places), data.draw(places)
    read, further = data.draw(places), data.draw(places)
    mine, theirs = counted(posts, 0, one, read), counted(posts, 0, other, further)
    assert mine.merge(theirs)  # who counts all in order lacks nothing up to its newest
    whole = counted(posts, 0, max(one, other), max(read, further))
    assert (mine.read, mine.mentions, mine.own) == (whole.read, whole.mentions, whole.own)


@given(_POSTS, st.integers(0, 30), st.integers(0, 30))
def test_what_another_node_has_not_counted_is_noticed(
    posts: list[str], first: int, upto: int
) -> None:
    mine, theirs = counted(posts, 0, upto), counted(posts, first, upto)
    whole = counted(posts, 0, upto)
    lacks = (theirs.mentions, theirs.own) != (whole.mentions, whole.own)
    known = mine.merge(theirs)
    assert (mine.mentions, mine.own) == (whole.mentions, whole.own)
    newest = max([*theirs.mentions, *theirs.own], default=0)
    if lacks and newest:
        assert not known


@pytest.fixture
def nodes() -> tuple[Node, Node]:
    return two_nodes()


def begun(nodes: tuple[Node, Node]) -> tuple[Membership, Membership]:
    """Return the mark of an account in the lobby, as both nodes have it."""
    one, other = nodes
    ann = one.account("Ann")
    mine, theirs = ann.memberships["lobby"], other.same(ann).memberships["lobby"]
    assert mine.epoch == theirs.epoch == one.timeline.epoch
    for node in nodes:
        node.people.marks.write()
    let_run()
    one.written.clear()
    other.written.clear()
    return mine, theirs


def post(position: int, text: str = "hello @Ann") -> Post:
    return Post(room="lobby", position=position, author="Bob", text=text, time=0)


def test_only_the_node_that_leads_writes_what_was_counted(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    mine, theirs = begun(nodes)
    for node in nodes:
        node.people.marks.count(post(1))
    other.people.marks.tick(10.0)
    let_run()
    assert other.written == []
    one.people.marks.tick(10.0)
    let_run()
    assert sorted(one.written) == [(COUNTED, "lobby"), mine.record]
    for due in range(20, 100, 10):
        other.people.marks.tick(due)
        let_run()
    assert other.written == []
    assert theirs.mentions == [1]


def test_what_the_leading_node_does_not_know_of_is_written_by_the_other(
    nodes: tuple[Node, Node],
) -> None:
    _, other = nodes
    mine, theirs = begun(nodes)
    other.people.marks.count(post(1))
    for due in range(10, 50, 10):
        other.people.marks.tick(due)
        let_run()
    assert theirs.record in other.written
    assert mine.mentions == [1]


def test_a_mark_that_is_read_here_and_counted_there_loses_nothing(
    nodes: tuple[Node, Node],
) -> None:
    one, other = nodes
    mine, theirs = begun(nodes)
    for position in range(1, 5):
        one.people.marks.count(post(position))
    for position in range(1, 4):
        other.people.marks.count(post(position))
    theirs.read_to(2)
    other.people.save(theirs)
    assert (mine.read, mine.mentions) == (2, [3, 4])
    one.people.marks.write()
    let_run()
    assert (theirs.read, theirs.mentions) == (2, [3, 4])


def test_a_mark_of_another_epoch_changes_none_that_has_begun(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    mine, theirs = begun(nodes)
    theirs.begin("another", 70)
    theirs.muted_by = "so that it differs"
    other.people.save(theirs)
    assert (mine.epoch, mine.read) == (one.timeline.epoch, 0)


def test_posts_that_come_while_others_are_caught_up_with_are_counted_once(
    nodes: tuple[Node, Node],
) -> None:
    one, _ = nodes
    mine, _ = begun(nodes)
    speaker = one.connect("speaker")
    one.say(speaker, "hello @Ann")
    one.timeline.store()
    one.timeline.deliver_next()
    one.say(speaker, "and again @Ann")
    one.hub.people.marks._rooms["lobby"].position = 0
    mine.mentions.clear()
    since = one.timeline.since

    def read(room: str, after: int, upto: int) -> list[Post]:
        page = since(room, after, upto)
        one.timeline.store()
        one.timeline.deliver_next()  # while the page is read
        return page

    one.timeline.since = read  # type: ignore[method-assign]
    one.people.catch_up()
    assert mine.mentions == [1, 2]


def test_posts_that_cannot_be_read_at_once_are_counted_when_they_can(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an engine is away for a moment while a node starts."""
    one, _ = nodes
    mine, _ = begun(nodes)
    one.say(one.connect("speaker"), "hello @Ann")
    one.timeline.store()
    since, refusals = one.timeline.since, [Refused("storage", "away"), Refused("storage", "away")]

    def read(room: str, after: int, upto: int) -> list[Post]:
        if refusals:
            raise refusals.pop()
        return since(room, after, upto)

    one.timeline.since = read  # type: ignore[method-assign]
    monkeypatch.setattr(marks, "_RETRY_SECONDS", (0.0, 0.0))
    one.people.catch_up()
    assert mine.mentions == [1]


def test_a_room_that_is_slow_to_read_does_not_keep_others_from_being_counted(
    nodes: tuple[Node, Node],
) -> None:
    """As on an engine far away, whose rooms would take a round trip each, one after the other."""
    one, _ = nodes
    ann = one.account("Ann", "lobby", "tea")
    one.people.marks.begin(ann.memberships["tea"], 0)
    speaker = one.connect("speaker", None, "lobby", "tea")
    for room in ("lobby", "tea"):
        one.say(speaker, "hello @Ann", room)
    one.timeline.store()
    since, both, read = one.timeline.since, Event(), []

    def reading(room: str, after: int, upto: int) -> list[Post]:
        read.append(room)
        if len(read) == 2:
            both.set()
        assert both.wait(20)
        return since(room, after, upto)

    one.timeline.since = reading  # type: ignore[method-assign]
    one.people.catch_up()
    assert [each.mentions for each in ann.memberships.values()] == [[1], [1]]


def test_many_marks_are_written_in_steps_and_the_rooms_last(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was counted up to the position of a room is never written after it."""
    one, other = nodes
    accounts = [one.account(f"Cid{number}") for number in range(7)]
    begun(nodes)
    monkeypatch.setattr(marks, "_AT_ONCE", 3)
    text = " ".join(f"@{each.nick}" for each in accounts)
    for node in nodes:
        node.people.marks.count(post(1, text))
    heard: list[int] = []
    hear = other.hub.followed.hear

    def follow(changes: Sequence[RecordChange]) -> None:
        heard.append(len(changes))
        hear(changes)

    other.hub.other_nodes.on_records = follow
    one.people.marks.tick(10.0)
    let_run()
    assert heard == [3, 3, 2]
    assert one.written[-1] == (COUNTED, "lobby")
    assert len(set(one.written)) == 8
    assert {each.memberships["lobby"].mentions[0] for each in accounts} == {1}
