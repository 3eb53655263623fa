"""Networks: whose address is in one of them."""

import pytest

from geventchat.server.networks import Networks, parsed


def test_a_network_holds_all_its_addresses() -> None:
    networks = Networks(["10.0.0.0/8", "::1/128"])
    assert [each in networks for each in ("10.1.2.3", "::ffff:10.1.2.3", "::1")] == [True] * 3
    assert [each in networks for each in ("11.1.2.3", "::2", "somewhere")] == [False] * 3


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "nowhere"])
def test_no_address_is_in_no_network(address: str) -> None:
    assert address not in Networks()


@pytest.mark.parametrize("text", ["nowhere", "", "192.0.2", "192.0.2.256", "1", "::/129"])
def test_what_is_no_address_is_not_parsed(text: str) -> None:
    assert parsed(text) is None
