"""The original design: a thread per client, which sends what its client says to everyone else.

python -m loadtests.fanout.references.threads PORT
"""

import contextlib
import socket
import sys
import threading

from geventchat.protocol.frames import Decoder


class Relay:
    """One room with all connected clients."""

    def __init__(self) -> None:
        self._members: dict[socket.socket, threading.Lock] = {}

    def serve(self, port: int) -> None:
        """Take clients until the process ends."""
        with socket.create_server(("127.0.0.1", port), backlog=4096) as listener:
            while True:
                member, _ = listener.accept()
                member.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._members[member] = threading.Lock()
                threading.Thread(target=self._listen, args=[member], daemon=True).start()

    def _listen(self, member: socket.socket) -> None:
        decoder = Decoder()
        with contextlib.suppress(OSError), member:
            while data := member.recv(65_536):
                for frame in decoder.feed(data):
                    self.relay(frame + b"\0", member)
        del self._members[member]

    def relay(self, frame: bytes, author: socket.socket) -> None:
        """Send a frame to everyone except its author. Waits for slow readers."""
        for member, lock in list(self._members.items()):
            if member is not author:
                # Two threads that send to one member must not mix their frames.
                with contextlib.suppress(OSError), lock:
                    member.sendall(frame)


if __name__ == "__main__":
    Relay().serve(int(sys.argv[1]))
