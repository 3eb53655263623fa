"""The framing of the chat port: first bytes are known for what they are in any pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import frames
from geventchat.protocol.errors import ProtocolError
from geventchat.server.transport.base import Ways
from geventchat.server.transport.null_framing import NullFraming

LIMIT = 200
WAYS = Ways("knock twice", 4040, None)
BEGINNINGS = [
    b"\r\n\r\n\0\r\nQUIT\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n",
    b"\x1e\0{\0",
    b"\xfe\xff\0\x1e\0{",
    b"GET / HTTP/1.1\r\n",
    b"SSH-2.0-x\r\n",
    b"\x16\x03\x01",
]


@st.composite
def first_bytes(draw: st.DrawFn) -> bytes:
    """Bytes that begin like another protocol, to any length, or not at all."""
    begin = draw(st.sampled_from(BEGINNINGS))
    return begin[: draw(st.integers(0, len(begin)))] + draw(st.binary(max_size=40))


def outcome(pieces: list[bytes]) -> list[bytes | str]:
    """Return the frames of these pieces, and the protocol if it was recognised."""
    framing = NullFraming(LIMIT, WAYS)
    heard: list[bytes | str] = []
    try:
        for piece in pieces:
            heard += framing.feed(piece)
        heard += framing.release()
    except ProtocolError as error:
        heard.append(error.reason.code if error.reason else "no reason")
    return heard


@given(first_bytes(), st.lists(st.integers(0, 60)))
def test_where_the_first_bytes_are_cut_changes_nothing(data: bytes, points: list[int]) -> None:
    edges = sorted({0, *(point for point in points if point < len(data)), len(data)})
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert outcome(pieces) == outcome([data] if data else [])


@given(st.lists(st.sampled_from([b"a", b"bc", b"\0", b"d\0", b"e\0f", b"g\0\0"]), max_size=90))
def test_a_frame_that_is_taken_alone_is_the_same(pieces: list[bytes]) -> None:
    framing, other = NullFraming(LIMIT, WAYS), NullFraming(LIMIT, WAYS)
    for piece in pieces:
        alone = framing.single(piece)
        frames = [alone] if alone else list(framing.feed(piece))
        assert frames == list(other.feed(piece))
        assert framing.begun == other.begun


def test_first_bytes_and_frames_over_the_limit_are_not_taken_alone() -> None:
    framing = NullFraming(LIMIT, WAYS)
    assert framing.single(b"first\0") == b""
    assert list(framing.feed(b"first\0")) == [b"first"]
    assert framing.single(b"x" * LIMIT + b"\0") == b"x" * LIMIT
    assert framing.single(b"x" * (LIMIT + 1) + b"\0") == b""
    assert framing.single(b"") == framing.single(b"\0") == b""


@given(first_bytes())
def test_what_is_no_other_protocol_comes_out_as_its_frames(data: bytes) -> None:
    if frames.stranger(data) is None:
        assert outcome([data[at : at + 1] for at in range(len(data))]) == [
            frame for frame in data.split(b"\0")[:-1] if frame
        ]


@pytest.mark.parametrize("begin", BEGINNINGS)
def test_no_frame_comes_out_of_another_protocol(begin: bytes) -> None:
    (code,) = outcome([bytes([byte]) for byte in begin + b"\0hello\0"])
    assert code in {"proxy", "http", "misplaced_hello"}


def test_what_is_held_counts_as_an_incomplete_frame() -> None:
    framing = NullFraming(LIMIT, WAYS)
    assert list(framing.feed(b"\r\n\r\n\0")) == []
    begun = framing.begun
    assert list(framing.release()) == [b"\r\n\r\n"]
    assert (begun, framing.begun) == (True, False)
    assert list(framing.feed(b"\r\n\r\n\0\r\nQUIT\n\0")) == [b"\r\n\r\n", b"\r\nQUIT\n"]
