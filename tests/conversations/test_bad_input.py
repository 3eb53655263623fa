"""Bad input: its sender gets an error, it is not relayed, and no other client is affected.

In each test other clients talk meanwhile, lose nothing, and are not delayed.
"""

import json
from random import Random

import pytest

from geventchat.protocol.frames import MAX_SERVER_FRAME_BYTES
from tests.conversations.conftest import Address, Serve
from tests.conversations.control import Control, beside
from tests.conversations.peers import Bystanders, Plain, Rich

NOTICE = b"* geventchat: "
LIMIT = 1_000


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


def test_endless_options_of_telnet_delay_nobody(address: Address, bystanders: Bystanders) -> None:
    """Each of them could reach to the end of the frame."""
    with Plain(address) as telnet:
        telnet.send(b"\xff\xfa" * 8_000 + b"\xff\xf0\0", b"but this is\0")
        bystanders.check_heard("but this is")
        (line,) = telnet.until(b"from rich")
        assert b"raw, not with telnet" in line


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
