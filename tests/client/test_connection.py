"""What `Connection` promises, with the server's side spoken by hand."""

import inspect
import typing

import gevent
import pytest
from gevent import socket
from msgspec import Struct

from geventchat import client
from geventchat.client import (
    Connection,
    Cursor,
    Ended,
    Error,
    Joined,
    NotGeventchat,
    Post,
    Presence,
    Refused,
    Sent,
    ServerError,
    TooLong,
    inbox,
    socket_link,
)
from geventchat.client.past_requests import PastRequests
from geventchat.client.people_requests import PeopleRequests
from geventchat.protocol.errors import MISPLACED_HELLO, PROXY
from geventchat.protocol.events import Bye, Members, Ping, Pong
from tests.client.peer import Listener, Peer, conversation, meanwhile

EPOCH = "e" * 16


def post(position: int, text: str = "hi", key: str | None = None) -> Post:
    return Post("lobby", position, "bert", 0, text, key)


def joined(position: int = 0, recovered: bool | None = None) -> Joined:
    return Joined(
        room="lobby", epoch=EPOCH, position=position, oldest=1, recovered=recovered, count=1
    )


def pong(peer: Peer) -> None:
    request = peer.request()
    assert request["type"] == "ping"
    peer.tell(Pong(id=request["id"]))


def test_frames_before_the_welcome_are_discarded(listener: Listener) -> None:
    connecting = meanwhile(lambda: Connection("127.0.0.1", listener.port, nick="anna"))
    peer = listener.accept()
    peer.tell(b"a plain member speaks", b'{"type":"welcome","nonce":"forged"}', b"\xff", b"{}")
    peer.tell(b"* geventchat: a line that anybody can forge")
    hello = peer.welcome()
    assert (hello["type"], hello["version"], hello["nick"]) == ("hello", 1, "anna")
    assert hello["rooms"] == {"lobby": None}
    chat = connecting.get()
    assert chat.nick == "anna"
    assert chat.heard() == []
    peer.socket.close()
    chat.close()


def test_a_server_without_a_welcome_is_not_geventchat(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_link, "WELCOME_SECONDS", 0.01)
    with pytest.raises(NotGeventchat, match="No geventchat server at 127"):
        Connection("127.0.0.1", listener.port)


def test_a_server_that_closes_silently_is_not_geventchat(listener: Listener) -> None:
    connecting = meanwhile(lambda: Connection("127.0.0.1", listener.port))
    peer = listener.accept()
    peer.frame()
    peer.socket.close()
    with pytest.raises(NotGeventchat):
        connecting.get()


def test_a_notice_instead_of_the_welcome_is_the_reason(listener: Listener) -> None:
    connecting = meanwhile(lambda: Connection("127.0.0.1", listener.port))
    peer = listener.accept()
    peer.frame()
    peer.tell(b"* geventchat: The server is full.")
    peer.socket.close()
    with pytest.raises(Ended, match="The server is full"):
        connecting.get()


@pytest.mark.parametrize("text", [MISPLACED_HELLO.text, PROXY.text, "This port speaks TLS."])
def test_an_answer_that_the_hello_was_not_understood_is_final(
    listener: Listener, text: str
) -> None:
    """Connecting again would only tell its secrets again."""
    connecting = meanwhile(lambda: Connection("127.0.0.1", listener.port))
    peer = listener.accept()
    peer.frame()
    peer.tell(b"* geventchat: " + text.encode())
    peer.socket.close()
    with pytest.raises(Ended, match="This port speaks") as caught:
        connecting.get()
    assert not caught.value.bye.reconnect


def test_an_invalid_hello_is_told_what_is_wrong_with_it(listener: Listener) -> None:
    connecting = meanwhile(lambda: Connection("127.0.0.1", listener.port, client="bot"))
    peer = listener.accept()
    peer.frame()
    peer.tell(Error(code="bad_field", text="client: Expected `str` of length >= 16."))
    peer.tell(Bye(code="protocol", text="The first message must be hello.", reconnect=False))
    peer.socket.close()
    with pytest.raises(Ended, match="client: Expected") as caught:
        connecting.get()
    assert (caught.value.bye.code, caught.value.bye.reconnect) == ("protocol", False)


def test_the_name_of_one_room_is_not_taken_for_rooms_of_one_letter(listener: Listener) -> None:
    with pytest.raises(TypeError, match=r"rooms=\['tea'\]"):
        Connection("127.0.0.1", listener.port, rooms="tea")


def test_events_come_in_order_and_end_with_the_connection() -> None:
    with conversation() as (chat, peer):
        peer.tell(joined(), post(1), Presence(room="lobby", nick="bert", event="leave"), post(2))
        peer.tell(Bye(code="shutdown", text="Down.", reconnect=True, after_ms=500))
        peer.socket.close()
        assert [type(event).__name__ for event in chat] == ["Joined", "Post", "Presence", "Post"]
        assert chat.ended == Bye(code="shutdown", text="Down.", reconnect=True, after_ms=500)
        assert list(chat) == []


def test_a_lost_connection_ends_with_a_bye() -> None:
    with conversation() as (chat, peer):
        peer.socket.close()
        assert list(chat) == []
        assert chat.ended is not None
        assert (chat.ended.code, chat.ended.reconnect) == ("lost", True)


def test_say_waits_for_its_post_which_is_an_event_too() -> None:
    with conversation() as (chat, peer):
        peer.tell(joined())
        saying = meanwhile(lambda: chat.say("lobby", "hi"))
        say = peer.request()
        peer.tell(post(1, "hi, from another"), post(2, "hi", say["key"]))
        assert saying.get() == 2
        assert [e.position for e in chat.heard() if isinstance(e, Post)] == [1, 2]


def test_a_repeated_say_returns_the_stored_position() -> None:
    with conversation() as (chat, peer):
        saying = meanwhile(lambda: chat.say("lobby", "hi", key="k"))
        assert peer.request() == {"type": "say", "room": "lobby", "text": "hi", "key": "k"}
        peer.tell(Sent(room="lobby", key="k", position=7))
        assert saying.get() == 7
        assert chat.heard() == []


def test_a_repeated_say_is_answered_although_the_first_caller_gave_up() -> None:
    with conversation() as (chat, peer):
        first, second = (meanwhile(lambda: chat.say("lobby", "hi", key="k")) for _ in range(2))
        assert peer.request() == peer.request()
        first.kill()
        peer.tell(joined(), post(1, key="k"))
        assert second.get(timeout=20) == 1


def test_a_refusal_is_raised_in_its_caller() -> None:
    with conversation() as (chat, peer):
        saying = meanwhile(lambda: chat.say("lobby", "hi", key="k"))
        peer.request()
        peer.tell(Error(code="slow_down", text="Slower.", key="k", retry_ms=250))
        with pytest.raises(Refused, match=r"Slower\.") as refused:
            saying.get()
        assert (refused.value.code, refused.value.retry_ms) == ("slow_down", 250)
        asking = meanwhile(lambda: chat.rename("bert"))
        peer.tell(Error(code="nick_in_use", text="Taken.", id=peer.request()["id"]))
        with pytest.raises(Refused, match="Taken"):
            asking.get()
        assert chat.heard() == []


def test_a_refusal_without_a_waiting_caller_is_an_event() -> None:
    with conversation() as (chat, peer):
        key = chat.send("lobby", "hi")
        assert peer.request()["key"] == key
        peer.tell(Error(code="storage", text="The disk is full.", key=key))
        assert next(chat) == Error(code="storage", text="The disk is full.", key=key)


def test_replies_are_matched_by_id() -> None:
    with conversation() as (chat, peer):
        first = meanwhile(lambda: chat.who("lobby"))
        second = meanwhile(chat.ping)
        who, ping = peer.request(), peer.request()
        peer.tell(Pong(id=ping["id"]), Members(room="lobby", nicks=["a"], count=1, id=who["id"]))
        assert second.get() >= 0
        assert first.get().nicks == ["a"]
        assert chat.heard() == []


def test_an_oversized_message_is_rejected_before_it_is_sent() -> None:
    with conversation() as (chat, peer):
        with pytest.raises(TooLong, match="Message too long"):
            chat.say("lobby", "x" * 65_536)
        chat.send("lobby", "short")
        assert peer.request()["text"] == "short"


def test_server_pings_are_answered() -> None:
    with conversation() as (_, peer):
        peer.tell(Ping())
        assert peer.request() == {"type": "pong"}


def test_events_of_a_later_version_are_ignored() -> None:
    with conversation() as (chat, peer):
        peer.tell(b'{"type":"confetti","colour":1}', joined())
        assert isinstance(next(chat), Joined)


def test_an_invalid_event_ends_the_connection_with_a_reason() -> None:
    with conversation() as (chat, peer):
        peer.tell(joined(), b'{"type":"post"}')
        assert len(list(chat)) == 1
        assert chat.ended is not None
        assert "violated the protocol" in chat.ended.text


def test_a_waiting_caller_is_told_that_the_connection_ended() -> None:
    with conversation() as (chat, peer):
        saying = meanwhile(lambda: chat.say("lobby", "hi"))
        peer.request()
        peer.tell(Bye(code="kicked", text="Out.", reconnect=False))
        with pytest.raises(Ended, match="Out") as ended:
            saying.get()
        assert ended.value.bye.code == "kicked"
        with pytest.raises(Ended, match="Out"):
            chat.say("lobby", "again")


def test_close_sends_bye_and_receives_everything_before_the_reply() -> None:
    with conversation() as (chat, peer):
        closing = meanwhile(chat.close)
        assert peer.request() == {"type": "bye"}
        peer.tell(joined(), post(1), Bye(code="quit", text="Goodbye.", reconnect=False))
        closing.get()
        assert peer.frame() == b""
        assert len(chat.heard()) == 2
        assert chat.ended is not None
        assert chat.ended.code == "quit"


def test_cursors_follow_what_the_application_has_read() -> None:
    with conversation(rooms={"lobby": Cursor(EPOCH, 3), "Dev": None}) as (chat, peer):
        peer.tell(joined(5, recovered=True), post(4), post(5))
        meanwhile(lambda: pong(peer))
        chat.ping()
        assert chat.cursors == {"lobby": Cursor(EPOCH, 3), "dev": None}
        next(chat), next(chat)
        assert chat.cursors["lobby"] == Cursor(EPOCH, 4)


def test_a_gap_in_the_positions_is_an_error_of_the_server() -> None:
    with conversation() as (chat, peer):
        peer.tell(joined(), post(1), post(3))
        next(chat), next(chat)
        with pytest.raises(ServerError, match="position 3 came after 1"):
            next(chat)


def test_an_application_that_does_not_read_stops_the_socket_but_not_replies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "MAX_UNREAD_BYTES", 10_000)
    with conversation() as (chat, peer):
        peer.tell(joined())
        flood = [post(position, "x" * 20_000) for position in range(1, 1_001)]
        talking = meanwhile(lambda: peer.tell(*flood))
        gevent.idle()
        assert not talking.dead  # the kernel holds some, the client a little, the rest waits
        assert sum(isinstance(event, Post) for event in chat.heard()) < 1_000
        pinging = meanwhile(chat.ping)
        talking.get()
        pong(peer)
        assert pinging.get() > 0


def test_an_application_that_requests_more_than_it_reads_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "MAX_BEFORE_ANSWER_BYTES", 10_000)
    with conversation() as (chat, peer):
        asking = meanwhile(chat.ping)
        peer.request()
        peer.tell(joined(), post(1, "x" * 20_000), post(2))
        with pytest.raises(Ended, match="not reading fast enough"):
            asking.get()


def test_who_sends_without_a_pause_lets_others_send() -> None:
    with conversation() as (chat, peer):
        link = chat._reader.link
        link._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

        def send_much() -> None:
            while True:
                link.send(b"x" * 4000)

        sending = gevent.spawn(send_much)
        assert peer.frame() == b"x" * 4000
        gevent.spawn(link.send, b"one")
        assert b"one" in (peer.frame() for _ in range(5_000))
        sending.kill()


def test_a_refusal_that_comes_with_the_goodbye_is_told() -> None:
    with conversation() as (chat, peer):
        asking = meanwhile(lambda: chat.topic("tea", "green"))
        asked = peer.request()
        refusal = Error(code="forbidden", text="no", room="tea", id=asked["id"])
        peer.tell(refusal, Bye(code="kicked", text="kicked", reconnect=False))
        with pytest.raises(Refused, match="no"):
            asking.get()


def test_every_type_that_a_method_returns_can_be_imported_from_the_library() -> None:
    returned: set[object] = set()
    for method in vars(Connection) | vars(PeopleRequests) | vars(PastRequests):
        found = inspect.getattr_static(Connection, method)
        call = found.fget if isinstance(found, property) else found
        if inspect.isfunction(call) and not method.startswith("_"):
            kind = typing.get_type_hints(call)["return"]
            returned |= {kind, *typing.get_args(kind)}
    structs = {kind for kind in returned if isinstance(kind, type) and issubclass(kind, Struct)}
    exported = {getattr(client, name) for name in client.__all__}
    assert structs - exported == set()
