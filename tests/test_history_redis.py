"""`geventchat history` with Redis and Valkey, and between them and SQLite."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geventchat.client import Connection, Cursor
from geventchat.server.timeline.redis import keys
from tests.command import COMMAND, first_line, port, run, serving
from tests.engines import RunningEngine, running
from tests.server.record import Record, edit, in_file, redact, say, set_topic

EMPTY = '{"geventchat":"history","version":1}\n{"type":"end","rooms":0,"posts":0}\n'


@pytest.fixture
def exported(tmp_path: Path) -> str:
    """Return an export with the epoch of a database with posts, changes, a topic and records."""
    record = Record(in_file(tmp_path / "chat.db"))
    record.turn(say("one", "k"), say("zwei 🎈"), say("three"), say("hi", room="other"))
    record.turn(set_topic("tea", room="other"), edit(1, "uno"), redact(2))
    record.timeline.keep([("account", "a1", b"\xff\0"), ("session", "s", b"")])
    record.close()
    return history("move", f"sqlite:{tmp_path}/chat.db").stdout


@pytest.fixture
def store(engines: Callable[[str], RunningEngine]) -> RunningEngine:
    """Return an engine for what does not depend on which: each command takes a while."""
    return engines("redis")


def history(act: str, timeline: str, *more: str) -> "subprocess.CompletedProcess[str]":
    return run("history", act, "--timeline", timeline, *more)


def imported(tmp_path: Path, timeline: str, lines: str) -> "subprocess.CompletedProcess[str]":
    file = tmp_path / "lines"
    file.write_text(lines, "utf-8")
    return history("import", timeline, str(file))


def connected(process: "subprocess.Popen[str]", **options: Any) -> Connection:
    return Connection("127.0.0.1", port(first_line(process)), **options)


def without_epoch(exported: str) -> str:
    *lines, last = exported.splitlines()
    end = {name: value for name, value in json.loads(last).items() if name != "epoch"}
    return "\n".join([*lines, json.dumps(end, separators=(",", ":")), ""])


def test_a_history_moves_from_a_file_to_an_engine_and_back(
    engine: RunningEngine, tmp_path: Path, exported: str
) -> None:
    done = imported(tmp_path, engine.url, exported)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "4 posts imported. Clients go on where they were.\n"
    assert history("check", engine.url).stdout == "No problems found.\n"
    assert history("export", engine.url).stdout == without_epoch(exported)
    moved = history("move", engine.url).stdout
    assert moved == exported
    epoch = json.loads(moved.splitlines()[-1])["epoch"]
    assert engine.call("HGET", keys.LIFE, "epoch").decode() not in ("", epoch)
    back = f"sqlite:{tmp_path}/back.db"
    assert imported(tmp_path, back, moved).returncode == 0
    assert history("export", back).stdout == without_epoch(exported)


def test_rules_move_between_engines_and_not_out_of_a_file_where_they_are_not_in_force(
    store: RunningEngine, tmp_path: Path
) -> None:
    record = Record(in_file(tmp_path / "rules.db"))
    record.turn(say("one"))
    record.close()
    lines = history("move", f"sqlite:{tmp_path}/rules.db").stdout.splitlines()
    rule = {"type": "record", "kind": "rule", "id": "ban/nick/bob", "value": "gA=="}
    end = {**json.loads(lines[-1]), "records": 1}
    given = "\n".join([*lines[:-1], json.dumps(rule), json.dumps(end), ""])
    assert imported(tmp_path, store.url, given).returncode == 0
    moved = history("move", store.url).stdout
    assert '"ban/nick/bob"' in moved
    back = f"sqlite:{tmp_path}/back.db"
    assert imported(tmp_path, back, moved).returncode == 0
    assert '"rule"' not in history("export", back).stdout


def test_a_client_goes_on_at_the_engine_where_it_was_at_the_file(
    store: RunningEngine, tmp_path: Path
) -> None:
    file = f"sqlite:{tmp_path}/chat.db"
    with serving("--timeline", file) as process, connected(process) as chat:
        cursor = Cursor(chat.join("lobby").epoch, chat.say("lobby", "one"))
        process.terminate()
        process.wait(30)
    imported(tmp_path, store.url, history("move", file).stdout)
    with serving("--timeline", store.url) as process, connected(process, rooms=[]) as chat:
        assert chat.join("lobby", cursor).recovered is True
        assert chat.say("lobby", "two") == 2
    assert history("export", store.url).stdout.count('"type":"post"') == 2


def test_commands_refuse_a_store_that_a_server_uses_but_for_reading(
    store: RunningEngine, tmp_path: Path
) -> None:
    config = tmp_path / "chat.toml"
    config.write_text("limits.history_days = 1")
    with serving("--timeline", store.url) as process:
        first_line(process)
        assert history("export", store.url).stdout == EMPTY
        assert history("check", store.url).returncode == 0
        for act, *more in (
            ("renew",), ("import",), ("move",), ("trim", "--config", str(config))
        ):  # fmt: skip
            done = history(act, store.url, *more)
            reason = "a server is using it; stop that first"
            assert done.stderr == f"geventchat: --timeline {store.url}: {reason}\n"
            assert done.returncode == 75
        assert process.poll() is None


def test_renew_begins_a_new_epoch_in_the_engine(
    store: RunningEngine, tmp_path: Path, exported: str
) -> None:
    imported(tmp_path, store.url, exported)
    before = store.call("HMGET", keys.LIFE, "epoch", "life")
    done = history("renew", store.url)
    assert done.stdout.startswith("New epoch started")
    epoch, life = store.call("HMGET", keys.LIFE, "epoch", "life")
    assert epoch != before[0]
    assert int(life) > int(before[1])  # whoever stored in the former one cannot any more
    assert history("export", store.url).stdout == without_epoch(exported)
    assert history("renew", store.url).returncode == 0  # nobody has to wait for the lease


def test_trim_deletes_what_a_server_would(
    store: RunningEngine, tmp_path: Path, exported: str
) -> None:
    imported(tmp_path, store.url, exported)
    config = tmp_path / "chat.toml"
    config.write_text("limits.history_posts_per_room = 1")
    done = history("trim", store.url, "--config", str(config))
    assert done.stdout == "2 posts deleted.\n"
    lines = [json.loads(line) for line in history("export", store.url).stdout.splitlines()]
    assert [line["post"]["position"] for line in lines if "post" in line] == [3, 1]
    assert history("check", store.url).stdout == "No problems found.\n"


def test_trim_has_the_limits_of_a_server_without_a_file(
    store: RunningEngine, tmp_path: Path, exported: str
) -> None:
    imported(tmp_path, store.url, exported)
    done = history("trim", store.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 posts deleted.\n", "")


def test_a_server_refuses_a_store_whose_import_did_not_end(store: RunningEngine) -> None:
    store.call("SET", keys.IMPORT, "killed")
    reason = "an import into it did not end; run geventchat history import again"
    told = f"geventchat: --timeline {store.url}: {reason}\n"
    done = run("serve", "--port", "0", "--timeline", store.url)
    assert (done.returncode, done.stdout, done.stderr) == (75, "", told)
    for act in ("export", "check", "renew"):
        done = history(act, store.url)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


def test_an_import_that_is_killed_can_be_done_again(
    store: RunningEngine, tmp_path: Path, exported: str
) -> None:
    many = "".join(f'{{"type":"room","name":"room-{number}"}}\n' for number in range(5_000))
    head = exported.splitlines(keepends=True)[0]
    with subprocess.Popen(
        [*COMMAND, "history", "import", "--timeline", store.url], stdin=subprocess.PIPE, text=True
    ) as importing:
        assert importing.stdin
        importing.stdin.write(head + many)
        importing.stdin.flush()
        end = time.monotonic() + 20
        while not store.call("ZCARD", keys.ROOMS) and time.monotonic() < end:
            time.sleep(0.01)
        importing.kill()
    assert not store.call("EXISTS", keys.LIFE)
    assert imported(tmp_path, store.url, exported).returncode == 0
    assert history("export", store.url).stdout == without_epoch(exported)


def test_an_import_with_a_bad_line_names_it_and_leaves_nothing(
    store: RunningEngine, tmp_path: Path, exported: str
) -> None:
    done = imported(tmp_path, store.url, exported.replace('"position":2', '"position":7'))
    assert done.returncode == 2
    assert done.stderr.endswith("lines: line 4: position 7 comes after 1\n")
    assert store.call("DBSIZE") == 0


def test_an_import_into_an_engine_that_would_lose_it_is_refused(
    tmp_path: Path, exported: str
) -> None:
    with running("redis", "--appendonly", "no") as engine:
        done = imported(tmp_path, engine.url, exported)
        assert done.returncode == 2
        assert "appendonly yes" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert engine.call("DBSIZE") == 0
