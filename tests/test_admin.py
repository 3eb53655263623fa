"""`geventchat admin` and an operator at the terminal, with a real server."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import gevent
import pytest

from geventchat.client import Connection, Refused
from geventchat.protocol.events import Left
from tests.process import served

GEVENTCHAT = [sys.executable, "-m", "geventchat"]


class OperatedServer:
    """A server with operators, with its own folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.token = (folder / "geventchat.db.operator").read_text().strip()

    def admin(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*GEVENTCHAT, "admin", "--server", f":{self.port}", *arguments],
            cwd=self.folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OperatedServer]:
    with served(tmp_path, "--timeline", f"sqlite:{tmp_path}/geventchat.db") as process:
        yield OperatedServer(tmp_path, process.address[1])


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatedServer]:
    """Return a server for tests whose commands are all refused, so that no rule is ever made."""
    folder = tmp_path_factory.mktemp("refusing")
    with served(folder, "--timeline", f"sqlite:{folder}/geventchat.db") as process:
        yield OperatedServer(folder, process.address[1])


def test_an_action_is_performed_and_reported(server: OperatedServer) -> None:
    with Connection("127.0.0.1", server.port, nick="eve") as eve:
        done = server.admin("kick", "eve", "--reason", "enough")
        assert (done.returncode, done.stdout) == (0, "connections closed: 1\n")
        with gevent.Timeout(20):
            list(eve)
        assert eve.ended is not None
        assert "enough" in eve.ended.text


def test_a_private_room_is_ended_by_its_number(server: OperatedServer) -> None:
    with Connection("127.0.0.1", server.port, nick="ann") as ann:
        ann.register("ann", "correct horse")
        ann.create("plans")
        done = server.admin("end", "private room 1")
        assert (done.returncode, done.stderr) == (0, "")
        assert "has ended" in done.stdout
        with gevent.Timeout(20):
            assert Left(room="plans", reason="ended") in iter(ann)


def test_rules_are_listed_and_removed(server: OperatedServer) -> None:
    assert server.admin("list").stdout == "no rules are in force\n"
    done = server.admin(
        "mute", "eve", "--seconds", "60", "--target-type", "nick", "--reason", "spam"
    )
    assert re.fullmatch(
        r"mute nick eve until [-\d]{10} \d\d:\d\d \S+, by operator at 127.0.0.1: spam\n",
        done.stdout,
    )
    assert server.admin("list").stdout == done.stdout
    assert server.admin("unmute", "eve").stdout.startswith("removed: mute nick eve")
    assert server.admin("list").stdout == "no rules are in force\n"


def test_the_token_comes_from_a_file_or_the_environment(server: OperatedServer) -> None:
    file = server.folder / "geventchat.db.operator"
    file.rename(server.folder / "elsewhere")
    assert server.admin("list", "--operator-file", "elsewhere").returncode == 0
    assert server.admin("list", GEVENTCHAT_TOKEN=server.token).returncode == 0
    absent = server.admin("list")
    assert absent.returncode == 2
    assert absent.stderr.startswith("geventchat: --operator-file geventchat.db.operator: ")
    assert absent.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["unban", "eve"], "no ban matches eve"), (["kick", "nobody"], "nobody")],
)
def test_a_refused_action_is_one_line(
    refusing: OperatedServer, arguments: list[str], complaint: str
) -> None:
    done = refusing.admin(*arguments)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_token_does_nothing(refusing: OperatedServer) -> None:
    done = refusing.admin("close", GEVENTCHAT_TOKEN="not-the-token-of-this-server")
    assert done.returncode == 1
    assert done.stderr == "geventchat: GEVENTCHAT_TOKEN: Wrong operator token.\n"
    assert refusing.admin("list").stdout == "no rules are in force\n"


def test_a_wrong_token_is_named_by_the_file_that_it_comes_from(refusing: OperatedServer) -> None:
    (refusing.folder / "other").write_text("not-the-token-of-this-server")
    done = refusing.admin("list", "--operator-file", "other")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "geventchat: --operator-file other: Wrong operator token.\n"


def test_only_an_operator_connection_may_perform_actions(server: OperatedServer) -> None:
    with (
        Connection("127.0.0.1", server.port, nick="olga", token=server.token) as olga,
        Connection("127.0.0.1", server.port, nick="eve") as eve,
    ):
        with pytest.raises(Refused):
            eve.admin("kick", "olga")
        assert olga.admin("kick", "eve").connections_closed == 1
        with gevent.Timeout(20):
            list(eve)
        assert eve.ended is not None
        assert eve.ended.code == "kicked"


@pytest.mark.parametrize(
    ("given", "minutes"), [("5400", 90), ("1h30m", 90), ("1.5h", 90), ("90 min", 90), ("１０m", 10)]
)
def test_a_duration_is_seconds_or_as_in_the_terminal(
    server: OperatedServer, given: str, minutes: int
) -> None:
    before = datetime.now().astimezone()
    until = server.admin("close", "--seconds", given).stdout.partition(" until ")[2][:16]
    ends = datetime.fromisoformat(until).astimezone()
    assert timedelta(minutes=minutes - 1) < ends - before < timedelta(minutes=minutes + 1)


@pytest.mark.parametrize("given", ["0", "-1", "1h30", "1,5h", "+1h", "0m", "9" * 5_000, "soon", ""])
def test_another_duration_is_refused_with_the_forms(refusing: OperatedServer, given: str) -> None:
    done = refusing.admin("close", "--seconds", given)
    assert done.returncode == 2
    assert done.stderr.startswith("geventchat: --seconds: ")
    assert "90s, 10m, 1h30m, 7d, 2w" in done.stderr
    assert done.stderr.count("\n") == 1
    assert refusing.admin("list").stdout == "no rules are in force\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["mute", "eve", "1h30m"],
        ["ban", "10.0.0.1", "10m", "spam"],
        ["close", "1h"],
        ["freeze", "lobby", "1h"],
        ["freeze", "1h"],
        ["ban", "eve", "--reason", "10m spam"],
    ],
)
def test_a_duration_out_of_place_changes_nothing_and_names_its_place(
    refusing: OperatedServer, arguments: list[str]
) -> None:
    done = refusing.admin(*arguments)
    assert done.returncode in (1, 2)
    assert "seconds" in done.stderr
    assert done.stderr.count("\n") == 1
    assert refusing.admin("list").stdout == "no rules are in force\n"


def test_a_rule_without_an_end_says_so(server: OperatedServer) -> None:
    assert server.admin("ban", "eve").stdout == (
        "ban nick eve until undone, by operator at 127.0.0.1\nconnections closed: 0\n"
    )


def test_nobody_is_muted_by_mistake(refusing: OperatedServer) -> None:
    done = refusing.admin("mute", "nosuch")
    assert done.returncode == 1
    assert "nosuch is not online" in done.stderr
