"""The server of `websockets` on uvloop, and its `broadcast`, which frames a message once.

python -m loadtests.fanout.references.websockets_relay PORT
"""

import sys
from collections import defaultdict

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.asyncio.server import serve as listen
from websockets.typing import Subprotocol

from geventchat.protocol.websocket import SUBPROTOCOL

rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def chat(member: ServerConnection) -> None:
    """Serve a client; the path is its room."""
    assert member.request is not None
    room = rooms[member.request.path]
    room.add(member)
    try:
        async for message in member:
            broadcast(room, message)
    finally:
        room.discard(member)


async def serve(port: int) -> None:
    """Take clients until the process ends."""
    async with listen(
        chat, "127.0.0.1", port,
        compression=None, backlog=4096, subprotocols=[Subprotocol(SUBPROTOCOL)],
    ) as server:  # fmt: skip
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
