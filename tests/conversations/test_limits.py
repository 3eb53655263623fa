"""Limits: a client that exceeds one gets an error that names it; nobody else is affected."""

import json
import logging
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from tests.conversations.chat import chatting
from tests.conversations.conftest import Address, Serve, serving
from tests.conversations.peers import Bystanders, Plain, Rich, of, texts

NOTICE = b"* geventchat: "


def test_a_client_cannot_join_more_rooms_than_the_limit(serve: Serve) -> None:
    address = serve(rooms_per_client=2)
    with Rich(address) as ann, Rich(address, rooms=["b"]) as bob:
        assert ann.welcome["limits"]["rooms"] == 2
        assert ann.ask("join", room="a")["type"] == "joined"
        error = ann.ask("join", room="b")
        assert (error["type"], error["code"], error["room"]) == ("error", "too_many_rooms", "b")
        assert "2" in error["text"]
        bob.say("b", "not for ann")
        bob.posts(1)
        assert ann.ask("who", room="b")["code"] == "not_joined"
        for room in ("lobby", "a"):
            ann.say(room, "still here")
        assert len(ann.posts(2)) == 2
        assert bob.ask("who", room="b")["nicks"] == [bob.nick]


def test_leaving_a_room_allows_joining_another(serve: Serve) -> None:
    address = serve(rooms_per_client=1)
    with Rich(address) as ann:
        assert ann.ask("join", room="a")["code"] == "too_many_rooms"
        assert ann.ask("leave", room="lobby")["type"] == "left"
        assert ann.ask("join", room="a")["type"] == "joined"


def test_a_joined_room_can_be_joined_again_at_the_limit(serve: Serve) -> None:
    address = serve(rooms_per_client=1)
    with Rich(address) as ann:
        assert ann.ask("join", room="Lobby")["type"] == "joined"


def test_a_hello_with_too_many_rooms_joins_the_first_and_gets_errors_for_the_rest(
    serve: Serve,
) -> None:
    address = serve(rooms_per_client=2)
    with Rich(address, rooms=["a", "b", "c", "d"]) as ann:
        assert [event["room"] for event in of("joined", ann.greeting)] == ["a", "b"]
        errors = of("error", ann.greeting)
        assert [(error["code"], error["room"]) for error in errors] == [
            ("too_many_rooms", "c"),
            ("too_many_rooms", "d"),
        ]
        ann.say("b", "x")
        assert texts(ann.posts(1)) == ["x"]


def test_a_client_may_join_128_rooms_by_default(
    address: Address,
) -> None:
    with Rich(address, rooms=[f"room{number}" for number in range(128)]) as ann:
        assert ann.welcome["limits"]["rooms"] == 128
        assert len(of("joined", ann.greeting)) == 128
        assert ann.ask("join", room="one-more")["code"] == "too_many_rooms"


def test_at_the_room_limit_existing_rooms_can_still_be_joined(serve: Serve) -> None:
    address = serve(rooms=3)
    with Rich(address, rooms=["lobby", "a", "b"]), Rich(address, rooms=["a"]) as bob:
        error = bob.ask("join", room="c")
        assert (error["type"], error["code"], error["room"]) == ("error", "too_many_rooms", "c")
        assert bob.ask("join", room="b")["type"] == "joined"
        bob.say("b", "x")
        assert texts(bob.posts(1)) == ["x"]


def test_a_refused_room_does_not_count_against_the_limit(serve: Serve) -> None:
    address = serve(rooms=3)
    with Rich(address, rooms=["lobby", "a", "b"]) as ann, Rich(address, rooms=[]) as bob:
        for _ in range(3):
            assert bob.ask("join", room="c")["code"] == "too_many_rooms"
        assert ann.ask("leave", room="b")["type"] == "left"
        assert bob.ask("join", room="c")["type"] == "joined"
        assert ann.ask("join", room="b")["code"] == "too_many_rooms"


def test_the_posts_of_a_forgotten_room_are_kept(serve: Serve) -> None:
    address = serve(rooms=1)
    with Rich(address, rooms=["a"]) as ann:
        ann.say("a", "kept")
        ann.posts(1)
        ann.ask("leave", room="a")
        assert ann.ask("join", room="b")["type"] == "joined"
        ann.ask("leave", room="b")
        ann.tell("join", room="a")
        assert texts(ann.posts(1)) == ["kept"]


@pytest.mark.parametrize("rooms", [1, 2])
def test_the_lobby_can_always_be_joined(serve: Serve, rooms: int) -> None:
    address = serve(rooms=rooms)
    taken = [f"room{number}" for number in range(rooms)]
    with Rich(address, rooms=taken) as ann:
        assert len(of("joined", ann.greeting)) == rooms
        with Bystanders(address) as bystanders:
            bystanders.check_heard()
        assert ann.ask("join", room="lobby")["type"] == "joined"


def test_a_full_server_says_so_and_closes() -> None:
    with serving("memory:") as server:
        server._admission.max_connections = 2
        with Bystanders(server.address) as bystanders, Plain(server.address) as late:
            late.send(b"too late\0")
            (line,) = late.rest()
            assert line.startswith(NOTICE)
            assert b"full" in line
            bystanders.check_heard()


def test_a_full_server_says_so_to_a_rich_client_too() -> None:
    with serving("memory:") as server:
        server._admission.max_connections = 2
        with Bystanders(server.address) as bystanders, Plain(server.address) as late:
            late.send(b'\x1e{"type":"hello","version":1,"client":"client-that-is-late"}\0')
            (bye,) = map(json.loads, late.rest())
            assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "full", True)
            bystanders.check_heard()


def test_a_full_server_says_so_to_silent_clients_and_to_a_crowd(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "geventchat")
    with serving("memory:") as server:
        server._admission.max_connections = 2
        with Bystanders(server.address) as bystanders, ExitStack() as stack:
            crowd = [stack.enter_context(Plain(server.address)) for _ in range(40)]
            for late in crowd:
                (line,) = late.rest()
                assert b"full" in line
            bystanders.check_heard()
    assert server.rejections.counts == {"full": 40}
    lines = [record.getMessage() for record in caplog.records]
    assert sum("connected from 127.0.0.1" in line for line in lines) == 2
    assert sum(" disconnected (" in line for line in lines) == 2
    assert sum("(full=" in line for line in lines) <= 3


@pytest.fixture
def operator_file(tmp_path: Path) -> str:
    file = tmp_path / "operator"
    file.write_text("the-token-of-a-test")
    return str(file)


def test_operator_slots_of_a_full_server_are_not_for_others(operator_file: str) -> None:
    with chatting(options={"operator_file": operator_file, "trust": ("127.0.0.1/32",)}) as chat:
        chat.server._admission.max_connections = 0
        for _ in range(8):
            chat.track(Plain(chat.address, source="127.0.0.9"))
        (line,) = chat.track(Plain(chat.address, source="127.0.0.9")).rest()
        assert b"full" in line
        assert chat.rich("Olga", token="the-token-of-a-test").nick == "Olga"


def test_an_operator_can_connect_to_a_full_server(operator_file: str) -> None:
    with chatting(options={"operator_file": operator_file}) as chat:
        _, bob = chat.rich_clients("Ann", "Bob")
        chat.server._admission.max_connections = 2
        assert chat.refused(token="a-token-that-is-wrong")[-1]["code"] == "full"
        olga = chat.rich("Olga", token="the-token-of-a-test")
        assert olga.ask("admin", action="kick", target="Bob")["connections_closed"] == 1
        assert bob.closing()[-1]["code"] == "kicked"
        bob.socket.close()
        with gevent.Timeout(20):
            while len(chat.server._admission.readers) > 2:
                gevent.sleep(0.001)
        assert chat.rich("Cid").nick == "Cid"


def test_a_full_server_accepts_again_after_a_client_leaves() -> None:
    with serving("memory:") as server:
        server._admission.max_connections = 3
        with Bystanders(server.address) as bystanders:
            with Plain(server.address) as ann, Plain(server.address) as late:
                assert late.rest()[0].startswith(NOTICE)
                ann.send(b"q\0")
                assert ann.rest() == []
            bystanders.rich.pong()
            with Plain(server.address) as bob:
                bob.send(b"there was room\0")
                bystanders.check_heard("there was room")


def test_rejected_connections_are_not_counted() -> None:
    with serving("memory:") as server:
        server._admission.max_connections = 2
        with Bystanders(server.address) as bystanders:
            turned_away = [Plain(server.address) for _ in range(10)]
            assert all(len(late.rest()) == 1 for late in turned_away)
            server._admission.max_connections = 3
            with Plain(server.address) as ann:
                ann.send(b"hello\0")
                bystanders.check_heard("hello")
            for late in turned_away:
                late.socket.close()
