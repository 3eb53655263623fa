"""The server's own figures: its process's, if it runs on this machine.

The largest outbox and the slow closes are for its `/metrics` to tell, once it has them.
"""

import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass

import psutil

from loadtests.address import Address


@dataclass(frozen=True, slots=True)
class Figures:
    """None: not known."""

    cpu_percent: float | None = None
    """Of one core, since the last time."""
    memory_mb: float | None = None
    outbox_kb: float | None = None
    slow_closes: int | None = None


class Server:
    """Watches the server at an address."""

    def __init__(self, address: Address) -> None:
        self._process = listener(address)
        self.read()  # the first CPU reading has nothing to compare with

    def read(self) -> Figures:
        """Give the figures now."""
        if self._process is None:
            return Figures()
        try:
            return Figures(
                cpu_percent=self._process.cpu_percent(),
                memory_mb=self._process.memory_info().rss / (1 << 20),
            )
        except psutil.Error:
            return Figures()  # it has ended


def listener(address: Address) -> psutil.Process | None:
    """Give the process of this machine that listens at an address, if it can be seen."""
    if not _is_here(address.host):
        return None
    with suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr[1:] == (address.port,) and each.pid:
                return psutil.Process(each.pid)
    return None


def _is_here(host: str) -> bool:
    """Say whether a host is this machine by one of its own addresses."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    own = {each.address for nets in psutil.net_if_addrs().values() for each in nets}
    return any(ip in own or ipaddress.ip_address(ip).is_loopback for ip in map(str, found))
