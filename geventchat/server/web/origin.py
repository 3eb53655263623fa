"""Which names a browser may use for this server, and which pages may talk to it.

Otherwise a page from anywhere could talk to a server on its visitor's own machine or network: by a
WebSocket, which no browser refuses by itself, or through DNS rebinding. Nothing here waits.
"""

import re
from collections.abc import Collection
from ipaddress import IPv6Address, ip_address
from socket import gethostname
from typing import Final, NamedTuple

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z_-][0-9a-z_.-]*))(?::([0-9]{0,5}))?")
"""RFC 3986, 3.2.2, without what no host has that a browser can reach."""


class Host(NamedTuple):
    """The host that a request names, and the port if it names one."""

    name: str
    port: int | None


def parsed(host: str) -> Host | None:
    """Parse a Host header or what follows `://` in an origin; None: it is malformed."""
    found = _HOST.fullmatch(host.lower())
    if found is None or int(found[3] or 0) > 65_535:
        return None
    try:  # as everybody else writes it
        name = str(IPv6Address(found[1])) if found[1] else found[2].removesuffix(".")
    except ValueError:
        return None
    return Host(name, int(found[3]) if found[3] else None)


def _origin(text: str) -> tuple[str, Host] | None:
    """Parse an origin: its scheme, its host with the port; None: it is no page's on the web."""
    scheme, _, rest = text.lower().partition("://")
    host = parsed(rest)
    return _with_port(scheme, host) if scheme in _PORTS and host is not None else None


def _with_port(scheme: str, host: Host) -> tuple[str, Host]:
    return scheme, Host(host.name, host.port or _PORTS[scheme])


class Names:
    """The hosts and origins that are accepted."""

    def __init__(
        self, host: str, hosts: Collection[str] = (), origins: Collection[str] = ()
    ) -> None:
        """`hosts`, `origins`: what the settings add."""
        self.host = host
        """What the door listens on."""
        self._hosts = {"localhost", gethostname().lower(), host.lower(), *map(str.lower, hosts)}
        self._origins = {_origin(origin) for origin in origins}

    def renewed(self, hosts: Collection[str], origins: Collection[str]) -> "Names":
        """Return those with other additions."""
        return Names(self.host, hosts, origins)

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
        if origin is None:
            return True
        theirs = _origin(origin)
        return theirs is not None and (
            theirs in self._origins or theirs == _with_port(theirs[0], host)
        )
