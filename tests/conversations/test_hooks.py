"""A program posts into a room by HTTP, without a connection of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conversations.hooks import as_json, hook, place, post, posting
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Rich, of
from tests.conversations.web import WebChat, request, trickled, web_chatting


@pytest.fixture
def hooked(timeline: str, options: dict[str, Any]) -> Iterator[WebChat]:
    """Return a server with a web door and operators, once for each timeline."""
    with web_chatting(timeline=timeline, options=options, messages_at_once=20) as web:
        yield web


def test_a_text_is_posted_for_all_members_plain_ones_too(hooked: WebChat) -> None:
    old, ann = hooked.plain(), hooked.rich("Ann")
    token = hook(hooked)
    assert place(post(hooked, token, "build is green")) == ("lobby", 1)
    (said,) = of("post", ann.pong())
    assert {**said, "time": 0} == {
        "type": "post", "room": "lobby", "position": 1, "author": "hook", "time": 0,
        "text": "build is green", "hook": True,
    }  # fmt: skip
    assert old.frame() == b"build is green"


def test_who_made_it_is_told_by_a_name_that_nobody_else_has_later(hooked: WebChat) -> None:
    hook(hooked)
    olga = hooked.rich("Olga", token=TOKEN)
    olga.ask("hook", action="add", room="tea")
    made = olga.ask("hook", action="list")["hooks"]
    assert [each["by"] for each in made] == ["operator at 127.0.0.1", "Olga"]


def test_the_feature_is_named_where_there_is_a_web_door(hooked: WebChat) -> None:
    assert "hooks" in hooked.rich().welcome["features"]


def test_json_names_an_author_and_a_key(hooked: WebChat) -> None:
    ann, token = hooked.rich("Ann"), hook(hooked)
    peer = hooked.raw()
    assert place(peer.ask(as_json(token, text="done\nall", author="CI", key="run 7"))) == (
        "lobby",
        1,
    )
    (said,) = of("post", ann.pong())
    assert (said["text"], said["author"], said["key"]) == ("done\nall", "CI", "run 7")


def test_a_key_posts_once_however_often_it_is_sent(hooked: WebChat) -> None:
    ann, token = hooked.rich("Ann"), hook(hooked)
    again = as_json(token, text="done", key="k")
    peer = hooked.raw()
    assert [place(peer.ask(again)) for _ in range(3)] == [("lobby", 1)] * 3
    assert peer.ask(as_json(token, text="else", key="k")).status == 409
    other = hook(hooked, "tea")
    assert place(peer.ask(as_json(other, text="else", key="k"))) == ("tea", 1)
    assert len(of("post", ann.pong())) == 1


def test_the_key_of_a_webhook_is_not_that_of_another_or_of_a_client(hooked: WebChat) -> None:
    first, second = hook(hooked), hook(hooked)
    peer = hooked.raw()
    assert place(peer.ask(as_json(first, text="one", key="k"))) == ("lobby", 1)
    assert place(peer.ask(as_json(second, text="one", key="k"))) == ("lobby", 2)
    ann = hooked.rich("Ann")  # has heard both
    ann.say("lobby", "one", "k")
    assert ann.hear(lambda event: event["type"] == "post")[-1]["position"] == 3


def test_a_room_that_nobody_is_in_keeps_what_was_posted(hooked: WebChat) -> None:
    token = hook(hooked, "builds")
    assert place(post(hooked, token, "first")) == ("builds", 1)
    ann = hooked.rich("Ann", rooms=["builds"])
    assert [each["text"] for each in of("post", ann.greeting)] == ["first"]


def test_the_token_may_be_in_a_field_instead(hooked: WebChat) -> None:
    token = hook(hooked)
    peer = hooked.raw()
    for scheme in ("Bearer", "bearer"):
        sent = posting("", "x", "POST /hook HTTP/1.1", Authorization=f"{scheme} {token}")
        assert peer.ask(sent).status == 200
    basic = posting("", "x", "POST /hook HTTP/1.1", Authorization=f"Basic {token}")
    assert peer.ask(basic).status == 404
    assert peer.ask(posting("", "x", "POST /hook HTTP/1.1")).status == 404


def test_a_body_may_come_in_chunks_and_in_any_pieces(hooked: WebChat) -> None:
    ann, token = hooked.rich("Ann"), hook(hooked)
    chunks = b"5;name=value\r\nbuild\r\n9\r\n is green\r\n0\r\nTrailer: x\r\n\r\n"
    head = request(f"POST /hook/{token} HTTP/1.1", Transfer_Encoding="chunked")
    peer = hooked.raw()
    for piece in trickled(head + chunks, 7):
        peer.send(piece)
    assert place(peer.response()) == ("lobby", 1)
    assert peer.ask(request()).status == 200  # the connection goes on
    assert of("post", ann.pong())[0]["text"] == "build is green"


def test_requests_may_follow_one_another_at_once(hooked: WebChat) -> None:
    token = hook(hooked)
    peer = hooked.raw()
    peer.send(posting(token, "a") + request() + posting(token, "b") + request("GET /none HTTP/1.1"))
    assert place(peer.response()) == ("lobby", 1)
    assert peer.response().body.startswith(b"<!doctype html>")
    assert place(peer.response()) == ("lobby", 2)
    assert peer.response().status == 404


def test_a_client_that_waits_to_be_asked_for_the_body_is_asked(hooked: WebChat) -> None:
    token = hook(hooked)
    peer = hooked.raw()
    whole = posting(token, "x" * 2_000, Expect="100-continue")
    head = whole[:-2_000]
    peer.send(head)
    assert peer.exactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(b"x" * 2_000)
    assert place(peer.response()) == ("lobby", 1)
    line = f"POST /hook/{token} HTTP/1.1"
    too_long = request(line, Content_Length="9999999", Expect="100-continue")
    assert peer.ask(too_long).status == 413  # before it sends it


def test_the_last_line_break_is_not_posted(hooked: WebChat) -> None:
    ann, token = hooked.rich("Ann"), hook(hooked)
    post(hooked, token, "one\ntwo\r\n")
    assert of("post", ann.pong())[0]["text"] == "one\ntwo"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"\r\n", {}),
        (b"\xff\xfe", {}),
        (b"a\0b", {}),
        (b"x", {"Content_Encoding": "gzip"}),
        (b"x", {"Content_Type": "multipart/form-data; boundary=b"}),
        (b"{", {"Content_Type": "application/json"}),
        (b"[]", {"Content_Type": "application/json"}),
        (b"[" * 5_000, {"Content_Type": "application/json"}),
        (b"{}", {"Content_Type": "application/json"}),
        (b'{"text":""}', {"Content_Type": "application/json; charset=utf-8"}),
        (b'{"text":7}', {"Content_Type": "application/json"}),
        (b'{"text":"a\\u0000"}', {"Content_Type": "application/json"}),
        (b'{"text":"\xff"}', {"Content_Type": "application/json"}),
        (b'{"text":"\\ud800"}', {"Content_Type": "application/json"}),
        (b'{"text":"a","key":""}', {"Content_Type": "application/json"}),
        (b'{"text":"a","author":"a b"}', {"Content_Type": "application/json"}),
        (b'{"text":"a","author":"system"}', {"Content_Type": "application/json"}),
        (b'{"text":"a","author":"guest-7"}', {"Content_Type": "application/json"}),
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_refused_with_the_reason(
    hooked: WebChat, body: bytes, fields: dict[str, str]
) -> None:
    token = hook(hooked)
    peer = hooked.raw()
    response = peer.ask(posting(token, body, **fields))
    assert (response.status, len(response.text) > 10) == (400, True)
    assert token not in response.text
    assert place(peer.ask(posting(token, "next"))) == ("lobby", 1)


def test_the_author_may_not_be_or_look_like_somebody_else(hooked: WebChat) -> None:
    ann, token = hooked.rich("Ann"), hook(hooked)
    bob = hooked.rich("Bob")
    assert bob.ask("register", nick="Bob", password="correct horse")["type"] == "signed_in"
    bob.tell("bye")
    bob.rest()
    peer = hooked.raw()
    for author in ("Ann", "aNN", "Аnn", "Bob", "B0b"):
        assert peer.ask(as_json(token, text="x", author=author)).status == 400, author
    assert place(peer.ask(as_json(token, text="x", author="Hook")))
    assert [each["author"] for each in of("post", ann.pong())] == ["hook"]


def test_nobody_can_take_the_nick_of_webhooks(hooked: WebChat) -> None:
    ann = hooked.rich("Ann")
    for nick in ("hook", "HOOK", "h00k", "hооk"):
        assert ann.ask("nick", nick=nick)["code"] == "bad_nick"


def test_an_unknown_token_and_a_revoked_one_are_answered_alike(hooked: WebChat) -> None:
    olga = hooked.rich("Olga", token="the-token-of-a-test")
    (made,) = olga.ask("hook", action="add", room="lobby")["hooks"]
    assert post(hooked, made["token"]).status == 200
    assert olga.ask("hook", action="revoke", hook=made["id"])["hooks"][0]["id"] == made["id"]
    revoked, unknown = post(hooked, made["token"]), post(hooked, "x" * 43)
    assert (revoked.status, revoked.body) == (unknown.status, unknown.body)
    assert revoked.status == 404


def test_only_a_post_is_taken_and_only_there(hooked: WebChat) -> None:
    token = hook(hooked)
    for line in (f"GET /hook/{token} HTTP/1.1", "GET /hook HTTP/1.1"):
        response = hooked.raw().ask(request(line))
        assert (response.status, response.fields["allow"]) == (405, "POST")
    for line in ("POST / HTTP/1.1", "POST /ws HTTP/1.1", "POST /hooks HTTP/1.1"):
        response = hooked.raw().ask(posting("", "x", line))
        assert (response.status, response.fields["allow"]) == (405, "GET, HEAD")
    assert hooked.raw().ask(request(f"PUT /hook/{token} HTTP/1.1")).status == 405


def test_what_has_been_said_is_the_same_after_the_webhook_comes_back(hooked: WebChat) -> None:
    token = hook(hooked, "builds")
    post(hooked, token, "first")
    ann: Rich = hooked.rich("Ann", rooms=["builds"])
    history = ann.ask("history", room="builds", limit=10)
    assert [each["hook"] for each in history["posts"]] == [True]


def test_webhooks_and_their_keys_outlast_the_server(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with web_chatting(timeline=timeline, options=options) as web:
        token, revoked = hook(web, "builds"), hook(web)
        number = web.rich().ask("hook", action="list", token=TOKEN)["hooks"][1]["id"]
        web.rich().ask("hook", action="revoke", hook=number, token=TOKEN)
        assert place(web.raw().ask(as_json(token, text="one", key="k"))) == ("builds", 1)
    with web_chatting(timeline=timeline, options=options) as web:
        assert place(web.raw().ask(as_json(token, text="one", key="k"))) == ("builds", 1)
        assert place(post(web, token, "two")) == ("builds", 2)
        assert post(web, revoked).status == 404


def test_a_key_may_be_used_again_when_its_post_was_trimmed(options: dict[str, Any]) -> None:
    with web_chatting(options=options, memory_posts_per_room=2) as web:
        token, peer = hook(web), web.raw()
        for position, key in enumerate(["a", "b", "c", "a"], start=1):
            assert place(peer.ask(as_json(token, text="x", key=key))) == ("lobby", position)
