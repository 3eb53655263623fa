"""`geventchat account`, with a real server."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from geventchat.client import Connection, Ended, SignIn
from tests.command import run
from tests.process import served
from tests.terminal import Terminal
from tests.test_admin import GEVENTCHAT

PASSWORD = "correct horse"


class AccountServer:
    """A server with operators, with its own folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    def account(
        self, *arguments: str, typed: str = "", **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*GEVENTCHAT, "account", *arguments, "--server", f":{self.port}"],
            cwd=self.folder,
            env=os.environ | environment,
            input=typed,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=30,
            check=False,
        )

    def sign_in(self, nick: str, password: str) -> str:
        account = SignIn(nick=nick, password=password)
        with Connection("127.0.0.1", self.port, account=account) as chat:
            return chat.nick


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AccountServer]:
    timeline = f"sqlite:{tmp_path}/geventchat.db"
    with served(tmp_path, "--timeline", timeline, "--accounts", "closed") as process:
        yield AccountServer(tmp_path, process.address[1])


def test_accounts_are_added_listed_changed_and_removed(server: AccountServer) -> None:
    assert server.account("list").stdout == ""
    assert server.account("add", "Ann", typed=f"{PASSWORD}\n").stdout == "added Ann\n"
    assert server.account("add", "Bob", typed=PASSWORD).stdout == "added Bob\n"
    assert server.account("list").stdout == "Ann\nBob\n"
    assert server.sign_in("ann", PASSWORD) == "Ann"
    changed = server.account("password", "ann", typed="battery staple\n")
    assert changed.stdout == "changed the password of Ann\n"
    with pytest.raises(Ended):
        server.sign_in("Ann", PASSWORD)
    assert server.sign_in("Ann", "battery staple") == "Ann"
    assert server.account("remove", "Ann").stdout == "removed Ann\n"
    assert server.account("list").stdout == "Bob\n"


def test_a_password_is_asked_for_twice_at_a_terminal_and_not_shown(server: AccountServer) -> None:
    operator = str(server.folder / "geventchat.db.operator")
    arguments = ("add", "Ann", "--server", f":{server.port}", "--operator-file", operator)
    terminal = Terminal("account", *arguments)
    try:
        for asked in ("Password:", "Repeat for confirmation:"):
            terminal.until_line(asked)
            terminal.type(f"{PASSWORD}\r")
        terminal.until_line("added Ann")
        assert not any("horse" in line for line in terminal.lines)
        assert terminal.exit_code() == 0
    finally:
        terminal.close()
    assert server.sign_in("Ann", PASSWORD) == "Ann"


@pytest.mark.parametrize(
    ("arguments", "typed", "told"),
    [
        (("add",), "", "NICK"),
        (("add", "Ann"), "short\n", "8 to 1,024 characters"),
        (("add", "Ann"), "x" * 1_025, "8 to 1,024 characters"),
        (("add", "Ann"), "\udcff not UTF-8", "is not UTF-8"),
        (("list", "Ann"), "", "list takes none"),
        (("remove", "Ann"), "", "There is no account Ann."),
        (("add", "no nick"), PASSWORD, "must not contain spaces"),
    ],
)
def test_a_mistake_is_one_line(
    server: AccountServer, arguments: tuple[str, ...], typed: str, told: str
) -> None:
    done = server.account(*arguments, typed=typed)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert done.stderr.startswith("geventchat: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_password_that_is_not_utf8_is_one_line_in_every_locale(
    server: AccountServer, errors: str
) -> None:
    """Python reads standard input strictly in most, but not in C and POSIX."""
    encoding = f"utf-8:{errors}"
    done = server.account("add", "Ann", typed="\udcff not UTF-8", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (2, "geventchat: password given: is not UTF-8\n")


def test_accounts_and_their_sessions_go_through_an_export(tmp_path: Path) -> None:
    old, new = f"sqlite:{tmp_path}/geventchat.db", f"sqlite:{tmp_path}/new.db"
    with (
        served(tmp_path, "--timeline", old) as process,
        Connection("127.0.0.1", process.address[1], nick="Ann") as chat,
    ):
        session = chat.register("Ann", PASSWORD).session
        chat.join("tea")
    exported = run("history", "export", "--timeline", old)
    assert '"records":4' in exported.stdout.splitlines()[-1]  # account, login, two memberships
    (tmp_path / "lines").write_text(exported.stdout)
    assert run("history", "import", "--timeline", new, str(tmp_path / "lines")).returncode == 0
    with (
        served(tmp_path, "--timeline", new) as process,
        Connection("127.0.0.1", process.address[1], account=SignIn(session=session)) as chat,
    ):
        chat.ping()
        chat.heard()
        assert chat.nick == "Ann"
        assert sorted(chat.cursors) == ["lobby", "tea"]
