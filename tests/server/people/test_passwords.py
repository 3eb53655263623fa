"""Passwords: hashed in a thread, few at a time, and never slower to refuse than to accept."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import gevent
import pytest
from argon2 import extract_parameters

from geventchat.protocol.errors import Refused
from geventchat.server.people import passwords
from geventchat.server.people.passwords import Passwords


def test_a_password_matches_what_is_kept_of_it_and_nothing_else() -> None:
    words = Passwords()
    kept = words.hash("correct horse")
    assert kept.startswith("$argon2id$")
    assert "correct" not in kept
    assert words.matches("correct horse", kept)
    assert not words.matches("correct horsE", kept)
    assert not words.matches("correct horse", "damaged")


def test_nothing_matches_the_password_of_no_account() -> None:
    assert not Passwords().matches("", None)


def test_a_password_of_no_account_costs_as_much_as_one_of_an_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the work that is asked for: time depends on what else the machine does."""
    words = Passwords()
    kept, asked = words.hash("correct horse"), []
    verify = passwords._matches

    def note(password: str, hashed: str) -> bool:
        asked.append(extract_parameters(hashed))
        return verify(password, hashed)

    monkeypatch.setattr(passwords, "_matches", note)
    assert not words.matches("wrong", kept)
    assert not words.matches("wrong", None)
    assert asked[0] == asked[1]


def test_the_event_loop_runs_while_a_password_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    main, threads, rounds = threading.get_native_id(), [], []
    hashed = passwords._hasher.hash

    def note(text: str) -> str:
        threads.append(threading.get_native_id())
        return hashed(text)

    monkeypatch.setattr(passwords, "_hash", note)
    words = Passwords()
    working = gevent.spawn(words.hash, "correct horse")
    while not working.ready():
        gevent.sleep(1e-9)
        rounds.append(1)
    assert threads != [main]
    assert len(rounds) > 3


def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_MOST_WAITING", 2)
    words = Passwords()
    kept = words.hash("correct horse")
    waiting = [gevent.spawn(words.matches, "wrong", kept) for _ in range(2)]
    gevent.sleep(0)
    with pytest.raises(Refused) as caught:
        words.matches("wrong", kept)
    assert caught.value.code == "slow_down"
    assert gevent.joinall(waiting, timeout=20)
    assert not words.matches("wrong", kept)


def test_a_start_hashes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", None)
    Passwords()


def test_the_decoy_costs_what_a_hash_costs_now() -> None:
    assert extract_parameters(passwords._DECOY) == extract_parameters(Passwords().hash("a"))


def test_a_password_gets_a_part_of_a_core_that_other_programs_keep_busy() -> None:
    """At the lowest priority, 8 busy programs delayed one sign-in by 6 s."""
    if sys.platform != "linux":
        pytest.skip("priorities of threads are those of Linux")

    def niceness() -> int:
        passwords._be_nice()
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with ThreadPoolExecutor(1) as thread:
        assert 5 <= thread.submit(niceness).result(10) <= 10
