"""The end of an outbox: it is drained, and the last words follow whole items."""

import gevent
import pytest

from geventchat.server.transport import outbox as outbox_module
from tests.server.switches import let_run
from tests.server.transport.test_outbox import Client

# Draining


def test_an_empty_outbox_is_drained() -> None:
    client = Client()
    assert client.outbox.drained(5)
    client.turn(b"one\0")
    assert client.outbox.drained(5)


def test_an_outbox_is_drained_when_the_socket_has_taken_everything() -> None:
    client = Client(room=0)
    client.turn(b"one\0", b"two\0")
    waiting = gevent.spawn(client.outbox.drained, 5)
    let_run()
    client.turn(b"three\0")
    client.link.take(4)
    let_run()
    assert not waiting.ready()
    client.link.take(None)
    assert waiting.get(timeout=20) is True
    assert client.outbox.size == 0


@pytest.mark.parametrize("flushed", [True, False])
def test_an_item_put_right_after_draining_does_not_undo_it(
    flushed: bool,
) -> None:
    client = Client(room=0)
    client.turn(b"one\0")
    waiting = gevent.spawn(client.outbox.drained, 5)
    let_run()

    def put_at_once() -> None:
        while client.outbox.size:
            gevent.sleep(0)
        client.outbox.put(b"two\0")
        if flushed:
            client.outbox.flush()

    gevent.spawn(put_at_once)
    let_run()
    client.link.take(4)
    assert waiting.get(timeout=20) is True
    assert client.heard == b"one\0"


def test_an_outbox_that_is_not_drained_in_time_says_so() -> None:
    client = Client(room=0)
    client.turn(b"one\0")
    assert not client.outbox.drained(0.001)


def test_an_outbox_whose_connection_is_lost_at_a_flush_is_not_drained() -> None:
    """Otherwise a replay would read all its pages without yielding, for a lost connection."""
    client = Client()
    client.link.lose()
    client.turn(b"a page\0")
    assert not client.outbox.drained(5)


def test_a_lost_connection_is_not_waited_for() -> None:
    client = Client(room=0)
    client.turn(b"one\0")
    waiting = gevent.spawn(client.outbox.drained, 60)
    let_run()
    client.link.lose()
    assert waiting.get(timeout=20) is False


# The farewell


def finish(client: Client, last: bytes = b"bye\0", *, all_of_it: bool = True) -> None:
    with gevent.Timeout(20):
        client.outbox.finish(last, all_of_it=all_of_it, seconds=1)


def test_the_farewell_follows_the_queued_items() -> None:
    client = Client(room=2)
    client.turn(b"one\0", b"two\0")
    client.turn(b"three\0")
    ending = gevent.spawn(finish, client)
    let_run()
    assert client.heard == b"on"
    client.link.take(None)
    ending.get()
    assert client.heard == b"one\0two\0three\0bye\0"


def test_an_abrupt_end_sends_only_the_item_begun_and_the_last_words() -> None:
    client = Client(room=2)
    client.turn(b"one\0")
    client.turn(b"two\0")
    let_run()
    client.link.take(None)
    finish(client, all_of_it=False)
    assert client.heard == b"one\0bye\0"


def test_unflushed_items_come_before_the_farewell() -> None:
    client = Client()
    client.outbox.put(b"one\0")
    client.outbox.put(b"two\0")
    finish(client)
    assert client.heard == b"one\0two\0bye\0"


@pytest.mark.parametrize("all_of_it", [True, False])
def test_a_flush_after_the_last_words_sends_nothing(all_of_it: bool) -> None:
    client = Client()
    client.outbox.put(b"one\0")
    finish(client, all_of_it=all_of_it)
    heard = client.heard
    client.outbox.flush()
    assert client.heard == heard


def test_a_flush_during_the_last_words_does_not_break_them() -> None:
    client = Client(room=2)
    client.outbox.put(b"one\0")
    ending = gevent.spawn(finish, client)
    let_run()
    client.outbox.flush()
    client.link.take(None)
    ending.get()
    assert client.heard == b"one\0bye\0"


def test_nothing_is_taken_after_the_last_words() -> None:
    client = Client()
    finish(client)
    client.turn(b"late\0")
    assert (client.heard, client.ends) == (b"bye\0", [])


def test_the_farewell_may_be_empty() -> None:
    client = Client(room=0)
    client.turn(b"one\0")
    let_run()
    client.link.take(None)
    finish(client, b"")
    assert client.heard == b"one\0"


def test_a_client_that_reads_nothing_delays_the_end_only_up_to_the_limit() -> None:
    client = Client(room=2)
    client.turn(b"one\0")
    with gevent.Timeout(20):
        client.outbox.finish(b"bye\0", all_of_it=True, seconds=0.001)
    client.link.take(None)
    let_run()
    assert client.heard == b"on"


def test_an_unread_farewell_delays_the_end_only_up_to_the_limit() -> None:
    client = Client(room=0)
    with gevent.Timeout(20):
        client.outbox.finish(b"bye\0", all_of_it=True, seconds=0.001)
    assert client.heard == b""


def test_a_lost_connection_is_finished_with_at_once() -> None:
    client = Client(room=0)
    client.turn(b"one\0")
    client.link.lose()
    finish(client)
    assert client.heard == b""


def test_nothing_follows_an_item_that_was_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "STALLED_SECONDS", 0.001)
    client = Client(room=2)
    client.turn(b"one\0")
    with gevent.Timeout(20):
        while not client.ends:
            gevent.sleep(0.001)
    client.link.take(None)
    finish(client, all_of_it=False)
    assert client.heard == b"on"
