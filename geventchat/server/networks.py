"""Addresses of clients, and the networks that settings name."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address


class Networks:
    """Some networks; an address given as text is in one of them or not."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = [ip_network(each) for each in networks]

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        ip = parsed(address)
        return ip is not None and any(ip in each for each in self._networks)


def parsed(address: str) -> Address | None:
    """Parse an address; None if it is invalid. IPv4 mapped into IPv6 becomes IPv4."""
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def is_usable(ip: Address) -> bool:
    """Return whether a client can have an address."""
    return not (ip.is_unspecified or ip.is_multicast)
