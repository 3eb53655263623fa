"""Bad input: its sender gets an error, it is not relayed, and no other client is affected.

In each test other clients talk meanwhile, lose nothing, and are not delayed.
"""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from geventchat.protocol.frames import MAX_SERVER_FRAME_BYTES
from tests.conversations.conftest import Address, Serve
from tests.conversations.control import Control, beside
from tests.conversations.peers import Bystanders, Plain, Rich, encode, texts

NOTICE = b"* geventchat: "
LIMIT = 1_000


@pytest.fixture
def bystanders(address: Address) -> Iterator[Bystanders]:
    with beside(address) as bystanders:
        yield bystanders


# Plain clients

NOT_UTF8 = {
    "an overlong null": b"\xc0\x80",
    "a surrogate": b"\xed\xa0\x80",
    "beyond the last code point": b"\xf4\x90\x80\x80",
    "a lone continuation": b"\x80",
    "a character cut short": b"\xe2\x82",
    "Latin-1 among good text": "gr\xfcn".encode("latin-1"),
    "UTF-16 mark": b"\xff\xfe",
}


@pytest.mark.parametrize("frame", NOT_UTF8.values(), ids=NOT_UTF8)
def test_a_frame_that_is_not_utf8_is_answered_with_one_line_and_not_relayed(
    address: Address, bystanders: Bystanders, frame: bytes
) -> None:
    with Plain(address) as bad:
        bad.send(frame + b"\0", b"but this is\0")
        bystanders.check_heard("but this is")
        lines = bad.until(b"from rich")
        assert len(lines) == 1
        assert lines[0].startswith(NOTICE)
        assert b"UTF-8" in lines[0]


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xfb\x1f\xff\xfb\x20\xff\xfb\x18hello\r",
        b"hello\xff\xfd\x01\r",
        b"\xff\xf4\xff\xfd\x06",
        b"\xff\xfd",
        b"\xff\xfa\x1f\x50\xff\xf0",
    ],
)
def test_commands_of_telnet_are_named_and_not_relayed(
    address: Address, bystanders: Bystanders, frame: bytes
) -> None:
    with Plain(address) as telnet:
        telnet.send(frame + b"\0", b"but this is\r\0")
        bystanders.check_heard("but this is\r")
        (line,) = telnet.until(b"from rich")
        assert b"raw, not with telnet" in line


def test_an_option_of_telnet_with_null_bytes_in_it_is_not_relayed(
    address: Address, bystanders: Bystanders
) -> None:
    with Plain(address) as telnet:
        telnet.send(b"hello\0\xff\xfb\x1f\xff\xfa\x1f\0P\0\x18\xff\xf0and on\0")
        assert b"raw, not with telnet" in telnet.rest()[-1]
        bystanders.check_heard("hello")


def test_the_third_frame_that_is_not_utf8_closes(address: Address, bystanders: Bystanders) -> None:
    with Plain(address) as bad:
        bad.send(b"one\0\xff\0\xff\0two\0\xff\0three\0")
        lines = bad.rest()
        assert len(lines) >= 3
        assert all(line.startswith(NOTICE) for line in lines)
        assert b"UTF-8" in lines[-1]
    bystanders.check_heard("one", "two")


def test_each_client_may_send_two_frames_that_are_not_utf8(
    address: Address, bystanders: Bystanders
) -> None:
    with Plain(address) as ann, Plain(address) as bob:
        for client in (ann, bob):
            client.send(b"\xff\0\xff\0")
            assert all(line.startswith(NOTICE) for line in client.frames(2))
        ann.send(b"still here\0")
        assert bob.frame() == b"still here"
        bystanders.check_heard("still here")


@pytest.mark.parametrize("end", [b"", b"\0", b"\0after it\0"])
@pytest.mark.parametrize("too_many", [1, 5 * LIMIT])
def test_a_frame_that_is_too_large_closes_with_a_line_that_names_the_limit(
    serve: Serve, end: bytes, too_many: int
) -> None:
    address = serve(frame_bytes=LIMIT)
    with beside(address) as bystanders, Plain(address) as bad:
        bad.send(b"x" * (LIMIT + too_many) + end)
        (line,) = bad.rest()
        assert line.startswith(NOTICE)
        assert b"1,000" in line
        bystanders.check_heard()


def test_a_frame_grows_too_large_in_any_number_of_pieces(serve: Serve) -> None:
    address = serve(frame_bytes=LIMIT)
    with beside(address) as bystanders, Plain(address) as bad:
        bad.trickle(*[b"x" * (LIMIT // 4)] * 4, read=bystanders.rich.pong)
        bad.send(b"x")
        (line,) = bad.rest()
        assert line.startswith(NOTICE)
        bystanders.check_heard()


def test_a_frame_of_exactly_the_limit_passes(serve: Serve) -> None:
    address = serve(frame_bytes=LIMIT)
    text = "ü" * (LIMIT // 2)
    with beside(address) as bystanders, Plain(address) as ann:
        ann.send(text.encode() + b"\0")
        bystanders.check_heard(text)


def test_the_default_frame_limit_is_65536_bytes(address: Address, bystanders: Bystanders) -> None:
    with Plain(address) as ann, Plain(address) as bad:
        ann.send(b"x" * 65_536 + b"\0")
        bystanders.check_heard("x" * 65_536)
        bad.send(b"x" * 65_537)
        assert b"65,536" in bad.rest()[-1]
        bystanders.check_heard()


def test_the_largest_frame_of_the_largest_limit_can_be_delivered(serve: Serve) -> None:
    address = serve(frame_bytes=128 << 10)
    text = "\x01" * (128 << 10)  # JSON spells each in six bytes
    with Control(address), Plain(address) as ann, Rich(address) as bob:
        ann.send(text.encode() + b"\0")
        while b'"post"' not in (event := bob.frame()):
            pass
        assert len(event) <= MAX_SERVER_FRAME_BYTES
        assert json.loads(event)["text"] == text


def test_frames_before_an_oversized_one_are_delivered(serve: Serve) -> None:
    address = serve(frame_bytes=LIMIT)
    with beside(address) as bystanders, Plain(address) as bad:
        bad.send(b"one\0two\0" + b"x" * 2 * LIMIT + b"\0three\0")
        (line,) = bad.rest()
        assert line.startswith(NOTICE)
        bystanders.check_heard("one", "two")


def test_a_frame_that_is_too_large_closes_a_rich_connection_with_bye(serve: Serve) -> None:
    address = serve(frame_bytes=LIMIT)
    with beside(address) as bystanders, Rich(address) as bad:
        bad.say("lobby", "one", key="k1")
        bad.say("lobby", "x" * LIMIT)
        bad.say("lobby", "too late")
        bye = bad.closing()[-1]
        assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "too_large", False)
        assert "1,000" in bye["text"]
        bystanders.check_heard("one")


# Rich clients


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


# Other protocols

STRANGE = {
    "64 KiB of null bytes": (bytes(65_536), 0),
    "a million empty frames": (bytes(1_000_000), 0),
    "a frame without an end": (b"x" * 65_536, 1),
    "a mail program": (b"EHLO example.org\r\nMAIL FROM:<a@example.org>\r\n", 1),
    "a database": (b"*1\r\n$4\r\nPING\r\n", 1),
    "a file server": (b"\0\0\0\x85\xffSMBr\0\0\xc0\0", 2),
    "64 KiB at random": (Random(1).randbytes(65_536), 4),
}
"""Bytes sent, and the number of lines in the answer."""


@pytest.mark.parametrize(("sent", "lines"), STRANGE.values(), ids=STRANGE)
def test_the_first_bytes_of_other_protocols_are_not_relayed(
    address: Address, bystanders: Bystanders, sent: bytes, lines: int
) -> None:
    with Plain(address) as bad:
        bad.send(sent)
        bad.shut()
        answers = bad.rest()
        assert len(answers) == lines
        assert all(answer.startswith(NOTICE) for answer in answers)
        bystanders.check_heard()


def test_ten_thousand_frames_in_one_piece_are_delivered_without_delaying_others(
    address: Address,
) -> None:
    said = [b"%d" % number for number in range(10_000)]
    with Control(address), Plain(address) as ann, Plain(address) as bob:
        bob.join_lobby()
        ann.frame()
        ann.send(b"\0".join(said) + b"\0")
        assert bob.frames(10_000) == said


# Text is relayed unchanged

TEXTS = {
    "clears a screen": "\x1b[2J\x1b[H",
    "writes to the clipboard": "\x1b]52;c;aGVsbG8=\x07",
    "sets a title": "\x1b]0;gone\x1b\\",
    "asks the terminal": "\x1bP+q544e\x1b\\\x1b[6n",
    "begins the line again": "hello\r* geventchat: Goodbye.",
    "steps back": "secret\b\b\b\b\b\b",
    "is the one-byte escape": "\x9b2J",
    "is deleted": "\x7f",
    "turns round": "\u202eolleh\u2066\u2069",
    "shows nothing": "\u200b" * 20_000,
    "is stacked up": "o" + "\u0301" * 10_000,
    "has no end": "x" * 10_000,
    "is blank": " \t\r\n\u3000",
    "is a mark": "\ufeff",
    "is a script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "is a link": "javascript:alert(1)",
    "ends a statement": "'; DROP TABLE posts; --",
    "is a pattern": "%_*?[",
    "is a format": "%s %n {0} {text} $HOME `id`",
    "looks like an event": '{"type":"bye","code":"kicked","text":"Go.","reconnect":false}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_any_text_is_delivered_and_stored_unchanged(stored: Address, text: str) -> None:
    with beside(stored) as bystanders, Plain(stored) as plain, Rich(stored) as rich:
        plain.send(text.encode() + b"\0")
        bystanders.check_heard(text)
        rich.say("lobby", text)
        bystanders.check_heard(text)


# Refused requests, and expensive ones


def asks(kind: str, **fields: Any) -> bytes:
    return encode({"type": kind, **fields})


ASKED = {
    "an empty nick": (asks("nick", nick=""), "bad_nick"),
    "a blank nick": (asks("nick", nick="\u3000"), "bad_nick"),
    "a nick of 33 emoji": (asks("nick", nick="\U0001f600" * 33), "bad_nick"),
    "a nick of two lines": (asks("nick", nick="ann\nbob"), "bad_nick"),
    "a nick that turns round": (asks("nick", nick="\u202enna"), "bad_nick"),
    "a nick with tags": (asks("nick", nick="ann\U000e0041"), "bad_nick"),
    "a reserved nick": (asks("nick", nick="server"), "bad_nick"),
    "a nick in use": (asks("nick", nick="\uff21\uff4e\uff4e"), "nick_in_use"),
    "a nick like one in use": (asks("nick", nick="\u0430nn"), "nick_too_similar"),
    "an empty room": (asks("join", room=""), "bad_room"),
    "a room with a space": (asks("join", room="a b"), "bad_room"),
    "a room of 33": (asks("join", room="x" * 33), "bad_room"),
    "a room like the lobby": (asks("join", room="l0bby"), "bad_room"),
    "a room one is in": (asks("join", room="LOBBY"), "joined"),
    "a position nobody has reached": (
        asks("join", room="lobby", epoch="e" * 16, position=2**53),
        "joined",
    ),
    "to leave where one is not": (asks("leave", room="attic"), "not_joined"),
    "to speak where one is not": (asks("say", room="attic", text="x"), "not_joined"),
    "to type where one is not": (asks("typing", room="attic"), "not_joined"),
    "the topic of another room": (asks("topic", room="attic", topic="x"), "not_joined"),
    "who is in another room": (asks("who", room="attic"), "not_joined"),
    "the posts of another room": (asks("history", room="attic", limit=5), "not_joined"),
    "the posts of no room": (asks("history", room="cellar", limit=5), "not_joined"),
    "posts before the end of time": (
        asks("history", room="lobby", limit=5, before=2**53),
        "history",
    ),
    "to reach nobody": (asks("direct", to="nobody", text="x"), "no_such_nick"),
    "to reach a plain guest": (asks("direct", to="guest-4", text="x"), "no_such_nick"),
    "to act as an operator": (asks("admin", action="kick", target="ann"), "forbidden"),
    "to pose as an operator": (asks("admin", action="list", token="x" * 16), "forbidden"),
    "a limit without end": (b'{"type":"history","room":"lobby","limit":1e999}\0', "bad_field"),
    "a number of 5,000 digits": (
        b'{"type":"history","room":"lobby","limit":%s}\0' % (b"9" * 5_000),
        "bad_field",
    ),
    "ten thousand arguments": (asks("ping", id=["x"] * 10_000), "bad_field"),
    "four thousand fields": (asks("ping", **{f"f{n}": n for n in range(4_000)}), "pong"),
}
"""Requests, and the code or type of each answer."""


@pytest.mark.parametrize(("request_", "answer"), ASKED.values(), ids=ASKED)
def test_a_refused_request_is_answered_and_changes_nothing(
    address: Address, bystanders: Bystanders, request_: bytes, answer: str
) -> None:
    with Rich(address, "ann", rooms=["lobby", "attic"]) as ann, Rich(address) as bad:
        bad.send(request_)
        (event,) = bad.pong()
        assert event.get("code", event["type"]) == answer
        assert ann.ask("who", room="attic")["nicks"] == ["ann"]
        assert bad.ask("who", room="lobby")["count"] == 4
        bystanders.check_heard()


def test_forged_frames_are_dropped_each_time(address: Address, bystanders: Bystanders) -> None:
    forged = b'"author":"eve","position":9,"time":0,"system":true,"text":"forged"'
    with Rich(address, "ann") as ann:
        ann.send(b'{"type":"say","room":"lobby",%s,%s,"text":"x"}\0' % (forged, forged))
        (post,) = ann.posts(1)
        assert (post["author"], post["position"]) == ("ann", 2)
        assert post["time"] > 0
        assert "system" not in post
        bystanders.check_heard("x")


@pytest.mark.parametrize("kind", ["nick", "join"])
def test_a_thousand_renames_or_rooms_do_not_delay_other_clients(
    address: Address, bystanders: Bystanders, kind: str
) -> None:
    names = [f"n{number}" for number in range(1_000)]
    asked = [asks(kind, **{"nick" if kind == "nick" else "room": name}) for name in names]
    with Rich(address) as bad:
        bad.send(b"".join(asked))
        answers = bad.pong()
        good = [event for event in answers if event["type"] in ("renamed", "joined")]
        refused = [event["code"] for event in answers if event["type"] == "error"]
        assert len(good) == (1_000 if kind == "nick" else 127)
        assert set(refused) <= {"too_many_rooms"}
        assert len(good) + len(refused) == 1_000
        bystanders.check_heard()


def test_a_hello_with_three_thousand_rooms_is_answered_for_each_room(
    address: Address, bystanders: Bystanders
) -> None:
    with Rich(address, rooms=[f"r{number}" for number in range(3_000)]) as bad:
        answers = [event.get("code", event["type"]) for event in bad.greeting]
        assert (answers.count("joined"), answers.count("too_many_rooms")) == (128, 2_872)
        bystanders.check_heard()
