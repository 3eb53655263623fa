"""Hosts, which have several spellings each."""

import socket
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Final

_THIS_MACHINE: Final = "127.0.0.1"


def one_spelling(host: str) -> str:
    """Return the same for all spellings of a host that can be known without asking anybody."""
    name = host.strip("[]").rstrip(".").casefold()
    with suppress(UnicodeError):
        name = name.encode("idna").decode()
    if name in ("localhost", socket.gethostname().casefold()) or name.endswith(".localhost"):
        return _THIS_MACHINE
    try:
        with suppress(OSError):
            name = socket.inet_ntoa(socket.inet_aton(name))  # 127.1 and the like
        address = ip_address(name)
    except ValueError:
        return name
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    is_here = address.is_unspecified or address == ip_address("::1")
    return _THIS_MACHINE if is_here else str(address)
