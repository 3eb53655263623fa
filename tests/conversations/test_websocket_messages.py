"""Messages over WebSocket: whatever RFC 6455 allows is understood, however it arrives."""

from itertools import pairwise

import pytest

from tests.conversations.peers import Bystanders, of, texts
from tests.conversations.web import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Raw,
    WebChat,
    close,
    frame,
    say,
    text,
    trickled,
)


@pytest.fixture
def member(web: WebChat, web_bystanders: Bystanders) -> Raw:
    """Return a member of the lobby that came by the web door."""
    peer = web.member()
    web_bystanders.rich.pong()
    return peer


def sized(size: int) -> bytes:
    """Return a request of exactly this many bytes, which only asks for a pong."""
    request = '{"type":"ping","id":"sized"}'
    return text(request + " " * (size - len(request)))


def test_a_browser_a_terminal_and_a_plain_socket_hear_each_other(
    member: Raw, web_bystanders: Bystanders
) -> None:
    web_bystanders.check_heard()
    member.send(text(say("from the web")))
    web_bystanders.check_heard("from the web")
    heard = texts(member.barrier())
    assert heard == ["from rich", "from plain", "from the web", "from rich", "from plain"]


def test_nothing_is_received_before_welcome(web: WebChat, web_bystanders: Bystanders) -> None:
    late = web.raw()
    late.upgrade()
    web_bystanders.check_heard()
    late.send(text({"type": "hello", "version": 1, "client": "client-that-is-late"}))
    assert late.event()["type"] == "welcome"
    assert late.event()["type"] == "joined"


@pytest.mark.parametrize("size", [28, 125, 126, 127, 65_535, 65_536])
def test_a_message_may_have_any_size_up_to_the_limit(member: Raw, size: int) -> None:
    member.send(sized(size))
    assert member.event() == {"type": "pong", "id": "sized"}


def test_a_size_may_be_written_in_more_bytes_than_it_needs(member: Raw) -> None:
    content = sized(28)[6:]  # as masked
    for head in (b"\x81\xfe\0\x1c", b"\x81\xff" + (28).to_bytes(8)):
        member.send(head + b"\1\2\3\4" + content)
        assert member.event()["type"] == "pong"


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x81\x81\0\0"])
def test_any_mask_is_taken_off(member: Raw, mask: bytes) -> None:
    member.send(frame(TEXT, '{"type":"ping","id":"é"}'.encode(), mask=mask))
    assert member.event() == {"type": "pong", "id": "é"}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_frames_may_arrive_in_any_pieces(
    web: WebChat, member: Raw, web_bystanders: Bystanders, size: int
) -> None:
    pinger = web.rich(rooms=[])
    data = b"".join(
        [
            text(say("one")),
            frame(PING, b"?"),
            frame(TEXT, b'{"type":"say","room":"lobby",', fin=False),
            frame(PING, b"in between"),
            frame(CONTINUATION, '"text":"zwei €"}'.encode()),
            text(""),
            text(say("x" * 200)),
        ]
    )
    pieces = trickled(data, size)
    member.trickle(*pieces[:40], read=pinger.pong)
    member.send(*pieces[40:])
    web_bystanders.check_heard("one", "zwei €", "x" * 200)


def test_many_messages_in_one_piece_are_acted_on_in_their_order(
    member: Raw, web_bystanders: Bystanders
) -> None:
    said = [str(number) for number in range(300)]
    member.send(b"".join(text(say(each)) for each in said))
    web_bystanders.check_heard(*said)
    assert texts(member.barrier())[: len(said)] == said


@pytest.mark.parametrize(
    "cuts",
    [[1], [5, 9], list(range(60)), [0, 0, 0, 30, 30], [44, 45, 46]],
    ids=["one", "two", "every byte", "empty ones", "inside characters"],
)
def test_a_message_may_come_in_fragments(
    member: Raw, web_bystanders: Bystanders, cuts: list[int]
) -> None:
    words = "κόσμε 💬 ok"
    content = text(say(words), mask=None)[2:]
    edges = [0, *cuts, len(content)]
    parts = [content[start:end] for start, end in pairwise(edges)]
    for number, part in enumerate(parts):
        opcode, last = CONTINUATION if number else TEXT, number == len(parts) - 1
        member.send(frame(opcode, part, fin=last), frame(PONG, b"unasked"))
    web_bystanders.check_heard(words)


def test_a_ping_is_answered_with_what_it_held_also_between_fragments(member: Raw) -> None:
    for content in (b"", b"hello", b"\0\xff\xfe", b"x" * 125):
        member.send(frame(PING, content))
        assert member.server_frame() == (PONG, content)
    member.send(frame(TEXT, b'{"type":', fin=False), frame(PING, b"now"))
    assert member.server_frame() == (PONG, b"now")
    member.send(frame(CONTINUATION, b'"ping"}'))
    assert member.event() == {"type": "pong"}


def test_of_several_pings_in_one_piece_the_newest_is_answered(member: Raw) -> None:
    member.send(b"".join(frame(PING, b"%d" % number) for number in range(10)))
    assert member.server_frame() == (PONG, b"9")
    assert member.barrier() == []


def test_an_unasked_pong_and_an_empty_message_are_ignored(member: Raw) -> None:
    member.send(frame(PONG), frame(PONG, b"x" * 125), text(""))
    member.send(frame(TEXT, fin=False), frame(CONTINUATION, fin=False), frame(CONTINUATION))
    assert member.barrier() == []


def test_hostile_text_goes_through_as_it_is(member: Raw, web_bystanders: Bystanders) -> None:
    words = "<img onerror=x>\x1b]0;t\x07\u202e\ufeff\u2028" + "a\u0301" * 50
    member.send(text(say(words)))
    web_bystanders.check_heard(words)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"hello", "bad_json"),
        (b"[]", "bad_json"),
        (b'{"type":"say","room":"lobby","text":"a\0b"}', "bad_json"),
        (b'{"type":"say","room":"lobby","text":"\\u0000"}', "bad_field"),
        (b'{"type":"say","room":"lobby","text":"\\ud800"}', "bad_json"),
        (b'\x1e{"type":"ping"}', "bad_json"),
        (b'{"type":"dance"}', "unknown_type"),
        (b'{"type":"hello","version":1,"client":"client-of-a-second-hello"}', "forbidden"),
    ],
)
def test_a_faulty_message_is_answered_with_an_error_and_the_connection_stays(
    member: Raw, web_bystanders: Bystanders, data: bytes, code: str
) -> None:
    member.send(frame(TEXT, data))
    error = member.event()
    assert (error["type"], error["code"]) == ("error", code)
    member.send(text(say("still here")))
    web_bystanders.check_heard("still here")


def test_bye_is_answered_and_followed_by_a_close(member: Raw) -> None:
    member.send(text({"type": "bye", "id": "b"}))
    ending = member.ending()
    assert (ending.bye, ending.code, ending.reason) == ("quit", 1000, "quit")
    assert ending.events[-1]["id"] == "b"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (None, b""),
        (1000, b""),
        (1001, b"bye"),
        (1011, b"x" * 123),
        (3000, b""),
        (4999, "é".encode()),
    ],
)
def test_a_close_of_the_client_is_its_half_close_and_comes_back(
    member: Raw, web_bystanders: Bystanders, code: int | None, reason: bytes
) -> None:
    member.send(text(say("last words", key="k")) + frame(PING, b"p") + close(code, reason))
    seen = [member.server_frame() for _ in range(2)]
    assert {opcode for opcode, _ in seen} == {TEXT, PONG}
    closing = member.server_frame()
    assert closing == (CLOSE, (code.to_bytes(2) if code else b"") + reason)
    assert member.remains() == b""
    web_bystanders.check_heard("last words")


def test_every_request_before_a_close_is_answered(member: Raw) -> None:
    numbers = [f"i{number}" for number in range(30)]
    who = [text({"type": "who", "room": "lobby", "id": number}) for number in numbers]
    member.send(b"".join(who) + close(1000))
    ending = member.ending()
    assert [event["id"] for event in of("members", ending.events)] == numbers
    assert (ending.bye, ending.code) == (None, 1000)


def test_a_close_in_the_middle_of_a_message_drops_only_that_message(
    member: Raw, web_bystanders: Bystanders
) -> None:
    member.send(text(say("whole")), frame(TEXT, b'{"type":"say"', fin=False), close(1000))
    assert member.ending().code == 1000
    web_bystanders.check_heard("whole")


@pytest.mark.parametrize("after", [text(say("late")), frame(PING), b"\xff" * 100, close(1000)])
def test_what_follows_a_close_is_ignored(
    member: Raw, web_bystanders: Bystanders, after: bytes
) -> None:
    member.send(close(1001) + after, after)
    ending = member.ending()
    assert (ending.events, ending.code) == ([], 1001)
    web_bystanders.check_heard()


def test_a_half_close_of_tcp_is_one_too(member: Raw, web_bystanders: Bystanders) -> None:
    member.send(text(say("last words")) + text(say("cut off"))[:-1])
    member.shut()
    ending = member.ending()
    assert (texts(ending.events), ending.code) == (["last words"], None)
    web_bystanders.check_heard("last words")


def test_a_binary_message_ends_the_connection(member: Raw, web_bystanders: Bystanders) -> None:
    member.send(text(say("before")) + frame(BINARY, b"{}") + text(say("after")))
    ending = member.ending()
    assert (ending.bye, ending.code) == ("protocol", 1003)
    assert "binary" in ending.events[-1]["text"]
    web_bystanders.check_heard("before")
