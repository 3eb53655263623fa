"""The client's side of TLS, where a test knows how far it has come."""

import gevent
from gevent import socket

from geventchat.client import tls_context
from geventchat.client.tls import connect


def test_a_greenlet_killed_during_the_handshake_leaks_no_socket() -> None:
    with socket.socket() as silent:
        silent.settimeout(5)
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host, port = silent.getsockname()
        connecting = gevent.spawn(connect, host, port, tls_context())
        peer, _ = silent.accept()
        with peer:
            assert peer.recv(1)
            connecting.kill()
            peer.settimeout(5)
            while peer.recv(4_096):
                pass
