"""Addresses of servers, as users write them."""

import pytest

from geventchat.cli.address import host_and_port
from geventchat.config import BadOption
from geventchat.protocol.names import endpoint


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("", ("127.0.0.1", 4040)),
        (":5050", ("127.0.0.1", 5050)),
        ("chat.test", ("chat.test", 4040)),
        ("chat.test:", ("chat.test", 4040)),
        ("chat.test:5050", ("chat.test", 5050)),
        ("192.0.2.1:5050", ("192.0.2.1", 5050)),
        ("::1", ("::1", 4040)),
        ("2001:db8::1", ("2001:db8::1", 4040)),
        ("2001:db8::1:beef", ("2001:db8::1:beef", 4040)),
        ("2001:db8:0:0:0:0:0:1", ("2001:db8:0:0:0:0:0:1", 4040)),
        ("fe80::1%eth0", ("fe80::1%eth0", 4040)),
        ("[::1]", ("::1", 4040)),
        ("[::1]:5050", ("::1", 5050)),
        ("[::1:4100]", ("::1:4100", 4040)),
    ],
)
def test_either_part_may_be_left_out(address: str, found: tuple[str, int]) -> None:
    assert host_and_port(address) == found


@pytest.mark.parametrize("address", ["::1:4100", "2001:db8::1:4040", "fe80::1:5", "1::8:0"])
def test_an_address_that_may_end_with_a_port_is_not_guessed(address: str) -> None:
    host, _, port = address.rpartition(":")
    with pytest.raises(BadOption) as raised:
        host_and_port(address)
    reason = f"write [{host}]:{port} for port {port}, or [{address}] for an address alone"
    assert str(raised.value) == f"address {address}: {reason}"


@pytest.mark.parametrize(
    "address", ["chat.test:4040:1", "http://chat.test:4040", "[::x]:1", "::1]:4040", "2001:db8:1"]
)
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(BadOption, match=r"address .*: is neither HOST:PORT nor \[IPv6\]:PORT"):
        host_and_port(address)


@pytest.mark.parametrize("address", ["chat.test:x", "[::1]:99999", "chat.test:70000"])
def test_a_port_that_is_none_is_named(address: str) -> None:
    with pytest.raises(BadOption, match=r"port"):
        host_and_port(address)


def test_an_error_shows_an_ipv6_address_in_brackets() -> None:
    assert endpoint("::1", 4040) == "[::1]:4040"
    assert endpoint("chat.test", 4040) == "chat.test:4040"
