"""A hello holds secrets: in the wrong place it is refused, and nobody sees any of it."""

import json
import logging
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conversations.chat import Chat, chatting
from tests.conversations.control import Control
from tests.conversations.peers import Bystanders, Plain, Rich, encode
from tests.protocol.test_misplaced_hello import CUT_OFF, HELLO, WHOLE, WRITTEN_OTHERWISE

LINE = b"* geventchat: This port speaks geventchat"


@pytest.fixture
def bystanders(stored_chat: Chat) -> Iterator[Bystanders]:
    with Bystanders(stored_chat.address) as bystanders:
        yield bystanders


def answer_to(chat: Chat, *pieces: bytes) -> list[bytes]:
    """Send these pieces and close the sending side; return all frames until the server closes."""
    with Plain(chat.address) as peer:
        peer.send(*pieces)
        peer.shut()
        return peer.rest()


@pytest.mark.parametrize(
    "frame",
    [*WHOLE.values(), *WRITTEN_OTHERWISE.values(), *CUT_OFF.values()],
    ids=[*WHOLE, *WRITTEN_OTHERWISE, *CUT_OFF],
)
def test_a_first_frame_that_holds_a_hello_is_refused_and_closed(
    stored_chat: Chat, bystanders: Bystanders, frame: bytes
) -> None:
    (line,) = answer_to(stored_chat, frame + b"\0", b"what follows is secret, too\0")
    assert line.startswith(LINE)
    assert b"U+001E" in line or b"PROXY" in line
    assert b"SECRET" not in line
    bystanders.check_heard()


@pytest.mark.parametrize("first", [b"hello\0", b"\xff\0"])
def test_a_hello_after_another_frame_is_refused_and_closed(
    stored_chat: Chat, bystanders: Bystanders, first: bytes
) -> None:
    frames = first, b"\x1e" + HELLO + b"\0", encode({"type": "admin", "token": "TOP-SECRET"})
    assert answer_to(stored_chat, b"".join(frames))[-1].startswith(LINE)
    bystanders.check_heard(*["hello"] * (first == b"hello\0"))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["\x1e", "\ufeff\x1e", "\ufeff", ""])
@pytest.mark.parametrize("size", [1, 1_000])
def test_a_hello_in_utf_16_or_32_is_refused_before_its_first_character_is_heard(
    stored_chat: Chat, bystanders: Bystanders, encoding: str, mark: str, size: int
) -> None:
    hello = (mark + HELLO.decode()).encode(encoding)
    with Plain(stored_chat.address) as peer:
        last = len((mark + '{"').encode(encoding))
        if mark.endswith("\x1e"):
            last -= len('"'.encode(encoding))
        pieces = [hello[start : start + size] for start in range(0, last, size)]
        peer.trickle(*pieces, read=bystanders.rich.pong)
        (line,) = peer.rest()
    assert line.startswith(LINE)
    assert b"UTF-8" in line
    bystanders.check_heard()


def test_a_first_frame_that_almost_holds_a_hello_delays_nobody(
    stored_chat: Chat, bystanders: Bystanders
) -> None:
    """Whatever follows a type could be its name, up to a quote at the very end."""
    text = '{"version":1,"client":1,type:' + " " * 8_000
    with Control(stored_chat.address), Plain(stored_chat.address) as peer:
        peer.send(text.encode() + b"\0")
        (line,) = peer.rest()
    assert line.startswith(LINE)
    bystanders.check_heard()


@pytest.mark.parametrize("before", [b"", b"\x1e", b"PROXY TCP4 "])
def test_a_hello_without_its_null_byte_is_heard_by_nobody(
    stored_chat: Chat, bystanders: Bystanders, before: bytes
) -> None:
    (line,) = answer_to(stored_chat, before + HELLO)
    assert b"null byte" in line
    bystanders.check_heard()


def test_a_hello_larger_than_a_frame_is_heard_by_nobody() -> None:
    with chatting(frame_bytes=1_000) as chat, Bystanders(chat.address) as bystanders:
        hello = HELLO[:-1] + b',"nonce":"' + b"x" * 1_000
        (line,) = answer_to(chat, hello, b'"}\0')
        assert b"1,000" in line
        bystanders.check_heard()


def test_a_hello_after_empty_frames_is_the_first_frame(stored_chat: Chat) -> None:
    assert b"welcome" in answer_to(stored_chat, b"\0\0\x1e" + HELLO + b"\0")[0]


def test_a_text_about_hello_may_be_the_first_message(
    stored_chat: Chat, bystanders: Bystanders
) -> None:
    text = '{"type":"say","text":"hello"}'
    assert answer_to(stored_chat, text.encode() + b"\0") == []
    bystanders.check_heard(text)


def test_a_misplaced_hello_is_named_where_a_password_is_missing() -> None:
    with chatting(options={"password": "Open Sesame"}) as chat:
        (line,) = answer_to(chat, HELLO + b"\0")
        assert line.startswith(LINE)


def test_the_log_names_a_misplaced_hello_and_holds_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG), chatting(options={"echo": True}) as chat:
        answer_to(chat, b"PROXY \x1e" + HELLO + b"\0")
        with Rich(chat.address, rooms=[]):
            pass
        assert chat.server.rejections.counts == {"misplaced_hello": 1}
    assert "misplaced_hello" in caplog.text
    assert "SECRET" not in caplog.text


def test_no_secret_of_a_first_frame_gets_anywhere(tmp_path: Path) -> None:
    """Whatever stands before the hello, and however the bytes are cut."""
    before = st.one_of(
        st.binary(max_size=120).map(lambda data: data.replace(b"\0", b"")),
        st.text(max_size=60).map(lambda text: text.replace("\0", "").encode(errors="ignore")),
        st.sampled_from([*WHOLE.values()]).map(lambda frame: frame.partition(HELLO)[0]),
    )
    with chatting(f"sqlite:{tmp_path}/chat.db") as chat, Bystanders(chat.address) as bystanders:

        @given(before, st.lists(st.integers(0, 300), max_size=3), st.binary(max_size=20))
        def heard_by_nobody(before: bytes, cuts: list[int], after: bytes) -> None:
            data = before + HELLO + after.replace(b"\0", b"") + b"\0"
            if data.startswith(b"\x1e{"):
                return
            edges = [0, *sorted({min(cut, len(data)) for cut in cuts}), len(data)]
            pieces = [data[a:b] for a, b in pairwise(edges)]
            assert answer_to(chat, *pieces)[-1].startswith(b"* geventchat: ")

        heard_by_nobody()
        bystanders.check_heard()
        posts = json.dumps(bystanders.rich.ask("history", room="lobby", limit=500)["posts"])
        assert "SECRET" not in posts
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"SECRET" not in stored
