"""The admin port: readiness and metrics."""

import json
import re
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from unittest.mock import patch

import gevent
import pytest
from gevent import socket

from geventchat.config import BadOption, Config
from geventchat.server.ops.admin_http import _MAX_CONNECTIONS
from geventchat.server.server import Server
from geventchat.server.timeline.sqlite import schema
from geventchat.server.transport.outbox import ITEM_BYTES
from tests.conversations.chat import Chat, chatting
from tests.conversations.control import Control
from tests.server.hub_harness import RecordingConsole
from tests.server.timeline.test_rollback_guard import put_in_the_way


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    options = {"admin": "127.0.0.1:0"}
    with chatting(f"sqlite:{tmp_path}/chat.db", options=options) as chat:
        yield chat


def get(chat: Chat, path: str) -> tuple[int, str]:
    """Request a page in a native thread: these tests are not patched."""
    (address,) = chat.server.admin_addresses

    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://{address[0]}:{address[1]}{path}", timeout=5
            ) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    page: tuple[int, str] = gevent.get_hub().threadpool.apply(ask)
    return page


def figures(chat: Chat) -> dict[str, float]:
    """Return the metrics of the server by name and labels."""
    status, text = get(chat, "/metrics")
    assert status == 200
    return {
        name: float(value)
        for name, value in re.findall(r"^geventchat_(\S+) (\S+)$", text, re.MULTILINE)
    }


def test_health_is_503_once_the_server_shuts_down(chat: Chat) -> None:
    assert get(chat, "/healthz") == (200, "ready\n")
    chat.server._stopping = True
    assert get(chat, "/healthz") == (503, "shutting down\n")


@pytest.mark.parametrize("page", ["/healthz", "/metrics", "/top", "/else"])
def test_head_is_answered_without_a_body(chat: Chat, page: str) -> None:
    with socket.create_connection(chat.server.admin_addresses[0]) as sock:
        sock.sendall(f"HEAD {page} HTTP/1.0\r\n\r\n".encode())
        with sock.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
    assert b"Content-Length: " in head
    assert body == b""


def test_health_is_503_while_messages_cannot_be_stored(chat: Chat) -> None:
    ann = chat.rich("Ann")
    store = chat.server._timeline._store  # type: ignore[attr-defined]
    store.db.execute("PRAGMA busy_timeout = 10")
    with (
        patch.object(schema, "LOCKED_SECONDS", 0.01),
        closing(sqlite3.connect(store._path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        ann.say("lobby", "one")
        assert ann.event()["code"] == "storage"
        assert get(chat, "/healthz") == (503, "storage unavailable\n")
        assert figures(chat)["storage_up"] == 0
        assert figures(chat)["messages_failed_total"] == 1
        other.execute("ROLLBACK")
    ann.say("lobby", "one")
    ann.posts(1)
    with gevent.Timeout(20):  # within a second it is tried whether the longest message fits
        while get(chat, "/healthz")[0] != 200:
            gevent.sleep(0.001)


def test_a_rollback_guard_that_cannot_be_written_shows_in_the_metrics(
    chat: Chat, tmp_path: Path
) -> None:
    """Messages are stored all the same, so the server is ready."""
    assert figures(chat)["rollback_guard_up"] == 1
    put_in_the_way(tmp_path)
    chat.rich("Ann").say("lobby", "one")
    with gevent.Timeout(20):
        while figures(chat)["rollback_guard_up"]:
            gevent.sleep(0.001)
    assert get(chat, "/healthz")[0] == 200


def test_messages_deliveries_and_connections_are_counted(chat: Chat) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    chat.plain()
    before = figures(chat)
    ann.say("lobby", "hi")
    bob.posts(1)
    ann.pong()
    after = figures(chat)
    assert after["messages_stored_total"] - before["messages_stored_total"] == 1
    for name in ("commit", "fanout", "delivery"):
        assert after[f"{name}_seconds_count"] - before[f"{name}_seconds_count"] >= 1
        assert after[f"{name}_seconds_sum"] > before[f"{name}_seconds_sum"]
        assert after[f'{name}_seconds_bucket{{le="+Inf"}}'] == after[f"{name}_seconds_count"]
    assert after["messages_delivered_total"] - before["messages_delivered_total"] == 3
    assert after['connections{door="tcp",kind="rich"}'] == 2
    assert after['connections{door="tcp",kind="plain"}'] == 1
    assert after['connections_opened_total{door="tcp"}'] >= 3
    assert after["rooms"] == 1
    assert after['outbox_bytes{quantile="1"}'] == 0

    bob.tell("bye")
    bob.closing()
    chat.wait_disconnected(bob)
    assert figures(chat)['connections_closed_total{reason="quit"}'] >= 1


def test_top_lists_the_busiest_rooms_and_the_slowest_clients(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["den", "lobby"])
    page = json.loads(get(chat, "/top")[1])
    assert (page["rooms"], page["clients"]) == ([], [])
    for text in ("one", "two"):
        ann.say("den", text)
    ann.posts(2)
    (inside,) = chat.sessions()
    inside.outbox.put(b"not flushed yet")  # no other greenlet runs before the request
    status, text = get(chat, "/top")
    page = json.loads(text)
    assert status == 200
    (room,) = page["rooms"]
    assert (room["room"], room["members"]) == ("den", 1)
    assert 0 < room["messages_per_second"] <= 0.4
    assert page["clients"] == [
        {"nick": "Ann", "address": "127.0.0.1", "door": "tcp", "outbox_bytes": 15 + ITEM_BYTES}
    ]


def test_metrics_include_those_of_the_process(chat: Chat) -> None:
    _, text = get(chat, "/metrics")
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"):
        assert f"\n{name} " in text


def test_other_paths_are_not_found(chat: Chat) -> None:
    for path in ("/", "/healthz/", "/../etc/passwd"):
        assert get(chat, path)[0] == 404


def test_an_incomplete_request_is_closed_after_its_time(chat: Chat) -> None:
    (address,) = chat.server.admin_addresses
    with patch("geventchat.server.ops.admin_http._SECONDS", 0.05), socket.socket() as silent:
        silent.connect(address)
        silent.sendall(b"GET /met")
        silent.settimeout(5)
        assert b"200" not in silent.recv(1_000)
    assert get(chat, "/healthz")[0] == 200


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /hea",
        b"GET /healthz HTTP/1.1\r\nX: ",
        b"POST /healthz HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
    ],
    ids=["request", "headers", "body"],
)
def test_slow_requests_do_not_block_the_admin_port(
    chat: Chat, begin: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (address,) = chat.server.admin_addresses

    def drip(slow: socket.socket) -> None:
        with suppress(OSError):  # it was closed
            while True:
                slow.sendall(b"x")
                gevent.sleep(0.01)

    with patch("geventchat.server.ops.admin_http._SECONDS", 0.2), ExitStack() as stack:
        dripping = []
        for _ in range(_MAX_CONNECTIONS):
            slow = stack.enter_context(socket.create_connection(address))
            slow.sendall(begin)
            dripping.append(gevent.spawn(drip, slow))
        assert len(gevent.joinall(dripping, timeout=20)) == _MAX_CONNECTIONS
    assert get(chat, "/healthz")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def ask(chat: Chat, request: bytes) -> bytes:
    """Send bytes on a new connection; return the answer until its end."""
    (address,) = chat.server.admin_addresses
    answer = b""
    with socket.create_connection(address) as client, gevent.Timeout(20):
        client.sendall(request)
        with suppress(ConnectionResetError):  # when it had sent more than was read
            while data := client.recv(65_536):
                answer += data
    return answer


@pytest.mark.parametrize("begin", [b"", b"GET /healthz HTTP/1.1\r\nX: "], ids=["silent", "half"])
def test_silent_connections_do_not_delay_the_health_check(chat: Chat, begin: bytes) -> None:
    (address,) = chat.server.admin_addresses
    with ExitStack() as stack:
        for _ in range(100):
            half = stack.enter_context(socket.create_connection(address))
            half.sendall(begin)
        with gevent.Timeout(8):  # they are waited for longer
            assert ask(chat, b"GET /healthz HTTP/1.0\r\n\r\n").endswith(b"ready\n")
        admin = chat.server._admin
        assert admin is not None
        assert len(admin._connections) <= _MAX_CONNECTIONS


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.0\r\n" + b"X: a\r\n" * 101 + b"\r\n",
        b"GET /healthz HTTP/1.0\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"HEAD /healthz HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
        b"GET " + b"/" * 100_000 + b" HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-\r\n",
    ],
    ids="headers header version unknown length head path tls chunk".split(),
)
def test_a_bad_request_is_answered_without_a_traceback(
    chat: Chat,
    request_: bytes,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert ask(chat, request_).startswith(b"HTTP/1.1 4")
    assert capfd.readouterr().err == ""
    assert not caplog.records


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 300_000,
        b"GET /healthz HTTP/1.1\r\n\r\n" * 3_000,
    ],
    ids=["chunks", "requests"],
)
def test_whoever_asks_the_admin_port_for_very_much_delays_nobody(
    chat: Chat, request_: bytes
) -> None:
    with (
        Control(chat.address),
        suppress(OSError),  # it has sent more than is read
        socket.create_connection(chat.server.admin_addresses[0]) as client,
    ):
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65_536):
            pass


def test_a_bug_in_a_handler_is_logged_once_and_answered_with_500(
    chat: Chat, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    admin = chat.server._admin
    with patch.object(admin, "_top", side_effect=RuntimeError("our bug")):
        assert ask(chat, b"GET /top HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 500 ")
    (record,) = caplog.records
    assert record.getMessage() == "admin request failed"
    assert record.exc_info
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LocalHost:4041", 200),
        ("127.0.0.1", 200),
        ("[::1]:4041", 200),
        (socket.gethostname(), 200),
        ("evil.example", 421),
        ("evil.example:4041", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost\r\nHost: evil.example", 421),
        ("[", 421),
        ("", 421),
    ],
)
@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/top"])
def test_only_requests_for_this_machine_are_answered(
    chat: Chat, path: str, host: str, status: int
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert ask(chat, request.encode()).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_taken_admin_port_is_an_error_only_if_it_was_configured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        asked = Server(Config(port=0, timeline="memory:", admin=address), RecordingConsole())
        with pytest.raises(BadOption, match=f"--admin {address}: Address already in use"):
            asked.start()
        with patch("geventchat.server.transport.ports.DEFAULT_ADMIN", address):
            server = Server(Config(port=0, timeline="memory:"), RecordingConsole())
            server.start()
            assert server.admin_addresses == []
            server.stop()
    assert f"admin port disabled: --admin {address}" in caplog.text
