"""Every address of a host is listened on, at the chat port and at the admin port."""

import errno
import socket as native
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from unittest.mock import patch

import pytest
from gevent import socket

from geventchat.config import BadOption, Config
from geventchat.server.chat.hub import Hub
from geventchat.server.transport import ports
from tests.conversations.chat import chatting
from tests.conversations.peers import Plain

BOTH = ("127.0.0.5", "127.0.0.6")


def resolved(*hosts: str) -> Any:
    """Patch the resolver: every name has these addresses."""

    def getaddrinfo(_: str, port: int, *__: object, **___: object) -> list[tuple[Any, ...]]:
        return [
            (native.AF_INET6 if ":" in host else native.AF_INET, native.SOCK_STREAM, 6, "", (
                host, port, 0, 0) if ":" in host else (host, port))
            for host in hosts
        ]  # fmt: skip

    return patch("gevent.socket.getaddrinfo", getaddrinfo)


@pytest.fixture
def name() -> Iterator[str]:
    """Return a name that has two addresses of this machine, one of them twice."""
    with resolved(*BOTH, BOTH[0]):
        yield "chat.example"


def test_all_addresses_of_a_host_are_listened_on_at_the_same_port(name: str) -> None:
    with chatting(options={"host": name, "admin": f"{name}:0"}) as chat:
        for addresses in (chat.server.addresses, chat.server.admin_addresses):
            assert [host for host, _ in addresses] == list(BOTH)
            assert len({port for _, port in addresses}) == 1
        first, second = (Plain(address) for address in chat.server.addresses)
        with first, second:
            first.send(b"q\0")
            second.send(b"q\0")
            assert first.rest() == second.rest() == []
        for address in chat.server.admin_addresses:
            with socket.create_connection(address, timeout=20) as monitor:
                monitor.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                assert monitor.recv(100).startswith(b"HTTP/1.1 200")
        addresses = chat.server.addresses
        chat.stop()
        for address in addresses:
            with pytest.raises(ConnectionRefusedError):
                native.create_connection(address, timeout=20)


def test_an_address_that_this_machine_does_not_have_is_left_out() -> None:
    """`localhost` is ::1 too where IPv6 is disabled."""
    with resolved("192.0.2.1", BOTH[0]), chatting(options={"host": "localhost"}) as chat:
        assert [host for host, _ in chat.server.addresses] == [BOTH[0]]


@pytest.mark.parametrize("hosts", [BOTH, BOTH[::-1]])
def test_a_port_taken_at_one_address_is_an_error(hosts: tuple[str, str]) -> None:
    with closing(socket.create_server((BOTH[0], 0))) as taken, resolved(*hosts):
        port = taken.getsockname()[1]
        with pytest.raises(BadOption, match=f"--port {port}: Address already in use") as caught:
            ports.opened(Config(host="chat.example", port=port))
        assert caught.value.temporary
        with closing(socket.create_server((BOTH[1], port))):
            pass  # the other one was released


def test_nobody_waits_in_the_queue_of_a_server_that_does_not_accept_yet() -> None:
    """Nobody would know for how long a hello has waited there."""
    refused = []
    start = Hub.start

    def starting(hub: Hub, **options: Any) -> None:
        (address,) = addresses
        with pytest.raises(ConnectionRefusedError):
            native.create_connection(address, timeout=20)
        refused.append(address)
        start(hub, **options)

    addresses: list[ports.Address] = []
    opened = ports.opened

    def opening(config: Config) -> ports.Ports:
        made = opened(config)
        addresses.extend(ports.addresses(made.chat))
        return made

    patches = patch.object(Hub, "start", starting), patch.object(ports, "opened", opening)
    with patches[0], patches[1], chatting() as chat:
        chat.plain()
    assert refused == addresses


def test_a_port_that_another_program_listens_on_first_is_an_error() -> None:
    late = ports.opened(Config.of({"port": 0, "admin": "none", "web": "none"}))
    ((_, port),) = ports.addresses(late.chat)
    first = ports.opened(Config.of({"port": port, "admin": "none", "web": "none"}))
    first.listen()
    with pytest.raises(BadOption, match=f"--port {port}: Address already in use"):
        late.listen()
    late.close()
    first.close()


def test_a_free_port_is_one_that_is_free_at_all_addresses() -> None:
    tried = []
    bind = ports._socket

    def listening(family: int, address: tuple[Any, ...]) -> socket.socket:
        tried.append(address)
        if len(tried) == 2:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return bind(family, address)

    with resolved(*BOTH), patch.object(ports, "_socket", listening):
        sockets = ports.bound("chat.example", 0)
    assert len({each.getsockname()[1] for each in sockets}) == 1
    for each in sockets:
        each.close()
    assert len(tried) == 4
