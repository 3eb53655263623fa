"""Direct messages to accounts are repeated after a loss, and those to guests never."""

from collections.abc import Iterator

import gevent
import pytest
from msgspec.structs import replace

from geventchat.client import Connection, Ended, SignIn
from geventchat.protocol.events import Bye, Error, Event, Joined, Person, Post, Sent
from tests.client.peer import EPOCH, WELCOME, Listener, Peer, meanwhile

pytestmark = pytest.mark.usefixtures("at_once")
CONVERSATION = "@Xb81kQz0Tn4c"


def welcome(peer: Peer) -> None:
    nonce = peer.request()["nonce"]
    features = ["accounts", "private"]
    peer.tell(replace(WELCOME, nonce=nonce, features=features, account="q7Zx0pLm2WcA"))


def joined(request_id: str) -> Event:
    return Joined(
        room=CONVERSATION,
        epoch=EPOCH,
        position=0,
        oldest=1,
        recovered=None,
        count=1,
        with_=Person(nick="Bob", account="mK2"),
        private=True,
        id=request_id,
    )


def said(key: str) -> Event:
    return Post(CONVERSATION, 1, "anna", 0, "Lunch?", key)


@pytest.fixture
def signed_in(listener: Listener) -> Iterator[tuple[Connection, Peer]]:
    account = SignIn(session="s" * 16)
    connecting = meanwhile(lambda: Connection("127.0.0.1", listener.port, account=account))
    peer = listener.accept()
    welcome(peer)
    chat = connecting.get()
    yield chat, peer
    listener.close()
    chat.close()


def test_one_in_doubt_is_said_again_in_the_conversation_by_its_key(
    listener: Listener, signed_in: tuple[Connection, Peer]
) -> None:
    chat, peer = signed_in
    asking = meanwhile(lambda: chat.direct("Bob", "Lunch?"))
    key = peer.request()["key"]
    peer.socket.close()
    again = listener.accept()
    welcome(again)
    opened = again.request()
    assert (opened["type"], opened["with"]) == ("open", "Bob")
    again.tell(joined(opened["id"]))
    repeated = again.request()
    assert {"type": "say", "room": CONVERSATION, "text": "Lunch?", "key": key}.items() <= (
        repeated.items()
    )
    again.tell(said(key))
    assert asking.get() == Sent(to="Bob", room=CONVERSATION, position=1, key=key, stored=True)


def test_one_in_doubt_to_a_guest_is_not_repeated(
    listener: Listener, signed_in: tuple[Connection, Peer]
) -> None:
    chat, peer = signed_in
    asking = meanwhile(lambda: chat.direct("guest-7", "Lunch?"))
    peer.request()
    peer.socket.close()
    again = listener.accept()
    welcome(again)
    again.tell(Error(code="no_such_nick", text="no", id=again.request()["id"]))
    with pytest.raises(Ended):
        asking.get()


def test_it_is_repeated_however_often_the_connection_is_lost(
    listener: Listener, signed_in: tuple[Connection, Peer]
) -> None:
    chat, peer = signed_in
    asking = meanwhile(lambda: chat.direct("Bob", "Lunch?", key="k"))
    peer.request()
    for _ in range(2):
        peer.socket.close()
        peer = listener.accept()
        welcome(peer)
        opened = peer.request()
    peer.tell(joined(opened["id"]))
    assert peer.request()["key"] == "k"
    peer.tell(said("k"))
    assert asking.get().position == 1


def test_it_ends_with_the_session(signed_in: tuple[Connection, Peer]) -> None:
    chat, peer = signed_in
    asking = meanwhile(lambda: chat.direct("Bob", "Lunch?"))
    peer.request()
    peer.tell(Bye(code="account", text="This session was revoked.", reconnect=False))
    peer.socket.close()
    with gevent.Timeout(20), pytest.raises(Ended, match="revoked"):
        asking.get()


def test_a_guest_sends_each_at_most_once(listener: Listener) -> None:
    connecting = meanwhile(lambda: Connection("127.0.0.1", listener.port))
    peer = listener.accept()
    peer.welcome()
    chat = connecting.get()
    asking = meanwhile(lambda: chat.direct("Bob", "Lunch?"))
    assert "key" not in peer.request()
    peer.socket.close()
    with pytest.raises(Ended):
        asking.get()
    listener.close()
    chat.close()
