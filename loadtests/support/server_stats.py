"""CPU and memory of the server's process and its `/metrics`, if it is on this machine."""

import http.client
import ipaddress
import re
import socket
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

from loadtests.support.address import Address

_PAGE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a server. None: unknown."""

    cpu_percent: float | None = None
    """Of one core, since the last reading."""
    memory_mb: float | None = None
    outbox_kb: float | None = None
    slow_closes: int | None = None
    """Since it is watched."""


class Server:
    """Watches the server at an address."""

    def __init__(self, address: Address) -> None:
        self._process = listener(address)
        self._metrics = _metrics(self._process, address.port) if self._process else None
        self._slow_before = 0
        # The first CPU reading has nothing to compare with; closes before it are not of this run.
        self._slow_before = self.read().slow_closes or 0

    def read(self) -> Figures:
        """Return the figures now."""
        if self._process is None:
            return Figures()
        try:
            cpu = self._process.cpu_percent()
            memory = self._process.memory_info().rss / (1 << 20)
        except psutil.Error:
            return Figures()  # it has exited
        told = _read(self._metrics) if self._metrics else ""
        largest = re.search(r'^geventchat_outbox_bytes{quantile="1"} (\S+)', told, re.MULTILINE)
        slow = re.search(
            r'^geventchat_connections_closed_total{reason="slow"} (\S+)', told, re.MULTILINE
        )
        return Figures(
            cpu_percent=cpu,
            memory_mb=memory,
            outbox_kb=round(float(largest[1]) / 1000, 1) if largest else None,
            slow_closes=int(float(slow[1]) if slow else 0) - self._slow_before if told else None,
        )


def listener(address: Address) -> psutil.Process | None:
    """Return the local process that listens at an address, if visible."""
    if not _is_here(address.host):
        return None
    with suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr[1:] == (address.port,) and each.pid:
                return psutil.Process(each.pid)
    return None


def _metrics(process: psutil.Process, but: int) -> str | None:
    """Return the URL of the server's metrics, on another of its ports."""
    with suppress(psutil.Error):
        for each in process.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port != but:
                host = f"[{each.laddr.ip}]" if ":" in each.laddr.ip else each.laddr.ip
                page = f"http://{host}:{each.laddr.port}/metrics"
                if "geventchat_" in _read(page):
                    return page
    return None


def _read(page: str) -> str:
    """Return a page, or nothing if it does not load soon. Waits."""
    try:
        with urllib.request.urlopen(page, timeout=_PAGE_SECONDS) as answer:
            told: str = answer.read().decode()
            return told
    except (OSError, ValueError, http.client.HTTPException):
        return ""


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    own = {each.address for nets in psutil.net_if_addrs().values() for each in nets}
    return any(ip in own or ipaddress.ip_address(ip).is_loopback for ip in map(str, found))
