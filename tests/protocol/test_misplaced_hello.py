"""A hello is found in any frame that holds one, and nowhere else."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import frames

HELLO = b'{"type":"hello","version":1,"client":"SECRETSECRETSECRET12","token":"TOP-SECRET"}'

WHOLE = {
    "no mark": HELLO,
    "a PROXY line": b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n\x1e" + HELLO,
    "a byte order mark": b"\xef\xbb\xbf\x1e" + HELLO,
    "blanks": b" \t\r\n" + HELLO,
    "bytes that are not UTF-8": b"\xff\xfb\x1f\x1e" + HELLO,
    "an object": b'{"type":"ping"}\x1e' + HELLO,
    "an open brace": b"{\x1e" + HELLO,
    "a list": b"[" + HELLO + b"]",
    "two marks": b"\x1e\x1e" + HELLO,
    "a mark and a blank": b"\x1e " + HELLO,
}
WRITTEN_OTHERWISE = {
    "another order": b'{"client":"SECRETSECRETSECRET12","version":1,"type":"hello"}',
    "white space": b'{ "type"\t:\r\n"hello" }',
    "an escape in the key": rb'{"\u0074ype":"hello"}',
    "an escape in the value": rb'{"type":"he\u006C\u006co"}',
    "escapes throughout": rb'{"\u0074\u0079\u0070\u0065":"\u0068\u0065\u006c\u006c\u006f"}',
    "two types": b'{"type":"say","type":"hello"}',
    "upper case": b'{"TYPE":"HELLO"}',
    "blanks in the value": b'{"type":" hello "}',
    "single quotes": b"{'type': 'hello'}",
    "no quotes": b"{type: hello}",
    "a string of JSON": json.dumps(HELLO.decode()).encode(),
    "a string in an object": json.dumps({"text": json.dumps({"type": "hello"})}).encode(),
    "an object in an object": b'{"hello":' + HELLO + b"}",
}
CUT_OFF = {
    "after the type": b'{"type":"hello"',
    "in the type": b'{"type":"hel',
    "in the client": HELLO[:45],
    "before the type": b'{"version":1,"client":"SECRETSECRET',
    "before the value of the type": b'{"client":"SECRETSECRETSECRET12","token":"x","type":"',
    "in a token": b'{"client":"SECRETSECRETSECRET12","token":"TOP-SEC',
}
TEXT = {
    "nothing": b"",
    "a word": b"hello",
    "a brace": b"{",
    "another request": b'{"type":"say","room":"lobby","text":"hello"}',
    "a longer type": b'{"type":"hello2"}',
    "a hyphen": b'{"type":"hello-world"}',
    "two words": b'{"type":"hello world"}',
    "a comma": b'{"type":"hello, world"}',
    "another key": b'{"subtype":"hello"}',
    "no object": b"type: hello",
    "fields of something else": b'{"type":"event","version":1,"client":"browser"}',
    "one field": b'{"version":1,"text":"hi"}',
    "code": b"if (x) { return hello; }",
    "two marks": b"\x1e\x1e{}",
}


@pytest.mark.parametrize(
    "frame",
    [*WHOLE.values(), *WRITTEN_OTHERWISE.values(), *CUT_OFF.values()],
    ids=[*WHOLE, *WRITTEN_OTHERWISE, *CUT_OFF],
)
def test_a_hello_is_found_however_it_is_written(frame: bytes) -> None:
    assert frames.holds_hello(frame)


@pytest.mark.parametrize("frame", TEXT.values(), ids=TEXT)
def test_text_that_merely_resembles_a_hello_is_text(frame: bytes) -> None:
    assert not frames.holds_hello(frame)


@given(st.binary(), st.binary())
def test_a_hello_is_found_whatever_stands_around_it(before: bytes, after: bytes) -> None:
    assert frames.holds_hello(before + HELLO + after)


@given(st.binary(), st.integers(18, len(HELLO)))
def test_a_hello_is_found_wherever_it_is_cut_off(before: bytes, length: int) -> None:
    assert frames.holds_hello(before + HELLO[:length])


@given(st.permutations(sorted(json.loads(HELLO).items())), st.sampled_from([None, 1, "\t"]))
def test_the_order_of_the_fields_does_not_matter(
    fields: list[tuple[str, object]], indent: int | str | None
) -> None:
    assert frames.holds_hello(json.dumps(dict(fields), indent=indent).encode())


@given(st.binary())
def test_any_frame_can_be_asked_about(frame: bytes) -> None:
    frames.holds_hello(frame)


_FIELDS = b'{"version":1,"client":1,'


@pytest.mark.parametrize(
    "piece",
    [b"{", b"\\", b'"type":', b'{"type"', b'"type" ', b"type:", b"\\u0074", b'"', b"[", b" ", b"h"],
)
def test_the_largest_frame_is_looked_through_in_a_moment(piece: bytes) -> None:
    for begin in (b"{", b'{"type"', b'{"type":', b'{"type":"hello', _FIELDS, _FIELDS + b"type:"):
        frame = (begin + piece * frames.MAX_FRAME_BYTES)[: frames.MAX_FRAME_BYTES]

        def seconds(frame: bytes = frame) -> float:
            began = time.thread_time()
            frames.holds_hello(frame)
            return time.thread_time() - began

        assert any(seconds() < 0.25 for _ in range(5))  # a square would take seconds
