"""A host may have addresses that do not answer."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import gevent
import pytest
from gevent import socket

from geventchat.client import tcp


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """Return an address that answers no attempt to connect: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)


def listener() -> "closing[socket.socket]":
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return closing(sock)


def test_a_dead_address_delays_the_next_one_by_a_fraction_of_a_second(
    silent: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with listener() as good, gevent.Timeout(20):
        resolve(monkeypatch, silent, good.getsockname())
        began = time.monotonic()
        tcp.connect("chat.test", 4040, 40).close()
        assert time.monotonic() - began < 10


def test_a_refused_address_does_not_delay_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "STAGGER_SECONDS", 60)
    with listener() as closed:
        refused = closed.getsockname()
    with listener() as good, gevent.Timeout(20):
        resolve(monkeypatch, refused, good.getsockname())
        with closing(tcp.connect("chat.test", 4040, 10)) as connected:
            assert connected.getpeername() == good.getsockname()


def test_addresses_that_do_not_answer_share_one_limit(
    silent: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "STAGGER_SECONDS", 0.01)
    resolve(monkeypatch, silent, silent)
    with pytest.raises(TimeoutError, match="timed out"), gevent.Timeout(20):
        tcp.connect("chat.test", 4040, 0.1)


def test_a_name_that_is_not_found_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: gevent.sleep(20))
    with pytest.raises(TimeoutError, match="timed out"), gevent.Timeout(10):
        tcp.connect("chat.test", 4040, 0.01)


def test_the_error_of_a_host_is_that_of_its_last_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as closed:
        refused = closed.getsockname()
    resolve(monkeypatch, refused, refused)
    with pytest.raises(ConnectionRefusedError):
        tcp.connect("chat.test", 4040, 5)


def test_families_are_tried_in_turn() -> None:
    six = [(socket.AF_INET6, 1, 6, "", (f"::{n}", 1)) for n in (1, 2, 3)]
    four = [(socket.AF_INET, 1, 6, "", (f"127.0.0.{n}", 1)) for n in (1, 2)]
    tried = [each[4][0] for each in tcp._alternating([*six, *four])]
    assert tried == ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]


@pytest.mark.parametrize("host", ["a" * 64 + ".test", "chat..test"])
def test_a_host_that_cannot_be_a_name_is_an_error_of_the_connection(host: str) -> None:
    with pytest.raises(OSError, match="not a host name"):
        tcp.connect(host, 4040, 10)
