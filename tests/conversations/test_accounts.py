"""An account makes a nick one person's own, on as many devices as they like."""

import logging
from typing import Any

import pytest

from geventchat.server.people import logins
from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.conftest import BOTH_DOORS
from tests.conversations.peers import Rich
from tests.conversations.signed_in import PASSWORD, device, registered

pytestmark = BOTH_DOORS


def test_a_guest_registers_its_nick_and_keeps_its_rooms(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["lobby", "tea"])
    answer = ann.ask("register", nick="Ann", password=PASSWORD)
    assert (answer["type"], answer["nick"]) == ("signed_in", "Ann")
    phone = chat.rich(account={"session": answer["session"]})
    assert (phone.nick, phone.welcome["account"]) == ("Ann", answer["account"])
    assert [event["room"] for event in phone.greeting if event["type"] == "joined"] == [
        "lobby",
        "tea",
    ]


def test_registering_may_change_the_nick(chat: Chat) -> None:
    bob = chat.rich("Bob")
    ann = chat.rich("guest")
    assert ann.ask("register", nick="Ann", password=PASSWORD)["nick"] == "Ann"
    assert bob.pong()[-1]["new_nick"] == "Ann"
    assert bob.ask("nick", nick="guest")["type"] == "renamed"  # the former is free


def test_the_welcome_after_a_password_has_a_token_that_signs_in(chat: Chat) -> None:
    registered(chat, "Ann")
    first = chat.rich(account={"nick": "aNN", "password": PASSWORD})
    second = device(chat, first)
    assert (first.nick, second.nick) == ("Ann", "Ann")
    assert first.welcome["account"] == second.welcome["account"]
    assert "session" not in second.welcome


def test_the_log_says_which_guest_has_signed_in_as_whom(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    ann = registered(chat, "Ann")
    caplog.set_level(logging.INFO)
    for _ in range(2):  # the second one comes back
        caplog.clear()
        with device(chat, ann, client="the-phone-of-ann") as phone:
            named = [each for each in caplog.messages if "is now known as" in each]
            assert [each.partition(" is now")[2] for each in named] == [" known as Ann"]
            assert named[0].startswith("guest-")
            drop(phone)


@pytest.mark.parametrize(
    "account",
    [
        {"nick": "Ann", "password": "wrong horse"},
        {"nick": "Nobody", "password": PASSWORD},
        {"session": "no such token"},
        {"nick": "Ann"},
        {},
    ],
)
def test_a_wrong_sign_in_ends_the_hello_and_makes_no_guest(
    chat: Chat, account: dict[str, Any]
) -> None:
    registered(chat, "Ann")
    bystander = chat.rich("Bob")
    (bye,) = [each for each in chat.refused(account=account) if "code" in each]
    assert (bye["code"], bye["reconnect"]) == ("account", False)
    assert bystander.pong() == []


def test_a_wrong_nick_and_a_wrong_password_are_answered_alike(chat: Chat) -> None:
    registered(chat, "Ann")
    answers = [
        chat.refused(account={"nick": nick, "password": "wrong horse"})[-1]
        for nick in ("Ann", "Nobody")
    ]
    assert answers[0] == answers[1]


def test_the_nick_of_an_account_is_refused_to_others_while_its_owner_is_away(chat: Chat) -> None:
    ann = registered(chat, "Ann")
    ann.ask("bye")
    for nick, code in (("ann", "nick_in_use"), ("Аnn", "nick_too_similar")):
        mallory = chat.rich(nick)
        assert mallory.nick.startswith("guest-")
        assert mallory.greeting[-1]["code"] == code
    (bye,) = chat.refused(account={"nick": "ANN", "password": PASSWORD, "register": True})
    assert bye["code"] == "account"
    assert "belongs to an account" in bye["text"]


def test_a_client_alone_does_not_bring_back_the_nick(chat: Chat) -> None:
    ann = registered(chat, "Ann")
    chat.wait_disconnected(close(ann))
    assert chat.rich("Ann", client=ann.client).nick.startswith("guest-")


def test_what_one_says_appears_on_the_other_as_theirs(chat: Chat) -> None:
    laptop = registered(chat, "Ann")
    phone, bob = device(chat, laptop), chat.rich("Bob")
    laptop.say("lobby", "Hi", "k")
    for peer in (laptop, phone, bob):
        (post,) = peer.posts(1)
        assert (post["author"], post["account"]) == ("Ann", laptop.welcome["account"])


def test_a_rename_on_one_is_told_to_the_other(chat: Chat) -> None:
    laptop = registered(chat, "Ann")
    phone = device(chat, laptop)
    assert laptop.ask("nick", nick="Anna")["nick"] == "Anna"
    assert {"type": "renamed", "nick": "Anna"} in phone.pong()
    assert device(chat, laptop).nick == "Anna"
    assert chat.rich("Ann").nick.startswith("guest-")  # kept for its former owner


def test_rooms_that_one_joins_and_leaves_follow_on_the_other(chat: Chat) -> None:
    laptop = registered(chat, "Ann")
    phone, bob = device(chat, laptop), chat.rich("Bob", rooms=["tea"])
    bob.say("tea", "before")
    bob.posts(1)
    assert laptop.ask("join", room="tea")["count"] == 2
    joined = phone.hear(lambda event: event["type"] == "joined")[-1]
    assert (joined["room"], joined["recovered"], joined["count"]) == ("tea", None, 2)
    assert phone.posts(1, "tea")[0]["text"] == "before"
    phone.ask("leave", room="tea")
    left = laptop.hear(lambda event: event["type"] == "left")[-1]
    assert left == {"type": "left", "room": "tea", "reason": "elsewhere"}
    assert [each["event"] for each in bob.pong() if each["type"] == "presence"] == ["join", "leave"]


def test_the_set_of_the_account_is_the_truth_and_hello_gives_cursors(chat: Chat) -> None:
    laptop = registered(chat, "Ann")
    laptop.ask("join", room="tea")
    laptop.say("tea", "one")
    laptop.say("tea", "two")
    laptop.posts(2)
    epoch = laptop.ask("join", room="tea")["epoch"]
    rooms = {"tea": {"epoch": epoch, "position": 1}, "attic": None}
    phone = device(chat, laptop, rooms=rooms)
    assert {"type": "left", "room": "attic", "reason": "elsewhere"} in phone.greeting
    joined = {each["room"]: each for each in phone.greeting if each["type"] == "joined"}
    assert joined.keys() == {"tea", "lobby"}
    assert joined["tea"]["recovered"] is True
    assert [each["text"] for each in phone.greeting if each["type"] == "post"] == ["two"]


def test_others_see_one_member(chat: Chat) -> None:
    bob, laptop = chat.rich("Bob"), registered(chat, "Ann")
    phone = device(chat, laptop)
    members = bob.ask("who", room="lobby")
    assert (members["nicks"], members["count"]) == (["Bob", "Ann"], 2)
    assert members["accounts"] == {"Ann": laptop.welcome["account"]}
    laptop.ask("bye")
    phone.ask("bye")
    said = [each["event"] for each in bob.pong() if each["type"] == "presence"]
    assert said == ["leave"]


def test_a_second_connection_of_the_same_client_replaces_only_that(chat: Chat) -> None:
    laptop = registered(chat, "Ann")
    phone = device(chat, laptop)
    again = device(chat, laptop, client=laptop.client)
    assert laptop.closing()[-1]["code"] == "replaced"
    again.say("lobby", "Hi")
    assert phone.posts(1)[0]["text"] == "Hi"


def test_sessions_are_listed_and_revoked(chat: Chat) -> None:
    laptop = registered(chat, "Ann")
    phone = chat.rich(account={"nick": "Ann", "password": PASSWORD})
    listed = laptop.ask("sessions")["sessions"]
    assert [(each.get("current", False), each["connections"]) for each in listed] == [
        (True, 1),
        (False, 1),
    ]
    left = laptop.ask("revoke", session=listed[1]["id"])["sessions"]
    assert [each["id"] for each in left] == [listed[0]["id"]]
    bye = phone.closing()[-1]
    assert (bye["code"], bye["reconnect"]) == ("account", False)
    assert chat.refused(account={"session": phone.welcome["session"]})[-1]["code"] == "account"
    assert device(chat, laptop).nick == "Ann"


def test_a_session_is_called_what_its_client_calls_its_device(tmp_path: Any, door: str) -> None:
    """Also after a restart, and after the password was changed."""
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline, door=door) as chat:
        ann, login = chat.rich("Ann"), {"nick": "Ann", "password": PASSWORD}
        ann.ask("register", **login, device="terminal on laptop")
        for named in ({}, {"device": "Firefox on Ｌinux"}):
            chat.rich(account={**login, **named})
        chat.rich(account={**login, "nick": "Bob", "register": True, "device": "d" * 64})
        listed = ann.ask("sessions")["sessions"]
        calls = ["terminal on laptop", None, "Firefox on Ｌinux"]
        assert [each.get("device") for each in listed] == calls
        for device in ("", "d" * 65, 7):
            assert chat.rich("Cid").ask("register", **login, device=device)["code"] == "bad_field"
            refused = chat.refused(account={**login, "device": device})
            assert refused[0].get("code") == "bad_field"
        changed = ann.ask("password", password=PASSWORD, new_password=PASSWORD)
    with chatting(timeline, door=door) as chat:
        again = chat.rich(account={"session": changed["session"]})
        (own,) = again.ask("sessions")["sessions"]
        assert own["device"] == "terminal on laptop"


def test_revoking_ones_own_session_signs_out(chat: Chat) -> None:
    ann = registered(chat, "Ann")
    (own,) = ann.ask("sessions")["sessions"]
    ann.tell("revoke", session=own["id"])
    answer, bye = ann.closing()
    assert answer == {"type": "sessions", "sessions": []}
    assert bye["code"] == "account"


def test_a_session_in_use_gives_way_to_a_new_one_only_if_all_are(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "_MOST", 2)
    account = {"nick": "Ann", "password": PASSWORD}
    laptop = registered(chat, "Ann")
    chat.rich(account=account).ask("bye")
    phone = chat.rich(account=account)
    assert [each["connections"] for each in phone.ask("sessions")["sessions"]] == [1, 1]
    tablet = chat.rich(account=account)
    bye = laptop.closing()[-1]
    assert (bye["code"], "revoked" in bye["text"]) == ("account", True)
    sessions = tablet.ask("sessions")["sessions"]
    assert [each["connections"] for each in sessions] == [1, 1]
    assert phone.ask("ping")["type"] == "pong"


def test_a_changed_password_ends_all_other_sessions(chat: Chat) -> None:
    laptop = registered(chat, "Ann")
    phone = chat.rich(account={"nick": "Ann", "password": PASSWORD})
    wrong = laptop.ask("password", password="wrong", new_password="battery staple")
    assert wrong["code"] == "forbidden"
    changed = laptop.ask("password", password=PASSWORD, new_password="battery staple")
    assert changed["type"] == "signed_in"
    assert phone.closing()[-1]["code"] == "account"
    for account in (
        {"session": laptop.welcome["session"]},
        {"nick": "Ann", "password": PASSWORD},
    ):
        assert chat.refused(account=account)[-1]["code"] == "account"
    assert chat.rich(account={"session": changed["session"]}).nick == "Ann"
    assert chat.rich(account={"nick": "Ann", "password": "battery staple"}).nick == "Ann"


def test_an_account_registers_no_other(chat: Chat) -> None:
    ann = registered(chat, "Ann")
    assert ann.ask("register", nick="Eve", password=PASSWORD)["code"] == "forbidden"


def test_guests_have_neither_sessions_nor_a_password(chat: Chat) -> None:
    bob = chat.rich("Bob")
    assert bob.ask("sessions")["code"] == "forbidden"
    assert bob.ask("password", password="x", new_password=PASSWORD)["code"] == "forbidden"


def test_a_short_password_is_refused(chat: Chat) -> None:
    assert chat.rich("Bob").ask("register", nick="Bob", password="short")["code"] == "bad_field"
    account = {"nick": "Ann", "password": "short", "register": True}
    assert chat.refused(account=account)[-1]["code"] == "account"


def test_accounts_and_sessions_are_there_after_a_restart(door: str, tmp_path: Any) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline, door=door) as chat:
        ann = registered(chat, "Ann")
        ann.ask("join", room="tea")
        ann.ask("nick", nick="Anna")
    with chatting(timeline, door=door) as chat:
        again = device(chat, ann)
        assert (again.nick, again.welcome["account"]) == ("Anna", ann.welcome["account"])
        assert {each["room"] for each in again.greeting if each["type"] == "joined"} == {
            "lobby",
            "tea",
        }
        assert chat.rich("Ann").nick.startswith("guest-")
        assert chat.rich(account={"nick": "Anna", "password": PASSWORD}).nick == "Anna"


def close(peer: Rich) -> Rich:
    peer.socket.close()
    return peer
