"""What operators decide about accounts: who may register, who must, who is banned."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from gevent.event import Event as Flag

from geventchat.server.access.credentials import ATTEMPTS
from geventchat.server.people.login import Login
from geventchat.server.people.records import Kept
from tests.conversations.chat import Chat, chatting
from tests.conversations.nodes import beside, level
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Plain, Rich
from tests.conversations.signed_in import PASSWORD, device, registered


@pytest.fixture
def required(options: dict[str, Any]) -> Iterator[Chat]:
    with chatting(options={**options, "accounts": "required"}) as chat:
        yield chat


def operator(chat: Chat) -> Rich:
    return chat.rich("Olga", token=TOKEN)


def test_a_closed_server_registers_nobody_but_operators_add_accounts(
    options: dict[str, Any],
) -> None:
    with chatting(options={**options, "accounts": "closed"}) as chat:
        answer = chat.rich("Ann").ask("register", nick="Ann", password=PASSWORD)
        assert answer["code"] == "forbidden"
        account = {"nick": "Ann", "password": PASSWORD, "register": True}
        assert chat.refused(account=account)[-1]["code"] == "account"
        olga = operator(chat)
        added = olga.ask("accounts", action="add", nick="Bob", password=PASSWORD)
        assert added["accounts"][0]["nick"] == "Bob"
        assert chat.rich(account={"nick": "Bob", "password": PASSWORD}).nick == "Bob"


def test_where_accounts_are_required_guests_are_told_and_closed(required: Chat) -> None:
    (bye,) = required.refused(nick="Ann")
    assert bye["code"] == "account"
    assert "requires an account" in bye["text"]
    with Plain(required.address) as plain:
        plain.send(b"hello\0")
        (line,) = plain.rest()
        assert line.startswith(b"* geventchat: This server requires an account.")
    assert registered(required, "Ann").nick == "Ann"


def test_where_accounts_are_required_nothing_is_heard_before_signing_in(required: Chat) -> None:
    ann = registered(required, "Ann")
    with Plain(required.address) as plain:
        ann.say("lobby", "secret")
        ann.posts(1)
        plain.send(b"hello\0")
        assert not any(b"secret" in line for line in plain.rest())


def test_operators_need_no_account(required: Chat) -> None:
    assert required.rich("Olga", token=TOKEN, rooms=["lobby"]).nick == "Olga"


def test_operators_list_change_and_remove_accounts(moderated: Chat) -> None:
    ann, olga = registered(moderated, "Ann"), operator(moderated)
    (listed,) = olga.ask("accounts", action="list")["accounts"]
    assert (listed["nick"], listed["account"], listed["connections"]) == (
        "Ann",
        ann.welcome["account"],
        1,
    )
    olga.ask("accounts", action="password", nick="ann", password="battery staple")
    assert ann.closing()[-1]["code"] == "account"
    again = moderated.rich(account={"nick": "Ann", "password": "battery staple"})
    assert olga.ask("accounts", action="remove", nick="Ann")["accounts"][0]["nick"] == "Ann"
    assert again.closing()[-1]["code"] == "account"
    assert olga.ask("accounts", action="list")["accounts"] == []
    for account in (
        {"nick": "Ann", "password": "battery staple"},
        {"session": again.welcome["session"]},
    ):
        assert moderated.refused(account=account)[-1]["code"] == "account"
    assert moderated.rich("Ann").nick == "Ann"  # the nick is free


def test_an_account_that_is_removed_meanwhile_gets_no_password(
    moderated: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, olga, otto = registered(moderated, "Ann"), operator(moderated), moderated.rich(token=TOKEN)
    hashed = moderated.server._hub.people.passwords.hash

    def meanwhile(password: str) -> str:
        assert otto.ask("accounts", action="remove", nick="Ann")["type"] == "accounts"
        return hashed(password)

    for each in beside(moderated.server):
        monkeypatch.setattr(each._hub.people.passwords, "hash", meanwhile)
    answer = olga.ask("accounts", action="password", nick="Ann", password="battery staple")
    assert answer["code"] == "no_such_nick"
    level()
    for each in beside(moderated.server):
        assert each._hub.people.accounts[ann.welcome["account"]].password == ""


def test_accounts_are_listed_by_the_page(moderated: Chat) -> None:
    people = moderated.server._hub.people
    for number in range(150):
        moderated.server._hub.owners.reserve(people.create(f"user{number:03}"))
    olga = operator(moderated)
    first = olga.ask("accounts", action="list")
    second = olga.ask("accounts", action="list", nick=first["next"])
    nicks = [each["nick"] for each in first["accounts"] + second["accounts"]]
    assert nicks == [f"user{number:03}" for number in range(150)]
    assert "next" not in second


def test_only_operators_manage_accounts(moderated: Chat) -> None:
    ann = registered(moderated, "Ann")
    for action in ("list", "add", "remove", "password"):
        answer = ann.ask("accounts", action=action, nick="Ann", password=PASSWORD)
        assert answer["code"] == "forbidden"


@pytest.mark.parametrize("spelled", ["Ann", "Anna"])
def test_a_ban_is_of_the_account_on_every_connection_and_under_every_nick(
    moderated: Chat, spelled: str
) -> None:
    laptop = registered(moderated, "Ann")
    phone, olga = device(moderated, laptop), operator(moderated)
    laptop.ask("nick", nick="Anna")
    done = olga.ask("admin", action="ban", target=spelled)
    assert [rule["target_type"] for rule in done["rules"]] == ["account"]
    assert done["connections_closed"] == 2
    assert [peer.closing()[-1]["code"] for peer in (laptop, phone)] == ["banned", "banned"]
    token = {"session": laptop.welcome["session"]}
    assert moderated.refused(account=token)[-1]["code"] == "banned"
    assert moderated.refused(account={"nick": "Anna", "password": PASSWORD})[-1]["code"] == "banned"
    olga.ask("admin", action="unban", target="Ann")
    assert device(moderated, laptop).nick == "Anna"


def test_a_mute_is_of_the_account_on_every_connection(moderated: Chat) -> None:
    laptop, olga = registered(moderated, "Ann"), operator(moderated)
    phone = device(moderated, laptop)
    olga.ask("admin", action="mute", target="Ann")
    for peer in (laptop, phone, device(moderated, laptop)):
        assert peer.ask("say", room="lobby", text="Hi")["code"] == "muted"
    olga.ask("admin", action="unmute", target="Ann")
    phone.say("lobby", "Hi")
    assert phone.posts(1)[0]["text"] == "Hi"


def test_a_mute_of_a_nick_is_of_every_connection_of_the_account_that_takes_it(
    moderated: Chat,
) -> None:
    laptop, olga = registered(moderated, "Ann"), operator(moderated)
    phone = device(moderated, laptop)
    olga.ask("admin", action="mute", target="Bob", target_type="nick")
    assert laptop.ask("nick", nick="Bob")["nick"] == "Bob"
    assert phone.ask("say", room="lobby", text="Hi")["code"] == "muted"


def test_somebody_who_is_away_can_be_banned_and_muted(moderated: Chat) -> None:
    ann, olga = registered(moderated, "Ann"), operator(moderated)
    ann.ask("bye")
    olga.ask("admin", action="mute", target="Ann")
    again = device(moderated, ann)
    assert again.ask("say", room="lobby", text="Hi")["code"] == "muted"


def test_a_kick_ends_every_connection(moderated: Chat) -> None:
    laptop, olga = registered(moderated, "Ann"), operator(moderated)
    phone = device(moderated, laptop)
    assert olga.ask("admin", action="kick", target="Ann")["connections_closed"] == 2
    assert [peer.closing()[-1]["code"] for peer in (laptop, phone)] == ["kicked", "kicked"]


def test_a_kick_ends_a_connection_that_waits_for_its_password(
    moderated: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, olga = registered(moderated, "Ann"), operator(moderated)
    called = Flag()

    def wait(*_: object) -> bool:
        called.set()
        return Flag().wait(5)

    monkeypatch.setattr(moderated.server._hub.people.passwords, "matches", wait)
    ann.tell("password", password=PASSWORD, new_password="battery staple")
    assert called.wait(20)
    assert olga.ask("admin", action="kick", target="Ann")["connections_closed"] == 1
    assert ann.closing()[-1]["code"] == "kicked"


def test_operators_do_not_ban_their_own_account(moderated: Chat) -> None:
    ann = registered(moderated, "Ann", token=TOKEN)
    assert ann.ask("admin", action="ban", target="Ann")["code"] == "forbidden"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"kind": "admin", "action": "ban", "target": "Ann"}, "banned"),
        ({"kind": "accounts", "action": "remove", "nick": "Ann"}, "account"),
        (
            {"kind": "accounts", "action": "password", "nick": "Ann", "password": "new one!"},
            "account",
        ),
    ],
)
@pytest.mark.parametrize("register", [False, True])
def test_what_operators_decide_during_a_sign_in_holds_for_it(
    moderated: Chat,
    monkeypatch: pytest.MonkeyPatch,
    request_: dict[str, Any],
    code: str,
    register: bool,
) -> None:
    """While the new session is written."""
    olga = operator(moderated)
    if not register:
        registered(moderated, "Ann").ask("bye")
    people = moderated.server._hub.people
    save = people.save
    decided: list[bool] = []

    def meanwhile(*changed: Kept) -> None:
        save(*changed)
        if not decided and any(isinstance(each, Login) for each in changed):
            decided.append(True)
            assert olga.ask(**request_)["type"] != "error"

    monkeypatch.setattr(people, "save", meanwhile)
    account = {"nick": "Ann", "password": PASSWORD, "register": register}
    assert moderated.refused(account=account)[-1]["code"] == code
    assert decided
    (shown,) = olga.ask("accounts", action="list")["accounts"] or [{}]
    assert not shown.get("connections")


def test_sign_ins_are_counted_by_what_came_of_them(moderated: Chat) -> None:
    ann = registered(moderated, "Ann")
    device(moderated, ann)
    right = {"nick": "Ann", "password": PASSWORD}
    moderated.rich(account=right)
    moderated.refused(account={"nick": "Ann", "password": PASSWORD, "register": True})
    for _ in range(ATTEMPTS + 1):
        moderated.refused(account={"nick": "Ann", "password": "wrong horse"})
    operator(moderated).ask("admin", action="ban", target="Ann")
    moderated.refused(account={"session": ann.welcome["session"]})
    text = moderated.server._metrics.text().decode()
    figures = dict(
        re.findall(r"^geventchat_sign_ins_total.outcome=.(\w+).. (\S+)$", text, re.MULTILINE)
    )
    assert {outcome: float(count) for outcome, count in figures.items()} == {
        "registered": 1,
        "session": 1,
        "password": 1,
        "refused": 1,
        "wrong": ATTEMPTS,
        "limited": 1,
        "banned": 1,
        "busy": 0,
    }
    assert "\ngeventchat_accounts 1.0\n" in text
    assert "\ngeventchat_signed_in 0.0\n" in text
