"""Passwords cannot be guessed quickly, and guessing does not slow the chat down."""

import time

import gevent
import pytest

from geventchat.server.access import policy
from geventchat.server.access.credentials import ATTEMPTS
from geventchat.server.access.rate_limits import origin
from geventchat.server.people import passwords
from tests.conversations.chat import Chat, chatting
from tests.conversations.control import MOST_SECONDS, beside
from tests.conversations.signed_in import PASSWORD, device, registered

GUESS = {"nick": "Ann", "password": "wrong horse"}


def test_after_some_wrong_guesses_for_a_nick_the_right_one_is_not_looked_at(chat: Chat) -> None:
    ann = registered(chat, "Ann")
    for _ in range(ATTEMPTS):
        chat.refused(account=GUESS)
    right = {"nick": "Ann", "password": PASSWORD}
    bye = chat.refused(account=right)[-1]
    assert (bye["code"], bye["text"]) == ("account", policy.SIGN_INS_SPENT.text)
    assert device(chat, ann).nick == "Ann"  # a token still works
    registered(chat, "Bob")
    assert chat.rich(account={"nick": "Bob", "password": PASSWORD}).nick == "Bob"


def test_an_address_that_guessed_too_often_is_not_looked_at_for_any_nick() -> None:
    with chatting(options={"trust": ()}) as chat:
        registered(chat, "Bob")
        for number in range(ATTEMPTS):
            chat.refused(account={"nick": f"nick{number}", "password": "wrong horse"})
        bye = chat.refused(account={"nick": "Bob", "password": PASSWORD})[-1]
        assert bye["text"] == policy.SIGN_INS_SPENT.text


def test_guesses_at_the_same_time_count_as_those_one_after_the_other(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(chat, "Ann")
    tried, verify = [], passwords._matches

    def note(password: str, kept: str) -> bool:
        tried.append(password)
        return verify(password, kept)

    monkeypatch.setattr(passwords, "_matches", note)
    guesses = [gevent.spawn(chat.refused, account=GUESS) for _ in range(30)]
    gevent.joinall(guesses, timeout=20, raise_error=True)
    assert len(tried) == ATTEMPTS


def test_the_old_password_cannot_be_guessed_by_changing_it(chat: Chat) -> None:
    ann = registered(chat, "Ann")
    for _ in range(ATTEMPTS):
        ann.ask("password", password="wrong", new_password="battery staple")
    answer = ann.ask("password", password=PASSWORD, new_password="battery staple")
    assert answer["code"] == "forbidden"


def test_an_address_registers_a_limited_number_of_accounts() -> None:
    with chatting(options={"trust": ()}, arrivals_per_minute=600) as chat:
        chat.server._policy._registrations.acquire(
            origin("127.0.0.1"), 60, time.monotonic(), cost=59
        )
        registered(chat, "Ann")
        account = {"nick": "Bob", "password": PASSWORD, "register": True}
        bye = chat.refused(account=account)[-1]
        assert "within an hour" in bye["text"]


def test_a_flood_of_sign_ins_does_not_delay_others(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clients talk all the time, while each password takes longer than they may wait."""
    verify = passwords._matches

    def slowly(password: str, kept: str) -> bool:
        time.sleep(2 * MOST_SECONDS)
        return verify(password, kept)

    monkeypatch.setattr(passwords, "_matches", slowly)
    with beside(chat.address) as bystanders:
        guesses = [
            gevent.spawn(chat.refused, account={"nick": f"n{i}", "password": PASSWORD})
            for i in range(20)
        ]
        assert len(gevent.wait(guesses, timeout=20, count=3)) == 3
        gevent.killall(guesses)
        bystanders.check_heard()


def test_more_than_can_wait_are_told_so_at_once(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_MOST_WAITING", 2)
    outcomes = [
        gevent.spawn(chat.refused, account={"nick": f"n{i}", "password": PASSWORD})
        for i in range(12)
    ]
    gevent.joinall(outcomes, timeout=20, raise_error=True)
    texts = [each.get()[-1]["text"] for each in outcomes]
    assert any("Too many are signing in" in text for text in texts)
