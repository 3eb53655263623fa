"""A connection that was lost without a word is noticed, and a quiet one is kept."""

import gevent

from geventchat.client import Connection, Disconnected
from geventchat.client.socket_link import ANSWER, SILENCE
from geventchat.protocol.events import Pong
from tests.client.peer import Listener, Peer, meanwhile


def quiet(listener: Listener) -> tuple[Connection, Peer]:
    connecting = meanwhile(lambda: Connection("127.0.0.1", listener.port))
    peer = listener.accept()
    peer.welcome(ping_seconds=1)
    return connecting.get(), peer


def test_a_server_that_is_gone_without_a_word_is_noticed_within_a_minute(
    listener: Listener,
) -> None:
    assert (SILENCE + ANSWER) * 30 < 60
    chat, peer = quiet(listener)
    with chat:
        assert peer.request()["type"] == "ping"
        with gevent.Timeout(20):
            assert isinstance(next(chat), Disconnected)
        listener.close()


def test_a_server_that_answers_the_ping_is_kept(listener: Listener) -> None:
    chat, peer = quiet(listener)
    with chat:
        for _ in range(2):
            assert peer.request()["type"] == "ping"
            peer.tell(Pong())
        assert len(chat.heard()) == 0
        listener.close()
