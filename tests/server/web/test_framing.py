"""The framing of the web door: however bytes are cut, the same comes out, as the RFC has it."""

from itertools import pairwise, product
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from geventchat.protocol.errors import LOST, QUIT, ProtocolError
from geventchat.server.transport.base import Client, Ways
from geventchat.server.web.framing import Web, WebFraming
from geventchat.server.web.origin import Names
from geventchat.server.web.posts import Posting, Reply
from geventchat.server.web.site import File
from tests.conversations.web import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close,
    frame,
    handshake,
    request,
    text,
)

LIMIT = 200
SITE = {"/": File("text/html", b"the page", None, '"tag"')}


def _post(posting: Posting, client: Client) -> Reply:
    return Reply(200, f"{client.address} posts {posting.text}".encode())


def framing(*, opened: bool = True) -> WebFraming:
    """Return the framing of a new connection, after the handshake if `opened`."""
    web = Web(SITE, Names("127.0.0.1"), lambda: None, _post)
    framing = web(LIMIT, Ways("knock twice", 4040, None))
    if opened:
        assert list(framing.feed(handshake())) == [b""]
        assert framing.replies().startswith(b"HTTP/1.1 101 ")
    return framing


class Outcome(NamedTuple):
    """What came of some bytes."""

    messages: list[bytes]
    pong: bytes
    """The last Pong."""
    error: str | None
    ended: bool
    last: bytes
    """The Close that the server sends."""


def outcome(pieces: list[bytes], *, single: bool = False) -> Outcome:
    """Feed these pieces, until one ends the connection; those that can be taken as `single` not."""
    web, messages, pong, reason = framing(), [], b"", None
    try:
        for piece in pieces:
            if single and (message := web.single(piece)):
                messages.append(message)
                continue
            for message in web.feed(piece):
                if message:
                    messages.append(message)
                pong = web.replies() or pong
            if web.ended:
                break
    except ProtocolError as caught:
        reason, pong = caught.reason, web.replies() or pong
        assert reason is not None
    error = reason.code if reason else None
    return Outcome(messages, pong, error, web.ended, web.end(reason or QUIT))


OPCODES = st.sampled_from([TEXT, TEXT, TEXT, CONTINUATION, CONTINUATION, PING, PONG, BINARY])
CONTENTS = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.integers(120, 210).map(lambda size: b"x" * size),
)


@st.composite
def streams(draw: st.DrawFn, junk: bool = True) -> bytes:
    """Frames, most of them as the RFC has them, and with `junk` perhaps some bytes of anything."""
    parts = []
    for _ in range(draw(st.integers(0, 8))):
        opcode = draw(OPCODES)
        fin = opcode >= PING or draw(st.booleans())
        content = draw(st.binary(max_size=30) if opcode >= PING else CONTENTS)
        parts.append(frame(opcode, content, fin=fin, mask=draw(st.binary(min_size=4, max_size=4))))
    end = st.binary(max_size=20) if junk else st.just(b"")
    parts.append(draw(st.one_of(end, CLOSES)))
    return b"".join(parts)


CLOSES = st.builds(close, st.sampled_from([None, 1000, 1001, 999, 1005, 3000, 4999, 5000]))


def cut(data: bytes, points: list[int]) -> list[bytes]:
    edges = sorted({0, *(point for point in points if point < len(data)), len(data)})
    return [data[start:end] for start, end in pairwise(edges)]


@given(streams(), st.lists(st.integers(0, 400), max_size=12))
def test_where_a_stream_is_cut_changes_nothing(data: bytes, points: list[int]) -> None:
    whole, pieces = outcome([data]), outcome(cut(data, points))
    assert pieces._replace(pong=b"") == whole._replace(pong=b"")
    if whole.error is None:
        assert pieces.pong == whole.pong


@given(streams())
def test_byte_by_byte_is_the_same(data: bytes) -> None:
    whole, pieces = outcome([data]), outcome([data[at : at + 1] for at in range(len(data))])
    assert pieces._replace(pong=b"") == whole._replace(pong=b"")


@given(streams(junk=False))
def test_another_implementation_finds_the_same(data: bytes) -> None:
    """But binary messages, and messages over the limit, end a connection here."""
    heard = outcome([data])
    if heard.error == "too_large" or heard.last[2:4] == (1003).to_bytes(2):
        return
    other, messages, part, code = Connection(ConnectionType.SERVER), [], "", None
    other.receive_data(data)
    for event in other.events():
        if isinstance(event, TextMessage):
            part += event.data
            if event.message_finished:
                messages.append(part.encode())
                part = ""
        elif isinstance(event, CloseConnection):
            code = event.code  # of the client, or what the implementation fails it with
    assert heard.messages == [message for message in messages if message]
    if heard.error is not None:
        assert code == int.from_bytes(heard.last[2:4])
    else:
        assert heard.ended == (code is not None)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else_and_little_is_kept(data: bytes) -> None:
    for message in outcome([data]).messages:
        assert len(message) <= LIMIT
        message.decode()


@given(
    st.lists(st.sampled_from(["/", "/healthz", "/nothing"]), max_size=6),
    st.lists(st.integers(0, 900)),
)
def test_where_requests_are_cut_changes_nothing(paths: list[str], points: list[int]) -> None:
    data = b"".join(request(f"GET {path} HTTP/1.1") for path in paths) + handshake()
    web, statuses = framing(opened=False), []
    for piece in cut(data, points):
        for message in web.feed(piece):
            assert message == b""
            statuses.append(int(web.replies()[9:12]))
    assert statuses == [{"/": 200, "/healthz": 200, "/nothing": 404}[path] for path in paths] + [
        101
    ]
    assert not web.opening


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_first_bytes_are_answered_or_wait_for_more(data: bytes, points: list[int]) -> None:
    web = framing(opened=False)
    try:
        for piece in cut(data, points):
            assert b"".join(web.feed(piece)) == b""
    except ProtocolError:
        assert web.farewell(QUIT).startswith((b"HTTP/1.1 4", b"* geventchat: This port speaks "))
        assert web.end(QUIT) == b""


@given(st.lists(st.one_of(streams(), st.builds(frame, st.just(TEXT), CONTENTS))))
def test_a_frame_that_is_taken_alone_gives_the_same_message(pieces: list[bytes]) -> None:
    assert outcome(pieces, single=True) == outcome(pieces)


@pytest.mark.parametrize("size", [2, 124, 125, 126, 127, 128, LIMIT])
def test_only_a_whole_text_frame_and_nothing_else_is_taken_alone(size: int) -> None:
    data = frame(TEXT, b"x" * size)
    assert framing().single(data) == b"x" * size
    for other in (data[:-1], data + b"x", b"", data[:2], frame(PING), frame(BINARY, b"x" * size)):
        assert framing().single(other) == b""
    for at, bit in product(range(len(data) - size - 4), range(8)):  # of the head
        other = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        assert framing().single(other) == b""
    begun = framing()
    assert list(begun.feed(data[:1])) == []
    assert begun.single(data) == b""


def test_a_frame_that_is_not_complete_is_begun() -> None:
    web = framing()
    seen = []
    for piece in (text("a")[:1], text("a")[1:], frame(TEXT, b"b", fin=False), frame(PING),
                  frame(CONTINUATION), text("c") + text("d")[:3], text("d")[3:]):  # fmt: skip
        list(web.feed(piece))
        seen.append(web.begun)
    assert seen == [True, False, True, True, False, True, False]


def test_what_has_nothing_for_the_session_is_counted() -> None:
    web = framing()
    data = frame(PING) * 3 + text("a") + frame(PONG) + text("") + frame(TEXT, b"b", fin=False)
    assert [(message, web.skipped) for message in web.feed(data)] == [(b"a", 0), (b"", 6)]


def test_the_session_gets_a_turn_to_yield_within_every_kibibyte() -> None:
    web = framing()
    turns = list(web.feed(frame(PING) * 10_000))
    assert len(turns) == -(-60_000 // 1024)


@pytest.mark.parametrize("client", [None, 1000, 4999])
def test_a_close_of_the_client_comes_back_whatever_the_reason(client: int | None) -> None:
    web = framing()
    list(web.feed(close(client)))
    echo = Frame(Opcode.CLOSE, b"" if client is None else client.to_bytes(2)).serialize(mask=False)
    assert web.ended
    assert [web.end(reason) for reason in (LOST, QUIT)] == [echo, echo]


def test_the_server_closes_with_the_code_of_the_reason() -> None:
    web = framing()
    assert web.end(LOST) == b""
    closing = web.end(QUIT)
    assert closing[:2] == bytes([0x88, len(closing) - 2])
    assert Close.parse(closing[2:]) == Close(1000, "quit")


def test_a_connection_costs_little_memory_once_it_is_open() -> None:
    """What the library needs for a handshake is not kept."""
    web: Any = framing()
    assert web._head == b""
    assert not web._messages.begun
    assert not web._messages._protocol.reader.buffer


@given(st.integers(1, 400), st.sampled_from([b"5\r\nbuild\r\n9\r\n is green\r\n0\r\n\r\n", b""]))
def test_posts_in_any_pieces_are_the_same(size: int, chunks: bytes) -> None:
    body = b"build is green"
    fields = {"Transfer_Encoding": "chunked"} if chunks else {"Content_Length": str(len(body))}
    data = (request("POST /hook/secret HTTP/1.1", **fields) + (chunks or body)) * 2
    web, heard = framing(opened=False), b""
    for begin in range(0, len(data), size):
        for _ in web.feed(data[begin : begin + size]):
            if web.task is not None:
                web.task(Client("192.0.2.1", 1))
            heard += web.replies()
    assert heard.count(b"192.0.2.1 posts build is green") == heard.count(b"HTTP/1.1 200 ") == 2
    assert not web.begun
