"""The link over a pair of sockets: each framing over each stream."""

import pytest
from gevent import socket

from geventchat.protocol.errors import HTTP, ProtocolError
from geventchat.server.outbox import Outbox
from geventchat.server.transport.connection import Connection
from geventchat.server.transport.null import NullFraming
from geventchat.server.transport.tcp import TcpStream


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01"])
def test_a_stranger_who_does_not_wait_for_the_answer_is_one_all_the_same(said: bytes) -> None:
    here, there = socket.socketpair()
    link = Connection(TcpStream(here), NullFraming(65_536, ""), "a test", 1, "tcp")
    there.sendall(said)
    there.close()
    with pytest.raises(ProtocolError) as caught:
        list(link.frames(Outbox(link.sink, 1_000, lambda _: None)))
    assert caught.value.reason is HTTP
    link.close(1)
