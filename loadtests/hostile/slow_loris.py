"""Slow-loris: thousands of connections that start something and never finish it."""

import tempfile
import time
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Final

import gevent
import trustme
from gevent import socket
from gevent.ssl import SSLContext

from geventchat.client import Connection, tls_context
from loadtests.hostile.server import serving

FRAME_SECONDS: Final = 30
HANDSHAKE_SECONDS: Final = 5
CONNECT_SECONDS: Final = 1.0
"""Time limit for a legitimate client to connect."""
_SLACK_SECONDS: Final = 2.0
"""Tolerance after a deadline: clocks tick once a second."""
_EARLY_RATIO: Final = 0.9
"""A connection closed earlier than this was rejected for another reason."""
_PER_ADDRESS: Final = 50
_VISITOR: Final = "127.0.0.1/32"
"""The network of the legitimate client, which connects unusually often."""
_BEGUN: Final = {"frame": b"hel", "request": b"GET /ind", "TLS": b""}


@dataclass
class SlowLorisResult:
    """When slow connections were closed, and how long a legitimate client took meanwhile."""

    deadlines: dict[str, float]
    gone: dict[str, list[float]] = field(default_factory=dict)
    """Seconds from connect to close, by kind."""
    connects: list[float] = field(default_factory=list)
    left: int = 0

    @property
    def good(self) -> bool:
        """Whether all were closed in time, not earlier, and the client connected in time."""
        in_time = all(
            seconds
            and min(seconds) >= deadline * _EARLY_RATIO
            and max(seconds) <= deadline + _SLACK_SECONDS
            for kind, deadline in self.deadlines.items()
            for seconds in [self.gone.get(kind)]
        )
        return in_time and not self.left and max(self.connects, default=inf) < CONNECT_SECONDS

    def __str__(self) -> str:
        parts = [
            f"{len(seconds):,} {kind} closed after {min(seconds):.1f}-{max(seconds):.1f} s "
            f"(due {self.deadlines[kind]:.0f})"
            for kind, seconds in self.gone.items()
            if seconds
        ]
        connects = sorted(self.connects) or [inf]
        return (
            f"slow-loris: {'; '.join(parts)}; {self.left} left; a legitimate client connected "
            f"{len(self.connects)} times, median {connects[len(connects) // 2] * 1000:.0f} ms, "
            f"at most {connects[-1] * 1000:.0f} ms"
        )


def slow_loris(
    connections: int = 2_000,
    *,
    frame_seconds: int = FRAME_SECONDS,
    handshake_seconds: int = HANDSHAKE_SECONDS,
) -> SlowLorisResult:
    """Let a third drip a frame, a third drip an HTTP request, and a third send nothing."""
    limits = {"frame_seconds": frame_seconds, "handshake_seconds": handshake_seconds}
    deadlines = {"frame": frame_seconds, "request": frame_seconds, "TLS": handshake_seconds}
    result = SlowLorisResult({kind: float(seconds) for kind, seconds in deadlines.items()})
    with tempfile.TemporaryDirectory() as folder:
        cert, trusted = _certificate(Path(folder))
        with (
            serving(trust=_VISITOR, limits=limits) as plain,
            serving("--tls-cert", cert, trust=_VISITOR, limits=limits) as secured,
        ):
            visits = [
                gevent.spawn(_visit, plain.address, None, result),
                gevent.spawn(_visit, secured.address, trusted, result),
            ]
            slow = [
                gevent.spawn(
                    _drip,
                    secured.address if kind == "TLS" else plain.address,
                    f"127.1.{number // _PER_ADDRESS // 250}.{number // _PER_ADDRESS % 250 + 1}",
                    kind,
                    frame_seconds / 6,
                    result,
                )
                for number in range(connections)
                for kind in [list(_BEGUN)[number % 3]]
            ]
            gevent.joinall(slow, timeout=2 * frame_seconds + 20)
            result.left = connections - sum(map(len, result.gone.values()))
            gevent.killall([*slow, *visits])
            for visit in visits:
                visit.get()  # raises its exception
    return result


def _drip(
    address: tuple[str, int], source: str, kind: str, pause: float, result: SlowLorisResult
) -> None:
    gone = result.gone.setdefault(kind, [])
    with socket.create_connection(address, 30, (source, 0)) as peer:
        came = time.monotonic()
        peer.settimeout(pause)
        try:
            peer.sendall(_BEGUN[kind])
            while True:
                try:
                    if not peer.recv(4_096):
                        break
                except TimeoutError:
                    peer.sendall(b"x" * bool(_BEGUN[kind]))
        except OSError:
            pass  # reset: gone as well
        gone.append(time.monotonic() - came)


def _visit(address: tuple[str, int], tls: SSLContext | None, result: SlowLorisResult) -> None:
    """Connect again and again, as one client, until killed."""
    client = "a-legitimate-client"
    while True:
        began = time.monotonic()
        with Connection(*address, client=client, rooms=(), resume=False, tls=tls or False):
            result.connects.append(time.monotonic() - began)
        gevent.sleep(0.2)


def _certificate(folder: Path) -> tuple[str, SSLContext]:
    """Return a certificate file for the server, and a context that trusts it."""
    authority = trustme.CA()
    file, known = folder / "cert.pem", folder / "ca.pem"
    file.touch(0o600)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(file))
    authority.cert_pem.write_to_path(str(known))
    return str(file), tls_context(str(known))
