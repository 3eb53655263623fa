"""Ports: where a server listens. Its own are opened as its settings say.

They are taken at the start, and listened on when the server accepts. Until then the system refuses
connections: who is refused tries again, or elsewhere, while the system's queue would hold a hello
until its client has given up, and has perhaps come in on another node.
"""

import errno
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from gevent import socket as gevent_socket

from geventchat.config import ADMIN_PORT, WEB_PORT, BadSetting, Config
from geventchat.protocol.names import endpoint

DEFAULT_ADMIN: Final = f"127.0.0.1:{ADMIN_PORT}"
DEFAULT_WEB: Final = f"127.0.0.1:{WEB_PORT}"
BACKLOG: Final = 4096
"""Connections the kernel holds until they are accepted; 128 would drop some of a burst."""
_INHERITED: Final = {
    # A dead peer is detected after 90 s of silence, or 90 s without acknowledging what it was sent:
    # later than a stalled one is closed as slow.
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 90_000,
    # The most unsent data that the kernel holds for a client that has stopped reading.
    "TCP_NOTSENT_LOWAT": 256 << 10,
    "TCP_NODELAY": 1,
}
"""Options that connections inherit from the listening socket, where the system has them."""
_TRIES: Final = 20
"""How often a port is looked for that is free at all addresses."""
_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

Address: TypeAlias = tuple[str, int]

_log: Final = logging.getLogger(__name__)


@dataclass
class Ports:
    """Sockets of a server: of the chat port, the page and the admin port.

    There are none of what is disabled.
    """

    chat: list[gevent_socket.socket] = field(default_factory=list)
    web: list[gevent_socket.socket] = field(default_factory=list)
    admin: list[gevent_socket.socket] = field(default_factory=list)

    def listen(self) -> None:
        """Listen on all of them. Raises BadSetting: another program was quicker."""
        for name, sockets in ("port", self.chat), ("web", self.web), ("admin", self.admin):
            for each in sockets:
                try:
                    each.listen(BACKLOG)
                except OSError as error:
                    host, port = each.getsockname()[:2]
                    value = port if name == "port" else endpoint(host, port)
                    raise BadSetting.of(name, value, error) from None

    def close(self) -> None:
        """Close all of them."""
        for each in (*self.chat, *self.web, *self.admin):
            each.close()


def opened(config: Config) -> Ports:
    """Take the ports of a config, to be listened on later. Waits. Raises BadSetting.

    Without the page, or the admin port, if its default one is in use.
    """
    ports = Ports()
    try:
        ports.chat = _opened(config.host, config.port)
        ports.web = _optional("web", config.web, DEFAULT_WEB, "page")
        ports.admin = _optional("admin", config.admin, DEFAULT_ADMIN, "admin port")
    except BadSetting:
        ports.close()
        raise
    return ports


def split(setting: str) -> tuple[str, int]:
    """Return host and port of a setting `HOST:PORT`; the host is empty for `none`."""
    host, _, port = setting.rpartition(":")
    return host.strip("[]"), int(port) if host else 0


def addresses(listeners: Sequence[gevent_socket.socket]) -> list[Address]:
    """Return hosts and port of sockets; of port 0, what the system chose."""
    return [each.getsockname()[:2] for each in listeners]


def _optional(
    name: str, setting: str | None, default: str, what: str
) -> list[gevent_socket.socket]:
    host, port = split(setting or default)
    if not host:
        return []
    try:
        return _opened(host, port, name)
    except BadSetting as error:
        if setting is not None:
            raise
        _log.warning("%s disabled: %s", what, error)
        return []


def check(host: str) -> None:
    """Raise BadSetting if a host cannot be listened on. Waits."""
    for each in _opened(host, 0):
        each.close()


def _opened(host: str, port: int, setting: str | None = None) -> list[gevent_socket.socket]:
    try:
        return bound(host, port)
    except OSError as error:
        if setting is not None:
            raise BadSetting.of(setting, endpoint(host, port), error) from None
        whole = error.errno in _ABSENT or isinstance(error, socket.gaierror)  # any port of it
        name, value = ("host", host) if whole else ("port", port)
        raise BadSetting.of(name, value, error) from None


def bound(host: str, port: int) -> list[gevent_socket.socket]:
    """Bind a socket to each address of a host, with what its connections inherit.

    With port 0 all have the same free port. An address that this machine does not have, such as
    ::1 where IPv6 is disabled, is left out if there is another. Waits. Raises OSError.
    """
    found = gevent_socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    for _ in range(_TRIES - 1 if port == 0 else 0):
        try:
            return _bound(addresses)
        except OSError as error:  # the free port of the first address is taken at another
            if error.errno != errno.EADDRINUSE:
                raise
    return _bound(addresses)


def _bound(addresses: Sequence[tuple[int, tuple[Any, ...]]]) -> list[gevent_socket.socket]:
    sockets: list[gevent_socket.socket] = []
    absent = None
    try:
        for family, (host, port, *scope) in addresses:
            number = port or (sockets[0].getsockname()[1] if sockets else 0)
            try:
                sockets.append(_socket(family, (host, number, *scope)))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
        if absent is not None and not sockets:
            raise absent
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def _socket(family: int, address: tuple[Any, ...]) -> gevent_socket.socket:
    made = gevent_socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _INHERITED.items():
            if (option := getattr(socket, name, None)) is not None:
                made.setsockopt(socket.IPPROTO_TCP, option, value)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
