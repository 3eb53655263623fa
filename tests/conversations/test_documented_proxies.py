"""HAProxy and nginx as docs/operations.md shows them: the server sees their clients' addresses.

The proxies reach the server from 127.0.0.1. Their clients have other addresses, and so have those
that come directly.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gevent.ssl import SSLContext

from geventchat.server.transport.proxies import Proxies
from tests.conversations.certificates import Authority
from tests.conversations.documented import PROGRAMS, Proxy, require, running, wait_until
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Plain, Rich
from tests.conversations.web import Raw, WebChat, request, say, text, web_chatting

ANN, BOB, DIRECT = "127.0.0.5", "127.0.0.6", "127.0.0.7"
LOOPBACK = ("127.0.0.1/32",)
HOST = "chat.example.org"
OPTIONS = {"proxy": LOOPBACK, "web_proxy": LOOPBACK, "web_host": (HOST,), "trust": ()}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trust(authority: Authority) -> SSLContext:
    return authority.trust()


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    require(request.param)
    return str(request.param)


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[WebChat]:
    """Return a server that trusts nobody, with operators."""
    (tmp_path / "token").write_text(TOKEN)
    options = OPTIONS | {"operator_file": str(tmp_path / "token")}
    with web_chatting(options=options, connections_per_address=2) as chat:
        yield chat


@pytest.fixture
def proxy(program: str, behind: WebChat, authority: Authority, tmp_path: Path) -> Iterator[Proxy]:
    with running(program, behind, authority.issue("server"), tmp_path) as proxy:
        yield proxy


def member(chat: WebChat, proxy: Proxy, trust: SSLContext, nick: str, source: str) -> Raw:
    """Open a WebSocket through the proxy, as a browser does, and join the lobby."""
    peer = chat.track(Raw(proxy.web, source=source, tls=trust))
    peer.upgrade(Host=HOST, Origin=f"https://{HOST}")
    peer.send(text({"type": "hello", "version": 1, "client": nick.ljust(16, "x"), "nick": nick}))
    peer.barrier()
    return peer


def addresses(chat: WebChat) -> dict[str, str]:
    return {session.nick: session.address for session in chat.sessions()}


def test_clients_of_all_kinds_have_their_own_addresses_and_talk(
    behind: WebChat, proxy: Proxy, trust: SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "geventchat")
    ann = behind.track(Rich(proxy.chat, "Ann", source=ANN))
    bob = member(behind, proxy, trust, "Bob", BOB)
    carl = behind.track(Rich(behind.address, "Carl", source=DIRECT))
    assert addresses(behind) == {"Ann": ANN, "Bob": BOB, "Carl": DIRECT}
    with Plain(proxy.chat, source=ANN) as plain:
        plain.send(b"from plain\0")
        plain.shut()  # what it has sent arrives before its end
        assert carl.posts(1)[0]["text"] == "from plain"
    bob.send(text(say("from the page")))
    carl.say("lobby", "from Carl")
    assert {post["text"] for post in ann.posts(3)} == {"from plain", "from the page", "from Carl"}
    connected = [line for line in caplog.messages if " connected from " in line]
    assert [line.split(" connected from ")[1].split(",")[0] for line in connected] == [
        ANN, BOB, DIRECT, ANN,
    ]  # fmt: skip
    assert not behind.server.rejections.counts


def test_a_ban_by_address_hits_one_client_of_the_proxy(
    behind: WebChat, proxy: Proxy, trust: SSLContext
) -> None:
    olga = behind.track(Rich(behind.address, "Olga", source=DIRECT, token=TOKEN))
    ann = behind.track(Rich(proxy.chat, "Ann", source=ANN))
    page = member(behind, proxy, trust, "Page", ANN)
    bob = behind.track(Rich(proxy.chat, "Bob", source=BOB))
    assert olga.ask("admin", action="ban", target=ANN, seconds=60)["type"] == "admin"
    assert ann.closing()[-1]["code"] == "banned"
    assert page.ending().bye == "banned"
    with Plain(proxy.chat, source=ANN) as again:
        again.send(b"hi\0")
        assert b"Your address is banned" in again.rest()[-1]
    again = behind.track(Raw(proxy.web, source=ANN, tls=trust))
    again.upgrade(Host=HOST)
    assert again.ending().bye == "banned"
    bob.say("lobby", "still here")
    assert olga.posts(1)[0]["text"] == "still here"


def test_limits_are_those_of_each_client(behind: WebChat, proxy: Proxy, trust: SSLContext) -> None:
    for nick, address in (("Ann", ANN), ("Bob", BOB)):
        behind.track(Rich(proxy.chat, nick, source=address))
        member(behind, proxy, trust, f"{nick}2", address)
    for address in (ANN, BOB):
        with Plain(proxy.chat, source=address) as third:
            third.send(b"hi\0")
            assert b"Too many connections from your address" in third.rest()[-1]


def test_a_client_cannot_choose_its_address_or_the_name_of_the_server(
    behind: WebChat, proxy: Proxy, trust: SSLContext
) -> None:
    liar = behind.track(Raw(proxy.web, source=ANN, tls=trust))
    lies = {"X_Forwarded_For": BOB, "Forwarded": f"for={BOB};host=evil.example.org"}
    liar.upgrade(Host=HOST, **lies)
    liar.send(text({"type": "hello", "version": 1, "client": "x" * 16, "nick": "Liar"}))
    liar.barrier()
    assert addresses(behind) == {"Liar": ANN}
    other = behind.track(Raw(proxy.web, source=BOB, tls=trust))
    said = request(Host="evil.example.org", X_Forwarded_Host=HOST)
    assert other.ask(said).status == 421
    with Plain(proxy.chat, source=ANN) as header:
        header.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\nhi\0")
        assert b"PROXY" in header.rest()[-1]


def test_the_page_comes_through_the_proxy(behind: WebChat, proxy: Proxy, trust: SSLContext) -> None:
    browser = behind.track(Raw(proxy.web, source=ANN, tls=trust))
    answer = browser.ask(request(Host=HOST))
    assert answer.status == 200
    assert "default-src 'none'" in answer.fields["content-security-policy"]
    assert b"<title>geventchat" in answer.body
    foreign = behind.track(Raw(proxy.web, source=ANN, tls=trust))
    head = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    said = request("GET /ws HTTP/1.1", Host=HOST, Origin="https://evil.example.org",
                   Sec_WebSocket_Key=key, **head)  # fmt: skip
    assert foreign.ask(said).status == 403


def test_tls_may_pass_through_the_proxy(
    program: str, authority: Authority, trust: SSLContext, tmp_path: Path
) -> None:
    certificate = authority.issue("server")
    options = OPTIONS | {"tls_cert": certificate}
    with (
        web_chatting(options=options) as chat,
        running(program, chat, certificate, tmp_path) as proxy,
    ):
        ann = chat.track(Rich(proxy.chat, "Ann", source=ANN, tls=trust))
        ann.say("lobby", "hi")
        ann.posts(1)
        assert addresses(chat) == {"Ann": ANN}


@pytest.mark.parametrize("with_tls", [False, True])
def test_health_checks_leave_no_line_in_the_log_and_no_guest(
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    with_tls: bool,
) -> None:
    require("haproxy")
    caplog.set_level(logging.DEBUG)
    certificate = authority.issue("server")
    checked: list[object] = []
    find_client: Callable[..., object] = Proxies.find_client

    def counted(self: Proxies, *arguments: object) -> object:
        checked.append(self)
        return find_client(self, *arguments)

    monkeypatch.setattr(Proxies, "find_client", counted)
    options = OPTIONS | ({"tls_cert": certificate} if with_tls else {})
    with web_chatting(options=options) as chat:
        doors = [door._proxies for door in chat.server._doors]
        with running("haproxy", chat, certificate, tmp_path) as proxy:
            wait_until(lambda: all(checked.count(door) >= 3 for door in doors))
            assert caplog.messages == []
            trust = authority.trust() if with_tls else None
            ann = chat.track(Rich(proxy.chat, "Ann", source=ANN, tls=trust))
            assert addresses(chat) == {"Ann": ANN}
            assert ann.ask("who", room="lobby")["nicks"] == ["Ann"]
            before = len(checked)
            wait_until(lambda: len(checked) >= before + 3)
        assert "DOWN" not in (tmp_path / "log").read_text()
        assert caplog.messages[0].startswith(f"guest-1 connected from {ANN}, ")
        assert not chat.server.rejections.counts
