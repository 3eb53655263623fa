"""What a server and the parent of workers do alike while they run."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from geventchat import __version__
from geventchat.config import Config

if TYPE_CHECKING:
    from geventchat.server.transport.ports import Address


class Listening(Protocol):
    """What listens: hosts and ports of the chat, the page and the admin port."""

    @property
    def addresses(self) -> "list[Address]": ...

    @property
    def web_addresses(self) -> "list[Address]": ...

    @property
    def admin_addresses(self) -> "list[Address]": ...


def first_lines(
    config: Config, listening: Listening, kept: str, operator_file: str | None
) -> Iterator[str]:
    """Yield the first lines of the log. `kept` says where messages are kept."""
    tls = " with TLS" if config.tls_cert is not None else ""
    by = f" with {config.workers} workers" if config.workers > 1 else ""
    addresses = " and ".join(_address(*each) for each in listening.addresses)
    yield f"geventchat {__version__} listening on {addresses}{tls}{by}, messages {kept}"
    scheme = "http" if config.tls_cert is None else "https"
    if pages := [f"{scheme}://{_address(*each)}/" for each in listening.web_addresses]:
        yield f"the page for browsers is at {' and '.join(pages)}"
    if pages := [f"http://{_address(*each)}/" for each in listening.admin_addresses]:
        yield f"/healthz, /metrics and /top are at {' and '.join(pages)}"
    if operator_file is not None:
        yield f"operator token file: {operator_file}"


def has_terminal() -> bool:
    """Return whether the process has a terminal that is open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
