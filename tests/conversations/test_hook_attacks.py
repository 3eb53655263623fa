"""What a webhook does not let through: guesses, floods, pages from elsewhere, endless bodies."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from geventchat.server.session import hooks as handlers
from geventchat.server.transport.base import Client
from geventchat.server.web.posts import Posting
from tests.conversations.hooks import as_json, hook, place, post, posting
from tests.conversations.operators import TOKEN, admin, operator
from tests.conversations.peers import of
from tests.conversations.web import Raw, WebChat, request, web_chatting

STRANGER = "127.0.0.9"


@pytest.fixture
def hooked(options: dict[str, Any]) -> Iterator[WebChat]:
    """Return a server with a web door and operators, which trusts nobody."""
    with web_chatting(options=options | {"trust": ()}, handshake_seconds=1) as web:
        yield web


def test_wrong_tokens_of_an_address_are_limited_and_a_right_one_still_works(
    hooked: WebChat,
) -> None:
    token = hook(hooked)
    guesser = hooked.track(Raw(hooked.web_address, source=STRANGER))
    statuses = [guesser.ask(posting("guess", "x")).status for _ in range(7)]
    assert statuses == [404] * 5 + [429] * 2
    refused = guesser.ask(posting("guess", "x"))
    assert refused.fields["retry-after"] == "60"
    assert place(guesser.ask(posting(token, "x"))) == ("lobby", 1)
    assert post(hooked, "guess").status == 404  # another address


def test_a_webhook_may_post_as_quickly_as_a_client(hooked: WebChat) -> None:
    first, second = hook(hooked), hook(hooked, "tea")
    at_once = hooked.server._config.limits.messages_at_once
    peer = hooked.raw()
    for number in range(at_once):
        assert place(peer.ask(posting(first, "x"))) == ("lobby", number + 1)
    refused = peer.ask(posting(first, "x"))
    assert (refused.status, refused.fields["retry-after"]) == (429, "1")
    assert place(peer.ask(posting(second, "x"))) == ("tea", 1)


def test_a_long_text_counts_as_several(hooked: WebChat) -> None:
    token = hook(hooked)
    peer = hooked.raw()
    assert peer.ask(posting(token, "x" * 40_000)).status == 200
    assert peer.ask(posting(token, "x")).status == 429


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_is_no_larger_than_a_frame(hooked: WebChat, chunked: bool) -> None:
    token, most = hook(hooked), hooked.server._config.limits.frame_bytes
    if chunked:
        head = request(f"POST /hook/{token} HTTP/1.1", Transfer_Encoding="chunked")
        sent = head + b"%x\r\n" % (most + 1) + b"x" * (most + 1)
    else:
        sent = posting(token, b"x" * (most + 1))
    response = hooked.raw().ask(sent)
    assert (response.status, response.fields["connection"]) == (413, "close")
    assert place(post(hooked, token, "x" * most))


def test_a_body_has_no_endless_number_of_pieces(hooked: WebChat) -> None:
    head = request(f"POST /hook/{hook(hooked)} HTTP/1.1", Transfer_Encoding="chunked")
    assert hooked.raw().ask(head + b"1\r\nx\r\n" * 1_100).status == 413


def test_a_body_that_does_not_come_is_not_waited_for(hooked: WebChat) -> None:
    peer = hooked.raw()
    peer.send(posting(hook(hooked), "x" * 100)[:-1])
    response = peer.response()
    assert (response.status, response.fields["connection"]) == (408, "close")
    assert peer.remains() == b""


@pytest.mark.parametrize(
    "fields",
    [
        {"Content_Length": "5", "Transfer_Encoding": "chunked"},
        {"Content_Length": "5, 6"},
        {"Content_Length": "-1"},
        {"Content_Length": "+5"},
        {"Content_Length": "0x5"},
        {"Content_Length": None, "Transfer_Encoding": "gzip, chunked"},
        {"Content_Length": None, "Transfer_Encoding": "identity"},
        {"Content_Length": None, "Transfer_Encoding": "chunked, chunked"},
        {"Host": None},
    ],
)
def test_a_body_whose_end_two_servers_could_see_elsewhere_ends_the_connection(
    hooked: WebChat, fields: dict[str, str | None]
) -> None:
    token = hook(hooked)
    peer = hooked.raw()
    peer.send(posting(token, "hello", **fields) + posting(token, "smuggled"))
    response = peer.response()
    assert response.status in (400, 501), response
    assert response.fields["connection"] == "close"
    assert b"HTTP/1.1" not in peer.remains()
    assert of("post", hooked.rich("Ann").greeting) == []


@pytest.mark.parametrize(
    "sizes", [b"5\nhello\n0\n\n", b"5 \r\nhelloXX0\r\n\r\n", b"zz\r\nhello\r\n"]
)
def test_chunks_that_are_malformed_end_the_connection(hooked: WebChat, sizes: bytes) -> None:
    token = hook(hooked)
    peer = hooked.raw()
    peer.send(request(f"POST /hook/{token} HTTP/1.1", Transfer_Encoding="chunked") + sizes)
    assert peer.response().status in (400, 408)  # 408: it lacks an end of line
    assert of("post", hooked.rich("Ann").greeting) == []


def test_a_page_from_elsewhere_and_a_name_that_is_not_ours_are_refused(hooked: WebChat) -> None:
    token = hook(hooked)
    elsewhere = posting(token, "x", Origin="https://evil.example")
    assert hooked.raw().ask(elsewhere).status == 403
    assert hooked.raw().ask(posting(token, "x", Host="evil.example")).status == 421
    assert of("post", hooked.rich("Ann").greeting) == []


def test_a_token_is_in_no_log_whatever_goes_wrong(
    hooked: WebChat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = hook(hooked)
    wrong = [
        posting(token, "x"),
        posting(token, "x", Content_Length="5, 6"),
        posting(token, "x", Host="evil.example"),
        posting(token, "x", Bad="\x01"),
        posting(token, "x", "POST /hook/{} HTTP/9.9"),
        posting(token, "x", "POST /hook/{}/more HTTP/1.1"),
        request(f"GET /hook/{token} HTTP/1.1", Bad="\x01"),
        request(f"GET /hook/{token} HTTP/1.1", Content_Length="1"),
        request("POST /hook HTTP/1.1", Authorization=f"Bearer {token}", Content_Length="x"),
        request("GET /hook HTTP/1.1", Authorization=f"Bearer {token}\r"),
        request(f"GET /hook HTTP/1.1\r\nAuthorization Bearer {token}"),
        request(f"GET /hook HTTP/1.1\r\nBearer {token}: x"),
        request(f"PUT /hook/{token} HTTP/1.1"),
        b"POST /hook/" + token.encode() + b"\r\n\r\n",
    ]
    for sent in wrong:
        peer = hooked.raw()
        peer.send(sent)
        peer.shut()
        assert token.encode() not in peer.remains()
        hooked.server.rejections.close()  # which logs the last of a second, and only that
    assert caplog.records
    assert token not in caplog.text


def test_a_token_is_not_in_the_file(tmp_path: Path, options: dict[str, Any]) -> None:
    with web_chatting(timeline=f"sqlite:{tmp_path}/chat.db", options=options) as web:
        token = hook(web)
        assert post(web, token).status == 200
    for file in tmp_path.glob("chat.db*"):
        assert token.encode() not in file.read_bytes()


def test_only_operators_manage_the_webhooks_of_public_rooms(hooked: WebChat) -> None:
    hook(hooked)
    ann = hooked.rich("Ann")
    asked = [
        {"action": "add", "room": "lobby"},
        {"action": "list"},
        {"action": "list", "room": "lobby"},
        {"action": "revoke", "hook": "x"},
    ]
    for fields in asked:
        assert ann.ask("hook", **fields)["code"] == "forbidden"
    olga = operator(hooked)
    (shown,) = olga.ask("hook", action="list")["hooks"]
    assert "token" not in shown
    assert olga.ask("hook", action="list", room="tea")["hooks"] == []
    assert olga.ask("hook", action="add")["code"] == "bad_field"
    assert olga.ask("hook", action="add", room="@Xb81kQz0Tn4c")["code"] == "forbidden"
    assert olga.ask("hook", action="revoke", hook="none")["code"] == "bad_field"


def test_a_room_has_a_limited_number_of_webhooks(
    hooked: WebChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "_MOST", 5)  # the pace of an operator makes 20 take 9 s
    olga = hooked.rich("Olga", token=TOKEN)
    heard = [olga.ask("hook", action="add", room="tea") for _ in range(handlers._MOST + 1)]
    assert [each["type"] for each in heard] == ["hooks"] * handlers._MOST + ["error"]


@pytest.mark.parametrize(
    ("action", "target", "undo"),
    [("freeze", "lobby", "unfreeze"), ("close", None, "open"), ("mute", "CI", "unmute"),
     ("ban", "CI", "unban"), ("ban", STRANGER, "unban"), ("mute", STRANGER, "unmute")],
)  # fmt: skip
def test_what_operators_forbid_holds_for_webhooks(
    hooked: WebChat, action: str, target: str | None, undo: str
) -> None:
    token, olga = hook(hooked), operator(hooked)
    peer = hooked.track(Raw(hooked.web_address, source=STRANGER))
    kind = {"target_type": "nick"} if target == "CI" else {}
    admin(olga, action, target, **kind)
    assert peer.ask(as_json(token, text="x", author="CI")).status == 403
    admin(olga, undo, target, **kind)
    assert place(peer.ask(as_json(token, text="x", author="CI"))) == ("lobby", 1)


def test_a_request_under_way_is_answered_though_the_server_shuts_down(hooked: WebChat) -> None:
    token = hook(hooked)
    store = hooked.server._timeline._store  # type: ignore[attr-defined]
    stopping: list[gevent.Greenlet[[], bool]] = []

    def slow(submitted: list[Any]) -> Any:
        stopping.append(gevent.spawn(hooked.server.stop))
        gevent.sleep(0.05)
        return store(submitted)

    hooked.server._timeline._store = slow  # type: ignore[attr-defined]
    response = post(hooked, token)
    assert place(response) == ("lobby", 1)
    assert response.fields["connection"] == "close"
    hooked._stopped = True
    gevent.joinall(stopping, timeout=20)


def test_a_failing_disk_is_answered_with_503_and_the_key_posts_later(hooked: WebChat) -> None:
    token = hook(hooked)
    timeline = hooked.server._timeline
    add = timeline._add  # type: ignore[attr-defined]

    def failing(*_: object) -> None:
        raise OSError("no space left")

    timeline._add = failing  # type: ignore[attr-defined]
    peer = hooked.raw()
    assert peer.ask(as_json(token, text="x", key="k")).status == 503
    timeline._add = add  # type: ignore[attr-defined]
    assert place(peer.ask(as_json(token, text="x", key="k"))) == ("lobby", 1)


def test_what_webhooks_asked_for_is_counted_by_status(hooked: WebChat) -> None:
    token = hook(hooked)
    post(hooked, token)
    post(hooked, "x" * 20)
    text = hooked.server._metrics.text().decode()
    assert 'geventchat_hook_requests_total{status="200"} 1.0' in text
    assert 'geventchat_hook_requests_total{status="404"} 1.0' in text


def test_a_post_of_a_webhook_is_counted_as_an_arrival_as_a_page_is(options: dict[str, Any]) -> None:
    nobody = options | {"trust": ()}
    with web_chatting(options=nobody, arrivals_per_minute=2) as web:
        posts = web.server._hook_posts
        assert posts.post(Posting("none", "x"), Client(STRANGER, 1)).status == 404
        statuses = []
        for _ in range(21):
            peer = web.track(Raw(web.web_address, source=STRANGER))
            statuses.append(peer.ask(posting("none", "x")).status)
        assert statuses[-1] == 503
        assert 503 not in statuses[:19]
