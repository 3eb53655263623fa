"""The address of a client, as it is in the log, in rules and in limits."""

import socket

import pytest

from geventchat.server.access.rules import network, within
from geventchat.server.transport.listener import _host

LOOPBACK = socket.if_nametoindex("lo")


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("2001:db8::1", 5, 0, 0), "2001:db8::1"),
        (("::ffff:0:1", 5, 0, 0), "::ffff:0:1"),
        (("fe80::1", 5, 0, LOOPBACK), "fe80::1%lo"),
        (("fe80::1%lo", 5, 0, LOOPBACK), "fe80::1%lo"),
        (("fe80::1", 5, 0, 999_999), "fe80::1%999999"),
    ],
)
def test_an_address_is_as_an_operator_writes_it(address: tuple[object, ...], host: str) -> None:
    assert _host(address) == host
    meant = network(host)
    assert meant is not None
    assert within(meant, host)
