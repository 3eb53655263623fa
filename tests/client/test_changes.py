"""Edits and redactions by the library, with a real server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from geventchat.client import Connection, Cursor, Edited, Gap, Joined, Post, Redacted, Refused
from geventchat.client.cursors import Cursors

Connect = Callable[..., Connection]
EPOCH = "e" * 16


@pytest.fixture
def connect(port: int, room: str) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect(**options: object) -> Connection:
            given = {"rooms": [room], **options}
            return stack.enter_context(Connection("127.0.0.1", port, **given))  # type: ignore[arg-type]

        yield connect


def changes(chat: Connection) -> list[Edited | Redacted]:
    """Return the changes that a connection has heard by now."""
    chat.ping()
    return [event for event in chat.heard() if isinstance(event, Edited | Redacted)]


def test_an_edit_is_answered_and_everybody_hears_it_once(connect: Connect, room: str) -> None:
    anna, bert = connect(), connect()
    assert {"edit", "redact"} <= set(anna.welcome.features)
    position = anna.say(room, "helo")
    edited = anna.edit(room, position, "hello")
    assert (edited.position, edited.text, edited.by) == (1, "hello", anna.nick)
    assert [each.text for each in changes(bert) if isinstance(each, Edited)] == ["hello"]
    assert [each.change for each in changes(anna)] == [edited.change]


def test_a_redaction_takes_the_text_from_the_history(connect: Connect, room: str) -> None:
    anna, bert = connect(), connect()
    anna.redact(room, anna.say(room, "secret"))
    (post,) = bert.history(room).posts
    assert (post.text, post.redacted, post.change) == ("", True, 1)
    assert [each.position for each in changes(bert)] == [1]


def test_what_the_server_refuses_is_raised(connect: Connect, room: str) -> None:
    anna, bert = connect(), connect()
    anna.say(room, "mine")
    with pytest.raises(Refused) as refused:
        bert.edit(room, 1, "yours")
    assert refused.value.code == "forbidden"
    with pytest.raises(Refused) as refused:
        anna.redact(room, 7)
    assert refused.value.code == "no_such_post"


def test_a_connection_that_resumes_hears_what_changed_meanwhile(
    connect: Connect, room: str
) -> None:
    anna, bert = connect(), connect()
    anna.say(room, "one")
    anna.say(room, "two")
    anna.edit(room, 1, "ONE")
    changes(bert)
    cursor = bert.cursors[room]
    assert cursor is not None
    assert (cursor.position, cursor.change) == (2, 1)
    bert.close()
    anna.redact(room, 2)
    again = connect(rooms=bert.cursors, client=bert.client)
    assert [(each.position, each.change) for each in changes(again)] == [(2, 2)]
    again.leave(room)
    anna.edit(room, 1, "one")
    assert again.join(room, cursor).recovered is True
    assert [(each.position, each.change) for each in changes(again)] == [(2, 2), (1, 3)]


def test_history_has_what_follows_a_post_and_what_is_around_it(connect: Connect, room: str) -> None:
    anna = connect()
    for number in range(1, 8):
        anna.say(room, f"{number}")
    page = anna.history(room, 2, after=3)
    assert ([post.position for post in page.posts], page.more) == ([4, 5], True)
    page = anna.history(room, 3, around=4)
    assert [post.position for post in page.posts] == [3, 4, 5]


# Where a client resumes


def joined(position: int, change: int = 0, recovered: bool | None = None) -> Joined:
    return Joined(
        room="lobby", epoch=EPOCH, position=position, oldest=1, recovered=recovered, count=1,
        change=change,
    )  # fmt: skip


def edited(position: int, change: int) -> Edited:
    return Edited(room="lobby", position=position, change=change, text="x", by="bert")


def test_the_cursor_has_the_newest_change_that_was_heard() -> None:
    cursors = Cursors(["lobby"])
    cursors.hear(joined(1, change=4))
    cursors.hear(Post("lobby", 1, "bert", 0, "hi", change=3))
    assert cursors.rooms == {"lobby": Cursor(EPOCH, 1, 4)}
    cursors.hear(edited(1, 6))
    cursors.hear(edited(1, 5))  # again
    assert cursors.rooms == {"lobby": Cursor(EPOCH, 1, 6)}


def test_the_changes_of_replayed_posts_do_not_move_the_cursor() -> None:
    """Lower ones of earlier posts may still come."""
    cursors = Cursors({"lobby": Cursor(EPOCH, 1, 2)})
    cursors.hear(joined(3, change=9, recovered=True))
    cursors.hear(Post("lobby", 2, "bert", 0, "hi", change=9))
    assert cursors.rooms == {"lobby": Cursor(EPOCH, 2, 2)}


def test_after_a_gap_the_changes_begin_with_those_of_the_join() -> None:
    cursors = Cursors({"lobby": Cursor(EPOCH, 1, 2)})
    cursors.hear(Gap("lobby", 1))
    cursors.hear(joined(90, change=700, recovered=False))
    cursors.hear(Post("lobby", 41, "bert", 0, "hi"))
    assert cursors.rooms == {"lobby": Cursor(EPOCH, 41, 700)}
