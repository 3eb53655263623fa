"""TLS on the web door: the same certificate, and no harm from those who do not speak it."""

from collections.abc import Iterator

import pytest
from gevent.ssl import SSLContext

from tests.conversations.certificates import Authority
from tests.conversations.control import beside
from tests.conversations.peers import Bystanders, Plain
from tests.conversations.test_strangers import answer_to
from tests.conversations.web import Raw, WebChat, handshake, request, say, text, web_chatting


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trust(authority: Authority) -> SSLContext:
    return authority.trust()


@pytest.fixture
def secure(authority: Authority) -> Iterator[WebChat]:
    """Return a server with TLS."""
    with web_chatting(options={"tls_cert": authority.issue("server")}) as web:
        yield web


@pytest.fixture
def bystanders(secure: WebChat, trust: SSLContext) -> Iterator[Bystanders]:
    with beside(secure.address, tls=trust) as bystanders:
        yield bystanders


def test_pages_and_members_come_over_tls(
    secure: WebChat, trust: SSLContext, bystanders: Bystanders
) -> None:
    browser = secure.raw(tls=trust)
    assert browser.ask(request()).status == 200
    browser.hello()
    browser.send(text(say("x" * 60_000)))
    bystanders.check_heard("x" * 60_000)
    assert [event["type"] for event in browser.barrier()] == ["post"] * 3


def test_frames_that_come_with_the_end_of_a_handshake_are_read(
    secure: WebChat, trust: SSLContext, bystanders: Bystanders
) -> None:
    browser = secure.raw(tls=trust)
    browser.send(handshake()[:-2])
    bystanders.check_heard()
    browser.send(b"\r\n")
    assert browser.response().status == 101


@pytest.mark.parametrize("data", [request(), handshake(), b"hello\r\n"])
def test_who_does_not_speak_tls_is_told_so(
    secure: WebChat, bystanders: Bystanders, data: bytes
) -> None:
    clear = secure.raw()
    answer = clear.ask(data)
    assert answer.status == 400
    assert ("https://" in answer.text) == data.startswith(b"GET")
    assert clear.remains() == b""
    bystanders.check_heard()


@pytest.mark.parametrize("data", [b"hello\0", b'\x1e{"type":"hello"}\0'])
def test_a_client_of_the_chat_port_is_told_where_that_is(secure: WebChat, data: bytes) -> None:
    clear = secure.raw()
    clear.send(data)
    way = f"Connect to port {secure.address[1]} with: geventchat connect --tls\0"
    assert clear.remains().endswith(way.encode())


def test_a_browser_on_the_chat_port_is_told_the_address_with_https(
    secure: WebChat, trust: SSLContext
) -> None:
    host, port = secure.web_address
    with Plain(secure.address, tls=trust) as browser:
        browser.send(request())
        assert f"Open https://{host}:{port}/ in a browser".encode() in answer_to(browser)
    with Plain(secure.address) as browser:
        browser.send(request())
        assert f"Open https://{host}:{port}/ in a browser".encode() in answer_to(browser)
    wrong = secure.raw(tls=trust)
    wrong.send(b'\x1e{"type":"hello"}\0')
    assert wrong.remains().endswith(b"with: geventchat connect --tls\0")


def test_a_full_server_says_so_over_tls(secure: WebChat, trust: SSLContext) -> None:
    secure.server._admission.max_connections = -16
    secure.server._admission._operator_slots["full"] = 16
    answer = Raw(secure.web_address, tls=trust)
    assert secure.track(answer).response().status == 503


def test_a_new_certificate_holds_for_new_connections(
    secure: WebChat, authority: Authority, trust: SSLContext
) -> None:
    before = secure.raw(tls=trust)
    config = secure.server._config
    authority.issue("server")
    assert secure.server.reload(config) == []
    after = secure.raw(tls=trust)
    certificates = [peer.socket.getpeercert(binary_form=True) for peer in (before, after)]  # type: ignore[attr-defined]
    assert certificates[0] != certificates[1]
    for peer in (before, after):
        assert peer.ask(request("GET /healthz HTTP/1.1")).text == "ready\n"
