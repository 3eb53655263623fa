"""What a rich client may say, and what is said is understood as it was meant."""

import json
from typing import Any, Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import requests
from geventchat.protocol.errors import ProtocolError
from geventchat.protocol.requests import (
    Admin,
    AnyRequest,
    Bye,
    Cursor,
    Direct,
    Hello,
    History,
    Join,
    Leave,
    Nick,
    Ping,
    Pong,
    Request,
    Rooms,
    Say,
    Topic,
    Typing,
    Who,
)
from tests.protocol.people import REQUESTS

CLIENT = "0123456789abcdef"
FULL: Final[dict[str, Request]] = {
    '{"type":"hello","version":1,"client":"0123456789abcdef","nonce":"n","nick":"Ann",'
    '"password":"p","rooms":{"lobby":null,"tea":{"epoch":"e","position":7}},"token":"t"}': Hello(
        version=1,
        client=CLIENT,
        nonce="n",
        nick="Ann",
        password="p",
        rooms={"lobby": None, "tea": Cursor("e", 7)},
        token="t",
    ),
    '{"type":"say","room":"tea","text":"Hi","key":"k"}': Say(room="tea", text="Hi", key="k"),
    '{"type":"join","room":"tea","epoch":"e","position":7}': Join(
        room="tea", epoch="e", position=7
    ),
    '{"type":"leave","room":"tea"}': Leave(room="tea"),
    '{"type":"nick","nick":"Ann"}': Nick(nick="Ann"),
    '{"type":"who","room":"tea"}': Who(room="tea"),
    '{"type":"history","room":"tea","before":7,"limit":50}': History(
        room="tea", before=7, limit=50
    ),
    '{"type":"direct","to":"Bob","text":"Psst"}': Direct(to="Bob", text="Psst"),
    '{"type":"topic","room":"tea","topic":""}': Topic(room="tea", topic=""),
    '{"type":"typing","room":"tea"}': Typing(room="tea"),
    '{"type":"rooms","prefix":"t","limit":200,"after":"n"}': Rooms(
        prefix="t", limit=200, after="n"
    ),
    '{"type":"ping"}': Ping(),
    '{"type":"pong"}': Pong(),
    '{"type":"bye"}': Bye(),
    '{"type":"admin","action":"ban","target":"Eve","target_type":"client","seconds":60,"reason":"spam",'
    '"token":"t"}': Admin(
        action="ban", target="Eve", target_type="client", seconds=60, reason="spam", token="t"
    ),
}
FULL.update(REQUESTS)
BARE: Final[dict[str, Request]] = {
    '{"type":"hello","version":1,"client":"0123456789abcdef"}': Hello(version=1, client=CLIENT),
    '{"type":"say","room":"tea","text":"Hi"}': Say(room="tea", text="Hi"),
    '{"type":"join","room":"tea"}': Join(room="tea"),
    '{"type":"history","room":"tea","limit":1}': History(room="tea", limit=1),
    '{"type":"rooms"}': Rooms(),
    '{"type":"admin","action":"list"}': Admin(action="list"),
}


def refused(frame: str | bytes) -> ProtocolError:
    """Give the error that answers a frame; it says a sentence and leaves the connection open."""
    with pytest.raises(ProtocolError) as caught:
        requests.decode(frame.encode() if isinstance(frame, str) else frame)
    assert caught.value.text.endswith(".")
    assert caught.value.reason is None
    return caught.value


def changed(frame: str, **fields: object) -> str:
    return json.dumps(json.loads(frame) | fields)


# What may be said


@pytest.mark.parametrize(
    ("frame", "request_"), (FULL | BARE).items(), ids=lambda value: type(value).__name__
)
def test_each_request_says_what_the_contract_lists(frame: str, request_: Request) -> None:
    assert requests.decode(frame.encode()) == request_
    assert json.loads(requests.encode(request_)) == json.loads(frame)


def test_every_type_of_request_is_tested_here() -> None:
    assert {type(request) for request in FULL.values()} == set(get_args(AnyRequest))


@pytest.mark.parametrize("frame", FULL)
def test_every_request_may_carry_an_id(frame: str) -> None:
    assert requests.decode(changed(frame, id="7").encode()).id == "7"


@pytest.mark.parametrize("frame", FULL)
def test_unknown_fields_are_ignored(frame: str) -> None:
    forged = changed(frame, sender="server", time=[0, {"x": None}], system=True)
    assert requests.decode(forged.encode()) == FULL[frame]


@pytest.mark.parametrize("frame", BARE)
def test_a_field_that_may_be_absent_may_be_null(frame: str) -> None:
    optional = dict.fromkeys("id key rooms nick before epoch prefix after".split())
    assert requests.decode(changed(frame, **optional).encode()) == BARE[frame]


def test_fields_come_in_any_order_with_any_space_between() -> None:
    frame = b' {\t"room" : "tea",\r\n "type" : "who" } \n'
    assert requests.decode(frame) == Who(room="tea")


def test_the_last_of_fields_with_the_same_name_counts() -> None:
    assert requests.decode(b'{"type":"who","room":"a","room":"b"}') == Who(room="b")


# Anything

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(characters)
some_text = st.text(characters, min_size=1)
tokens = st.text(characters, min_size=1, max_size=64)
positions = st.integers(0, 2**53)
cursors = st.builds(Cursor, epoch=tokens, position=positions)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


FIELDS: Final[dict[type[Request], dict[str, st.SearchStrategy[Any]]]] = {
    Hello: {
        "version": st.integers(1, 2**31),
        "client": st.from_regex(r"[A-Za-z0-9_-]{16,64}", fullmatch=True),
        "nonce": maybe(st.text(characters, max_size=128)),
        "nick": maybe(texts),
        "password": maybe(st.text(characters, max_size=1024)),
        "rooms": maybe(st.dictionaries(texts, maybe(cursors))),
        "token": maybe(st.text(characters, max_size=1024)),
    },
    Say: {"room": texts, "text": some_text, "key": maybe(tokens)},
    Join: {"room": texts, "epoch": maybe(tokens), "position": maybe(positions)},
    Leave: {"room": texts},
    Nick: {"nick": texts},
    Who: {"room": texts},
    History: {"room": texts, "limit": st.integers(1, 500), "before": maybe(positions)},
    Direct: {"to": texts, "text": some_text},
    Topic: {"room": texts, "topic": st.text(characters, max_size=500)},
    Typing: {"room": texts},
    Rooms: {
        "prefix": maybe(st.text(characters, max_size=128)),
        "limit": maybe(st.integers(1, 200)),
        "after": maybe(st.text(characters, max_size=256)),
    },
    Ping: {},
    Pong: {},
    Bye: {},
    Admin: {
        "action": st.sampled_from(get_args(requests.Action)),
        "target": maybe(st.text(characters, min_size=1, max_size=128)),
        "target_type": maybe(st.sampled_from(get_args(requests.TargetType))),
        "seconds": maybe(st.integers(1, 10 * 366 * 86_400)),
        "reason": maybe(st.text(characters, max_size=200)),
        "token": maybe(st.text(characters, max_size=1024)),
    },
}
any_request: st.SearchStrategy[Request] = st.one_of(
    [st.builds(kind, id=maybe(tokens), **fields) for kind, fields in FIELDS.items()]
)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["type", "id", "key", "room", "rooms", "text", "position", "version"])
near_requests = st.dictionaries(names, any_json).map(lambda fields: json.dumps(fields).encode())


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A request with some of its bytes replaced by others."""
    frame = requests.encode(draw(any_request))
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(frame))] * 2)))
    return frame[:start] + draw(st.binary(max_size=8)) + frame[end:]


@given(any_request)
def test_what_is_encoded_is_decoded(request_: Request) -> None:
    frame = requests.encode(request_)
    assert b"\0" not in frame
    assert requests.decode(frame) == request_


@given(st.binary() | any_json.map(lambda value: json.dumps(value).encode()))
def test_nothing_but_a_protocol_error_comes_of_any_bytes(frame: bytes) -> None:
    assert refused(frame).code in ("bad_json", "not_utf8", "bad_field", "unknown_type")


@given(spoilt() | near_requests)
def test_what_is_almost_a_request_is_refused_or_can_be_said_again(frame: bytes) -> None:
    try:
        request = requests.decode(frame)
    except ProtocolError:
        return
    # So nothing in it harms a writer or the store.
    assert requests.decode(requests.encode(request)) == request
