"""Standard input as lines to send."""

import pytest

from geventchat.client.terminal import lines
from geventchat.client.terminal.errors import Failed
from geventchat.client.terminal.lines import Line


def split(*chunks: bytes) -> list[Line]:
    return [line for batch in lines._lines(chunks) for line in batch]


def test_lines_may_arrive_in_any_pieces() -> None:
    data = "one\r\n\n日本 🎉\nlast".encode()
    whole = [Line(1, "one"), Line(3, "日本 🎉"), Line(4, "last")]
    assert split(data) == whole
    assert split(*(data[at : at + 1] for at in range(len(data)))) == whole


def test_a_byte_order_mark_is_not_sent() -> None:
    mark = b"\xef\xbb\xbf"
    assert split(mark + b"hello\n", mark + b"of the next file\n" + mark + b"\n") == [
        Line(1, "hello"),
        Line(2, "of the next file"),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_and_not_sent(encoding: str) -> None:
    with pytest.raises(Failed, match="the input is UTF-16"):
        split("hi\nho\n".encode(encoding))


@pytest.mark.parametrize(
    ("data", "fault"), [(b"caf\xe9", "not UTF-8"), (b"a\0b", "holds U+0000, which no message can")]
)
def test_a_line_that_is_no_text_is_named_and_others_are_sent(data: bytes, fault: str) -> None:
    assert split(b"one\n" + data + b"\nthree\n") == [
        Line(1, "one"),
        Line(2, "", fault),
        Line(3, "three"),
    ]


def test_of_an_endless_line_little_is_kept_and_others_are_sent() -> None:
    piece = b"x" * 65_536
    found = split(b"one\n", *[piece] * 40, b"\nthree\n", *[piece] * 40)
    fault = "longer than 1,048,576 bytes"
    assert found == [Line(1, "one"), Line(2, "", fault), Line(3, "three"), Line(4, "", fault)]
