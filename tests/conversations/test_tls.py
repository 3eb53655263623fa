"""TLS: the protocol is the same, and clients that do not use it disturb nobody."""

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import gevent
import pytest
from gevent import socket
from gevent.ssl import SSLContext, SSLSocket

from geventchat.client import Connection, Post
from geventchat.client.plain import PlainConnection
from geventchat.client.tls import end_sending
from geventchat.config import BadOption
from tests.conversations.certificates import Authority
from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.control import beside
from tests.conversations.peers import Bystanders, Plain, Rich, encode, texts
from tests.conversations.sealed import restart_handshakes, update_keys


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trust(authority: Authority) -> SSLContext:
    return authority.trust()


def serial(peer: Plain) -> object:
    """Return the serial number of the server's certificate."""
    assert isinstance(peer.socket, SSLSocket)
    cert = peer.socket.getpeercert()
    assert isinstance(cert, dict)
    return cert["serialNumber"]


@pytest.fixture
def secure(authority: Authority) -> Iterator[Chat]:
    """Return a server with TLS."""
    with chatting(options={"tls_cert": authority.issue("server")}) as chat:
        yield chat


def before_last_handshake_message(
    secure: Chat, trust: SSLContext
) -> tuple[socket.socket, ssl.SSLObject, ssl.MemoryBIO]:
    """Return a connection, its TLS object, and the last handshake message, not sent yet."""
    raw = secure.track(Plain(secure.address)).socket
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = trust.wrap_bio(inward, outward, server_hostname="localhost")
    while True:
        try:
            end.do_handshake()
            return raw, end, outward
        except ssl.SSLWantReadError:
            raw.sendall(outward.read())
            inward.write(raw.recv(65_536))


def test_plain_and_rich_clients_talk_over_tls(secure: Chat, trust: SSLContext) -> None:
    with Bystanders(secure.address, tls=trust) as bystanders:
        bystanders.check_heard()
        with Plain(secure.address, tls=trust) as ann:
            ann.send("é\0".encode(), b"q\0")
            assert ann.rest() == []
        bystanders.check_heard("é")


def test_data_that_comes_with_the_end_of_the_handshake_is_read(
    secure: Chat, trust: SSLContext
) -> None:
    """A TLS 1.3 client sends data right after its last handshake message, often in one piece."""
    with Bystanders(secure.address, tls=trust) as bystanders:
        for _ in range(10):
            raw, end, outward = before_last_handshake_message(secure, trust)
            end.write(b"at once\0")
            raw.sendall(outward.read())
            bystanders.check_heard("at once")
            raw.close()


def test_a_frame_may_arrive_in_any_records(secure: Chat, trust: SSLContext) -> None:
    with Plain(secure.address, tls=trust) as ann, Plain(secure.address, tls=trust) as bob:
        bob.send(b"hello\0")
        assert ann.frame() == b"hello"
        for piece in (b"a", b"b", b"c\0d", b"\0", b"x" * 60_000, b"y" * 5_000 + b"\0"):
            ann.send(piece)
        assert bob.frames(3) == [b"abc", b"d", b"x" * 60_000 + b"y" * 5_000]


def test_a_record_may_arrive_in_any_pieces(secure: Chat, trust: SSLContext) -> None:
    """However many of them contain no complete frame."""
    said = [str(number) + "x" * 16_000 for number in range(10)]
    with Bystanders(secure.address, tls=trust) as bystanders:
        raw, end, outward = before_last_handshake_message(secure, trust)
        for text in said:
            end.write(text.encode() + b"\0")
            while piece := outward.read(2_000):
                raw.sendall(piece)
                bystanders.rich.pong()
        bystanders.plain.frames(len(said))
        bystanders.rich.say("lobby", "done")
        assert bystanders.plain.frame() == b"done"


def test_a_burst_of_megabytes_arrives_complete_and_in_order(
    secure: Chat, trust: SSLContext
) -> None:
    """More than a socket accepts at once, in items larger than one record."""
    with Rich(secure.address, tls=trust) as ann, Rich(secure.address, tls=trust) as bob:
        said = [f"{number} " + chr(97 + number % 26) * 60_000 for number in range(60)]
        sending = gevent.spawn(
            ann.send, *(encode({"type": "say", "room": "lobby", "text": text}) for text in said)
        )
        heard = gevent.spawn(ann.posts, 60)
        assert texts(bob.posts(60)) == said
        assert texts(heard.get()) == said
        sending.get()


def test_a_slow_reader_over_tls_receives_whole_items_and_then_the_reason(
    authority: Authority, trust: SSLContext
) -> None:
    options = {"tls_cert": authority.issue("server")}
    with chatting(options=options, outbox_bytes=300_000) as secure:
        slow = secure.track(Plain(secure.address, tls=trust))
        ann = secure.track(Rich(secure.address, "Ann", tls=trust))
        slow.send(b"hello\0")
        ann.posts(1)
        said = 0
        while len(secure.sessions()) == 2:
            ann.say("lobby", f"{said} " + "x" * 20_000)
            ann.posts(1)
            said += 1
            assert said < 2_000
        heard = slow.rest()
        assert heard[-1].startswith(b"* geventchat: Disconnected: not reading")
        numbers = [int(frame.split()[0]) for frame in heard[:-1]]
        assert numbers == list(range(len(numbers)))
        assert numbers


def test_a_half_closed_client_still_receives_its_answers(secure: Chat, trust: SSLContext) -> None:
    with Rich(secure.address, "Ann", tls=trust) as ann:
        ann.say("lobby", "the last")
        end_sending(ann.socket)
        assert texts(ann.closing()) == ["the last"]


def test_an_end_that_arrives_with_data_is_noticed(secure: Chat, trust: SSLContext) -> None:
    """The socket signals nothing then: a client that ends TLS stays connected for the answers."""
    with Bystanders(secure.address, tls=trust) as bystanders:
        raw, end, outward = before_last_handshake_message(secure, trust)
        raw.sendall(outward.read())
        bystanders.rich.pong()
        end.write(b"the last\0")
        with suppress(ssl.SSLWantReadError):  # the server has not closed TLS yet
            end.unwrap()
        raw.sendall(outward.read())
        while raw.recv(65_536):
            pass
        bystanders.check_heard("the last")


def test_geventchat_clients_connect_over_tls(secure: Chat, trust: SSLContext) -> None:
    host, port = secure.address
    with (
        Connection(host, port, nick="Ann", tls=trust) as ann,
        PlainConnection(host, port, trust) as plain,
    ):
        plain.send("lobby", "hello")
        plain.say_all()
        assert next(event.text for event in ann if isinstance(event, Post)) == "hello"
        assert ann.say("lobby", "hello yourself") == 2


def test_a_client_that_does_not_trust_the_certificate_does_not_connect(
    secure: Chat, authority: Authority
) -> None:
    with pytest.raises(OSError, match=r"not trusted: unable to get local issuer|self-signed"):
        Connection(*secure.address, tls=True)
    with chatting(options={"tls_cert": authority.issue("other", "example.org")}) as other:
        with pytest.raises(OSError, match=r"not trusted: .*not valid for '127.0.0.1'"):
            Connection(*other.address, tls=authority.trust())
        assert not other.sessions()


def test_a_tls_client_on_a_plain_port_is_told_so_in_tls(chat: Chat, trust: SSLContext) -> None:
    with pytest.raises(OSError, match="the server does not speak TLS"):
        Connection(*chat.address, tls=trust)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (
            b"hello\0",
            b"* geventchat: This port speaks TLS. Connect with: geventchat connect --tls\0",
        ),
        (b"\x1e{}\0", b"* geventchat: This port speaks TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n\x16\x03", b"* geventchat: This port speaks gev"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0\x16\x03", b"* geventchat: This port speaks gev"),
        (b"\x16\x03\x01\xff\xff", b"\x15\x03"),
        (b"\x16\x03\x01\x00\x05junk!", b"\x15\x03"),
    ],
)
def test_a_client_without_tls_is_answered_and_logged_in_one_line(
    secure: Chat,
    trust: SSLContext,
    caplog: pytest.LogCaptureFixture,
    said: bytes,
    answer: bytes,
) -> None:
    with beside(secure.address, tls=trust) as bystanders:
        with caplog.at_level(logging.INFO), socket.create_connection(secure.address) as peer:
            peer.sendall(said)
            heard = b"".join(iter(lambda: peer.recv(1_000), b""))
        assert heard.startswith(answer)
        lines = [record.getMessage() for record in caplog.records]
        assert len([line for line in lines if "rejected a connection (handshake=1" in line]) == 1
        assert secure.server.rejections.counts == {"handshake": 1}
        assert (b"QUIT" in said or b"PROXY" in said) == ("the PROXY protocol" in caplog.text)
        bystanders.check_heard()


def test_a_health_check_of_a_tls_port_is_not_logged(
    secure: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            Plain(secure.address).socket.close()
            drop(Plain(secure.address))
        with gevent.Timeout(20):
            while secure.server._admission.readers:
                gevent.sleep(0.001)
    assert caplog.text == ""
    assert secure.server.rejections.counts == {}


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_browser_gets_instructions_to_connect(
    secure: Chat, trust: SSLContext, *, encrypted: bool
) -> None:
    with Plain(secure.address, tls=trust if encrypted else None) as browser:
        browser.send(b"GET / HTTP/1.1\r\n\r\n")
        page = b"".join(iter(lambda: browser.socket.recv(1_000), b"")).partition(b"\r\n\r\n")[2]
        assert page.endswith(b"not HTTP. Connect with: geventchat connect --tls\n")


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_a_handshake_times_out(authority: Authority, trust: SSLContext, begun: bytes) -> None:
    options = {"tls_cert": authority.issue("server")}
    with chatting(options=options, handshake_seconds=3) as secure:  # others make theirs
        with beside(secure.address, tls=trust) as bystanders, Plain(secure.address) as silent:
            silent.send(begun)
            silent.rest()
            bystanders.check_heard()
        assert secure.server.rejections.counts == {"handshake": 1}


@pytest.mark.parametrize(
    "talk",
    [partial(restart_handshakes, data=b""), partial(restart_handshakes, data=b"\0"), update_keys],
    ids=["handshakes", "handshakes and data", "keys"],
)
def test_endless_tls_control_traffic_delays_nobody_and_is_closed(
    secure: Chat, trust: SSLContext, tmp_path: Path, talk: Callable[[tuple[str, int], Path], None]
) -> None:
    with beside(secure.address, tls=trust) as bystanders:
        gevent.get_hub().threadpool.apply(talk, (secure.address, tmp_path))
        bystanders.check_heard()


def test_a_rejected_client_is_told_why_over_tls(authority: Authority, trust: SSLContext) -> None:
    options = {"tls_cert": authority.issue("server")}
    with (
        chatting(options=options, connections=2) as secure,
        Bystanders(secure.address, tls=trust) as bystanders,
    ):
        with Plain(secure.address, tls=trust) as late:
            assert late.rest() == [b"* geventchat: The server is full. Try again later."]
        bystanders.check_heard()


def test_a_client_banned_during_its_handshake_is_not_let_in(
    authority: Authority, trust: SSLContext, tmp_path: Path
) -> None:
    (tmp_path / "operator").write_text("the-token-of-a-test")
    options = {"tls_cert": authority.issue("server"), "operator_file": f"{tmp_path}/operator"}
    with (
        chatting(options=options) as secure,
        Plain(secure.address, source="127.0.0.9") as mallory,
        Bystanders(secure.address, tls=trust) as bystanders,  # accepted after it
    ):
        with Rich(secure.address, token="the-token-of-a-test", rooms=[], tls=trust) as olga:
            assert olga.ask("admin", action="ban", target="127.0.0.9")["connections_closed"] == 0
        mallory.socket = trust.wrap_socket(mallory.socket, server_hostname="localhost")
        mallory.send(b"still here\0")
        assert mallory.rest() == [b"* geventchat: Your address is banned."]
        bystanders.check_heard()


def test_an_incomplete_handshake_does_not_delay_shutdown(secure: Chat) -> None:
    with Plain(secure.address):
        gevent.sleep(0.01)
        with gevent.Timeout(20):
            secure.stop()


def test_a_reload_reads_the_certificate_and_keeps_the_old_one_if_it_is_bad(
    authority: Authority, trust: SSLContext, tmp_path: Path
) -> None:
    file = Path(authority.issue("renewed"))
    with chatting(options={"tls_cert": str(file)}) as secure:
        here = secure.track(Rich(secure.address, "Ann", tls=trust))
        first = serial(here)
        config = secure.server._config
        authority.issue("renewed")
        assert secure.server.reload(config) == []
        second = serial(secure.track(Rich(secure.address, tls=trust)))
        assert first != second
        file.write_text("not a certificate")
        with pytest.raises(BadOption, match=r"--tls-cert .*: holds no certificate"):
            secure.server.reload(config)
        assert serial(secure.track(Rich(secure.address, tls=trust))) == second
        here.say("lobby", "still here")
        assert texts(here.posts(1)) == ["still here"]
