"""Where a client resumes."""

import msgspec
import pytest

from geventchat.client import Cursor, Joined, Left, Post, ServerError
from geventchat.client.cursors import Cursors

EPOCH, LATER = "e" * 16, "f" * 16


def joined(position: int, recovered: bool | None = None, epoch: str = EPOCH) -> Joined:
    return Joined(
        room="lobby", epoch=epoch, position=position, oldest=1, recovered=recovered, count=1
    )


def post(position: int) -> Post:
    return Post("lobby", position, "bert", 0, "hi")


def test_a_new_join_starts_where_the_replay_starts() -> None:
    cursors = Cursors(["lobby"])
    cursors.hear(joined(70))
    assert cursors.rooms == {"lobby": None}
    cursors.hear(post(21))
    assert cursors.rooms == {"lobby": Cursor(EPOCH, 21)}
    with pytest.raises(ServerError):
        cursors.hear(post(23))


def test_a_room_without_a_post_yet_resumes_before_its_replay() -> None:
    cursors = Cursors(["lobby"])
    assert cursors.resume() == {"lobby": None}
    cursors.hear(joined(70))
    assert cursors.resume() == {"lobby": Cursor(EPOCH, 20)}
    cursors.hear(joined(80, recovered=True))
    with pytest.raises(ServerError):
        cursors.hear(post(22))
    cursors.hear(post(21))
    assert cursors.resume() == {"lobby": Cursor(EPOCH, 21)}


def test_a_cursor_never_points_before_the_oldest_stored_post() -> None:
    cursors = Cursors(["lobby"])
    cursors.hear(msgspec.structs.replace(joined(70), oldest=61))
    assert cursors.resume() == {"lobby": Cursor(EPOCH, 60)}
    cursors.hear(joined(30, recovered=False, epoch=LATER))
    assert cursors.resume() == {"lobby": Cursor(LATER, 0)}


def test_an_empty_room_starts_at_position_one() -> None:
    cursors = Cursors(["lobby"])
    cursors.hear(joined(0))
    with pytest.raises(ServerError):
        cursors.hear(post(2))


def test_a_resumed_room_continues_at_its_cursor() -> None:
    cursors = Cursors({"lobby": Cursor(EPOCH, 5)})
    cursors.hear(joined(9, recovered=True))
    with pytest.raises(ServerError):
        cursors.hear(post(7))
    cursors.hear(post(6))


def test_an_unrecovered_room_starts_over() -> None:
    cursors = Cursors({"lobby": Cursor(EPOCH, 5)})
    cursors.hear(joined(90, recovered=False, epoch=LATER))
    assert cursors.rooms == {"lobby": None}
    cursors.hear(post(41))
    assert cursors.rooms == {"lobby": Cursor(LATER, 41)}


def test_joining_a_room_again_changes_nothing() -> None:
    cursors = Cursors(["lobby"])
    cursors.hear(joined(3))
    cursors.hear(post(3))
    cursors.hear(joined(3))
    assert cursors.rooms == {"lobby": Cursor(EPOCH, 3)}


def test_a_room_that_was_left_has_no_cursor() -> None:
    cursors = Cursors(["lobby"])
    cursors.hear(joined(0))
    cursors.hear(Left(room="lobby"))
    assert cursors.rooms == {}
    with pytest.raises(ServerError, match="was not joined"):
        cursors.hear(post(1))


def test_the_name_of_a_conversation_is_not_folded() -> None:
    name = "@Xb81kQz0Tn4c"
    cursors = Cursors({name: Cursor("e", 3), "Dev": None})
    assert cursors.resume() == {name: Cursor("e", 3), "dev": None}
