"""Keys of messages."""

import time

from geventchat.client.keys import new_key


def test_a_key_begins_with_the_time_it_was_made_at() -> None:
    before = time.time_ns() // 1_000_000
    key = new_key()
    assert before <= int(key[:11], 16) <= time.time_ns() // 1_000_000


def test_keys_of_one_moment_differ() -> None:
    assert len({new_key() for _ in range(1_000)}) == 1_000


def test_a_key_takes_as_much_as_a_random_one_did() -> None:
    assert len(new_key()) == 22
