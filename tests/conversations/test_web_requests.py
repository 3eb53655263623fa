"""Requests to the web door: pages and their files, and a clear answer to everything else."""

import gzip
import time

import gevent
import pytest
from gevent.select import select

from geventchat.server.transport import connection
from geventchat.server.web import http
from geventchat.server.web.site import File
from tests.conversations.peers import Bystanders
from tests.conversations.web import Raw, WebChat, handshake, request, trickled

PLAIN = "text/plain; charset=utf-8"


@pytest.fixture
def browser(web: WebChat, web_bystanders: Bystanders) -> Raw:
    """Return a connection to the web door."""
    web_bystanders.rich.pong()
    return web.raw()


def test_the_page_comes_with_its_type_and_a_strict_policy(browser: Raw) -> None:
    page = browser.ask(request())
    assert (page.status, page.fields["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.body.startswith(b"<!doctype html>")
    policy = page.fields["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.fields["x-content-type-options"] == "nosniff"
    assert page.fields["referrer-policy"] == "no-referrer"
    assert "connection" not in page.fields


def test_a_page_that_did_not_change_is_not_sent_again(browser: Raw) -> None:
    tag = browser.ask(request()).fields["etag"]
    for known in (tag, f'"other", {tag}', f"W/{tag.removeprefix('W/')}", "*"):
        again = browser.ask(request(If_None_Match=known))
        assert (again.status, again.body, again.fields["etag"]) == (304, b"", tag)
        assert "content-length" not in again.fields
    assert browser.ask(request(If_None_Match='"other"')).status == 200


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip, deflate, br", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br", False),
        ("", False),
        (None, False),
    ],
)
def test_a_file_is_packed_for_those_who_accept_it(
    web: WebChat, browser: Raw, accepted: str | None, packed: bool
) -> None:
    name, file = max(web.server._web.site.items(), key=lambda each: len(each[1].body))  # type: ignore[union-attr]
    response = browser.ask(request(f"GET {name} HTTP/1.1", Accept_Encoding=accepted))
    assert response.fields["vary"] == "Accept-Encoding"
    packed = packed and file.gzipped is not None
    assert response.fields.get("content-encoding") == ("gzip" if packed else None)
    assert (gzip.decompress(response.body) if packed else response.body) == file.body


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing"])
def test_a_head_has_the_fields_of_a_get_and_no_body(browser: Raw, path: str) -> None:
    get = browser.ask(request(f"GET {path} HTTP/1.1"))
    head = browser.ask(request(f"HEAD {path} HTTP/1.1"), head_only=True)
    assert (head.status, head.body) == (get.status, b"")
    assert head.fields | {"date": ""} == get.fields | {"date": ""}
    assert browser.ask(request()).status == 200


@pytest.mark.parametrize("fields", [{"Host": "evil.example"}, {"Content_Length": "5"}])
def test_a_head_that_is_refused_is_answered_without_a_body_too(
    browser: Raw, fields: dict[str, str]
) -> None:
    refused = browser.ask(request("HEAD / HTTP/1.1", **fields), head_only=True)
    assert refused.status in (400, 421)
    assert browser.remains() == b""


def test_a_request_that_is_refused_after_a_head_is_answered_with_a_body(browser: Raw) -> None:
    browser.send(request("HEAD / HTTP/1.1") + b"GET /" + b"a" * http.HEAD_BYTES)
    assert browser.response(head_only=True).status == 200
    refused = browser.response()
    assert (refused.status, refused.text) == (414, "The head of the request is too large.\n")


def test_the_health_check_says_ready(browser: Raw) -> None:
    health = browser.ask(request("GET /healthz HTTP/1.1"))
    assert (health.status, health.text) == (200, "ready\n")
    assert health.fields["cache-control"] == "no-store"
    junk = browser.ask(request("GET /healthz?x=%00&" + "y" * 1_000 + " HTTP/1.1"))
    assert junk.text == "ready\n"


def test_a_health_check_of_http_1_0_needs_no_host(browser: Raw) -> None:
    browser.send(request("GET /healthz HTTP/1.0", Host=None))
    assert browser.response().text == "ready\n"
    assert browser.remains() == b""


@pytest.mark.parametrize(
    "path",
    [
        "/index.html", "/nothing", "/../etc/passwd", "/../../../../etc/passwd", "//etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/.", "/./", "//", "/%00", "/~",
        "/..\\..\\etc\\passwd", "http://localhost/../etc/passwd", "/metrics", "/top", "/ws/",
        "/WS", "/healthz/", "*", "x", "/__init__.py", "/" + "x" * 8_000,
    ],
)  # fmt: skip
def test_no_other_path_leads_anywhere(browser: Raw, path: str) -> None:
    response = browser.ask(request(f"GET {path} HTTP/1.1"))
    assert (response.status, response.fields["content-type"]) == (404, PLAIN)
    assert "the page is at /" in response.text
    assert browser.ask(request()).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "get"])
def test_other_methods_are_answered_with_405(
    browser: Raw, web_bystanders: Bystanders, method: str
) -> None:
    browser.send(request(f"{method} / HTTP/1.1", Content_Length="19") + b"GET / HTTP/1.1\r\n\r\n")
    response = browser.response()
    assert (response.status, response.fields["allow"]) == (405, "GET, HEAD")
    assert browser.remains() == b""
    web_bystanders.check_heard()


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/healthz", "localhost", 200),
        ("HTTPS://LocalHost:8040", "localhost", 200),
        ("http://localhost?/healthz", "localhost", 200),
        ("http://localhost/", "evil.example", 200),
        ("http://evil.example/", "localhost", 421),
        ("http://localhost@evil.example/", "localhost", 400),
        ("http://localhost/", None, 400),
        ("http:///", "localhost", 400),
        ("ftp://localhost/", "localhost", 404),
    ],
)
def test_a_target_may_name_the_host_which_then_counts(
    browser: Raw, target: str, host: str | None, status: int
) -> None:
    assert browser.ask(request(f"GET {target} HTTP/1.1", Host=host)).status == status


BROKEN = {
    "no host": (request(Host=None), 400),
    "two hosts": (request(Host="localhost\r\nHost: localhost"), 400),
    "an empty host": (request(Host=" "), 400),
    "a body": (request(Content_Length="5") + b"hello", 400),
    "two lengths": (request(Content_Length="0\r\nContent-Length: 5"), 400),
    "a negative length": (request(Content_Length="-1"), 400),
    "a list of lengths": (request(Content_Length="0, 0"), 400),
    "chunks": (request(Transfer_Encoding="chunked") + b"0\r\n\r\n", 400),
    "chunks and a length": (request(Transfer_Encoding="chunked", Content_Length="0"), 400),
    "hidden chunks": (request(Transfer_Encoding="\x0bchunked"), 400),
    "a blank before a colon": (request().replace(b"Host:", b"Host :"), 400),
    "a folded field": (request(X="a\r\n b"), 400),
    "a field without a colon": (request(X="a\r\nb"), 400),
    "a field without a name": (request(X="a\r\n: b"), 400),
    "a control character": (request(X="a\x01b"), 400),
    "a carriage return": (request(X="a\rb"), 400),
    "a bare line feed": (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    "a bare line feed inside": (request(X="a\nContent-Length: 5"), 400),
    "a null byte in the path": (request("GET /\0 HTTP/1.1"), None),
    "a null byte in a field": (request(X="a\0b"), None),
    "HTTP/0.9": (b"GET /\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/1.2": (request("GET / HTTP/1.2"), 400),
    "a path with blanks": (request("GET /a b HTTP/1.1"), 400),
    "two blanks": (request("GET  / HTTP/1.1"), 400),
    "a path beyond ASCII": (request("GET /\xe9 HTTP/1.1"), 400),
    "an empty line": (b"\r\n" + request(), 400),
    "a long line": (request("GET /" + "x" * 8_200 + " HTTP/1.1"), 414),
    "a line without an end": (b"GET /" + b"x" * 20_000, 414),
    "a long field": (request(X="x" * 8_200), 431),
    "many fields": (request(X="a\r\nX: a" * 130), 431),
    "many fields of a POST": (request("POST /hook/x HTTP/1.1", X="a\r\nX: a" * 130), 431),
    "a head of 64 KB": (request(X=("a" * 8_000 + "\r\nX: ") * 8), 431),
    "a head without an end": (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 4_000, 431),
    "blanks without an end": (request(Sec_WebSocket_Protocol="b" + " " * 32_000), 431),
}


@pytest.mark.parametrize("size", [1 << 20, 1_000])
@pytest.mark.parametrize(("data", "status"), BROKEN.values(), ids=BROKEN)
def test_a_broken_request_is_answered_once_and_nothing_after_it(
    web: WebChat, web_bystanders: Bystanders, data: bytes, status: int | None, size: int
) -> None:
    peer = web.raw()
    for piece in trickled(data, size):
        peer.trickle(piece, read=web_bystanders.rich.pong)
        if select([peer.socket], [], [], 0)[0]:  # answered: the server reads on for a moment only
            break
    peer.send(request())
    if status is None:
        assert peer.remains().startswith(b"* geventchat: This port speaks HTTP and WebSocket.")
    else:
        response = peer.response()
        assert (response.status, response.fields["content-type"]) == (status, PLAIN)
        assert response.fields["connection"] == "close"
        assert len(response.body) < 500
        assert peer.remains() == b""
    web_bystanders.check_heard()


def test_a_request_may_arrive_a_byte_at_a_time(
    web: WebChat, browser: Raw, web_bystanders: Bystanders
) -> None:
    browser.trickle(*trickled(request("GET /healthz HTTP/1.1")), read=web_bystanders.rich.pong)
    assert browser.response().text == "ready\n"


def test_requests_in_one_piece_are_answered_in_their_order(browser: Raw) -> None:
    paths = ["/", "/nothing", "/healthz"] * 5
    browser.send(b"".join(request(f"GET {path} HTTP/1.1") for path in paths))
    seen = [browser.response().status for _ in paths]
    assert seen == [200, 404, 200] * 5


def test_a_connection_serves_a_hundred_requests(browser: Raw) -> None:
    for _ in range(99):
        assert "connection" not in browser.ask(request("GET /healthz HTTP/1.1")).fields
    browser.send(request() + request())
    assert browser.response().fields["connection"] == "close"
    assert browser.remains() == b""


@pytest.mark.parametrize("option", ["close", "Close", "keep-alive, close", "close ,x"])
def test_a_client_may_ask_for_one_answer_only(browser: Raw, option: str) -> None:
    browser.send(request(Connection=option) + request())
    assert browser.response().fields["connection"] == "close"
    assert browser.remains() == b""


def test_a_page_and_then_a_websocket_on_one_connection(
    browser: Raw, web_bystanders: Bystanders
) -> None:
    assert browser.ask(request()).status == 200
    browser.hello()
    web_bystanders.check_heard()


def test_a_list_of_subprotocols_takes_linear_time(browser: Raw) -> None:
    def seconds() -> float:
        began = time.thread_time()
        response = browser.ask(handshake(Sec_WebSocket_Protocol="b" + " " * 8_000 + "c"))
        assert response.status == 400
        return time.thread_time() - began

    assert any(seconds() < 0.2 for _ in range(5))


def test_an_error_quotes_little_and_only_as_text(browser: Raw) -> None:
    response = browser.ask(request(Host="x" * 5_000))
    assert response.status == 421
    assert response.fields["content-type"] == PLAIN
    assert len(response.body) < 500


@pytest.fixture
def large(web: WebChat) -> File:
    """Return a file of the server that is not buffered whole for one who reads nothing."""
    file = File("text/css", b"x" * 2_000_000, None, 'W/"large"')
    assert web.server._web is not None
    web.server._web.site = {"/large.css": file}
    return file


def test_responses_are_made_one_at_a_time_for_one_who_reads_slowly(
    web: WebChat, web_bystanders: Bystanders, large: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = web.slow()
    send_file, made = http.send_file, []

    def noted(head: http.Head, file: File) -> bytes:
        made.append(file)
        return send_file(head, file)

    monkeypatch.setattr(http, "send_file", noted)
    browser.send(request("GET /large.css HTTP/1.1") * 3)
    web_bystanders.check_heard()
    assert made == [large]
    for _ in range(3):
        assert browser.response().body == large.body


@pytest.mark.parametrize("drips", [True, False])
def test_one_who_takes_no_response_is_closed_and_leaves_no_line(
    web: WebChat,
    web_bystanders: Bystanders,
    large: File,
    monkeypatch: pytest.MonkeyPatch,
    drips: bool,
) -> None:
    monkeypatch.setattr(connection, "_REPLY_SECONDS", 0.2)
    reader = web.slow()
    reader.send(request("GET /large.css HTTP/1.1"))
    reader.exactly(1)
    with gevent.Timeout(20):
        while len(web.server._admission.readers) > len(web.sessions()):
            if drips:
                reader.socket.recv(1)
            gevent.sleep(0.001)
    assert web.server.rejections.counts == {}
    web_bystanders.check_heard()
