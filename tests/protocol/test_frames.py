"""Frames come out of the bytes the same, however the network cut them."""

import sys
from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import frames
from geventchat.protocol.errors import TOO_LARGE, ProtocolError, Reason
from geventchat.protocol.frames import Decoder

LIMIT = 6  # small, so that samples go over it

SAMPLES = {
    "one": b"hello\0",
    "many": b"a\0bc\0def\0",
    "unfinished": b"a\0bc",
    "empty between": b"\0\0a\0\0\0b\0\0",
    "wide": "né\0😀\0".encode(),
    "not text": b"\xff\xfe\0\xed\xa0\x80\0",
    "at the limit": b"abcdef\0ghijkl\0",
    "over the limit": b"a\0abcdefg\0b\0",
    "never finished": b"a\0abcdefghijklm",
}

bodies = st.binary(max_size=LIMIT + 2).map(lambda body: body.replace(b"\0", b""))
streams = st.lists(bodies, max_size=8).map(b"\0".join)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@st.composite
def cuttings(draw: st.DrawFn, of: st.SearchStrategy[bytes] = streams) -> list[bytes]:
    """Some bytes, cut into pieces."""
    data = draw(of)
    return cut(data, draw(st.lists(st.integers(0, len(data)))))


def cut(data: bytes, points: Iterable[int]) -> list[bytes]:
    edges = sorted({0, *points, len(data)})
    return [data[start:end] for start, end in pairwise(edges)]


def heard(pieces: Iterable[bytes], limit: int = LIMIT) -> Iterator[bytes | Reason | None]:
    """Yield the frames in these pieces, then the reason if they end the connection."""
    decoder = Decoder(limit)
    try:
        for piece in pieces:
            yield from decoder.feed(piece)
    except ProtocolError as error:
        yield error.reason


# Decoding


@pytest.mark.parametrize("data", SAMPLES.values(), ids=SAMPLES)
def test_a_frame_may_arrive_in_any_pieces(data: bytes) -> None:
    whole = list(heard([data]))
    assert list(heard(cut(data, range(len(data))))) == whole
    for points in combinations(range(len(data) + 1), 2):
        assert list(heard(cut(data, points))) == whole


@given(cuttings())
def test_where_the_bytes_are_cut_changes_nothing(pieces: list[bytes]) -> None:
    assert list(heard(pieces)) == list(heard([b"".join(pieces)]))


@given(st.lists(texts))
def test_what_is_encoded_is_decoded(said: list[str]) -> None:
    data = b"".join(map(frames.encode, said))
    decoder = Decoder()
    assert [frame.decode() for frame in decoder.feed(data)] == said
    assert decoder.unfinished == b""


def test_a_character_may_be_split_across_pieces() -> None:
    pieces = [bytes([byte]) for byte in "日本 😀\0".encode()]
    assert list(heard(pieces, limit=100)) == ["日本 😀".encode()]


def test_empty_frames_are_left_out() -> None:
    assert list(heard([b"\0" * 1_000, b"\0", b"a\0", b"\0"])) == [b"a"]


def test_a_frame_that_has_begun_is_kept_until_its_null_byte() -> None:
    decoder = Decoder()
    assert list(decoder.feed(b"done\0beg")) == [b"done"]
    assert list(decoder.feed(b"un")) == []
    assert decoder.unfinished == b"begun"
    assert list(decoder.feed(b"\0")) == [b"begun"]
    assert decoder.unfinished == b""


# The limit


def test_a_frame_may_have_as_many_bytes_as_the_limit() -> None:
    assert list(heard([b"abcdef\0"])) == [b"abcdef"]
    assert list(heard([b"abc", b"def", b"\0"])) == [b"abcdef"]


def test_a_frame_with_one_byte_more_ends_the_connection() -> None:
    assert list(heard([b"abcdefg\0"])) == [TOO_LARGE]
    assert list(heard([b"abc", b"defg\0"])) == [TOO_LARGE]


def test_the_limit_counts_bytes_not_characters() -> None:
    assert list(heard(["ééé\0".encode()])) == ["ééé".encode()]
    assert list(heard(["éééé\0".encode()])) == [TOO_LARGE]


def test_a_frame_over_the_limit_is_not_waited_for() -> None:
    decoder = Decoder(LIMIT)
    assert list(decoder.feed(b"abcdef")) == []
    with pytest.raises(ProtocolError):
        list(decoder.feed(b"g"))


def test_frames_before_one_that_is_too_large_are_still_heard() -> None:
    assert list(heard([b"a\0b\0abcdefg\0c\0"])) == [b"a", b"b", TOO_LARGE]
    assert list(heard([b"a\0b\0abcdefg"])) == [b"a", b"b", TOO_LARGE]


def test_who_sends_too_much_is_told_how_much_is_allowed() -> None:
    with pytest.raises(ProtocolError, match=r"at most 65,536 bytes\.") as caught:
        list(Decoder().feed(b"x" * 65_537))
    assert caught.value.code == "too_large"


@given(cuttings(st.binary(max_size=100)))
def test_no_more_is_held_than_the_limit_and_one_piece(pieces: list[bytes]) -> None:
    decoder = Decoder(LIMIT)
    for piece in pieces:
        try:
            list(decoder.feed(piece))
        except ProtocolError:
            assert len(decoder.unfinished) <= LIMIT + len(piece)
            return
        assert len(decoder.unfinished) <= LIMIT


@given(cuttings(st.binary()))
def test_nothing_but_a_protocol_error_comes_of_any_bytes(pieces: list[bytes]) -> None:
    for frame in heard(pieces):
        assert frame is TOO_LARGE or (isinstance(frame, bytes) and b"\0" not in frame)


def test_a_trickle_is_no_more_work_than_a_flood() -> None:
    data = b"x" * 20_000 + b"\0"
    trickle = [data[at : at + 1] for at in range(len(data))]
    assert bytes_looked_at(trickle) == bytes_looked_at([data]) == len(data)


def bytes_looked_at(pieces: list[bytes]) -> int:
    """Count the bytes that methods of bytes (split, find …) go through while pieces are decoded.

    A decoder that looked through what it kept, again with every piece, would count a square.
    """
    looked_at = 0

    def count(_: FrameType, event: str, called: Any) -> None:
        nonlocal looked_at
        subject = getattr(called, "__self__", None)
        if event == "c_call" and isinstance(subject, bytes | bytearray):
            looked_at += len(subject)

    decoder = Decoder()
    profile = sys.getprofile()
    sys.setprofile(count)
    try:
        for piece in pieces:
            list(decoder.feed(piece))
    finally:
        sys.setprofile(profile)
    return looked_at


# What a connection's first bytes say of it


def test_the_mark_and_a_brace_make_a_connection_rich() -> None:
    assert frames.is_rich(b'\x1e{"type":"hello"}')
    assert frames.is_rich(b"\x1e{")  # a broken hello is refused, not relayed


@pytest.mark.parametrize(
    "text", [b"hello", b'{"type":"hello"}', b"\x1e", b"\x1ehello", b"\x1e {", b" \x1e{", b""]
)
def test_any_other_first_frame_makes_it_plain(text: bytes) -> None:
    assert not frames.is_rich(text)


@pytest.mark.parametrize(
    ("head", "told_after", "language"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", 2, "tls", id="TLS"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", 8, "ssh", id="SSH"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n", 16, "http", id="GET"),
        pytest.param(b"POST /a?b=c HTTP/1.0\r\n\r\nq\0", 22, "http", id="POST"),
        pytest.param(b"CONNECT a:80 HTTP/1.1\r\n", 23, "http", id="CONNECT"),
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\nhi", 36, "proxy", id="PROXY 1"),
        pytest.param(b"PROXY TCP6 ::1 ::2 5 6\r\n", 24, "proxy", id="PROXY 1 of IPv6"),
        pytest.param(b"PROXY UNKNOWN\r\n", 15, "proxy", id="PROXY 1 without an address"),
        pytest.param(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 12, "proxy", id="PROXY 2"),
        pytest.param("\x1e{".encode("utf-16-le"), 4, "wide", id="a hello in UTF-16"),
        pytest.param("\ufeff\x1e{".encode("utf-16-be"), 6, "wide", id="and with its mark"),
        pytest.param('{"'.encode("utf-32-be"), 8, "wide", id="and in UTF-32, without U+001E"),
    ],
)
def test_a_stranger_is_known_as_soon_as_its_first_bytes_tell(
    head: bytes, told_after: int, language: str
) -> None:
    for length in range(len(head) + 1):
        assert frames.stranger(head[:length]) == (language if length >= told_after else None)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"hello\0",
        b"\x16\0",
        b"SSH-2.0\0is what I use",
        b"ssh-2.0-x",
        b"GET / HTTP/1.1\0",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/2.0\r\n",
        b"get / http/1.1\r\n",
        b"GET /\0 HTTP/1.1\r\n",
        b"GET /\r\n HTTP/1.1\r\n",
        b" GET / HTTP/1.1\r\n",
        b"I like to speak HTTP/1.1\r\n",
        b"PROXY TCP4 is down\0\r\n",
        b"PROXY TCP4 is down\n",
        b"PROXY TCP5 x\r\n",
        b"PROXY TCP4x\r\n",
        b"proxy TCP4 x\r\n",
        b" PROXY TCP4 x\r\n",
        b"PROXY TCP4 " + b"x" * 95 + b"\r\n",  # a byte too many
        b"\r\n\r\n\0\r\nQUIT\r\n",
        b"\r\n\r\n\0",
        b"\x1e\0{}\0",
    ],
)
def test_text_that_merely_resembles_another_language_is_chat(head: bytes) -> None:
    assert frames.stranger(head) is None


def test_a_proxy_line_may_have_107_bytes() -> None:
    assert frames.stranger(b"PROXY TCP4 " + b"x" * 94 + b"\r\n") == "proxy"


@pytest.mark.parametrize(
    ("head", "undecided"),
    [
        (b"\r\n\r\n\0", True),
        (b"\r\n\r\n\0\r\nQUIT", True),
        (b"\r\n\r\n\0\r\nquit", False),
        (b"\r\n\r\n\0\0", False),
        (b"\x1e\0", True),
        (b"\x1e\0h", False),
        (b"hello\0", False),
    ],
)
def test_first_bytes_are_undecided_while_more_could_make_a_stranger_of_them(
    head: bytes, undecided: bool
) -> None:
    assert frames.undecided(head) == undecided


def test_a_request_line_may_be_as_long_as_it_likes() -> None:
    assert frames.stranger(b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\n") == "http"


def test_a_request_is_looked_for_in_the_first_line_only() -> None:
    assert frames.stranger(b"hello\r\nGET / HTTP/1.1\r\n") is None


@given(st.binary())
def test_any_first_bytes_can_be_asked_about(head: bytes) -> None:
    frames.stranger(head)
    frames.is_rich(head)
    frames.undecided(head)


def test_a_notice_is_a_frame_that_says_where_it_comes_from() -> None:
    assert frames.notice("You are late.") == b"* geventchat: You are late.\0"
