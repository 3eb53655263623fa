"""Which names a browser may use for this server, and which pages may talk to it.

Otherwise a page from anywhere could talk to a server on its visitor's own machine or network: by a
WebSocket, which no browser refuses by itself, or through DNS rebinding. Nothing here waits.
"""

from collections.abc import Collection
from ipaddress import ip_address
from socket import gethostname
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}


class Host(NamedTuple):
    """The host that a request names, and the port if it names one that is not the default."""

    name: str
    port: int | None


def parsed(host: str) -> Host | None:
    """Parse a Host header or what follows `://` in an origin; None: it is malformed."""
    try:
        split = urlsplit(f"//{host}")
        if split.netloc != host or "@" in host or not split.hostname:
            return None
        return Host(split.hostname.removesuffix("."), split.port)
    except ValueError:
        return None


class Names:
    """The hosts and origins that are accepted."""

    def __init__(
        self, host: str, hosts: Collection[str] = (), origins: Collection[str] = ()
    ) -> None:
        """`host`: what the door listens on; `hosts`, `origins`: what the settings add."""
        self._host = host
        self._hosts = {"localhost", gethostname().lower(), host.lower(), *map(str.lower, hosts)}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    def renewed(self, hosts: Collection[str], origins: Collection[str]) -> "Names":
        """Return those with other additions."""
        return Names(self._host, hosts, origins)

    def own(self, host: Host) -> bool:
        """Return whether a host is a name of this server that nobody else can claim."""
        if host.name in self._hosts:
            return True
        try:
            return bool(ip_address(host.name))
        except ValueError:
            return False

    def may_talk(self, origin: str | None, host: Host) -> bool:
        """Return whether a page of this origin may talk to the server under the name `host`.

        None: it is no browser that asks.
        """
        if origin is None or origin.lower() in self._origins:
            return True
        scheme, _, rest = origin.lower().partition("://")
        theirs = parsed(rest)
        if scheme not in _PORTS or theirs is None:
            return False
        default = _PORTS[scheme]
        return theirs.name == host.name and (theirs.port or default) == (host.port or default)
