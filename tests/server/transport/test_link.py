"""The link over a socket pair: the same tests with each framing over each stream."""

from collections import Counter

import gevent
import pytest
from gevent.event import Event

from geventchat.config import Limits
from geventchat.protocol.errors import TOO_LARGE, ProtocolError
from geventchat.server.transport.token_bucket import TokenBucket
from tests.server.counted import PING, PONG
from tests.server.transport.ends import LIMIT, Ends, ends_of


class Tokens(TokenBucket):
    """Counts the tokens taken and the bytes waiting meanwhile."""

    def __init__(self, pause: float) -> None:
        super().__init__(Limits(), Counter())
        self.pause = pause
        self.taken: list[int] = []
        self.waiting: list[int] = []

    def take(self, tokens: int, now: float) -> float:
        self.taken.append(tokens)
        return self.pause

    def check(self, waiting: int, now: float) -> None:
        self.waiting.append(waiting)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_frames_are_whole_whatever_pieces_they_arrive_in(ends: Ends, size: int) -> None:
    said = [b"a", "é".encode(), b"x" * 40, b"last"]
    data = ends.encode(*said)
    ends.read()
    for start in range(0, len(data), size):
        ends.say(data[start : start + size])
    ends.end()
    assert ends.ended() == said


def test_a_burst_is_yielded_whole_and_in_order(ends: Ends) -> None:
    said = [b"%d " % number + b"x" * 9_000 for number in range(100)]
    ends.read()
    ends.peer.sendall(ends.encode(*said))
    ends.end()
    assert ends.ended() == said


def test_a_frame_that_the_end_cut_off_is_dropped_and_answers_still_arrive(ends: Ends) -> None:
    ends.read()
    ends.peer.sendall(ends.encode(b"whole", b"cut")[:-2])
    ends.end()
    assert ends.ended() == [b"whole"]
    ends.outbox.put(b"answer")
    ends.outbox.flush()
    closing = gevent.spawn(ends.link.close, 5)
    assert ends.rest() == b"answer"
    ends.peer.close()
    closing.get()


def test_the_clock_of_an_incomplete_frame_runs_from_its_first_bytes(ends: Ends) -> None:
    ends.read()
    two = ends.encode(b"one", b"two")
    cut = len(ends.encode(b"one"))
    ends.say(two[:1])
    begun = ends.link.begun
    assert begun
    ends.say(two[1:2])
    assert ends.link.begun == begun
    ends.say(two[2 : cut + 1])
    assert ends.link.begun > begun
    ends.say(two[cut + 1 :])
    assert ends.link.begun == 0
    assert ends.heard == [b"one", b"two"]


def test_a_frame_that_came_alone_may_be_taken_without_the_reader(stream: str) -> None:
    with ends_of(stream, "null") as ends:
        ends.shake_hands()
        ends.read()
        ends.say(ends.encode(b"first"))
        pace = ends.link.pace = Tokens(0)
        taken: list[bytes] = []
        ends.link.at_once = lambda frame: frame != b"wait" and not taken.append(frame)  # type: ignore[func-returns-value]
        ends.say(ends.encode(b"one"))
        assert (taken, ends.heard) == ([b"one"], [b"first"])
        assert pace.taken == [1]
        ends.say(ends.encode(b"wait"))
        ends.say(ends.encode(b"two", b"at a time"))
        ends.say(b"in ")
        ends.say(b"pieces\0")
        ends.say(ends.encode(b"three"))
        assert taken == [b"one", b"three"]
        assert ends.heard == [b"first", b"wait", b"two", b"at a time", b"in pieces"]


def test_what_a_bug_raises_in_a_frame_taken_at_once_ends_the_reader(stream: str) -> None:
    with ends_of(stream, "null") as ends:
        ends.shake_hands()
        ends.read()
        ends.say(ends.encode(b"first"))
        ends.link.at_once = lambda frame: 1 / 0 > 0
        ends.peer.sendall(ends.encode(b"one"))
        with pytest.raises(ZeroDivisionError):
            ends.ended()


def test_a_client_without_a_token_is_left_to_the_reader() -> None:
    with ends_of("tcp", "null") as ends:
        ends.read()
        ends.say(ends.encode(b"first"))
        ends.link.at_once = lambda frame: True
        ends.link.pace = TokenBucket(Limits(messages_per_second=1, messages_at_once=2), Counter())
        ends.say(ends.encode(b"one"))
        ends.say(ends.encode(b"two"))
        assert ends.heard == [b"first"]
        ends.peer.sendall(ends.encode(b"three"))
        with gevent.Timeout(20):
            while ends.link.listening:
                gevent.sleep(1e-9)
        ends.link.drain()
        assert ends.ended() == [b"first", b"three"]


def test_what_was_sent_before_a_drain_is_still_yielded(ends: Ends) -> None:
    ends.read()
    ends.say(ends.encode(b"one"))
    ends.peer.sendall(ends.encode(b"two", b"three"))
    ends.link.drain()
    assert ends.ended() == [b"one", b"two", b"three"]


def test_a_drain_does_not_wait_for_tokens(ends: Ends) -> None:
    ends.link.pace = pace = Tokens(1_000)
    ends.peer.sendall(ends.encode(b"one", b"two"))
    ends.read()
    with gevent.Timeout(20):
        while not pace.waiting:
            gevent.sleep(1e-9)
    ends.link.drain()
    assert ends.ended() == [b"one", b"two"]


def test_each_frame_costs_a_token_and_large_ones_more(ends: Ends) -> None:
    ends.link.pace = pace = Tokens(0)
    ends.read()
    ends.say(ends.encode(b"a"))
    ends.say(ends.encode(b"x" * 9_000))
    ends.say(ends.encode(b"", b"b", b"", b""))
    assert (pace.taken[0], sum(pace.taken)) == (1, 8)  # 1, 3, and 4 with those without content
    assert ends.heard == [b"a", b"x" * 9_000, b"b"]


def test_bytes_received_from_a_throttled_client_are_counted_exactly(ends: Ends) -> None:
    ends.link.pace = pace = Tokens(1e-6)
    ends.peer.sendall(ends.encode(b"one", b"two", b"three"))
    ends.end()
    ends.read()
    assert ends.ended() == [b"one", b"two", b"three"]
    sizes = [len(ends.encode(*rest)) for rest in ([b"two", b"three"], [b"three"], [])]
    assert pace.waiting == sizes


def test_a_frame_over_the_limit_ends_the_connection(ends: Ends) -> None:
    ends.read()
    ends.peer.sendall(ends.encode(b"small", b"x" * (LIMIT + 1)))
    with pytest.raises(ProtocolError) as caught:
        ends.ended()
    assert caught.value.reason is TOO_LARGE
    assert ends.heard == [b"small"]


def test_sending_waits_for_the_client_and_loses_nothing(ends: Ends) -> None:
    data = bytes(range(256)) * 8_000
    sending = gevent.spawn(ends.link.sink.send, data, 5)
    assert ends.exactly(len(data)) == data
    sending.get()


def test_sending_gives_up_on_a_client_that_reads_nothing(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        ends.link.sink.send(b"x" * 8_000_000, 0.01)


def test_a_reply_of_the_framing_never_cuts_an_item_sent_in_part(stream: str) -> None:
    with ends_of(stream, "counted") as ends:
        ends.shake_hands()
        ends.read()
        item = ends.encode(b"x" * 60_000) * 50
        ends.outbox.put(item)
        ends.outbox.flush()
        ends.say(PING + ends.encode(b"hello") + PING)
        assert ends.outbox.size > len(PONG)
        assert ends.exactly(len(item)) == item
        assert ends.exactly(4) == PONG + PONG
        assert ends.heard == [b"hello"]


def test_the_address_is_a_value_and_the_peer_is_for_logs() -> None:
    with ends_of("tcp", "null") as ends:
        assert (ends.link.address, ends.link.peer) == ("somewhere", "somewhere:1")
        ends.link.address = "2001:db8::1"  # as reported by a proxy
        assert ends.link.peer == "[2001:db8::1]:1"


def test_a_link_whose_peer_does_not_read_closes_in_time(ends: Ends) -> None:
    with gevent.Timeout(20):
        ends.link.close(0.01)


def test_a_reader_that_is_woken_while_it_does_what_it_was_woken_for_is_woken_again(
    ends: Ends,
) -> None:
    """Else it would sleep through everything until its client sends something."""
    link, woken, doing = ends.link, [0], Event()

    def read() -> None:
        for frame in link.frames(ends.outbox):
            assert frame == b""
            woken[0] += 1
            doing.wait()

    reader = gevent.spawn(read)
    try:
        for times in range(1, 4):
            doing.clear()
            link.wake()
            gevent.sleep(0.001)
            link.wake()
            gevent.sleep(0.001)
            doing.set()
            with gevent.Timeout(20):
                while woken[0] < 2 * times or not link.listening:
                    gevent.sleep(0.001)
    finally:
        reader.kill()
