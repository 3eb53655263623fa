"""Servers that ask for something: a password, an operator token, TLS."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.support.address import free_port
from tests.conversations.certificates import Authority
from tests.loadtests.conftest import HERE, LOAD
from tests.loadtests.web import Dashboard, opened
from tests.process import served

PASSWORD = "correct horse battery staple"
TOKEN = "0123456789abcdef-operators"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the secrets, for reports."""
    folder = tmp_path_factory.mktemp("login")
    for name, secret in (("password", PASSWORD), ("token", TOKEN)):
        (folder / name).write_text(secret + "\n")
        (folder / name).chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def guarded(files: Path, authority: Authority) -> Iterator[str]:
    """Return the address of a server that asks for all of it."""
    options = ["--password-file", f"{files}/password", "--operator-file", f"{files}/token"]
    options += ["--tls-cert", authority.issue("server"), "--admin", "127.0.0.1:0"]
    with served(files, *options) as server:
        yield "{}:{}".format(*server.address)


def loaded(host: str, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [*LOAD, "--headless", "--host", host, "-u", "30", "-t", "3s", "--talk-seconds", "0.5"]
    return subprocess.run(
        [*command, *options],
        cwd=HERE, check=False, text=True, capture_output=True, env=os.environ | environment,
    )  # fmt: skip


def complaint(run: "subprocess.CompletedProcess[str]") -> str:
    assert run.returncode == 2, run.stderr
    (line,) = run.stderr.splitlines()
    return line


def test_users_log_in_with_what_the_files_hold(
    guarded: str, files: Path, authority: Authority
) -> None:
    run = loaded(
        guarded, "--ca", authority.ca, "--password-file", f"{files}/password",
        "--operator-file", f"{files}/token", "--csv", f"{files}/run",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "failures 0" in run.stderr
    assert "no PlainTalker: the server has a password" in run.stderr
    # Those on a bad line may be away.
    assert re.search(r" (2[789]|30) connected at the peak", run.stderr), run.stderr


def test_users_log_in_with_what_the_environment_holds(
    guarded: str, files: Path, authority: Authority
) -> None:
    port = str(free_port())
    run = loaded(
        guarded, "--ca", authority.ca, "--processes", "2",
        "--master-bind-port", port, "--master-port", port,
        GEVENTCHAT_PASSWORD=PASSWORD, GEVENTCHAT_TOKEN=TOKEN,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert re.search(r" (2[789]|30) connected at the peak", run.stderr), run.stderr


def test_what_is_missing_or_wrong_is_said_in_a_line_before_the_run(
    guarded: str, authority: Authority
) -> None:
    tls = "--ca", authority.ca
    assert complaint(loaded(guarded)).endswith(
        "This port speaks TLS. Connect with: geventchat connect --tls"
    )
    line = complaint(loaded(guarded, "--tls"))
    assert "the server's certificate is not trusted" in line
    line = complaint(loaded(guarded, *tls))
    assert line.endswith("Give it with --password-file or GEVENTCHAT_PASSWORD.")
    line = complaint(loaded(guarded, *tls, GEVENTCHAT_PASSWORD="wrong"))
    assert line == f"load: {guarded}: Wrong password."
    wrong = {"GEVENTCHAT_PASSWORD": PASSWORD, "GEVENTCHAT_TOKEN": "x" * 20}
    assert complaint(loaded(guarded, *tls, **wrong)) == f"load: {guarded}: Wrong operator token."


def test_a_server_started_for_a_run_has_secrets_of_its_own() -> None:
    run = subprocess.run(
        [*LOAD, "--headless", "-u", "4", "-t", "2s", "Talker"],
        cwd=HERE, check=False, text=True, capture_output=True,
        env=os.environ | {"GEVENTCHAT_PASSWORD": PASSWORD, "GEVENTCHAT_TOKEN": TOKEN},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert " 4 connected at the peak" in run.stderr


def test_a_server_started_for_a_run_asks_for_what_the_files_hold(files: Path) -> None:
    run = subprocess.run(
        [*LOAD, "--headless", "-u", "4", "-t", "2s", "Talker", "--password-file",
         f"{files}/password", "--operator-file", f"{files}/token"],
        cwd=HERE, check=False, text=True, capture_output=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert " 4 connected at the peak" in run.stderr


def test_the_form_sends_a_password_to_no_other_server(files: Path) -> None:
    port, log = free_port(), files / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*LOAD, "-P", str(port), "--password-file", f"{files}/password"],
            cwd=HERE, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        ) as process,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):  # fmt: skip
        try:
            dashboard = opened(Dashboard(port, f"127.0.0.1:{other.getsockname()[1]}"), log)
            assert dashboard.refusal().startswith("The password or token is for 127.0.0.1:")
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                other.accept()
        finally:
            process.terminate()


def test_plain_users_alone_cannot_log_in(guarded: str, files: Path, authority: Authority) -> None:
    run = loaded(guarded, "--ca", authority.ca, "PlainTalker", GEVENTCHAT_PASSWORD=PASSWORD)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == (
        "load: No PlainTalker can connect, since the server has a password: choose other users."
    )


def test_a_capacity_is_measured_behind_a_login(
    guarded: str, files: Path, authority: Authority
) -> None:
    command = [sys.executable, "-m", "loadtests.capacity", "--server", guarded, "--most", "20"]
    command += ["--seconds", "1", "--talk-seconds", "0.2", "--html", f"{files}/capacity.html"]
    command += ["--ca", authority.ca, "--bound-ms", "5000"]
    run = subprocess.run(
        command, cwd=HERE, check=False, text=True, capture_output=True,
        env=os.environ | {"GEVENTCHAT_PASSWORD": PASSWORD},
    )  # fmt: skip
    assert "This machine supports at least 20 users" in run.stdout, run
