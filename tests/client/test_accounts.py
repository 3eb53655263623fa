"""The library signs in, keeps its session, and follows what other devices do."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from geventchat.client import (
    Connection,
    Direct,
    Disconnected,
    Ended,
    Invited,
    Joined,
    Left,
    Moderators,
    Muted,
    Post,
    Reconnected,
    Refused,
    SignIn,
)
from geventchat.protocol.errors import LOST

PASSWORD = "correct horse"
Connect = Callable[..., Connection]


@pytest.fixture
def connect(port: int, room: str) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect(**options: object) -> Connection:
            given = {"rooms": [room], **options}
            return stack.enter_context(Connection("127.0.0.1", port, **given))  # type: ignore[arg-type]

        yield connect


def test_a_session_takes_the_place_of_the_password(connect: Connect) -> None:
    first = connect(nick="ada-s")
    signed_in = first.register("ada-s", PASSWORD)
    assert (first.session, first.account) == (signed_in.session, signed_in.account)
    second = connect(account=SignIn(nick="ada-s", password=PASSWORD))
    assert second.account == first.account
    assert second.session not in (None, first.session)
    third = connect(account=SignIn(session=second.session))
    assert (third.nick, third.session) == ("ada-s", second.session)


def test_after_a_loss_it_signs_in_again(connect: Connect, room: str, at_once: None) -> None:
    chat = connect(nick="ada-loss")
    chat.register("ada-loss", PASSWORD)
    chat.say(room, "before")
    chat._reader.link.close(LOST)
    chat.say(room, "after")
    chat.ping()
    heard = chat.heard()
    assert any(isinstance(event, Disconnected) for event in heard)
    assert Reconnected("ada-loss") in heard
    assert [e.text for e in heard if isinstance(e, Post)] == ["before", "after"]
    assert chat.account is not None


def test_rooms_follow_and_resume_on_another_device(
    connect: Connect, room: str, at_once: None
) -> None:
    laptop = connect(nick="ada-f")
    laptop.register("ada-f", PASSWORD)
    phone = connect(account=SignIn(session=laptop.session))
    other = f"{room}-b"
    laptop.join(other)
    joined = next(e for e in phone if isinstance(e, Joined) and e.room == other)
    assert joined.recovered is None
    laptop.say(other, "one")
    assert next(e for e in phone if isinstance(e, Post)).text == "one"
    phone._reader.link.close(LOST)
    laptop.say(other, "two")
    assert next(e for e in phone if isinstance(e, Post)).text == "two"
    phone.leave(other)
    assert next(e for e in laptop if isinstance(e, Left)).reason == "elsewhere"
    assert other not in laptop.cursors


def test_a_wrong_password_ends_it_with_a_reason(connect: Connect) -> None:
    with pytest.raises(Ended) as caught:
        connect(account=SignIn(nick="nobody-w", password=PASSWORD))
    assert caught.value.bye.code == "account"


def test_a_revoked_session_ends_the_stream(connect: Connect) -> None:
    laptop = connect(nick="ada-r")
    laptop.register("ada-r", PASSWORD)
    phone = connect(account=SignIn(nick="ada-r", password=PASSWORD))
    (theirs,) = [each for each in laptop.sessions() if not each.current]
    assert [each.current for each in laptop.revoke(theirs.id)] == [True]
    for _ in phone:
        pass
    assert phone.ended is not None
    assert (phone.ended.code, phone.ended.reconnect) == ("account", False)


def test_a_changed_password_gives_a_new_session(connect: Connect) -> None:
    chat = connect(nick="ada-c")
    former = chat.register("ada-c", PASSWORD).session
    with pytest.raises(Refused):
        chat.change_password("wrong", "battery staple")
    chat.change_password(PASSWORD, "battery staple")
    assert chat.session != former
    with pytest.raises(Ended):
        connect(account=SignIn(session=former))
    assert connect(account=SignIn(session=chat.session)).nick == "ada-c"


def test_only_operators_manage_accounts(connect: Connect) -> None:
    with pytest.raises(Refused) as caught:
        connect().accounts("list")
    assert caught.value.code == "forbidden"


def test_what_others_do_in_a_private_room_is_heard(connect: Connect, room: str) -> None:
    anna, bob = connect(nick="ada-p"), connect(nick="bo-p")
    anna.register("ada-p", PASSWORD)
    bob.register("bo-p", PASSWORD)
    plans = f"{room}-p"
    assert anna.create(plans).moderator
    assert anna.invite(plans, "bo-p").account == bob.account
    invited = next(event for event in bob if isinstance(event, Invited))
    assert (invited.room, invited.nick, invited.by) == (plans, "bo-p", "ada-p")
    assert bob.join(plans).private
    assert [each.nick for each in anna.moderator(plans, "bo-p").moderators] == ["ada-p", "bo-p"]
    assert len(next(event for event in bob if isinstance(event, Moderators)).moderators) == 2
    assert bob.mute(plans, "ada-p", seconds=60).on
    assert next(event for event in anna if isinstance(event, Muted)).by == "bo-p"
    with pytest.raises(Refused):
        anna.say(plans, "muted")
    assert anna.remove(plans, "bo-p").nick == "bo-p"
    assert next(event for event in bob if isinstance(event, Left)).reason == "removed"
    assert plans not in bob.cursors
    with pytest.raises(Refused):
        bob.join(plans)


def test_a_conversation_resumes_like_a_room(connect: Connect, room: str, at_once: None) -> None:
    anna, bob = connect(nick="ada-c"), connect(nick="bo-c")
    anna.register("ada-v", PASSWORD)
    bob.register("bo-v", PASSWORD)
    sent = anna.direct("bo-v", "one", key="k")
    assert (sent.stored, sent.position) == (True, 1)
    assert sent.room is not None
    assert anna.say(sent.room, "one", key="k") == 1  # the same once more
    joined = next(event for event in bob if isinstance(event, Joined) and event.room == sent.room)
    assert joined.with_ is not None
    assert joined.with_.nick == "ada-v"
    assert next(event for event in bob if isinstance(event, Post)).text == "one"
    bob._reader.link.close(LOST)
    anna.direct("bo-v", "two")
    assert next(event for event in bob if isinstance(event, Post)).text == "two"
    assert [each.room for each in bob.conversations().conversations] == [sent.room]
    assert bob.open("ada-v").room == sent.room
    assert [each.nick for each in bob.block("ada-v")] == ["ada-v"]
    with pytest.raises(Refused):
        anna.direct("bo-v", "three")
    assert bob.block("ada-v", on=False) == []


def test_a_direct_message_to_a_guest_is_not_stored(connect: Connect) -> None:
    anna, guest = connect(nick="ada-g"), connect(nick="gus-g")
    anna.register("ada-g", PASSWORD)
    assert anna.direct("gus-g", "psst").stored is False
    direct = next(event for event in guest if isinstance(event, Direct))
    assert (direct.text, direct.account) == ("psst", anna.account)
