"""What a rich client may not say, and the answers to it."""

import json
from typing import Final

import pytest

from geventchat.protocol import requests
from geventchat.protocol.requests import Ping, Say
from tests.protocol.test_requests import FULL, changed, refused


def full(kind: str) -> str:
    """Give the example of this type that has all its fields."""
    return next(frame for frame in FULL if json.loads(frame)["type"] == kind)


# JSON


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param("", id="nothing"),
        pytest.param("hello", id="text"),
        pytest.param('{"type":"ping"', id="cut off"),
        pytest.param('{"type":"ping"}}', id="too much"),
        pytest.param('{"type":"ping"}\0', id="null byte after it"),
        pytest.param('\ufeff{"type":"ping"}', id="byte order mark"),
        pytest.param('\x1e{"type":"ping"}', id="a second mark"),
        pytest.param("{'type':'ping'}", id="Python"),
        pytest.param('{"type":"ping",}', id="comma at the end"),
        pytest.param('{"type":"ping","x":NaN}', id="NaN"),
        pytest.param('{"type":"history","room":"a","limit":Infinity}', id="Infinity"),
        pytest.param('{"type":"say","room":"a","text":"a\nb"}', id="raw line break"),
        pytest.param('{"type":"say","room":"a","text":"a\0b"}', id="raw null"),
        pytest.param('{"type":"hello","rooms":{"a\0b":null}}', id="raw null in a room"),
        pytest.param(r'{"type":"say","room":"a","text":"\ud800"}', id="lone surrogate"),
        pytest.param(r'{"type":"say","room":"a","text":"\udc00\ud800"}', id="swapped surrogates"),
        pytest.param(r'{"type":"ping","\ud800":1}', id="lone surrogate in a name"),
        pytest.param(r'{"type":"say","room":"a","text":"\u00"}', id="half an escape"),
        pytest.param('{"type":"say","room":1,NaN', id="a bad field, then no JSON"),
    ],
)
def test_a_frame_that_is_not_json_is_bad_json(frame: str) -> None:
    assert refused(frame).code == "bad_json"


@pytest.mark.parametrize("frame", ["null", "1", '"ping"', "[]", '[{"type":"ping"}]', "true"])
def test_json_that_is_no_object_is_bad_json(frame: str) -> None:
    assert refused(frame).code == "bad_json"


@pytest.mark.parametrize("field", ["x", "type", "id", "key", "rooms"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_too_deep_to_decode_is_bad_json(field: str, opening: str, closing: str) -> None:
    depth = 200_000
    frame = f'{{"type":"ping","{field}":{opening * depth}1{closing * depth}}}'
    assert refused(frame).code == "bad_json"


def test_any_depth_is_either_decoded_or_refused() -> None:
    for depth in range(0, 1_100, 3):
        nested = "[" * depth + "]" * depth
        assert refused(f'{{"type":{nested or 1}}}').code in ("unknown_type", "bad_json")


@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82"]
)
def test_text_that_is_not_utf8_is_told_so(text: bytes) -> None:
    assert refused(b'{"type":"say","room":"a","text":"%b"}' % text).code == "not_utf8"
    assert refused(b'{"type":"%b"}' % text).code == "not_utf8"


def test_of_two_faults_one_is_told() -> None:
    for name in (b"type", b"id", b"key"):
        error = refused(b'{"type":"say","room":5,"%b":"\xff"}' % name)
        assert error.code in ("bad_json", "not_utf8")


def test_a_hundred_thousand_fields_are_read_past() -> None:
    fields = ",".join(f'"{number}":{number}' for number in range(100_000))
    assert requests.decode(f'{{"type":"ping",{fields}}}'.encode()) == Ping()


# Types


@pytest.mark.parametrize("kind", ["shout", "Say", "say ", "", "welcome", 5, 1.5, True, ["say"]])
def test_an_unknown_type_is_named(kind: object) -> None:
    error = refused(json.dumps({"type": kind, "id": "7", "key": "k"}))
    assert (error.code, error.request_id, error.key) == ("unknown_type", "7", "k")
    assert repr(str(kind)) in error.text


def test_a_long_type_is_not_said_back_in_full() -> None:
    assert len(refused(json.dumps({"type": "x" * 60_000})).text) < 200


def test_an_unknown_type_is_said_back_harmless() -> None:
    text = refused(r'{"type":"\u001b]0;\u0000\u202e"}').text
    assert text.isprintable()


@pytest.mark.parametrize("frame", ["{}", '{"type":null}', '{"room":"a","text":"Hi"}'])
def test_a_request_without_a_type_is_a_bad_field(frame: str) -> None:
    error = refused(frame)
    assert error.code == "bad_field"
    assert "type" in error.text


def test_a_request_of_two_types_is_refused() -> None:
    assert refused('{"type":"ping","type":"pong"}').code == "bad_field"
    assert refused('{"type":"ping","type":"shout"}').code == "unknown_type"


# Fields


@pytest.mark.parametrize(
    ("field", "frame"),
    [
        ("version", '{"type":"hello","version":1.0,"client":"abcdefghijklmnop"}'),
        ("position", '{"type":"join","room":"a","epoch":"e","position":7.0}'),
        ("limit", '{"type":"history","room":"a","limit":50.0}'),
        ("before", '{"type":"history","room":"a","limit":50,"before":7.5}'),
        ("limit", '{"type":"history","room":"a","limit":5e1}'),
    ],
)
def test_a_number_with_a_fraction_is_answered_with_how_to_write_it(field: str, frame: str) -> None:
    """Lua, and some JavaScript, write 1.0 for 1."""
    error = refused(frame)
    assert error.code == "bad_field"
    assert error.text == f"{field}: Expected a whole number, written as 7 and not as 7.0."


NO_TEXT: Final = [5, True, ["a"], {"a": "b"}]
NO_TOKEN: Final = [*NO_TEXT, "", "x" * 65]
NO_POSITION: Final = [-1, 2**53 + 1, 2**64, 10**22, 7.0, 7.5, "7", True, [7]]
WRONG: Final[dict[tuple[str, str], list[object]]] = {
    ("hello", "version"): [None, 0, -1, 2**31 + 1, 1.0, "1", True],
    ("hello", "client"): [
        None,
        5,
        "",
        "x" * 15,
        "x" * 65,
        "spaces are refused",
        "é" * 16,
        "x" * 16 + "=",
        "x" * 16 + "\n",
        "\n" + "x" * 16,
    ],
    ("hello", "nonce"): [*NO_TEXT, "x" * 129],
    ("hello", "nick"): NO_TEXT,
    ("hello", "password"): [*NO_TEXT, "x" * 1025],
    ("hello", "rooms"): [
        5,
        "lobby",
        ["lobby"],
        {"a": 5},
        {"a": []},
        {"a": {}},
        {"a": {"epoch": "e"}},
        {"a": {"position": 1}},
        {"a": None, "b": True},
        *[{"a": {"epoch": epoch, "position": 1}} for epoch in [None, *NO_TOKEN]],
        *[{"a": {"epoch": "e", "position": position}} for position in [None, *NO_POSITION]],
    ],
    ("say", "room"): [None, *NO_TEXT],
    ("say", "text"): [None, *NO_TEXT, ""],
    ("say", "key"): NO_TOKEN,
    ("join", "room"): [None, *NO_TEXT],
    ("join", "epoch"): NO_TOKEN,
    ("join", "position"): NO_POSITION,
    ("leave", "room"): [None, *NO_TEXT],
    ("nick", "nick"): [None, *NO_TEXT],
    ("who", "room"): [None, *NO_TEXT],
    ("history", "room"): [None, *NO_TEXT],
    ("history", "before"): NO_POSITION,
    ("history", "limit"): [None, 0, -1, 501, 10**9, 50.0, "50", True],
    ("direct", "to"): [None, *NO_TEXT],
    ("direct", "text"): [None, *NO_TEXT, ""],
    ("topic", "room"): [None, *NO_TEXT],
    ("topic", "topic"): [None, *NO_TEXT, "x" * 501],
    ("typing", "room"): [None, *NO_TEXT],
    ("rooms", "prefix"): [*NO_TEXT, "x" * 129],
    ("rooms", "limit"): [0, -1, 201, 50.0, "50", True],
    ("rooms", "after"): [*NO_TEXT, "x" * 257],
}
LONGEST: Final[list[tuple[str, str, object]]] = [
    ("hello", "version", 2**31),
    ("hello", "client", "aZ09_-" * 10 + "x" * 4),
    ("hello", "nonce", "x" * 128),
    ("hello", "nonce", ""),
    ("hello", "password", "x" * 1024),
    ("hello", "rooms", {}),
    ("hello", "rooms", {"a": {"epoch": "x" * 64, "position": 2**53}}),
    ("say", "id", "😀" * 64),
    ("say", "key", "😀" * 64),
    ("join", "position", 0),
    ("join", "position", 2**53),
    ("history", "limit", 500),
    ("topic", "topic", "😀" * 500),
    ("rooms", "prefix", "😀" * 128),
    ("rooms", "limit", 200),
    ("rooms", "after", "x" * 256),
]


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [(*place, value) for place, values in WRONG.items() for value in values],
    ids=lambda value: ascii(value)[:24],
)
def test_a_field_of_the_wrong_type_or_range_is_named(kind: str, field: str, value: object) -> None:
    error = refused(changed(full(kind), **{field: value}, id="7"))
    assert (error.code, error.request_id) == ("bad_field", "7")
    assert error.text.startswith(field)


@pytest.mark.parametrize(("kind", "field", "value"), LONGEST, ids=lambda value: ascii(value)[:24])
def test_the_bounds_themselves_are_allowed(kind: str, field: str, value: object) -> None:
    request = requests.decode(changed(full(kind), **{field: value}).encode())
    assert json.loads(requests.encode(request))[field] == value


@pytest.mark.parametrize(
    ("kind", "field"), [place for place, values in WRONG.items() if None in values]
)
def test_a_field_that_is_needed_and_absent_is_named(kind: str, field: str) -> None:
    fields = json.loads(full(kind))
    del fields[field]
    error = refused(json.dumps(fields))
    assert error.code == "bad_field"
    assert f"`{field}`" in error.text


@pytest.mark.parametrize("frame", FULL)
def test_an_id_that_cannot_be_one_is_not_said_back(frame: str) -> None:
    for wrong in NO_TOKEN:
        error = refused(changed(frame, id=wrong))
        assert (error.code, error.request_id) == ("bad_field", None)
        assert error.text.startswith("id")


HUGE: Final = {"1e999": "1e999", "-1e999": "-1e999", "5,000 digits": "9" * 5_000}


@pytest.mark.parametrize("number", HUGE.values(), ids=HUGE)
def test_a_number_beyond_all_range_is_a_bad_field(number: str) -> None:
    assert refused(f'{{"type":"join","room":"a","position":{number}}}').code == "bad_field"
    assert refused(f'{{"type":"history","room":"a","limit":{number}}}').code == "bad_field"


@pytest.mark.parametrize("number", HUGE.values(), ids=HUGE)
def test_a_number_beyond_all_range_is_never_a_name(number: str) -> None:
    for field in ("type", "id", "key", "room"):
        assert refused(f'{{"type":"say","{field}":{number}}}').code in ("bad_json", "bad_field")


def test_what_is_wrong_is_said_with_the_id_and_key_of_the_request() -> None:
    error = refused('{"type":"say","room":"tea","text":"","key":"k","id":"7"}')
    assert (error.code, error.request_id, error.key) == ("bad_field", "7", "k")
    assert error.text == "text: Expected `str` of length >= 1."


# U+0000


KEPT: Final = """
    say.room say.text say.key direct.to direct.text topic.room topic.topic hello.nick nick.nick
    join.room leave.room who.room history.room typing.room
    rooms.prefix rooms.after
"""


@pytest.mark.parametrize("place", KEPT.split())
def test_u0000_is_refused_in_what_is_kept(place: str) -> None:
    kind, field = place.split(".")
    error = refused(changed(full(kind), **{field: "a\0b"}, id="7"))
    assert (error.code, error.request_id) == ("bad_field", "7")
    assert error.text.startswith(field)


def test_u0000_is_refused_in_the_name_of_a_room_to_begin_in() -> None:
    assert refused(changed(full("hello"), rooms={"a\0b": None})).code == "bad_field"


def test_u0000_is_refused_with_the_key_of_the_say() -> None:
    error = refused(changed(full("say"), text="\0", id="7"))
    assert (error.request_id, error.key) == ("7", "k")


@pytest.mark.parametrize("text", [r"\u0000", r"\\u0000", "␀", "u0000", "\\"])
def test_text_that_only_spells_u0000_is_text(text: str) -> None:
    assert requests.decode(requests.encode(Say(room="a", text=text))) == Say(room="a", text=text)


def test_an_escaped_backslash_hides_no_u0000() -> None:
    assert refused(rb'{"type":"say","room":"a","text":"\\\u0000"}').code == "bad_field"


def test_u0000_in_a_field_that_is_ignored_may_pass() -> None:
    assert requests.decode(rb'{"type":"ping","x":"\u0000"}') == Ping()
