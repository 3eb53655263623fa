"""The link over a pair of sockets, where a test knows who does what first."""

import pytest
from gevent import socket

from geventchat.protocol.errors import HTTP, ProtocolError
from geventchat.server.transport.connection import TcpLink


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01"])
def test_a_stranger_who_does_not_wait_for_the_answer_is_one_all_the_same(said: bytes) -> None:
    here, there = socket.socketpair()
    link = TcpLink(here, "a test", 65_536)
    there.sendall(said)
    there.close()
    with pytest.raises(ProtocolError) as caught:
        list(link.frames())
    assert caught.value.reason is HTTP
    link.close(1)
