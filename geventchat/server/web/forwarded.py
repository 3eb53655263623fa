"""What a proxy says of the client it asks for: RFC 7239, and the fields older than that.

Each proxy adds to a list, so its end comes from the nearest one, and its beginning from anybody.
Nothing here waits.
"""

import re
from typing import Final

from websockets.datastructures import Headers

from geventchat.server.networks import Networks, is_usable, parsed
from geventchat.server.transport.base import Client
from geventchat.server.web.http import BadRequest

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED: Final = r'"((?:[^"\\]|\\.)*+)"'
_PART: Final = re.compile(
    rf'[ \t]*+(?:({_TOKEN})=(?:{_QUOTED}|([^\s",;]*+))[ \t]*+(?=[,;]|\Z)|([^,;]*+))([,;]?)'
)
"""A parameter, or anything else, such as a quote that is never closed; and what ends it."""
_PORT: Final = r"(?::([0-9]{1,5}|_[0-9A-Za-z._-]+))?"
_MOST_CHARACTERS: Final = 100
_NODE: Final = re.compile(
    rf"\[([0-9A-Fa-f:.]+)\]{_PORT}|([0-9.]+){_PORT}|([0-9A-Fa-f:]+:[0-9A-Fa-f:.]*)"
)
"""RFC 7239, 6: an address, with or without a port; one of IPv6 also without brackets."""


def client(headers: Headers, proxies: Networks) -> Client | None:
    """Return the client, with port 0 if that is not said.

    It is the last of a list that is no proxy's. None: it is not said, or no client can have it.
    Raises BadRequest if the fields disagree: then one of them is the client's own.
    """
    lists = [nodes for nodes in (_nodes(headers), _forwarded(headers, "for")) if nodes]
    found = [_nearest(nodes, proxies) for nodes in lists]
    if len({each and each[0] for each in found}) > 1:
        raise BadRequest(400, "X-Forwarded-For and Forwarded name different clients.")
    return Client(*found[0]) if found and found[0] is not None else None


def host(headers: Headers) -> str | None:
    """Return the host that the client asked for; None: that is not said."""
    hosts = [each.strip() for each in _joined(headers, "X-Forwarded-Host").split(",")]
    hosts += reversed(_forwarded(headers, "host"))
    return next((each for each in hosts if each), None)


def _nearest(nodes: list[str], proxies: Networks) -> tuple[str, int] | None:
    """Return the first node that is no proxy's; None if it, or one before it, is no address."""
    for node in nodes:
        match = _NODE.fullmatch(node) if len(node) <= _MOST_CHARACTERS else None
        if match is None or (ip := parsed(match[1] or match[3] or match[5])) is None:
            return None
        if str(ip) not in proxies:
            port = match[2] or match[4] or ""
            known = port.isdecimal() and int(port) <= 65_535
            return (str(ip), int(port) if known else 0) if is_usable(ip) else None
    return None


def _nodes(headers: Headers) -> list[str]:
    """Return the nodes of X-Forwarded-For, the nearest first."""
    nodes = [each.strip() for each in _joined(headers, "X-Forwarded-For").split(",")]
    return [each for each in reversed(nodes) if each]


def _forwarded(headers: Headers, name: str) -> list[str]:
    """Return a parameter of each element of Forwarded, the nearest first; empty if it has none."""
    values = []
    for line in headers.get_all("Forwarded"):  # each by itself: a quote ends in its own
        element: dict[str, str] = {}
        for part in _PART.finditer(line):
            key, quoted, plain, junk, end = part.groups()
            if key is not None:
                value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                element[key.lower()] = value if key.lower() not in element else ""
            elif junk.strip():
                element = {"for": "", "host": ""} | dict.fromkeys(element, "")
            if end != ";" and element:
                values.append(element.get(name, ""))
                element = {}
    return values[::-1]


def _joined(headers: Headers, name: str) -> str:
    return ",".join(headers.get_all(name))
