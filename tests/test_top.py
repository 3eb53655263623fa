"""`geventchat top` with a real server, in a pipe and on a terminal."""

import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from threading import Thread
from typing import NamedTuple

import pytest

from geventchat.cli.top.page import Sample, _figures, page
from geventchat.client import Connection
from geventchat.protocol.admin import BusyRoom, NodeLoad, SlowClient, Top
from tests.command import first_line, port, run, serving
from tests.terminal import Terminal


class Ports(NamedTuple):
    """Return the address of a server."""

    chat: int
    admin: int


@contextmanager
def watched(admin: int = 0) -> Iterator[Ports]:
    with serving("--admin", f"127.0.0.1:{admin}") as process:
        chat = port(first_line(process))
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", first_line(process))
        assert found
        yield Ports(chat, int(found[1]))


@pytest.fixture
def ports() -> Iterator[Ports]:
    with watched() as ports:
        yield ports


@contextmanager
def a_slow_client(port: int) -> Iterator[None]:
    """Post in the lobby until the outbox of a slow reader is filled."""
    with (
        socket.socket() as slow,
        Connection("127.0.0.1", port, nick="speaker") as chat,
    ):
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"hello\0")
        heard = (event.text for event in chat if hasattr(event, "text"))
        assert "hello" in heard
        for _ in range(8):
            chat.say("lobby", "x" * 60_000)
        yield


def test_one_page_is_printed_when_piped(ports: Ports) -> None:
    with a_slow_client(ports.chat):
        done = run("top", f":{ports.admin}")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "clients 2: 1 rich, 1 plain   rooms 1" in done.stdout
    assert re.search(r"^lobby +[\d.]+ +2$", done.stdout, re.MULTILINE)
    assert re.search(r"^guest-\d+ +[\d.]+ [KM]iB   tcp   127\.0\.0\.1$", done.stdout, re.MULTILINE)


def test_a_terminal_that_only_prints_gets_one_page(ports: Ports) -> None:
    terminal = Terminal("top", f":{ports.admin}", term="dumb")
    assert terminal.exit_code() == 0
    assert any(line.startswith("clients 0") for line in terminal.lines)
    assert b"\x1b" not in terminal.raw


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "c-c"])
def test_on_a_terminal_it_runs_until_the_user_quits(ports: Ports, key: str) -> None:
    terminal = Terminal("top", f":{ports.admin}")
    terminal.until(lambda lines: any(line.startswith("clients 0") for line in lines))
    with Connection("127.0.0.1", ports.chat):
        terminal.until(lambda lines: any(line.startswith("clients 1: 1 rich") for line in lines))
    terminal.type(key)
    assert terminal.exit_code() == 0


def test_sigterm_restores_the_terminal(ports: Ports) -> None:
    terminal = Terminal("top", f":{ports.admin}")
    terminal.until(lambda lines: any(line.startswith("clients 0") for line in lines))
    terminal.process.kill(signal.SIGTERM)
    assert terminal.exit_code() == 0
    assert b"\x1b[?1049l" in terminal.raw  # the user's own screen is back


def test_a_stopped_server_is_reported_and_a_restarted_one_shown() -> None:
    with watched() as ports:
        terminal = Terminal("top", f":{ports.admin}")
        terminal.until(lambda lines: any(line.startswith("clients 0") for line in lines))
    terminal.until_line("no reply: Connection refused")
    with watched(ports.admin):
        terminal.until(lambda lines: not any("no reply" in line for line in lines))
        terminal.type("q")
        assert terminal.exit_code() == 0


def test_a_missing_server_is_one_line() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        number = free.getsockname()[1]
    done = run("top", f":{number}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"geventchat: no admin port at 127.0.0.1:{number}: Connection refused\n"


def test_a_port_that_answers_byte_by_byte_is_given_up() -> None:
    def trickle(listener: socket.socket) -> None:
        with suppress(OSError), listener.accept()[0] as accepted:
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                accepted.sendall(b"#")
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=trickle, args=(listener,), daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        done = run("top", address)
    assert done.returncode == 1
    assert done.stderr == f"geventchat: no admin port at {address}: timed out\n"


def test_the_chat_port_is_not_an_admin_port(ports: Ports) -> None:
    done = run("top", f":{ports.chat}")
    assert done.returncode == 1
    assert done.stderr == (
        f"geventchat: no admin port at 127.0.0.1:{ports.chat}: another service is listening there\n"
    )


def test_names_with_control_characters_are_escaped() -> None:
    hostile = "\x1b[2J\x07\u202e"
    seen = Top([BusyRoom(hostile, 1.0, 1)], [SlowClient(hostile, hostile, hostile, 1)])
    look = Sample(0.0, Counter(), seen)
    text = "\n".join(text for _, text in page(look, look))
    assert not set(hostile[0] + hostile[4:]) & set(text)
    assert text.count(r"\x1b[2J\x07\u202e") == 4


def test_wide_names_keep_the_columns_and_are_truncated() -> None:
    seen = Top([BusyRoom("日本", 1.0, 1), BusyRoom("日" * 32, 1.0, 1)], [])
    look = Sample(0.0, Counter(), seen)
    wide, cut = [text for _, text in page(look, look) if "日" in text]
    assert wide == "日本" + " " * 28 + "        1.0          1"
    assert cut == "日" * 15 + "…" + " " + "        1.0          1"


def test_a_busy_server_fits_80_columns() -> None:
    figures = Counter(
        {
            "geventchat_storage_up": 1,
            "process_start_time_seconds": time.time() - 100 * 86_400 - 86_399,
            "process_cpu_seconds_total": 1,
            "process_resident_memory_bytes": 1_023 << 20,
            "process_open_fds": 100_000,
            "geventchat_connections": 100_000,
            "geventchat_connections rich": 90_000,
            "geventchat_connections plain": 10_000,
            "geventchat_rooms": 10_000,
            "geventchat_accounts": 1_000_000,
            "geventchat_signed_in": 100_000,
            "geventchat_sign_ins_total": 10_000,
            "geventchat_sign_ins_total wrong": 10_000,
            "geventchat_connections_closed_total": 1_000,
            "geventchat_connections_rejected_total": 10_000,
            "geventchat_messages_stored_total": 10_000,
            "geventchat_messages_delivered_total": 10_000_000,
            "geventchat_messages_failed_total": 10_000,
            "geventchat_loop_lag_seconds": 1,
            "geventchat_outbox_bytes 0.99": 1_023 << 10,
            "geventchat_outbox_bytes 1": 1_023 << 10,
        }
    )
    for name in ("delivery", "commit", "fanout"):
        figures |= {f"geventchat_{name}_seconds_{part}": 1 for part in ("sum", "count")}
    lines = [
        text
        for _, text in page(Sample(1.0, Counter(), Top([], [])), Sample(2.0, figures, Top([], [])))
    ]
    assert "accounts 1,000,000   signed in 100,000   sign-ins 10,000.0/s, 10,000.0/s wrong" in lines
    assert any("outbox p99 1,023.0 KiB, max 1,023.0 KiB" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_reset_counters_give_no_negative_rates() -> None:
    before = Sample(1.0, Counter({"geventchat_messages_stored_total": 100}), Top([], []))
    now = Sample(3.0, Counter({"geventchat_messages_stored_total": 10}), Top([], []))
    assert any(text.startswith("posts 5.0/s ") for _, text in page(before, now))


def test_each_of_several_nodes_has_a_line_and_fits_80_columns() -> None:
    def load(name: str, stored: int) -> NodeLoad:
        return NodeLoad(name, "chat-1", 4711, 100_000, 10_000, stored, 1_023 << 20, 1.0)

    before = Sample(1.0, Counter(), Top([], [], [load("a", 100), load("b", 5)]))
    now = Sample(2.0, Counter(), Top([], [], [load("a", 10_100), load("c", 5)], ["d"]))
    lines = [text for _, text in page(before, now)]
    assert "node chat-1 4711, one of 3" in lines
    at = next(number for number, line in enumerate(lines) if line.startswith("NODES"))
    figures = "  100,000 10,000 10,000.0 1,023.0 MiB 1,000.0 ms"
    assert lines[at + 1].split() == ["chat-1", "4711", *figures.split()]
    assert " 0.0 " in lines[at + 2]  # one that was not there before
    assert lines[at + 3] == "d" + " " * 32 + "no answer"
    assert max(map(len, lines)) <= 80


def test_a_server_alone_shows_no_nodes() -> None:
    look = Sample(0.0, Counter(), Top([], []))
    assert not any("node" in line.lower() for _, line in page(look, look))


def test_the_figures_of_workers_are_shown_as_those_of_one_server() -> None:
    text = "".join(
        f"""# TYPE geventchat_{name} gauge
geventchat_{name}{{node="1"}} {first}
geventchat_{name}{{node="2"}} {second}
"""
        for name, first, second in (
            ("connections", 20, 30), ("rooms", 4, 5), ("storage_up", 1, 0),
            ("loop_lag_seconds", 0.001, 0.25),
        )
    )  # fmt: skip
    figures = _figures(text)
    names = ("connections", "rooms", "storage_up", "loop_lag_seconds")
    assert [figures[f"geventchat_{name}"] for name in names] == [50, 5, 0, 0.25]
