"""The files of the page: read once, packed where that pays, known by their content."""

import gzip
import random
from pathlib import Path

import pytest

from geventchat.server.web import http, site
from geventchat.server.web.http import BadRequest, NotHttp


def test_files_are_found_by_their_paths_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "room.js").write_text("export {};")
    (tmp_path / "notes.txt").write_text("not for the web")
    (tmp_path / ".hidden.js.swp").write_text("nor this")
    found = site.load(tmp_path)
    assert set(found) == {"/", "/views/room.js"}
    assert found["/views/room.js"].kind == "text/javascript; charset=utf-8"


def test_the_tag_of_a_file_changes_with_its_content_only(tmp_path: Path) -> None:
    file = tmp_path / "a.css"
    tags = []
    for content in ("a", "b", "a"):
        file.write_text(content)
        tags.append(site.load(tmp_path)["/a.css"].tag)
    assert tags[0] == tags[2] != tags[1]
    assert tags[0].startswith('W/"')  # packed or not, it is the same file


@pytest.mark.parametrize(
    ("content", "packed"),
    [
        (b"x" * 20, False),
        (b"x" * 200, True),
        (b"x" * 5_000, True),
        (random.Random(1).randbytes(5_000), False),
    ],
)
def test_a_file_is_packed_where_that_pays(tmp_path: Path, content: bytes, packed: bool) -> None:
    (tmp_path / "a.css").write_bytes(content)
    file = site.load(tmp_path)["/a.css"]
    assert (file.gzipped is not None) == packed
    if file.gzipped is not None:
        assert gzip.decompress(file.gzipped) == content


def test_the_page_itself_is_there_and_small() -> None:
    found = site.load()
    assert found["/"].kind == "text/html; charset=utf-8"
    sent = [file.gzipped or file.body for file in found.values() if "image" not in file.kind]
    assert sum(map(len, sent)) < 80_000  # as sent, but for the heads of the responses


def test_comments_are_not_sent_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    code = (
        "/**\n * What it is. // and more\n */\n\t// why\nlet a = `/* b */`; // c\n/* d */ a;\n"
        '  let b = /** @type {B} */ (a), c = "https://a // b"; // it\'s\n'
    )
    (tmp_path / "a.js").write_text(code, "utf-8")
    (tmp_path / "a.html").write_text(code, "utf-8")
    found = site.load(tmp_path)
    sent = b'\n\n\n\nlet a = `/* b */`;\na;\nlet b = (a), c = "https://a // b"; // it\'s\n'
    assert found["/a.js"].body == sent
    assert found["/a.html"].body == code.encode()


def test_a_head_is_split_from_what_follows() -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert http.split(head + b"rest\0\n") == (head, b"rest\0\n")
    for size in range(1, len(head)):
        assert http.split(head[:size]) == (b"", head[:size])


@pytest.mark.parametrize(
    "data", [b"\0", b" ", b"GET\r\n", b"GET /\r\n", b"x" * 33, b"GET / HTTP/1.1\n"]
)
def test_what_is_no_http_is_known_at_once(data: bytes) -> None:
    with pytest.raises(NotHttp):
        http.split(data)


@pytest.mark.parametrize("extra", [0, 1])
def test_the_largest_head(extra: int) -> None:
    line = b"GET / HTTP/1.1\r\n"
    fields = b"X: " + b"x" * 8_000 + b"\r\nY: " + b"y" * (http.HEAD_BYTES - 8_028 + extra)
    head = line + fields + b"\r\n\r\n"
    assert len(head) == http.HEAD_BYTES + extra
    if extra:
        with pytest.raises(BadRequest, match="too large"):
            http.split(head)
    else:
        assert http.split(head) == (head, b"")


def test_a_response_cannot_be_split_by_what_it_quotes() -> None:
    with pytest.raises(BadRequest) as caught:
        http.parse(b"GET /\r\nHTTP/1.1\r\nX: y HTTP/1.1\r\n\r\n")
    assert caught.value.response.count(b"HTTP/1.1 ") == 1
