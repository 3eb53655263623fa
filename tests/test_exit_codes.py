"""Exit code 2 is for what can never work, 75 for what may pass: supervisors try again after it."""

import errno
import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from geventchat.cli import main
from geventchat.config import BadSetting, Config
from geventchat.server.factory import open_timeline
from geventchat.server.timeline.sqlite.claim import Claim
from geventchat.server.timeline.sqlite.store import Store
from tests.command import run

SERVE = ("serve", "--port", "0", "--admin", "none", "--timeline", "memory:")


@pytest.mark.parametrize("setting", ["port", "admin"])
def test_a_taken_port_may_pass(setting: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        number = taken.getsockname()[1]
        value = str(number) if setting == "port" else f"127.0.0.1:{number}"
        done = run(*SERVE, f"--{setting}", value)
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr == f"geventchat: --{setting} {value}: Address already in use\n"


def test_who_cannot_have_its_port_leaves_no_files(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        timeline = f"sqlite:{tmp_path}/chat.db"
        done = run("serve", "--port", port, "--admin", "none", "--timeline", timeline)
    assert done.returncode == 75
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("command", [SERVE, ("config", "--check", "--timeline", "memory:")])
def test_an_address_that_is_not_up_yet_may_pass(command: tuple[str, ...]) -> None:
    done = run(*command, "--host", "192.0.2.1")
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr == "geventchat: --host 192.0.2.1: Cannot assign requested address\n"


@pytest.mark.parametrize("number", [socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL])
def test_a_name_that_is_not_known_yet_may_pass(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    error = socket.gaierror(number, "no answer")
    with patch("gevent.socket.getaddrinfo", side_effect=error):
        code = main(["config", "--check", "--timeline", "memory:", "--host", "chat.example"])
    assert code == 75
    assert capsys.readouterr().err == "geventchat: --host chat.example: no answer\n"


@pytest.mark.parametrize("command", ["serve --port 0", "history renew"])
def test_a_database_in_use_may_pass(tmp_path: Path, command: str) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    (tmp_path / "chat.db").touch()
    claim = Claim(f"{tmp_path}/chat.db")
    done = run(*command.split(), "--timeline", timeline)
    claim.release()
    assert done.returncode == 75
    reason = f"in use by another server, process {os.getpid()}"
    assert done.stderr == f"geventchat: --timeline {timeline}: {reason}\n"


def test_a_disk_that_fails_at_the_start_is_one_line(tmp_path: Path) -> None:
    config = Config(timeline=f"sqlite:{tmp_path}/chat.db")
    error = OSError(errno.EIO, os.strerror(errno.EIO))
    with patch.object(Store, "__init__", side_effect=error), pytest.raises(BadSetting) as caught:
        open_timeline(config, lambda _: None)
    assert str(caught.value) == f"--timeline {config.timeline}: Input/output error"
    assert caught.value.temporary


@pytest.mark.parametrize(
    ("number", "temporary"),
    [
        (errno.ENOSPC, True),
        (errno.EDQUOT, True),
        (errno.EIO, True),
        (errno.EMFILE, True),
        (errno.EADDRINUSE, True),
        (errno.ENOENT, False),
        (errno.EACCES, False),
        (errno.EISDIR, False),
        (errno.EROFS, False),
    ],
)
def test_what_the_system_says_of_a_file_may_pass_or_not(number: int, temporary: bool) -> None:
    error = BadSetting.of("operator_file", "token", OSError(number, os.strerror(number)))
    assert error.temporary is temporary


@pytest.mark.parametrize(
    ("code", "temporary"),
    [
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_IOERR_FSYNC, True),
        (sqlite3.SQLITE_BUSY_RECOVERY, True),
        (sqlite3.SQLITE_NOTADB, False),
        (sqlite3.SQLITE_CORRUPT, False),
        (sqlite3.SQLITE_READONLY, False),
    ],
)
def test_what_sqlite_says_may_pass_or_not(tmp_path: Path, code: int, temporary: bool) -> None:
    error = sqlite3.OperationalError("no luck")
    error.sqlite_errorcode = code
    assert Claim(f"{tmp_path}/chat.db").abandon(error).temporary is temporary


def test_a_file_of_another_program_never_works(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database")
    assert run("serve", "--port", "0", "--timeline", f"sqlite:{tmp_path}/text").returncode == 2
