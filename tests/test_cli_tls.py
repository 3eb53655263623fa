"""TLS on the command line: a server with a certificate, and clients that trust it or do not."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from geventchat.client import Connection, tls_context
from geventchat.client.terminal import kept_session
from geventchat.client.terminal.kept_session import KeptSession
from tests.conversations.certificates import Authority
from tests.process import Process, served

COMMAND = (sys.executable, "-m", "geventchat")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("server")
    with served(folder, "--tls-cert", authority.issue("server")) as server:
        yield server


def connect(port: int, *options: str, say: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "connect", f"127.0.0.1:{port}", *options],
        input=say,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_first_line_says_that_tls_is_enabled(server: Process) -> None:
    (line,) = server.lines("listening on")
    assert f":{server.address[1]} with TLS, messages stored in " in line


@pytest.mark.parametrize("mode", [[], ["--plain"]])
def test_piped_messages_are_sent_over_tls(
    server: Process, authority: Authority, mode: list[str]
) -> None:
    said = f"hello {mode}"
    done = connect(server.address[1], "--tls", "--ca", authority.ca, *mode, say=said)
    assert (done.returncode, done.stderr) == (0, "")
    heard = connect(server.address[1], "--ca", authority.ca, "--history", say="\n")
    assert said in heard.stdout


@pytest.mark.parametrize("mode", [[], ["--plain"]])
def test_an_untrusted_certificate_is_one_line(server: Process, mode: list[str]) -> None:
    done = connect(server.address[1], "--tls", *mode, say="secret")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.search(r"127\.0\.0\.1:\d+: the server's certificate is not trusted: ", line)
    assert not server.lines("secret")


def test_an_empty_ca_file_is_one_line(server: Process, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", "none"):
        done = connect(server.address[1], "--ca", str(tmp_path / name))
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert str(tmp_path / name) in done.stderr


def test_a_client_without_tls_is_told_to_use_it(server: Process) -> None:
    done = connect(server.address[1], say="hello")
    assert done.returncode == 1
    assert done.stderr == (
        "geventchat: This port speaks TLS. Connect with: geventchat connect --tls\n"
    )


def test_an_operator_acts_over_tls(server: Process, authority: Authority) -> None:
    token = str(server.folder / "chat.db.operator")
    port, ca = str(server.address[1]), authority.ca
    admin = [*COMMAND, "admin", "--server", f"127.0.0.1:{port}", "--ca", ca]
    done = subprocess.run(
        [*admin, "--operator-file", token, "list"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_certificate_is_checked_with_the_other_settings(
    authority: Authority, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    bad.touch(0o600)
    check = [*COMMAND, "config", "--check", "--timeline", "memory:", "--tls-cert"]
    good = subprocess.run([*check, authority.issue("good")], capture_output=True, check=False)
    assert good.returncode == 0
    for command in (check, [*COMMAND, "serve", "--timeline", "memory:", "--tls-cert"]):
        done = subprocess.run([*command, bad], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr == f"geventchat: --tls-cert {bad}: holds no certificate\n"


def test_a_session_that_came_over_tls_is_kept_as_such(
    server: Process, authority: Authority
) -> None:
    port, trust = server.address[1], tls_context(authority.ca)
    with Connection("127.0.0.1", port, nick="Ann", tls=trust) as chat:
        session = chat.register("Ann", "correct horse").session
    kept_session.keep("127.0.0.1", port, KeptSession("Ann", session))
    assert connect(port, "--ca", authority.ca, say="hello").returncode == 0
    assert kept_session.load("127.0.0.1", port) == KeptSession("Ann", session, tls=True)


def test_a_session_that_came_over_tls_is_not_sent_in_clear() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        kept_session.keep("127.0.0.1", port, KeptSession("Ann", "secret-of-ann", tls=True))
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(connect, port, say="hello")
            with listener.accept()[0] as accepted:
                hello = accepted.recv(65_536)
        assert b'"hello"' in hello
        assert b"secret-of-ann" not in hello
        assert "Ann" in done.result().stderr
        assert "--tls" in done.result().stderr
