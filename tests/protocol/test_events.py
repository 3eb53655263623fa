"""What the server says to a rich client, as it is on the wire."""

import json
from typing import Any, Final, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import events
from geventchat.protocol.events import (
    Admin,
    AnyEvent,
    Bye,
    Direct,
    Error,
    Event,
    History,
    Joined,
    Left,
    Limits,
    ListedRoom,
    Members,
    Ping,
    Pong,
    Post,
    Presence,
    Renamed,
    RoomList,
    Rule,
    Sent,
    Topic,
    Typing,
    Welcome,
)
from tests.protocol.people import EVENTS

POST = Post("tea", 7, "Ann", 1_700_000_000_000, "Hi")
WIRE: Final[dict[str, Event]] = {
    '{"type":"welcome","version":1,"nick":"Ann","server":"geventchat 0.1.0","features":[],'
    '"ping_seconds":30,"limits":{"frame_bytes":65536,"rooms":128,"nick_length":32},'
    '"nonce":"n"}': Welcome(
        version=1,
        nick="Ann",
        server="geventchat 0.1.0",
        features=[],
        ping_seconds=30,
        limits=Limits(65_536, 128, 32),
        nonce="n",
    ),
    '{"type":"joined","id":"1","room":"tea","epoch":"e","position":7,"oldest":1,'
    '"recovered":true,"count":2,"topic":"Tea"}': Joined(
        id="1", room="tea", epoch="e", position=7, oldest=1, recovered=True, count=2, topic="Tea"
    ),
    '{"type":"post","room":"tea","position":7,"author":"Ann","time":1700000000000,'
    '"text":"Hi","key":"k"}': Post("tea", 7, "Ann", 1_700_000_000_000, "Hi", "k"),
    '{"type":"sent","room":"tea","key":"k","position":7}': Sent(room="tea", key="k", position=7),
    '{"type":"sent","id":"1","to":"Bob"}': Sent(id="1", to="Bob"),
    '{"type":"presence","room":"tea","nick":"Ann","event":"join"}': Presence(
        room="tea", nick="Ann", event="join"
    ),
    '{"type":"presence","room":"tea","nick":"Ann","event":"rename","new_nick":"Eve"}': Presence(
        room="tea", nick="Ann", event="rename", new_nick="Eve"
    ),
    '{"type":"presence","room":"tea","count":201}': Presence(room="tea", count=201),
    '{"type":"members","id":"1","room":"tea","nicks":["Ann"],"count":1}': Members(
        id="1", room="tea", nicks=["Ann"], count=1
    ),
    '{"type":"history","id":"1","room":"tea","posts":[{"type":"post","room":"tea","position":7,'
    '"author":"Ann","time":1700000000000,"text":"Hi"}],"complete":false}': History(
        id="1", room="tea", posts=[POST], complete=False
    ),
    '{"type":"rooms","id":"1","rooms":[{"name":"tea","topic":"Tea","members":2,"position":7},'
    '{"name":"attic","members":0,"position":0}],"next":"n"}': RoomList(
        id="1",
        rooms=[
            ListedRoom(name="tea", topic="Tea", members=2, position=7),
            ListedRoom(name="attic", members=0, position=0),
        ],
        next="n",
    ),
    '{"type":"left","room":"tea","reason":"kicked"}': Left(room="tea", reason="kicked"),
    '{"type":"renamed","id":"1","nick":"Eve"}': Renamed(id="1", nick="Eve"),
    '{"type":"topic","room":"tea","topic":"","by":"Ann"}': Topic(room="tea", topic="", by="Ann"),
    '{"type":"typing","room":"tea","nick":"Ann"}': Typing("tea", "Ann"),
    '{"type":"direct","author":"Ann","text":"Psst","time":5}': Direct("Ann", "Psst", 5),
    '{"type":"admin","id":"1","action":"ban","rules":[{"action":"ban","target_type":"nick",'
    '"target":"Eve","operator":"Ann","time":5,"until":9,"reason":"spam"}],'
    '"connections_closed":1,"total":1}': Admin(
        id="1",
        action="ban",
        rules=[
            Rule(
                action="ban",
                target_type="nick",
                target="Eve",
                operator="Ann",
                time=5,
                until=9,
                reason="spam",
            )
        ],
        connections_closed=1,
        total=1,
    ),
    '{"type":"pong","id":"1"}': Pong(id="1"),
    '{"type":"error","code":"slow_down","text":"Wait.","room":"tea","retry_ms":50,"key":"k"}': (
        Error(code="slow_down", text="Wait.", room="tea", retry_ms=50, key="k")
    ),
    '{"type":"ping"}': Ping(),
    '{"type":"bye","code":"shutdown","text":"Bye.","reconnect":true,"after_ms":1500}': Bye(
        code="shutdown", text="Bye.", reconnect=True, after_ms=1_500
    ),
}
WIRE.update(EVENTS)


each = pytest.mark.parametrize(
    ("frame", "event"), WIRE.items(), ids=[type(event).__name__ for event in WIRE.values()]
)


# The wire


@each
def test_each_event_is_on_the_wire_as_the_contract_lists_it(frame: str, event: Event) -> None:
    assert events.encode(event).decode() == frame
    assert events.decode(frame.encode()) == event


def test_every_type_of_event_is_tested_here() -> None:
    assert {type(event) for event in WIRE.values()} == set(get_args(AnyEvent))


def test_a_fresh_join_says_that_recovered_is_null() -> None:
    joined = Joined(room="tea", epoch="e", position=0, oldest=1, recovered=None, count=1)
    assert json.loads(events.encode(joined)) == {
        "type": "joined",
        "room": "tea",
        "epoch": "e",
        "position": 0,
        "oldest": 1,
        "recovered": None,
        "count": 1,
    }


def test_a_post_without_key_has_none_on_the_wire() -> None:
    assert b"key" not in events.encode(POST)


def test_a_bye_always_says_when_to_come_back() -> None:
    bye = Bye(code="quit", text="Goodbye.", reconnect=False)
    assert json.loads(events.encode(bye))["after_ms"] == 0


def test_numbers_and_answers_that_are_nothing_are_said() -> None:
    event = History(room="tea", posts=[], complete=False)
    assert json.loads(events.encode(event)) == {
        "type": "history",
        "room": "tea",
        "posts": [],
        "complete": False,
    }
    assert b'"count":0' in events.encode(Presence(room="tea", count=0))


# What a client may hear


@pytest.mark.parametrize(
    "frame", ['{"type":"later"}', '{"type":"say","room":1}', '{"x":[1],"type":""}']
)
def test_an_event_of_an_unknown_type_is_none(frame: str) -> None:
    assert events.decode(frame.encode()) is None


@each
def test_unknown_fields_are_ignored(frame: str, event: Event) -> None:
    later = json.dumps(json.loads(frame) | {"later": [{"x": None}]})
    assert events.decode(later.encode()) == event


def test_a_code_of_a_later_version_is_heard() -> None:
    frame = b'{"type":"error","code":"later","text":"Not yet."}'
    assert events.decode(frame) == Error(code="later", text="Not yet.")


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param('{"type":"post","room":"tea"}', id="fields that are needed are absent"),
        pytest.param('{"type":"typing","room":5,"nick":"Ann"}', id="a field of another type"),
        pytest.param("{}", id="no type"),
        pytest.param('{"type":5}', id="a type that is no text"),
        pytest.param("[]", id="no object"),
        pytest.param("hello", id="no JSON"),
        pytest.param(r'{"type":"typing","room":"a","nick":"\ud800"}', id="a lone surrogate"),
    ],
)
def test_what_is_no_event_is_an_error(frame: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        events.decode(frame.encode())


# Anything

texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(0, 2**53)
posts = st.builds(Post, texts, numbers, texts, numbers, texts, st.none() | texts)
STRATEGIES: Final[dict[Any, st.SearchStrategy[Any]]] = {
    str: texts,
    int: numbers,
    str | None: st.none() | texts,
    int | None: st.none() | numbers,
    list[str]: st.lists(texts, max_size=3),
    list[Post]: st.lists(posts, max_size=3),
}


def built(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Give events of this type whose fields hold anything."""
    fields = {
        field.name: STRATEGIES.get(field.type, st.from_type(field.type))
        for field in msgspec.structs.fields(kind)
    }
    return st.builds(kind, **fields)


any_event = st.one_of([built(kind) for kind in get_args(AnyEvent)])


@given(any_event)
def test_what_is_encoded_is_decoded(event: Event) -> None:
    assert events.decode(events.encode(event)) == event


@given(any_event)
def test_no_event_holds_a_null_byte_that_would_split_its_frame(event: Event) -> None:
    assert b"\0" not in events.encode(event)


def test_u0000_in_a_text_stays_one_frame() -> None:
    event = Direct("Ann", "a\0b", 5)
    assert rb"a\u0000b" in events.encode(event)
    assert events.decode(events.encode(event)) == event


@given(st.binary())
def test_nothing_but_a_decoding_error_comes_of_any_bytes(frame: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        events.decode(frame)
