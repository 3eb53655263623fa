"""asyncio on uvloop, written the usual way: a write for each member and message.

python -m loadtests.fanout.references.uvloop_relay PORT
"""

import asyncio
import sys
from typing import cast

import uvloop

from geventchat.protocol.frames import Decoder

members: dict["Member", asyncio.Transport] = {}


class Member(asyncio.Protocol):
    """A client; all clients share one room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._decoder = Decoder()
        # uvloop's transports are not subclasses.
        members[self] = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del members[self]

    def data_received(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            whole = frame + b"\0"
            for member, transport in members.items():
                if member is not self:
                    transport.write(whole)


async def serve(port: int) -> None:
    """Take clients until the process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Member, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
