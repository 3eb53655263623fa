"""`geventchat serve` as its users meet it: its first line, its terminal and its end."""

import os
import pty
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pexpect  # type: ignore[import-untyped]
import psutil
import pytest

from geventchat import __version__
from tests.command import SERVE, first_line, port, serving
from tests.cores import Cores


def test_the_first_line_has_the_address_and_where_messages_are_stored(tmp_path: Path) -> None:
    with serving() as process:
        line = first_line(process)
        socket.create_connection(("127.0.0.1", port(line)), timeout=20).close()
    assert f"geventchat {__version__} listening on" in line
    assert line.endswith(", messages kept in memory only, lost on exit\n")

    with serving("--timeline", f"sqlite:{tmp_path}/chat.db") as process:
        assert first_line(process).endswith(f", messages stored in {tmp_path}/chat.db\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_server_cleanly(number: signal.Signals) -> None:
    with serving() as process:
        port(first_line(process))
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)

    assert process.returncode == 0
    assert output.endswith(f"shutting down: received {number.name}\n")
    assert errors == ""


def test_a_server_survives_a_closed_output_pipe() -> None:
    with serving() as process:
        number = port(first_line(process))
        assert process.stdout
        process.stdout.close()
        for _ in range(2):
            with closing(socket.create_connection(("127.0.0.1", number), timeout=20)) as client:
                client.sendall(b"hello\0q\0")
                assert client.recv(1) == b""
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_any_text_is_shown_on_a_system_without_utf8() -> None:
    with serving("--echo", LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0") as server:
        number = port(first_line(server))
        with closing(socket.create_connection(("127.0.0.1", number), timeout=20)) as client:
            client.sendall("grüße \U0001f600\0q\0".encode())
            assert client.recv(1) == b""
        server.send_signal(signal.SIGTERM)
        assert server.stdout is not None
        shown = os.read(server.stdout.fileno(), 10_000).decode()
    assert "#lobby guest-1: grüße \U0001f600" in shown


def test_on_a_terminal_messages_are_shown_and_ctrl_c_is_a_key() -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(SERVE, stdin=end, stdout=end, stderr=end, start_new_session=True)
    os.close(end)
    try:
        shown = ""
        while "memory" not in shown:
            shown += os.read(terminal, 1_000).decode()
        with closing(socket.create_connection(("127.0.0.1", port(shown)), timeout=20)) as client:
            client.sendall(b"\x1b[2Jhello\0q\0")
            while "disconnected" not in shown:
                shown += os.read(terminal, 1_000).decode()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)

    assert re.search(r"guest-1 connected from 127\.0\.0\.1, 1 client online\r\n", shown)
    assert re.search(r"\d\d:\d\d #lobby guest-1: \\x1b\[2Jhello\r\n", shown)
    assert re.search(r"guest-1 disconnected \(quit\), 0 clients online\r\n", shown)


def test_the_server_may_have_as_many_connections_as_the_system_allows() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving() as process:
        first_line(process)
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_server_is_ready_within_a_second() -> None:
    def start() -> float:
        begun = time.monotonic()
        with serving() as process:
            before = Cores.now(process.pid)
            first_line(process)
            used = sum(psutil.Process(process.pid).cpu_times()[:2])
            # What it computed itself no other program took from it.
            return max(used, time.monotonic() - begun - Cores.now(process.pid).lost_since(before))

    assert any(start() < 1 for _ in range(10))  # other programs may delay some


def test_a_second_signal_exits_at_once() -> None:
    with serving() as process, ExitStack() as peers:
        address = "127.0.0.1", port(first_line(process))
        peer, other = (
            peers.enter_context(socket.create_connection(address, timeout=20)) for _ in range(2)
        )
        other.sendall(b"hi\0")
        assert peer.recv(3) == b"hi\0"  # so it is accepted
        process.send_signal(signal.SIGTERM)
        peer.recv(1)  # so the signal was received; the server waits for this client
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM  # draining takes 10 s


def test_closing_the_terminal_shuts_the_server_down() -> None:
    terminal = pexpect.spawn(sys.executable, list(SERVE[1:]))
    terminal.expect("listening on")

    os.close(terminal.child_fd)

    assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) == 0


def test_the_log_says_that_the_terminal_was_closed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    terminal = pexpect.spawn("sh", ["-c", f"exec {shlex.join(SERVE)} > {log}"])
    while "listening on" not in log.read_text():
        time.sleep(0.01)

    os.close(terminal.child_fd)

    os.waitpid(terminal.pid, 0)
    assert log.read_text().endswith("shutting down: terminal closed\n")
