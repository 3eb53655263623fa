"""A TCP connection to the first address of a host that answers, as in RFC 8305."""

from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any, Final

import gevent
from gevent import socket
from gevent.queue import Empty, Queue

STAGGER_SECONDS: Final = 0.25
"""How long an address is tried alone before the next one is tried as well."""

Address = tuple[Any, Any, int, str, Any]
"""An item of `getaddrinfo`."""


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """Return a connected socket, within so many seconds for the name and all its addresses. Waits.

    An address that does not answer, such as IPv6 without a route, delays the others by 250 ms only.
    Raises OSError, that of the last address that failed.
    """
    outcomes: Queue[socket.socket | OSError] = Queue()
    attempts: list[gevent.Greenlet[..., None]] = []
    failed: OSError = OSError("no address")
    try:
        with gevent.Timeout(seconds, TimeoutError("timed out")):
            addresses = _alternating(_resolve(host, port))
            while addresses or not all(attempt.ready() for attempt in attempts) or len(outcomes):
                if addresses:
                    attempts.append(gevent.spawn(_try, addresses.pop(0), outcomes))
                with suppress(Empty):
                    outcome = outcomes.get(timeout=STAGGER_SECONDS if addresses else None)
                    if isinstance(outcome, socket.socket):
                        return outcome
                    failed = outcome
    finally:
        gevent.killall(attempts)
        while len(outcomes):
            if isinstance(late := outcomes.get(), socket.socket):
                late.close()
    raise failed


def _resolve(host: str, port: int) -> list[Address]:
    try:
        # Encoded here as getaddrinfo would, since an error in its thread is also printed.
        return socket.getaddrinfo(host.encode("idna"), port, 0, socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError(f"{host!r} is not a host name or address") from None


def _alternating(found: list[Address]) -> list[Address]:
    """Order addresses so that the family alternates, beginning with the system's first choice."""
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return [each for each in chain(*zip_longest(first, others)) if each]


def _try(address: Address, outcomes: "Queue[socket.socket | OSError]") -> None:
    family, kind, protocol, _, where = address
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:  # a family that this machine does not have
        outcomes.put(error)
        return
    try:
        sock.connect(where)
    except BaseException as error:
        sock.close()
        if not isinstance(error, OSError):
            raise
        outcomes.put(error)
    else:
        outcomes.put(sock)
