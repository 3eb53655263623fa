"""Addresses of servers, which Locust calls hosts."""

import random
import re
import socket
from contextlib import suppress
from typing import NamedTuple, Self

DEFAULT_PORT = 4040


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse HOST:PORT, [HOST]:PORT or HOST. Raises ValueError."""
        text = text.strip().removeprefix("tcp://").removesuffix("/")
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s\[\]:/@]+))(?::([0-9]{1,5}))?", text)
        port = int(found[3] or DEFAULT_PORT) if found else 0
        if found is None or not 0 < port < 65_536:
            raise ValueError(f"{text!r} is not HOST:PORT.")
        return cls(found[1] or found[2], port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def free_port() -> int:
    """Return a free port of 127.0.0.1 outside the ephemeral range.

    Who knocks at one of those before its server is there may be given the same one to come from:
    it is then connected to itself, and the server finds the port taken. Seen in Locust.
    """
    while True:
        port = random.randrange(10_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
