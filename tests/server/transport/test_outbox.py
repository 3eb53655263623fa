"""The outbox: whole items in order, bounded in bytes, and `put` never waits."""

import gevent
import pytest

from geventchat.protocol.errors import INTERNAL, LOST, SLOW, Reason
from geventchat.server.transport import outbox as outbox_module
from geventchat.server.transport.outbox import ITEM_BYTES, Outbox
from tests.server.links import FakeLink
from tests.server.switches import let_run, never_switches

KIB = 1 << 10
LIMIT = 1 << 20


class Client:
    """An outbox with its link and its session."""

    def __init__(self, room: int | None = None, limit: int = LIMIT) -> None:
        self.link = FakeLink(room)
        self.ends: list[Reason] = []
        self.outbox = Outbox(self.link, limit, self.ends.append)

    def turn(self, *items: bytes) -> None:
        """Send an item, or put several and flush, as the turns of a room do."""
        with never_switches():
            if len(items) == 1:
                self.outbox.send(items[0])
                return
            for item in items:
                self.outbox.put(item)
            self.outbox.flush()

    @property
    def heard(self) -> bytes:
        return bytes(self.link.taken)


def test_an_item_that_the_socket_takes_is_sent_at_once_and_as_it_is() -> None:
    client = Client()
    item = b"to everyone\0"
    client.turn(item)
    assert client.link.offered[0] is item
    assert (client.heard, client.outbox.size) == (item, 0)


def test_nothing_is_sent_before_the_flush() -> None:
    client = Client()
    client.outbox.put(b"later\0")
    let_run()
    assert client.heard == b""
    client.outbox.flush()
    assert client.heard == b"later\0"


def test_what_is_sent_leaves_behind_what_was_put() -> None:
    client = Client()
    client.outbox.put(b"one\0")
    client.turn(b"two\0")
    assert client.link.offered == [b"one\0two\0"]
    assert client.outbox.size == 0


def test_items_of_one_turn_leave_in_one_send() -> None:
    client = Client()
    client.turn(b"one\0", b"two\0", b"three\0")
    assert len(client.link.offered) == 1
    assert (client.heard, client.outbox.size) == (b"one\0two\0three\0", 0)


def test_a_flush_with_nothing_to_send_sends_nothing() -> None:
    client = Client()
    client.turn()
    client.turn(b"one\0")
    client.turn()
    let_run()
    assert client.link.offered == [b"one\0"]


def test_bytes_the_socket_did_not_take_follow_later() -> None:
    client = Client(room=2)
    client.turn(b"one\0", b"two\0")
    client.turn(b"three\0")
    let_run()
    assert client.heard == b"on"
    for _ in range(12):
        client.link.take(1)
        let_run()
    assert (client.heard, client.outbox.size) == (b"one\0two\0three\0", 0)


@pytest.mark.parametrize("cut", range(10))
def test_an_item_may_be_taken_in_any_pieces(cut: int) -> None:
    client = Client(room=cut)
    client.turn(b"one\0", b"fives\0")
    let_run()
    client.link.take(None)
    let_run()
    assert (client.heard, client.outbox.size) == (b"one\0fives\0", 0)


def test_a_client_that_caught_up_is_sent_to_directly_again() -> None:
    client = Client(room=0)
    client.turn(b"one\0")
    client.link.take(None)
    let_run()
    client.turn(b"two\0")
    assert client.heard == b"one\0two\0"


def test_a_turn_behind_a_writer_waits_for_it() -> None:
    client = Client(room=0)
    client.turn(b"one\0")
    client.link.take(None)  # there is room, but the writer has not run yet
    client.turn(b"two\0")
    let_run()
    assert client.heard == b"one\0two\0"


def test_putting_and_flushing_never_switch_even_to_a_client_that_takes_nothing() -> None:
    client = Client(room=0)
    for _ in range(100):
        client.turn(b"x" * 99, b"y" * 99)
        let_run()
    client.link.take(None)
    let_run()
    assert client.heard == (b"x" * 99 + b"y" * 99) * 100
    assert client.outbox.size == 0


def test_every_item_counts_its_length_and_something_for_itself() -> None:
    client = Client(room=0)
    for count in range(1, 4):
        client.turn(b"12345678")
        assert client.outbox.size == count * (8 + ITEM_BYTES)


def test_bytes_held_by_the_writer_still_count() -> None:
    client = Client(room=0)
    client.turn(b"x" * 100)
    client.link.take(99)
    let_run()
    assert client.outbox.size == 100 + ITEM_BYTES
    client.link.take(1)
    let_run()
    assert client.outbox.size == 0


def test_an_outbox_is_full_at_its_limit_and_not_before() -> None:
    client = Client(room=0, limit=3 * (100 + ITEM_BYTES))
    client.turn(*[b"x" * 100] * 3)
    assert client.ends == []
    client.turn(b"")
    assert client.ends == [SLOW]


def test_small_items_fill_an_outbox_by_their_number() -> None:
    client = Client(room=0, limit=KIB)
    client.turn(*[b"\0"] * 100)
    assert client.ends == [SLOW]


def test_an_empty_outbox_takes_any_one_item() -> None:
    client = Client(room=0, limit=10)
    client.turn(b"x" * KIB)
    assert client.ends == []
    client.link.take(None)
    let_run()
    client.turn(b"y" * KIB)
    assert (client.ends, client.heard) == ([], b"x" * KIB + b"y" * KIB)


def test_a_slow_client_is_ended_once_and_gets_nothing_more() -> None:
    client = Client(room=0, limit=200)
    client.turn(b"x" * 200)
    client.turn(b"too much")
    client.turn(b"still")
    client.link.take(None)
    let_run()
    client.turn(b"late")
    assert (client.ends, client.heard) == ([SLOW], b"x" * 200)


def test_a_connection_lost_at_a_flush_ends_the_session_once() -> None:
    client = Client()
    client.link.lose()
    client.turn(b"one\0")
    client.turn(b"two\0")
    assert client.ends == [LOST]


def test_a_connection_lost_behind_a_writer_ends_the_session_once() -> None:
    client = Client(room=0)
    client.turn(b"one\0")
    client.turn(b"two\0")
    let_run()
    client.link.lose()
    let_run()
    client.turn(b"three\0")
    let_run()
    assert client.ends == [LOST]


@pytest.mark.parametrize("behind", [False, True])
def test_a_bug_in_sending_ends_the_client_once_and_sends_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, behind: bool
) -> None:
    """At a flush and behind a writer, whom nobody would follow."""
    client = Client(room=2 if behind else None)
    if behind:
        client.turn(b"one\0")
    monkeypatch.setattr(client.link, "_take", None)  # not callable: no OSError
    client.link.take(100)
    client.turn(b"two\0")
    let_run()
    assert client.ends == [INTERNAL]
    client.turn(b"three\0")
    assert client.heard == (b"on" if behind else b"")
    assert caplog.text.count("sending to a client failed") == 1
    assert client.outbox.drained(0) is False


def test_a_socket_that_takes_nothing_for_too_long_means_a_slow_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox_module, "STALLED_SECONDS", 0.001)
    client = Client(room=1)
    client.turn(b"one\0")
    with gevent.Timeout(20):
        while not client.ends:
            gevent.sleep(0.001)
    client.turn(b"two\0")
    assert (client.ends, client.heard) == ([SLOW], b"o")


def test_a_client_behind_is_sent_to_in_pieces_of_64_kib() -> None:
    client = Client(room=0)
    client.turn(b"x" * 300 * KIB)
    for _ in range(1_000):
        client.turn(b"y" * 500)
    client.link.take(None)
    let_run()
    assert client.heard == b"x" * 300 * KIB + b"y" * 500_000
    first, *later = client.link.offered
    assert len(first) == 300 * KIB
    assert max(map(len, later)) <= 65 * KIB
    assert len(later) < 15
