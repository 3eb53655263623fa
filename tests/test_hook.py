"""`geventchat hook` and `/hook` at the terminal, with a real server and a real curl."""

import shlex
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from geventchat.client import Connection, Post
from geventchat.client.terminal.command import run_command
from geventchat.client.terminal.commands import COMMANDS
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.view import View
from tests.process import served
from tests.test_admin import GEVENTCHAT


class HookedServer:
    """A server with a page, and the commands of its operator."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.token = (folder / "geventchat.db.operator").read_text().strip()

    def hook(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.run(*GEVENTCHAT, "hook", "--server", f":{self.port}", *arguments)

    def run(self, *line: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            line, cwd=self.folder, capture_output=True, text=True, timeout=30, check=False
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HookedServer]:
    timeline = f"sqlite:{tmp_path}/geventchat.db"
    with served(tmp_path, "--timeline", timeline, "--web", "127.0.0.1:0") as process:
        yield HookedServer(tmp_path, process.address[1])


def test_the_line_that_is_printed_posts(server: HookedServer) -> None:
    made = server.hook("add", "builds")
    assert (made.returncode, made.stderr) == (0, "")
    told, line = made.stdout.splitlines()
    number = told.split()[1]
    curl = shlex.split(line)
    with Connection("127.0.0.1", server.port, rooms=["builds"]) as chat:
        assert server.run(*curl, "-sS").stdout == '{"room":"builds","position":1}\n'
        post = next(event for event in chat if isinstance(event, Post))
        assert (post.text, post.hook) == ("build is green", True)
    large = server.folder / "large"
    large.write_text("x" * 2_000)
    assert server.run(
        "curl", "-sS", "-H", "Expect: 100-continue", "--data-binary", f"@{large}", curl[-1]
    ).stdout.endswith("2}\n")
    chunked = server.run("curl", "-sS", "-T", str(large), "-X", "POST", curl[-1],
                         "-H", "Transfer-Encoding: chunked")  # fmt: skip
    assert chunked.stdout.endswith("3}\n")
    (shown,) = server.hook("list").stdout.splitlines()
    assert shown.startswith(f"{number} posts into builds, made by operator at 127.0.0.1 ")
    assert server.hook("revoke", number).stdout.startswith(f"revoked: {number}")
    assert server.run(*curl, "-sS").stdout == "There is no such hook, or it was revoked.\n"
    assert server.hook("list").stdout == "no webhooks\n"


def test_a_mistake_is_one_line(server: HookedServer) -> None:
    without = server.hook("add")
    assert (without.returncode, without.stdout) == (2, "")
    assert without.stderr.count("\n") == 1
    unknown = server.hook("revoke", "none")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "geventchat: hook: There is no such webhook.\n",
    )


def test_an_operator_at_the_terminal_does_the_same(server: HookedServer) -> None:
    with Connection("127.0.0.1", server.port, nick="Olga", token=server.token) as chat:
        view = View("lobby", "Olga", date(2026, 3, 3))

        def lines(rest: str) -> list[str]:
            return [
                "".join(text for _, text in line)
                for line in run_command(COMMANDS["hook"], rest, chat, view)
            ]

        made = lines("add")
        assert "posts into lobby" in made[0]
        assert made[1].lstrip(" ·").startswith("curl -d 'build is green' http://127.0.0.1:")
        number = made[0].split("webhook ")[1].split()[0]
        assert number in lines("")[0]
        assert number in lines("list #lobby")[0]
        assert "revoked" in lines(f"revoke {number}")[0]
        with pytest.raises(NotUnderstood):
            lines("revoke")
