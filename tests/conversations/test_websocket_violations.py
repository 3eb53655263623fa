"""What RFC 6455 forbids ends that WebSocket with the right code, and nobody else notices."""

import gevent
import pytest

from tests.conversations.chat import drop
from tests.conversations.peers import Bystanders
from tests.conversations.web import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    WebChat,
    close,
    frame,
    say,
    text,
    web_chatting,
)

MORE = text(say("never heard")) + frame(PING)
"""What follows; it is not acted on."""

VIOLATIONS = {
    "no mask": frame(TEXT, b"{}", mask=None),
    "a ping without a mask": frame(PING, mask=None),
    "a close without a mask": b"\x88\0",
    "reserved bit 1": frame(TEXT, b"{}", reserved=4),
    "reserved bit 2": frame(TEXT, b"{}", reserved=2),
    "reserved bit 3": frame(PING, reserved=1),
    "all reserved bits": frame(CLOSE, b"\x03\xe8", reserved=7),
    **{f"opcode {code}": frame(code) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a long ping": frame(PING, b"x" * 126),
    "a long pong": frame(PONG, b"x" * 126),
    "a long close": close(1000, b"x" * 124),
    "a ping in fragments": frame(PING, fin=False),
    "a pong in fragments": frame(PONG, fin=False),
    "a close in fragments": frame(CLOSE, fin=False),
    "the end of nothing": frame(CONTINUATION, b"{}"),
    "the middle of nothing": frame(CONTINUATION, b"{}", fin=False),
    "a message in a message": frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"),
    "a beginning in a message": frame(TEXT, b"{", fin=False) + frame(TEXT, b"}", fin=False),
    "a close of one byte": frame(CLOSE, b"\3"),
    **{
        f"close code {code}": close(code)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
    },
}
INVALID = {
    "an overlong slash": [b"\xc0\xaf"],
    "a surrogate": [b"\xed\xa0\x80"],
    "beyond Unicode": [b"\xf4\x90\x80\x80"],
    "a lone continuation": [b"ok \x80"],
    "cut off at the end": [b"ok \xe2\x82"],
    "cut off in fragments": [b"ok \xe2", b"\x82"],
    "wrong after a fragment": [b"ok \xe2", b"("],
}


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_ends_the_connection_with_1002(
    web: WebChat, web_bystanders: Bystanders, violation: bytes
) -> None:
    member = web.member()
    member.send(text(say("before")) + violation + MORE)
    ending = member.ending()
    assert (ending.bye, ending.code, ending.reason) == ("protocol", 1002, "protocol")
    assert ending.events[-1]["text"].startswith("Not valid WebSocket: ")
    web_bystanders.check_heard("before")


@pytest.mark.parametrize("parts", INVALID.values(), ids=INVALID)
def test_text_that_is_not_utf8_ends_the_connection_with_1007(
    web: WebChat, web_bystanders: Bystanders, parts: list[bytes]
) -> None:
    member = web.member()
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        member.send(frame(CONTINUATION if number else TEXT, part, fin=last))
    ending = member.ending()
    assert (ending.bye, ending.code) == ("not_utf8", 1007)
    web_bystanders.check_heard()


def test_the_reason_of_a_close_has_to_be_utf8(web: WebChat, web_bystanders: Bystanders) -> None:
    member = web.member()
    member.send(close(1000, b"\xff"))
    assert member.ending().code == 1007
    web_bystanders.check_heard()


def test_text_that_is_not_utf8_is_refused_with_its_fragment(
    web: WebChat, web_bystanders: Bystanders
) -> None:
    member = web.member()
    member.send(frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80", fin=False))
    assert member.ending().code == 1007
    web_bystanders.check_heard()


@pytest.mark.parametrize(
    "claimed", [65_537, 1 << 20, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
)
def test_a_message_over_the_limit_is_refused_by_its_head(
    web: WebChat, web_bystanders: Bystanders, claimed: int
) -> None:
    member = web.member()
    member.send(text(say("before")) + frame(TEXT, b"x", size=claimed))
    ending = member.ending()
    assert (ending.bye, ending.code) == ("too_large", 1009)
    assert "65,536" in ending.events[-1]["text"]
    web_bystanders.check_heard("before")


@pytest.mark.parametrize("sizes", [[65_536, 1], [1, 65_536], [30_000, 30_000, 5_537]])
def test_fragments_over_the_limit_are_refused(
    web: WebChat, web_bystanders: Bystanders, sizes: list[int]
) -> None:
    member = web.member()
    for number, size in enumerate(sizes):
        member.send(frame(CONTINUATION if number else TEXT, b"x" * size, fin=False))
    ending = member.ending()
    assert (ending.bye, ending.code) == ("too_large", 1009)
    web_bystanders.check_heard()


def test_there_is_an_end_of_empty_fragments(web: WebChat, web_bystanders: Bystanders) -> None:
    member = web.member()
    member.send(frame(TEXT, fin=False), frame(CONTINUATION, fin=False) * 65_536)
    ending = member.ending()
    assert (ending.bye, ending.code) == ("too_large", 1009)
    web_bystanders.check_heard()


def test_a_message_at_the_limit_may_come_a_byte_in_each_fragment() -> None:
    with web_chatting(frame_bytes=100) as web:
        member = web.member()
        content = text({"type": "ping", "id": "x"}, mask=None)[2:].ljust(100)
        parts = [frame(CONTINUATION, content[at : at + 1], fin=at == 99) for at in range(1, 100)]
        member.send(frame(TEXT, content[:1], fin=False) + b"".join(parts))
        assert member.event() == {"type": "pong", "id": "x"}


@pytest.mark.parametrize("size", [100, 101])
def test_the_limit_is_a_setting_and_counts_bytes(size: int) -> None:
    with web_chatting(frame_bytes=100) as web:
        member = web.member()
        request = '{"type":"ping","id":"é"}'.encode()
        member.send(frame(TEXT, request + b" " * (size - len(request))))
        if size == 100:
            assert member.event()["type"] == "pong"
        else:
            assert member.ending().code == 1009


FIRST = {
    "another request": ('{"type":"ping"}', "forbidden"),
    "no JSON": ("hello", "bad_json"),
    "a hello of the chat port": ('\x1e{"type":"hello","version":1}', "bad_json"),
    "a hello without a client": ('{"type":"hello","version":1}', "bad_field"),
}


@pytest.mark.parametrize(("first", "code"), FIRST.values(), ids=FIRST)
def test_what_is_no_hello_first_gets_an_error_and_bye(
    web: WebChat, web_bystanders: Bystanders, first: str, code: str
) -> None:
    peer = web.raw()
    peer.upgrade()
    peer.send(text("") + frame(PING))
    assert peer.server_frame() == (PONG, b"")
    peer.send(text(first) + MORE)
    ending = peer.ending()
    assert [event["type"] for event in ending.events] == ["error", "bye"]
    assert ending.events[0]["code"] == code
    assert (ending.bye, ending.code) == ("protocol", 1002)
    web_bystanders.check_heard()


@pytest.mark.parametrize(
    ("data", "code"),
    [(frame(BINARY), 1003), (frame(TEXT, b"\xff"), 1007), (frame(7), 1002), (close(1001), 1001)],
)
def test_a_connection_that_never_said_hello_ends_as_properly(
    web: WebChat, web_bystanders: Bystanders, data: bytes, code: int
) -> None:
    peer = web.raw()
    peer.upgrade()
    peer.send(data)
    assert peer.ending().code == code
    web_bystanders.check_heard()


@pytest.mark.parametrize("after", [b"", text(say("x"))[:1], text(say("x"))[:9]])
def test_a_reset_frees_the_connection(
    web: WebChat, web_bystanders: Bystanders, after: bytes
) -> None:
    member = web.member(nick="Ann")
    before = len(web.sessions())
    member.send(text(say("before")) + after)
    web_bystanders.check_heard("before")
    drop(member)
    with gevent.Timeout(20):
        while len(web.sessions()) == before:
            gevent.sleep(0.001)
    web_bystanders.check_heard()
