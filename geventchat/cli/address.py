"""Parses addresses of servers."""

import ipaddress
import re
from typing import Final

from geventchat.cli.options import as_number
from geventchat.config import BadOption, Config
from geventchat.config.file import checked

_DEFAULT: Final = Config()
_IN_BRACKETS: Final = re.compile(r"\[(.*)\](?::(.*))?")


def host_and_port(address: str, port: int = _DEFAULT.port) -> tuple[str, int]:
    """Split `host`, `host:port`, `[::1]:port` or `::1`; either part may be left out.

    Raises BadOption, also for an IPv6 address without brackets that may end with a port.
    """
    if bracketed := _IN_BRACKETS.fullmatch(address):
        host, given = bracketed[1], bracketed[2]
    elif address.count(":") > 1:
        host, given = address, ""
        front, _, end = address.rpartition(":")
        if _is_ipv6(front) and re.fullmatch("[0-9]{1,5}", end):
            reason = f"write [{front}]:{end} for port {end}, or [{address}] for an address alone"
            raise BadOption("address", address, reason)
    else:
        host, _, given = address.partition(":")
    if ":" in host and not _is_ipv6(host):
        raise BadOption("address", address, "is neither HOST:PORT nor [IPv6]:PORT")
    number = checked("port", "port", as_number(given or str(port)))
    return checked("host", "host", host or _DEFAULT.host), number


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
