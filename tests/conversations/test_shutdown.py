"""Shutdown: all clients are notified, messages are stored, and no connection is accepted."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from geventchat.server.server import Server
from geventchat.server.session import sender
from tests.conversations import nodes
from tests.conversations.chat import Chat, chatting
from tests.conversations.conftest import serving
from tests.conversations.peers import Plain, Rich, encode, of, texts


@contextmanager
def stopping(server: Server) -> Iterator[None]:
    """Stop a server while its clients read; it has stopped at the end of the block."""
    stop = gevent.spawn(nodes.stop, server)
    yield
    stop.get(timeout=20)


def test_rich_clients_are_told_when_to_reconnect(timeline: str) -> None:
    with serving(timeline) as server, Rich(server.address) as ann, stopping(server), ann:
        (bye,) = ann.closing()
        assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "shutdown", True)
        assert bye["after_ms"] > 0
        assert bye["text"]


def test_reconnect_times_are_spread() -> None:
    with serving("memory:") as server:
        clients = [Rich(server.address, rooms=[]) for _ in range(20)]
        with stopping(server):
            byes = [client.closing()[-1] for client in clients]
            for client in clients:
                client.socket.close()
        assert len({bye["after_ms"] for bye in byes}) > 10


def test_plain_clients_get_a_line_at_shutdown(timeline: str) -> None:
    with serving(timeline) as server, Plain(server.address) as ann, Plain(server.address) as bob:
        bob.join_lobby()
        assert ann.frame() == b"* we have met"
        with stopping(server), ann, bob:
            for client in (ann, bob):
                (line,) = client.rest()
                assert line.startswith(b"* geventchat: ")


def test_a_search_that_hangs_does_not_keep_the_server_from_ending(tmp_path: Path) -> None:
    with serving(f"sqlite:{tmp_path}/chat.db", drain_seconds=1) as server:
        search = server._hub.search
        assert search is not None
        close, search.close = search.close, Event().wait  # type: ignore[method-assign, assignment]
        with Rich(server.address) as ann, stopping(server):
            assert ann.closing()[-1]["code"] == "shutdown"
        close()


def test_messages_sent_right_before_shutdown_are_delivered_and_stored(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    said = [str(number) for number in range(50)]
    with serving(timeline) as server:
        with Rich(server.address) as ann, Plain(server.address) as bob:
            bob.join_lobby()
            ann.posts(1)
            for text in said:
                ann.say("lobby", text, key=f"k{text}")
            heard = ann.pong()
            with stopping(server), ann, bob:
                heard += ann.closing()
                *words, _ = bob.rest()
        assert words == [text.encode() for text in said[: len(words)]]
        assert texts(heard) == said
        assert heard[-1]["type"] == "bye"
    with serving(timeline) as server, Rich(server.address) as eve:
        posts = eve.ask("history", room="lobby", limit=500)["posts"]
        assert texts(posts[1:]) == said
        assert [post["position"] for post in posts[1:]] == [
            post["position"] for post in of("post", heard)
        ]


def test_the_last_message_of_a_plain_client_is_stored(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with serving(timeline) as server, Plain(server.address) as bob, Rich(server.address) as ann:
        bob.send(b"last words\0")
        ann.pong()
        with stopping(server), ann, bob:
            assert len(bob.rest()) == 1
    with serving(timeline) as server, Rich(server.address) as eve:
        assert texts(eve.greeting) == ["last words"]


def test_everything_received_before_shutdown_is_stored_and_delivered(tmp_path: Path) -> None:
    """Including frames that no reader has read yet."""
    timeline = f"sqlite:{tmp_path}/chat.db"
    says = [
        {"type": "say", "room": "lobby", "text": str(number), "key": str(number)}
        for number in range(200, 300)
    ]
    with serving(timeline) as server:
        with Rich(server.address) as ann, Plain(server.address) as bob:
            bob.join_lobby()
            ann.posts(1)
            # Nothing switches until the server stops, so none of this is read yet.
            bob.socket.send(b"".join(b"%d\0" % number for number in range(200)))
            ann.socket.send(b"".join(map(encode, says)))
            with stopping(server), ann, bob:
                heard = of("post", ann.closing())
                assert len(bob.rest()) == len(says) + 1
        assert sorted(int(post["text"]) for post in heard) == list(range(300))
    with serving(timeline) as server, Rich(server.address) as eve:
        posts = eve.ask("history", room="lobby", limit=500)["posts"]
        assert texts(posts[1:]) == texts(heard)


def test_a_client_that_never_stops_sending_does_not_delay_shutdown() -> None:
    with serving("memory:", drain_seconds=1) as server, Plain(server.address) as bob:
        bob.join_lobby()
        talking = gevent.spawn(_talk, bob)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 20
        talking.kill()


def _talk(peer: Plain) -> None:
    with suppress(OSError):
        while True:
            peer.send(b"and then \0" * 1_000)


def test_a_server_that_shuts_down_accepts_no_connection(timeline: str) -> None:
    with serving(timeline) as server, Rich(server.address) as ann:
        address = server.address
        with stopping(server), ann:
            assert ann.closing()[-1]["code"] == "shutdown"
            with pytest.raises(ConnectionRefusedError):
                Plain(address)
        with pytest.raises(ConnectionRefusedError):
            Plain(address)


def test_a_client_resumes_after_a_restart(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with serving(timeline) as server, Rich(server.address, "ann") as ann:
        (joined,) = of("joined", ann.greeting)
        ann.say("lobby", "before")
        (post,) = ann.posts(1)
        with stopping(server), ann:
            ann.closing()
    cursor = {"epoch": joined["epoch"], "position": post["position"]}
    with (
        serving(timeline) as server,
        Rich(server.address, client=ann.client, rooms={"lobby": cursor}) as again,
    ):
        (joined,) = of("joined", again.greeting)
        assert (joined["recovered"], joined["epoch"]) == (True, cursor["epoch"])
        assert texts(again.greeting) == []
        again.say("lobby", "after")
        assert again.posts(1)[0]["position"] == post["position"] + 1


def test_an_incomplete_frame_or_hello_does_not_delay_shutdown() -> None:
    with serving("memory:") as server:
        with Plain(server.address) as ann, Plain(server.address) as bob, Rich(server.address):
            ann.send(b"not yet a fr")
            bob.send(b'\x1e{"type":"hello",')
        with Plain(server.address) as eve, Rich(server.address) as clock:
            eve.send(b"\xff")
            clock.pong()
            with stopping(server), eve, clock:
                assert eve.rest()[-1].startswith(b"* geventchat: ")
                assert json.dumps(clock.closing()).count("shutdown") >= 1


def test_shutdown_announces_no_leaves(chat: Chat) -> None:
    """They will reconnect."""
    ann, bob = chat.rich_clients("Ann", "Bob")
    with stopping(chat.server), ann, bob:
        for peer in (ann, bob):
            assert [event["type"] for event in peer.closing()] == ["bye"]


def test_an_unacknowledged_message_repeated_after_a_restart_is_stored_once(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    says = [
        {"type": "say", "room": "lobby", "text": str(number), "key": str(number)}
        for number in range(300)
    ]
    with chatting(timeline) as chat:
        ann, bob = chat.rich_clients("Ann", "Bob")
        ann.send(b"".join(map(encode, says)))
        bob.posts(1)
        with stopping(chat.server), ann, bob:
            heard = of("post", ann.closing())
    with chatting(timeline) as chat:
        again = chat.rich(client=ann.client, rooms=["lobby"])
        again.send(b"".join(map(encode, says)))
        events = again.pong()
        while len(of("sent", events)) + len(of("post", events)) < 300:
            events += again.pong()
        sent = {event["position"]: event["key"] for event in of("sent", events)}
        assert sent == {position: str(position - 1) for position in range(1, len(sent) + 1)}
        assert len(heard) == len(sent)
        history = again.ask("history", room="lobby", limit=500)
        assert texts(history["posts"]) == [str(number) for number in range(300)]


def test_a_client_that_does_not_close_does_not_delay_shutdown(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients have a moment to read the farewell; then the server ends anyway."""
    monkeypatch.setattr(sender, "_GOODBYE_SECONDS", 0.05)
    ann, plain = chat.rich(), chat.plain()
    nodes.stop(chat.server)
    assert ann.closing()[-1]["code"] == "shutdown"
    assert len(plain.rest()) == 1
