"""The client's side of TLS, where a test knows how far it has come."""

import ssl

import gevent
import pytest
from gevent import socket

from geventchat.client import Connection, tls_context
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


def test_a_context_that_would_block_every_greenlet_is_refused() -> None:
    with pytest.raises(TypeError, match="tls_context"):
        Connection("127.0.0.1", 4040, tls=ssl.create_default_context())
