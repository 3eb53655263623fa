"""Bad JSON, fields and hellos: each is answered with an error, and no other client is affected."""

import json
from typing import Any

import pytest

from tests.conversations.conftest import Address, Serve
from tests.conversations.control import beside
from tests.conversations.peers import Bystanders, Plain, Rich, encode, texts
from tests.conversations.test_bad_input import LIMIT, NOT_UTF8


def error_of(bad: Rich) -> dict[str, Any]:
    """Return the only answer."""
    (error,) = bad.pong()
    assert error["type"] == "error"
    assert error["text"]
    return error


BAD_JSON = {
    "a word": b"hello",
    "an object cut short": b'{"type":"ping"',
    "an object and more": b'{"type":"ping"} x',
    "two objects": b'{"type":"ping"}{"type":"ping"}',
    "single quotes": b"{'type':'ping'}",
    "a list": b"[]",
    "a list of requests": b'[{"type":"ping"}]',
    "a string": b'"ping"',
    "a number": b"5",
    "null": b"null",
    "a blank": b" ",
    "a marked hello without its brace": b"\x1e",
    "a mark before a request": b'\x1e{"type":"ping"}',
    "NaN": b'{"type":"history","room":"lobby","limit":NaN}',
    "Infinity": b'{"type":"history","room":"lobby","limit":Infinity}',
    "a line feed in a string": b'{"type":"say","room":"lobby","text":"a\nb"}',
    "an unknown escape": rb'{"type":"say","room":"lobby","text":"\x"}',
    "a lone high surrogate": rb'{"type":"say","room":"lobby","text":"\ud800"}',
    "a high surrogate before text": rb'{"type":"say","room":"lobby","text":"\ud800x"}',
    "a lone low surrogate": rb'{"type":"say","room":"lobby","text":"\udc00"}',
    "surrogates the wrong way round": rb'{"type":"say","room":"lobby","text":"\udc00\ud800"}',
    "nesting without an end": b"[" * 60_000,
    "nesting too deep": b'{"type":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "nesting too deep in a field": (
        b'{"type":"say","room":"lobby","text":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    ),
}


@pytest.mark.parametrize("frame", BAD_JSON.values(), ids=BAD_JSON)
def test_a_frame_that_is_not_json_is_bad_json(
    address: Address, bystanders: Bystanders, frame: bytes
) -> None:
    with Rich(address) as bad:
        bad.send(frame + b"\0")
        assert error_of(bad)["code"] == "bad_json"
        bystanders.check_heard()


@pytest.mark.parametrize("kind", ["nosuch", "", "SAY", "say ", "welcome", "post", "joined", "*", 5])
def test_an_unknown_type_is_unknown_type(
    address: Address, bystanders: Bystanders, kind: object
) -> None:
    with Rich(address) as bad:
        bad.send(encode({"type": kind, "id": "i1", "room": "lobby", "text": "x"}))
        error = error_of(bad)
        assert (error["code"], error["id"]) == ("unknown_type", "i1")
        bystanders.check_heard()


@pytest.mark.parametrize(
    "request_",
    [
        {"type": "say", "room": "lobby"},
        {"type": "say", "text": "x"},
        {"type": "say", "room": "lobby", "text": ""},
        {"type": "say", "room": "lobby", "text": 5},
        {"type": "say", "room": "lobby", "text": None},
        {"type": "say", "room": "lobby", "text": ["x"]},
        {"type": "say", "room": 5, "text": "x"},
        {"type": "say", "room": "lobby", "text": "x", "key": ""},
        {"type": "say", "room": "lobby", "text": "x", "key": "k" * 65},
        {"type": "say", "room": "lobby", "text": "x", "key": 5},
        {"type": "join"},
        {"type": "join", "room": "a", "epoch": "e", "position": -1},
        {"type": "join", "room": "a", "epoch": "e", "position": "1"},
        {"type": "join", "room": "a", "epoch": "e", "position": 1.5},
        {"type": "join", "room": "a", "epoch": "e", "position": 10**400},
        {"type": "join", "room": "a", "epoch": "", "position": 1},
        {"type": "leave", "room": None},
        {"type": "nick", "nick": ["ann"]},
        {"type": "who"},
        {"type": "history", "room": "lobby"},
        {"type": "history", "room": "lobby", "limit": 0},
        {"type": "history", "room": "lobby", "limit": -1},
        {"type": "history", "room": "lobby", "limit": 501},
        {"type": "history", "room": "lobby", "limit": "x"},
        {"type": "history", "room": "lobby", "limit": True},
        {"type": "history", "room": "lobby", "limit": 5, "before": -1},
        {"type": "direct", "to": "ann"},
        {"type": "direct", "to": "ann", "text": ""},
        {"type": "direct", "to": 5, "text": "x"},
        {"type": "topic", "room": "lobby", "topic": "x" * 501},
        {"type": "typing", "room": {}},
        {},
    ],
    ids=lambda request: json.dumps(request)[:60],
)
def test_a_field_of_the_wrong_type_range_or_length_is_bad_field(
    address: Address, bystanders: Bystanders, request_: dict[str, Any]
) -> None:
    with Rich(address) as bad:
        bad.send(encode({"id": "i1", **request_}))
        error = error_of(bad)
        assert (error["code"], error["id"]) == ("bad_field", "i1")
        bystanders.check_heard()


@pytest.mark.parametrize("number", ["", "i" * 65, 5, ["i"]])
def test_an_invalid_id_is_bad_field_and_is_not_echoed(
    address: Address, bystanders: Bystanders, number: object
) -> None:
    with Rich(address) as bad:
        bad.send(encode({"type": "ping", "id": number}))
        error = error_of(bad)
        assert error["code"] == "bad_field"
        assert "id" not in error
        bystanders.check_heard()


def test_a_refused_say_comes_back_with_its_key(address: Address, bystanders: Bystanders) -> None:
    with Rich(address) as bad:
        bad.say("lobby", "", key="k1")
        error = error_of(bad)
        assert (error["code"], error["key"]) == ("bad_field", "k1")
        bystanders.check_heard()


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "say", "room": "lobby", "text": "a\0b"},
        {"type": "say", "room": "lobby", "text": "\0"},
        {"type": "say", "room": "lobby", "text": "x", "key": "k\0"},
        {"type": "say", "room": "lob\0by", "text": "x"},
        {"type": "join", "room": "a\0"},
        {"type": "nick", "nick": "a\0nn"},
        {"type": "topic", "room": "lobby", "topic": "a\0b"},
        {"type": "direct", "to": "ann", "text": "a\0b"},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)
def test_a_null_character_in_json_is_refused(
    address: Address, bystanders: Bystanders, fields: dict[str, Any]
) -> None:
    with Rich(address) as bad:
        bad.send(json.dumps(fields).encode() + b"\0")
        assert error_of(bad)["code"] in ("bad_field", "bad_room", "bad_nick")
        bystanders.check_heard()


def test_the_spelling_of_a_null_character_is_text(address: Address, bystanders: Bystanders) -> None:
    with Rich(address) as ann:
        ann.say("lobby", r"\u0000")
        bystanders.check_heard(r"\u0000")


def test_unknown_fields_are_ignored(address: Address, bystanders: Bystanders) -> None:
    with Rich(address, "ann") as ann:
        ann.tell("say", room="lobby", text="x", author="eve", position=99, time=0, more={"a": [1]})
        (post,) = ann.posts(1)
        assert post["author"] == "ann"
        assert post["position"] != 99
        assert post["time"] > 0
        assert "more" not in post
        bystanders.check_heard("x")


def test_errors_leave_a_rich_connection_open_and_in_order(
    address: Address, bystanders: Bystanders
) -> None:
    with Rich(address) as bad:
        for number in range(20):
            bad.send(b"{\0")
            bad.say("lobby", f"{number}")
        heard = bad.hear(lambda event: event.get("text") == "19")
        assert sum(event["type"] == "error" for event in heard) == 20
        assert texts(heard) == [str(number) for number in range(20)]
        bystanders.check_heard(*[str(number) for number in range(20)])


@pytest.mark.parametrize("bytes_", NOT_UTF8.values(), ids=NOT_UTF8)
def test_the_third_rich_frame_that_is_not_utf8_closes_with_bye(
    address: Address, bystanders: Bystanders, bytes_: bytes
) -> None:
    frame = b'{"type":"say","room":"lobby","text":"' + bytes_ + b'"}\0'
    with Rich(address) as bad:
        bad.send(frame)
        assert error_of(bad)["code"] == "not_utf8"
        bad.send(frame, encode({"type": "say", "room": "lobby", "text": "between"}))
        assert error_of(bad)["code"] == "not_utf8"
        bad.posts(1)
        bad.send(frame, encode({"type": "say", "room": "lobby", "text": "too late"}))
        *_, bye = bad.closing()
        assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "not_utf8", False)
        bystanders.check_heard("between")


# Hello

HELLO = {"type": "hello", "version": 1, "client": "client-of-a-test-bad"}


def test_a_second_hello_is_forbidden_and_changes_nothing(
    address: Address, bystanders: Bystanders
) -> None:
    with Rich(address, "ann") as ann:
        ann.send(encode(HELLO | {"nick": "eve", "id": "i1", "rooms": {"other": None}}))
        error = error_of(ann)
        assert (error["code"], error["id"]) == ("forbidden", "i1")
        ann.say("lobby", "still ann")
        assert ann.posts(1)[0]["author"] == "ann"
        bystanders.check_heard("still ann")


NO_HELLO = {
    "a brace": (b"{", "bad_json"),
    "text in braces": (b"{hello}", "bad_json"),
    "an empty object": (b"{}", "bad_field"),
    "a say": (b'{"type":"say","room":"lobby","text":"x"}', "forbidden"),
    "a ping": (b'{"type":"ping"}', "forbidden"),
    "a bye": (b'{"type":"bye"}', "forbidden"),
    "an unknown type": (b'{"type":"nosuch"}', "unknown_type"),
    "not UTF-8": (b'{"type":"hello","nick":"\xff"}', "not_utf8"),
    "a lone surrogate": (rb'{"type":"hello","nick":"\ud800"}', "bad_json"),
    "no version": (b'{"type":"hello","client":"client-of-a-test-bad"}', "bad_field"),
    "no client": (b'{"type":"hello","version":1}', "bad_field"),
    **{
        f"{field}: {json.dumps(value)[:40]}": (json.dumps(HELLO | {field: value}).encode(), code)
        for field, value, code in [
            ("version", 0, "bad_field"),
            ("version", "1", "bad_field"),
            ("client", "short", "bad_field"),
            ("client", "c" * 65, "bad_field"),
            ("client", "client of a test bad", "bad_field"),
            ("client", "client-of-a-test-bad\n", "bad_field"),
            ("nonce", 5, "bad_field"),
            ("nick", 5, "bad_field"),
            ("nick", "a\0b", "bad_field"),
            ("nonce", "a\0b", "bad_field"),
            ("rooms", ["lobby"], "bad_field"),
            ("rooms", {"lobby": 5}, "bad_field"),
            ("rooms", {"lobby": {"epoch": "e"}}, "bad_field"),
            ("rooms", {"lobby": {"epoch": "e", "position": -1}}, "bad_field"),
            ("rooms", {"lob\0by": None}, "bad_field"),
        ]
    },
}


@pytest.mark.parametrize(("json_", "code"), NO_HELLO.values(), ids=NO_HELLO)
def test_a_rich_connection_that_does_not_begin_with_hello_ends(
    address: Address, bystanders: Bystanders, json_: bytes, code: str
) -> None:
    say = encode({"type": "say", "room": "lobby", "text": "too late"})
    with Plain(address) as bad:
        bad.send(b"\x1e" + json_ + b"\0" + say + b"plain\0")
        error, bye = [json.loads(frame) for frame in bad.rest()]
        assert (error["type"], error["code"]) == ("error", code)
        assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "protocol", False)
        bystanders.check_heard()


def test_an_oversized_hello_ends_the_connection_and_is_not_relayed(serve: Serve) -> None:
    address = serve(frame_bytes=LIMIT)
    with beside(address) as bystanders, Plain(address) as bad:
        bad.send(b"\x1e" + json.dumps(HELLO | {"nick": "x" * LIMIT}).encode() + b"\0")
        assert len(bad.rest()) == 1
        bystanders.check_heard()
