"""The header of the PROXY protocol, in which a proxy names the client of a connection.

No I/O. As in proxy-protocol.txt of HAProxy: 2.1 describes version 1, 2.2 version 2.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple

from geventchat.server.networks import Address, is_usable

_LINE: Final = b"PROXY "
_LINE_BYTES: Final = 107
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
DECIDING_BYTES: Final = len(_SIGNATURE)
"""So many bytes show whether they begin a header."""
_FIXED_BYTES: Final = 16
"""The signature, version and command, family and transport, and the length of the rest."""
_MOST_REST: Final = 4_096
"""Addresses and what a proxy adds, such as the certificate of a client."""
MOST_BYTES: Final = _FIXED_BYTES + _MOST_REST
"""No header is longer."""
_LOCAL, _PROXIED = 0, 1
_ADDRESSES: Final[dict[int, tuple[type[Address], int]]] = {
    0x11: (IPv4Address, 4),
    0x21: (IPv6Address, 16),
}
"""TCP over IPv4 and over IPv6: the type of its addresses, and their size."""
_FAMILIES: Final = range(4)
_TRANSPORTS: Final = range(3)
_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}")


class BadHeader(ValueError):
    """What begins a connection is not a header; the text names the mistake."""


class NoHeader(BadHeader):
    """It does not even begin like a header."""


class Header(NamedTuple):
    """A complete header."""

    size: int
    """Its bytes."""
    source: tuple[str, int] | None
    """Address and port of the client; None: it names none that can be used."""


def parse(head: bytes) -> Header | None:
    """Return the header at the start of the first bytes of a connection.

    None: it is incomplete, so all these bytes are of it. What follows a header changes nothing.
    Raises BadHeader.
    """
    if _begins(head, _LINE):
        return _line(head)
    if _begins(head, _SIGNATURE):
        return _binary(head)
    raise NoHeader("it sent no PROXY header, which --proxy requires")


def _begins(head: bytes, mark: bytes) -> bool:
    return head[: len(mark)] == mark[: len(head)]


def _line(head: bytes) -> Header | None:
    line, end, _ = head[:_LINE_BYTES].partition(b"\r\n")
    if not end:
        whole = line.removesuffix(b"\r")  # a line feed may come
        if not _is_text(whole) or len(head) >= _LINE_BYTES:
            raise BadHeader(f"its PROXY header does not end with CR LF in {_LINE_BYTES} bytes")
        return None
    if not _is_text(line):
        raise BadHeader("its PROXY header is not one line of ASCII")
    size, (protocol, *fields) = len(line) + len(end), line.decode().split(" ")[1:]
    if protocol == "UNKNOWN":
        return Header(size, None)
    if protocol not in ("TCP4", "TCP6"):
        raise BadHeader("its PROXY header names neither TCP4 nor TCP6 nor UNKNOWN")
    if len(fields) != 4:
        raise BadHeader("its PROXY header does not have two addresses and two ports")
    kind = IPv4Address if protocol == "TCP4" else IPv6Address
    try:
        source, _ = (kind(field.replace("%", "/")) for field in fields[:2])  # no scope of its own
    except AddressValueError:
        raise BadHeader(f"its PROXY header has an address that is not of {protocol}") from None
    if not all(_PORT.fullmatch(field) and int(field) <= 65_535 for field in fields[2:]):
        raise BadHeader("its PROXY header has a port that is none")
    return Header(size, _usable(source, int(fields[2])))


def _binary(head: bytes) -> Header | None:
    if len(head) > 12 and head[12] >> 4 != 2:
        raise BadHeader("its PROXY header is of an unknown version")
    command = head[12] & 15 if len(head) > 12 else _LOCAL
    if command not in (_LOCAL, _PROXIED):
        raise BadHeader("its PROXY header has an unknown command")
    if len(head) < _FIXED_BYTES:
        return None
    family, rest = head[13], int.from_bytes(head[14:_FIXED_BYTES])
    if rest > _MOST_REST:
        raise BadHeader(f"its PROXY header is longer than {_MOST_REST:,} bytes")
    kind, size = _ADDRESSES.get(family, (None, 0))
    if command == _PROXIED:
        if family >> 4 not in _FAMILIES or family & 15 not in _TRANSPORTS:
            raise BadHeader("its PROXY header has an unknown address family or transport")
        if rest < 2 * size + (4 if size else 0):
            raise BadHeader("its PROXY header is too short for its addresses")
    if len(head) < _FIXED_BYTES + rest:
        return None
    if command == _LOCAL or kind is None:
        return Header(_FIXED_BYTES + rest, None)
    source = kind(head[_FIXED_BYTES : _FIXED_BYTES + size])
    ports = _FIXED_BYTES + 2 * size
    return Header(_FIXED_BYTES + rest, _usable(source, int.from_bytes(head[ports : ports + 2])))


def _usable(source: Address, port: int) -> tuple[str, int] | None:
    """Return the address of a client as people write it; None: no client has this one."""
    ip = getattr(source, "ipv4_mapped", None) or source
    return (str(ip), port) if is_usable(ip) else None


def _is_text(line: bytes) -> bool:
    return line.isascii() and line.decode().isprintable()
