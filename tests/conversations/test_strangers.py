"""Clients of other protocols get an error in their protocol and are closed.

Nothing that they send is relayed, such as a request that a web page makes a browser send here.
"""

import gevent
import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.conftest import Address
from tests.conversations.peers import Bystanders, Plain, Rich


def answer_to(stranger: Plain) -> bytes:
    """Return all bytes until the server closes; they need not be frames."""
    answer = b""
    while data := stranger.socket.recv(65_536):
        answer += data
    return answer


HTTP = {
    "GET": b"GET / HTTP/1.1\r\nHost: localhost:4040\r\n\r\n",
    "GET of HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "HEAD": b"HEAD / HTTP/1.1\r\n\r\n",
    "OPTIONS": b"OPTIONS * HTTP/1.1\r\n\r\n",
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
    "a WebSocket": b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "a proxy's": b"GET http://example.org/ HTTP/1.1\r\n\r\n",
    "POST": b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "POST of frames": b"POST / HTTP/1.1\r\nContent-Length: 13\r\n\r\n\0hello\0again\0",
    "POST of a hello": b'POST / HTTP/1.1\r\n\r\n\0\x1e{"type":"hello","version":1}\0text\0',
    "POST to a long address": b"POST /" + b"x" * 4_000 + b" HTTP/1.1\r\n\r\n\0hello\0",
    "POST to a very long address": b"POST /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n\0hello\0",
    "a method with a hyphen": b"M-SEARCH * HTTP/1.1\r\n\r\n\0hello\0",
}


@pytest.mark.parametrize("request_", HTTP.values(), ids=HTTP)
def test_an_http_request_is_answered_in_http_and_not_relayed(
    address: Address, bystanders: Bystanders, request_: bytes
) -> None:
    with Plain(address) as browser:
        browser.send(request_)
        browser.shut()
        head, _, body = answer_to(browser).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"\r\nConnection: close" in head
        assert b"\r\nContent-Length: %d" % len(body) in head
        assert b"geventchat" in body
        bystanders.check_heard()


@pytest.mark.parametrize("size", [1, 5, 20])
@pytest.mark.parametrize("kind", ["GET", "POST of frames"])
def test_an_http_request_is_recognised_in_any_pieces(
    address: Address, bystanders: Bystanders, kind: str, size: int
) -> None:
    line, end, rest = HTTP[kind].partition(b"\r\n")
    line += end
    with Plain(address) as browser:
        pieces = [line[start : start + size] for start in range(0, len(line), size)]
        browser.trickle(*pieces, rest, read=bystanders.rich.pong)
        assert answer_to(browser).startswith(b"HTTP/1.1 400 ")
        bystanders.check_heard()


def test_an_http_client_that_continues_is_ignored(address: Address, bystanders: Bystanders) -> None:
    with Plain(address) as browser:
        pieces = [b"POST / HTTP/1.1\r\n", b"Host: x\r\n\r\n", b"\0hello\0", b"again\0"]
        browser.trickle(*pieces, read=bystanders.rich.pong)
        assert answer_to(browser).count(b"HTTP/1.1 ") == 1
        bystanders.check_heard()


PROXY = {
    "version 1": b"PROXY TCP4 192.0.2.1 192.0.2.2 5555 4040\r\n",
    "version 1 of a check": b"PROXY UNKNOWN\r\n",
    "version 2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\x30\x39\x0f\xc8",
    "version 2 of a check": b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
}


@pytest.mark.parametrize("size", [1, 3, 1_000])
@pytest.mark.parametrize("after", [b"", b"hello\0", b'\x1e{"type":"hello","version":1}\0'])
@pytest.mark.parametrize("header", PROXY.values(), ids=PROXY)
def test_a_header_of_the_proxy_protocol_is_named_and_nothing_is_relayed(
    address: Address, bystanders: Bystanders, header: bytes, after: bytes, size: int
) -> None:
    with Plain(address) as proxy:
        end = header.rindex(b"\n") + 1
        pieces = [header[start : min(start + size, end)] for start in range(0, end, size)]
        proxy.trickle(*pieces[:-1], read=bystanders.rich.pong)
        proxy.send(pieces[-1] + header[end:] + after)
        proxy.shut()
        (line,) = proxy.rest()
        assert line.startswith(b"* geventchat: This port speaks geventchat")
        assert b"PROXY" in line
        bystanders.check_heard()


@pytest.mark.parametrize(
    "frames",
    [[b"\r\n\r\n"], [b"\r\n\r\n", b"\r\n"], [b"\r\n\r\n", b"\r\nQUIT"], [b"\x1e"]],
)
@pytest.mark.parametrize("size", [1, 1_000])
def test_a_first_frame_that_could_begin_a_header_is_a_message_if_nothing_follows(
    address: Address, bystanders: Bystanders, frames: list[bytes], size: int
) -> None:
    with Plain(address) as ann, Rich(address, rooms=[]) as pinger:
        data = b"".join(frame + b"\0" for frame in frames)
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        ann.trickle(*pieces, read=pinger.pong)
        bystanders.check_heard(*[frame.decode() for frame in frames])  # after a second
        ann.send(b"and more\0")
        bystanders.check_heard("and more")


def test_a_first_frame_that_could_begin_a_header_is_a_message_at_the_end(
    address: Address, bystanders: Bystanders
) -> None:
    with Plain(address) as ann:
        ann.send(b"\r\n\r\n\0")
        ann.shut()
        assert ann.rest() == []
        bystanders.check_heard("\r\n\r\n")


@pytest.mark.parametrize("line", [b"PING\r\n", b"EHLO x\r\n", b"stats\r\n", b"hi\n"])
def test_a_line_without_a_null_byte_is_relayed_to_nobody_and_the_hint_says_why(
    chat: Chat, line: bytes
) -> None:
    with Bystanders(chat.address) as bystanders, Plain(chat.address) as one:
        one.send(line)
        bystanders.rich.pong()
        chat.advance_clock(31)
        assert rb"printf 'hi\0'" in one.rest()[-1]
        bystanders.check_heard()


TLS = bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) * 2
SSH = b"SSH-2.0-OpenSSH_9.9\r\n"


def test_a_program_of_another_protocol_is_logged_by_its_name() -> None:
    with chatting() as chat:
        for head in (*PROXY.values(), HTTP["GET"], TLS, SSH):
            with Plain(chat.address) as stranger:
                stranger.send(head)
                answer_to(stranger)
        with gevent.Timeout(20):
            while chat.sessions() or chat.server._admission.readers:
                gevent.sleep(0.001)
        assert chat.server.rejections.counts == {"proxy": len(PROXY), "http": 3}


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize(("hello", "answer"), [(TLS, b"\x15\x03"), (SSH, b"This port")])
def test_a_tls_or_ssh_client_gets_an_answer_and_is_closed(
    address: Address, bystanders: Bystanders, hello: bytes, answer: bytes, size: int
) -> None:
    with Plain(address) as stranger:
        pieces = [hello[start : start + size] for start in range(0, 12, size)]
        stranger.trickle(*pieces, read=bystanders.rich.pong)
        assert answer_to(stranger).startswith(answer)
        bystanders.check_heard()


def test_nothing_after_a_tls_record_or_an_ssh_banner_is_relayed(
    address: Address, bystanders: Bystanders
) -> None:
    with Plain(address) as tls, Plain(address) as ssh:
        tls.send(TLS + b"\0hello\0")
        ssh.send(SSH + b"\0hello\0")
        answer_to(tls)
        answer_to(ssh)
        bystanders.check_heard()


@pytest.mark.parametrize(
    "text",
    [
        "GET lost",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\n",
        "GET / HTTP/2\r\n",
        "GET HTTP/1.1\r\n",
        "get / HTTP/1.1 \r\n",
        "GET / FTP/1.1\r\n",
        "I GET / HTTP/1.1\r\n",
        "POST your questions here",
        "HTTP/1.1 400 Bad Request\r\n",
        "SSH-2.0",
        "SSH-1.99-x",
        "SSH keys, anyone?",
        "ssh-2.0-x",
        "\x16",
        "\x16\x02",
        "PROXY TCP4 is down",
        "PROXY TCP4 is down\n",
        "PROXY servers\r\n",
        "proxy TCP4 x\r\n",
        "\r\n",
        "\r\n\r\nQUIT\n",
        "\x15\x03\x01",
    ],
)
def test_a_first_frame_that_only_begins_like_a_stranger_is_chat(
    address: Address, bystanders: Bystanders, text: str
) -> None:
    with Plain(address) as ann:
        ann.send(text.encode() + b"\0", b"and more\0")
        bystanders.check_heard(text, "and more")


@pytest.mark.parametrize("first", [b"hello\0", b"\0"])
@pytest.mark.parametrize(
    "text", ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-x\r\n", "\x16\x03\x01"]
)
def test_after_its_first_bytes_a_client_may_send_anything(
    address: Address, bystanders: Bystanders, first: bytes, text: str
) -> None:
    with Plain(address) as ann:
        ann.send(first + text.encode() + b"\0")
        bystanders.check_heard(*filter(None, [first.rstrip(b"\0").decode(), text]))
