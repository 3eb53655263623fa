"""Conversations and private rooms as a user sees them: events in, lines out."""

from datetime import date, datetime
from typing import Any

import pytest
from msgspec import structs

from geventchat.client import (
    ClientEvent,
    Edited,
    Invited,
    Joined,
    Left,
    Moderators,
    Muted,
    Person,
    Post,
    Presence,
    Redacted,
    SignedIn,
)
from geventchat.client.terminal import status
from geventchat.client.terminal.completion import completions
from geventchat.client.terminal.room import MAX_UNREAD_POSTS
from geventchat.client.terminal.view import View

NOON = datetime(2026, 3, 3, 12, 0)
ANNA, BOB = "account-anna", "account-bob"
TALK = "@Xb81kQz0Tn4c"


def joined(room: str, position: int = 0, **more: Any) -> Joined:
    return Joined(
        room=room, epoch="e" * 16, position=position, oldest=1, recovered=None, count=2, **more
    )


def talk(position: int = 0, nick: str = "Bob", **more: Any) -> Joined:
    return joined(TALK, position, private=True, with_=Person(nick=nick, account=BOB), **more)


def post(position: int, text: str, author: str = "Bob", room: str = TALK) -> Post:
    account = ANNA if author == "anna" else BOB
    time = int(NOON.timestamp() * 1000)
    return Post(room, position, author, time, text, account=account)


@pytest.fixture
def view() -> View:
    view = View("lobby", "anna", date(2026, 3, 3))
    view.account = ANNA
    view.hear(joined("lobby"))
    return view


def hear(view: View, *events: ClientEvent) -> list[str]:
    lines = [line for event in events for line in view.hear(event)]
    return ["".join(t for style, t in line if "Zero" not in style) for line in lines]


def toolbar(view: View) -> str:
    return "".join(t for _, t in status.toolbar(view, 80))


def test_a_conversation_has_the_nick_of_the_other_for_a_name(view: View) -> None:
    assert hear(view, talk(), post(1, "Lunch?")) == ["12:00 Bob → you: Lunch?"]
    assert toolbar(view).endswith("@Bob 1!")
    room = view.room("@bob")
    assert room is not None
    assert room.name == TALK
    lines = ["".join(t for _, t in line) for line in view.enter(TALK)]
    assert lines == ["──── @Bob · 2 here ────", "12:00 Bob: Lunch?"]
    assert toolbar(view).strip() == "@Bob · 2 here · anna"
    assert "".join(t for _, t in status.prompt(view, 0, 80)) == "@Bob> "


def test_a_change_of_a_message_that_was_told_elsewhere_is_told_there_too(view: View) -> None:
    hear(view, talk(), post(1, "wrnog"), post(2, "a slip"))
    edit = Edited(room=TALK, position=1, change=1, text="right", by="Bob")
    assert hear(view, edit) == ["    · Bob edited (12:00): right"]
    redaction = Redacted(room=TALK, position=2, change=2, by="Bob")
    assert hear(view, redaction) == ["    · Bob redacted a message (12:00)"]
    lines = ["".join(t for _, t in line) for line in view.enter(TALK)]
    assert lines[1:] == ["12:00 Bob: right (edited)", "12:00 Bob: (redacted)"]


def test_a_message_that_was_taken_back_is_not_unread(view: View) -> None:
    hear(view, talk(), post(1, "one"), post(2, "two"))
    hear(view, Redacted(room=TALK, position=2, change=1, by="Bob"))
    hear(view, Redacted(room=TALK, position=2, change=1, by="Bob"))  # once more, as in a replay
    assert toolbar(view).endswith("@Bob 1!")
    hear(view, Redacted(room=TALK, position=1, change=2, by="Bob"))
    assert toolbar(view).strip() == "lobby · 2 here · anna"


def test_taking_back_what_was_answered_leaves_later_messages_unread(view: View) -> None:
    hear(view, talk(), post(1, "Lunch?"), post(2, "yes", author="anna"), post(3, "Great"))
    hear(view, Redacted(room=TALK, position=1, change=1, by="Bob"))
    assert toolbar(view).endswith("@Bob 1!")


def test_a_message_that_was_taken_back_before_it_came_is_not_told(view: View) -> None:
    gone = structs.replace(post(1, ""), redacted=True, change=1)
    assert hear(view, talk(), gone) == []
    assert toolbar(view).strip() == "lobby · 2 here · anna"


def test_no_more_is_remembered_of_a_conversation_than_waits(view: View) -> None:
    hear(view, talk(), *(post(number, "hi") for number in range(1, 2 * MAX_UNREAD_POSTS)))
    assert len(view.rooms[TALK].told) == MAX_UNREAD_POSTS


def test_what_came_while_the_user_was_away_is_unread(view: View) -> None:
    lines = hear(view, talk(3), post(1, "one"), post(2, "two"), post(3, "three"))
    assert lines == ["12:00 Bob → you: three"]
    assert toolbar(view).endswith("@Bob 3!")


def test_what_another_device_has_read_is_not(view: View) -> None:
    lines = hear(view, talk(3, read=2, unread=1), post(1, "one"), post(2, "two"), post(3, "three"))
    assert lines == ["12:00 Bob → you: three"]
    assert toolbar(view).endswith("@Bob 1!")
    assert hear(view, talk(3, read=3)) == []


def test_an_answer_from_another_device_is_the_users_own(view: View) -> None:
    hear(view, talk(), post(1, "Lunch?"))
    assert hear(view, post(2, "yes", author="anna")) == []
    assert toolbar(view).strip() == "lobby · 2 here · anna"
    view.enter(TALK)
    (line,) = view.hear(post(3, "at one", author="anna"))
    assert ("class:me" in line[2][0], line[2][1]) == (True, "anna")


def test_a_conversation_follows_a_rename_of_the_other(view: View) -> None:
    hear(view, talk(), Presence(room=TALK, nick="Bob", event="rename", new_nick="Rob"))
    assert view.title(TALK) == "@Rob"
    assert view.room("@Bob") is None


def test_names_of_others_are_escaped(view: View) -> None:
    evil = "\x1b[31mBob"
    hear(view, talk(nick=evil), post(1, "hi", author=evil))
    assert "\x1b" not in toolbar(view)
    told = hear(
        view,
        Invited(room="plans", nick="anna", account=ANNA, by=evil),
        Muted(room="lobby", nick="x", by=evil, on=True),
        Moderators(room="lobby", moderators=[Person(nick=evil, account=BOB)]),
    )
    assert len(told) == 3
    assert all("\\x1b[31mBob" in line and "\x1b" not in line for line in told)


def test_an_invitation_is_told_once_with_what_to_type(view: View) -> None:
    invited = Invited(room="plans", nick="anna", account=ANNA, by="Bob")
    told = ["    · Bob invites you to plans: /join plans accepts, /leave plans declines"]
    assert hear(view, invited) == told
    assert hear(view, invited) == []  # after the next hello
    hear(view, joined("plans", private=True), Left(room="plans", reason="removed"))
    assert hear(view, invited) == told


def test_a_declined_or_withdrawn_invitation_is_over(view: View) -> None:
    hear(view, Invited(room="plans", nick="anna", account=ANNA, by="Bob"))
    left = Left(room="plans", reason="elsewhere")
    assert hear(view, left) == ["    · the invitation to plans is no longer open"]
    assert view.current == "lobby"
    assert completions("/join pl", view) == ("pl", [])


def test_an_ignored_user_does_not_invite(view: View) -> None:
    view.ignored.add("bob")
    assert hear(view, Invited(room="plans", nick="anna", account=ANNA, by="Bob")) == []


def test_a_removal_and_a_leave_elsewhere_say_so(view: View) -> None:
    hear(view, joined("plans", private=True), joined("dev"))
    assert hear(view, Left(room="plans", reason="removed"))[0].endswith(
        "you were removed from plans"
    )
    assert hear(view, Left(room="dev", reason="elsewhere"))[0].endswith(
        "you left dev on another device"
    )


@pytest.mark.parametrize("reason", ["removed", "elsewhere", "ended"])
def test_what_is_typed_for_a_lost_room_goes_to_no_other(view: View, reason: str) -> None:
    hear(view, joined("plans", private=True))
    view.enter("plans")
    assert len(hear(view, Left(room="plans", reason=reason))) == 1
    assert view.current == ""
    view.enter_next(1)
    assert view.current == "lobby"


def test_at_the_start_the_server_says_how_much_is_unread(view: View) -> None:
    """It replays some posts of a room, and not always all that are unread, or only those."""
    hear(view, joined("tea", 90, read=10, unread=70, mentions=1), *(
        post(position, "anna" if position == 41 else "hello", room="tea")
        for position in range(41, 91)
    ))  # fmt: skip
    hear(view, talk(3, read=0, unread=2), post(1, "one"), post(2, "mine", "anna"), post(3, "two"))
    assert toolbar(view).endswith("tea 70!  @Bob 2!")
    hear(view, post(91, "new", room="tea"), post(4, "three"))
    assert toolbar(view).endswith("tea 71!  @Bob 3!")


def test_nothing_is_unread_of_what_was_read_on_another_device(view: View) -> None:
    hear(view, joined("tea", 2, read=2, unread=0, mentions=0))
    hear(view, post(3, "anna", room="tea"))
    assert toolbar(view).endswith("tea 1!")
    hear(view, joined("tea", 5, read=4, unread=1, mentions=0))
    hear(view, post(4, "anna", room="tea"), post(5, "more", room="tea"))
    assert toolbar(view).endswith("tea 1")


def test_an_end_by_an_operator_says_so(view: View) -> None:
    hear(view, joined("plans", private=True))
    told = hear(view, Left(room="plans", reason="ended"))
    assert told[0].endswith("an operator has ended plans")


def test_being_a_moderator_follows_the_list(view: View) -> None:
    hear(view, joined("plans", private=True))
    mine = Person(nick="anna", account=ANNA)
    for moderators, is_one in (([mine], True), ([Person(nick="Bob", account=BOB)], False)):
        hear(view, Moderators(room="plans", moderators=moderators))
        assert view.rooms["plans"].moderator is is_one


def test_signing_in_on_this_connection_makes_posts_ones_own(view: View) -> None:
    view.account = None
    told = hear(view, SignedIn(nick="Anna", account=ANNA, session="s" * 16))
    assert told == ["    · you are now Anna", "    · signed in as Anna"]
    assert view.account == ANNA


def test_without_a_room_the_first_of_the_account_is_shown_but_no_conversation() -> None:
    view = View("", "anna", date(2026, 3, 3))
    view.account = ANNA
    assert hear(view, talk()) == []
    assert hear(view, joined("dev")) == ["──── dev · 2 here ────"]
    assert view.current == "dev"


def test_completion_knows_conversations_and_invitations(view: View) -> None:
    hear(view, talk(), Invited(room="boats", nick="anna", account=ANNA, by="Bob"))
    assert completions("/join @", view) == ("@", ["@Bob"])
    assert completions("/join b", view) == ("b", ["boats"])
    assert completions("/msg bo", view) == ("bo", ["Bob "])
    assert completions("/msg @bo", view) == ("@bo", ["@Bob "])
    assert completions("bo", view) == ("bo", [])
