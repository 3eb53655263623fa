"""Addresses of servers, which Locust calls hosts."""

import random
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
        text = text.removeprefix("tcp://").removesuffix("/")
        host, colon, port = text.rpartition(":")
        if not colon or text.endswith("]"):
            host, port = text, str(DEFAULT_PORT)
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError(f"{text!r} is not HOST:PORT.")
        return cls(host, int(port))

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
