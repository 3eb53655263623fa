"""A way to a server that breaks its promises: one post in so many is dropped, doubled or swapped.

    python -m tests.loadtests.faulty HOST:PORT drop|duplicate|swap EVERY

The first one is the 100th, so that a short run on a busy machine meets it. It prints its port.
"""

import asyncio
import itertools
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator

from geventchat.protocol.frames import Decoder

FIRST = 100
LIMIT = 1 << 20


class Faulty:
    """Passes everything on, but for a post now and then."""

    def __init__(self, host: str, port: int, fault: str, every: int) -> None:
        self._host, self._port = host, port
        self._fault = fault
        self._every = every
        self._posts = itertools.count(1)

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        up = asyncio.create_task(self._up(reader, server_writer))
        await self._down(server_reader, writer)
        up.cancel()
        for each in (writer, server_writer):
            each.close()

    async def _up(self, reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _down(self, reader: StreamReader, writer: StreamWriter) -> None:
        decoder = Decoder(LIMIT)
        held: list[bytes] = []
        try:
            while data := await reader.read(65_536):
                for frame in decoder.feed(data):
                    writer.write(b"".join(each + b"\0" for each in self._bent(frame, held)))
                await writer.drain()
        except ConnectionError:
            pass  # the user has gone

    def _bent(self, frame: bytes, held: list[bytes]) -> Iterator[bytes]:
        """Return what becomes of a frame."""
        if not frame.startswith(b'{"type":"post"'):
            yield frame
        elif (next(self._posts) - FIRST) % self._every:
            yield frame
            yield from held
            held.clear()
        elif self._fault == "duplicate":
            yield frame
            yield frame
        elif self._fault == "swap":
            held.append(frame)


async def main() -> None:
    address, fault, every = sys.argv[1:]
    host, _, port = address.rpartition(":")
    faulty = Faulty(host, int(port), fault, int(every))
    listening = await asyncio.start_server(faulty.serve, "127.0.0.1", 0)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
