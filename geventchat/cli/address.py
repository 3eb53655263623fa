"""Parses addresses of servers."""

from typing import Final

from geventchat.cli.options import as_number
from geventchat.config import Config
from geventchat.config.file import checked

_DEFAULT: Final = Config()


def host_and_port(address: str, port: int = _DEFAULT.port) -> tuple[str, int]:
    """Split `host`, `host:port`, `[::1]:port` or `::1`; either part may be left out.

    Raises BadOption.
    """
    host, colon, given = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, given = address, ""  # a name alone, or an IPv6 address alone
    number = checked("port", "port", as_number(given or str(port)))
    return checked("host", "host", host.strip("[]") or _DEFAULT.host), number
