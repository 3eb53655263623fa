"""What commands print may not be writable, nor all of it known to the locale."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from geventchat.cli import commands
from loadtests.support.address import free_port
from tests.process import Process, served

COMMAND = [sys.executable, "-m", "geventchat"]
FULL = "geventchat: No space left on device\n"
NO_UTF_8 = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


ADMIN = f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with served(tmp_path_factory.mktemp("server"), "--admin", ADMIN) as server:
        yield server


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def run(
    *arguments: str, stdout: str | int = subprocess.PIPE, say: str = "", **environment: str
) -> "subprocess.CompletedProcess[str]":
    output = os.open(stdout, os.O_WRONLY) if isinstance(stdout, str) else stdout
    return subprocess.run(
        [*COMMAND, *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        input=say,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=30,
        check=False,
    )


def every(command: click.Command = commands, *path: str) -> Iterator[tuple[str, ...]]:
    yield (*path, "--help")
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from every(part, *path, name)


def that_print(server: Process) -> Iterator[list[str]]:
    timeline, port = f"sqlite:{server.folder}/chat.db", f":{server.address[1]}"
    yield ["--version"]
    yield ["config"]
    yield ["history", "export", "--timeline", timeline]
    yield ["history", "check", "--timeline", timeline]
    yield ["connect", port, "--history"]
    token = f"{server.folder}/chat.db.operator"
    yield ["admin", "list", "--server", port, "--operator-file", token]
    yield ["top", ADMIN]


def test_a_full_disk_is_one_line_and_an_exit_code(server: Process) -> None:
    run("connect", f":{server.address[1]}", say="something to print\n")
    for arguments in [*that_print(server), *every()]:
        done = run(*arguments, stdout="/dev/full")
        assert (done.returncode, done.stderr) == (1, FULL), arguments


def test_a_reader_that_has_gone_is_no_traceback(server: Process) -> None:
    run("connect", f":{server.address[1]}", say="something to print\n")
    for arguments in that_print(server):
        reading, writing = os.pipe()
        os.close(reading)
        done = run(*arguments, stdout=writing)
        os.close(writing)
        assert (done.returncode, done.stderr) == (int(arguments[0] != "connect"), ""), arguments


def test_an_export_to_a_closed_output_fails(server: Process) -> None:
    export = f"{sys.executable} -m geventchat history export --timeline sqlite:{server.folder}"
    done = subprocess.run(
        f"{export}/chat.db >&-", shell=True, stderr=subprocess.PIPE, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (1, "geventchat: Bad file descriptor\n")


def test_text_goes_out_and_in_without_a_locale_that_knows_it(server: Process) -> None:
    port, token = f":{server.address[1]}", f"{server.folder}/chat.db.operator"
    admin = ["--server", port, "--operator-file", token]
    for locale in (NO_UTF_8, {**NO_UTF_8, "PYTHONIOENCODING": "latin-1"}):
        said = run("connect", port, "--room", "zoë", "--nick", "Zoë", say="日本\n", **locale)
        assert (said.returncode, said.stderr) == (0, "")
        heard = run("connect", port, "--room", "zoë", "--history", **locale)
        assert heard.stdout.endswith(" zoë Zoë: 日本\n")
        done = run("admin", "freeze", "bulk", "--reason", "日本", *admin, **locale)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.rpartition(": ")[2] in ("日本\n", "\\u65e5\\u672c\n")


def test_an_argument_that_is_no_text_is_one_line(server: Process) -> None:
    for option in ("--nick", "--room"):
        done = run("connect", f":{server.address[1]}", option, "\udcff")
        assert (done.returncode, done.stderr) == (
            2,
            f"geventchat: {option}: \\udcff is not UTF-8\n",
        )
