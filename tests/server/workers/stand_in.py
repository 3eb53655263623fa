"""A worker that echoes, or has a fault, for tests of its parent.

    python -m tests.server.workers.stand_in [FAULT]

It answers each connection with its process id.
"""

import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler

import msgspec

from geventchat.server.tether import ALIVE, LEAVE, PAGE, READY, RECYCLE, VARIABLE, Passed
from geventchat.server.transport.ports import BACKLOG


class Pages(BaseHTTPRequestHandler):
    """Answers the questions of an admin port."""

    def do_GET(self) -> None:
        body = {
            "/healthz": b"ready\n",
            "/metrics": b"# HELP said Texts.\n# TYPE said counter\nsaid_total 2\n",
            "/top": b'{"rooms":[{"room":"tea","messages_per_second":1,"members":2}],"clients":[]}',
        }[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main(fault: str = "") -> int:
    text = os.environ[VARIABLE]
    passed = msgspec.json.decode(text, type=Passed)
    tether = socket.socket(fileno=passed.tether)
    tether.setblocking(True)
    if fault == "refuses":
        sys.stderr.write("geventchat: --password-file /none: No such file or directory\n")
        return 2
    if fault == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "second dies" and passed.number == 2:
        return 3
    if fault == "stays":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    tether.sendall(ALIVE)
    threading.Thread(target=hear, args=(tether,), daemon=True).start()
    listener = socket.socket(fileno=passed.chat[0])
    listener.listen(BACKLOG)
    listener.setblocking(True)
    tether.sendall(READY)
    while True:
        taken, _ = listener.accept()
        with taken:
            if taken.recv(1) == b"r":
                tether.sendall(RECYCLE)
            taken.sendall(f"{passed.number} {os.getpid()}\n".encode())


def hear(tether: socket.socket) -> None:
    while True:
        said, descriptors, _, _ = socket.recv_fds(tether, 1, 1)
        if not said:
            os._exit(0)
        assert said in (PAGE, LEAVE)
        for each in descriptors:
            with socket.socket(fileno=each) as asked:
                asked.setblocking(True)
                Pages(asked, ("", 0), None)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
