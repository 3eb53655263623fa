"""Who comes to the wrong port is told where the right one is, in the language that they speak."""

import pytest

from tests.conversations.chat import Chat
from tests.conversations.peers import Bystanders, Plain
from tests.conversations.test_strangers import SSH, TLS, answer_to
from tests.conversations.web import WebChat, request, trickled, web_chatting

STRANGERS = {
    "a plain client": b"hello\0",
    "a plain client with blanks": b"hello there\0",
    "a rich client": b'\x1e{"type":"hello","version":1,"client":"client-of-the-chat-port"}\0',
    "a large hello": b"\x1e{" + b" " * 20_000,
}


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("data", STRANGERS.values(), ids=STRANGERS)
def test_a_client_of_the_chat_port_is_told_where_that_is(
    web: WebChat, web_bystanders: Bystanders, data: bytes, size: int
) -> None:
    peer = web.raw()
    peer.trickle(*trickled(data[:40], size), data[40:], read=web.rich(rooms=[]).pong)
    assert peer.remains().decode() == (
        "* geventchat: This port speaks HTTP and WebSocket. "
        f"Connect to port {web.address[1]} with: geventchat connect\0"
    )
    web_bystanders.check_heard()


@pytest.mark.parametrize("data", [TLS, SSH, b"\0" * 70_000, bytes(range(256)) * 256, b"\n" * 99])
def test_another_protocol_is_answered_and_closed(
    web: WebChat, web_bystanders: Bystanders, data: bytes
) -> None:
    peer = web.raw()
    peer.send(data)
    answer = peer.remains()
    assert answer.startswith((b"HTTP/1.1 400 ", b"* geventchat: "))
    assert b"This port speaks HTTP" in answer
    web_bystanders.check_heard()


def test_a_browser_on_the_chat_port_is_told_the_address_of_the_page(web: WebChat) -> None:
    with Plain(web.address) as browser:
        browser.send(request())
        host, port = web.web_address
        page = f"Open http://{host}:{port}/ in a browser, or connect with: geventchat connect\n"
        assert answer_to(browser).endswith(page.encode())


def test_a_page_at_all_addresses_is_named_by_its_port() -> None:
    with web_chatting(options={"web": "0.0.0.0:0"}) as web, Plain(web.address) as browser:
        browser.send(request())
        place = f"Open http:// on port {web.web_address[1]} of this host in a browser"
        assert place.encode() in answer_to(browser)


def test_without_a_web_door_it_is_told_of_the_terminal(chat: Chat) -> None:
    with Plain(chat.address) as browser:
        browser.send(request())
        assert answer_to(browser).endswith(b"not HTTP. Connect with: geventchat connect\n")
