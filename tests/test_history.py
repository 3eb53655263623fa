"""`geventchat history` as its users meet it."""

import json
import signal
import sqlite3
import stat
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from geventchat.client import Connection
from geventchat.server.timeline.sqlite.schema import room_bytes
from tests.command import COMMAND, first_line, refusal, run, serving
from tests.process import served
from tests.server.record import Record, edit, in_file, redact, say, set_topic


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a database with posts in two rooms that is not in use."""
    path = tmp_path / "chat.db"
    record = Record(in_file(path))
    record.turn(say("one", "k"), say("zwei 🎈"), say("three"), say("hi", room="other"))
    record.turn(set_topic("tea", room="other"))
    record.close()
    return path


def history(act: str, path: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return run("history", act, "--timeline", f"sqlite:{path}", *more)


def epoch(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        found: tuple[str] = db.execute("SELECT epoch FROM store").fetchone()
    return found[0]


def tables(path: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as db:
        return set(db.execute("SELECT name, sql FROM sqlite_master"))


def damage(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE posts SET text = 'Zwei' WHERE position = 2")


def imported(tmp_path: Path, lines: str) -> "subprocess.CompletedProcess[str]":
    file = tmp_path / "lines"
    file.write_text(lines, "utf-8")
    return history("import", tmp_path / "new.db", str(file))


def test_an_imported_database_is_readable_by_its_owner_only(path: Path, tmp_path: Path) -> None:
    imported(tmp_path, history("export", path).stdout)
    assert stat.S_IMODE((tmp_path / "new.db").stat().st_mode) == 0o600


def test_an_export_can_be_imported(path: Path, tmp_path: Path) -> None:
    exported = history("export", path)
    assert exported.returncode == 0

    done = imported(tmp_path, exported.stdout)

    assert (done.returncode, done.stdout) == (0, "4 posts imported.\n")
    assert history("export", tmp_path / "new.db").stdout == exported.stdout
    assert epoch(tmp_path / "new.db") != epoch(path)  # it may be older than what clients saw
    renewed = epoch(tmp_path / "new.db")
    record = Record(in_file(tmp_path / "new.db"))
    assert record.timeline.epoch == renewed
    assert [post.text for post in record.everything()] == ["one", "zwei 🎈", "three"]
    record.open("other")
    assert record.timeline.topic("other") == "tea"
    assert record.turn(say("one", "k")).repeated[0][1] == 1
    record.close()


def test_a_move_takes_the_epoch_along(path: Path, tmp_path: Path) -> None:
    before = epoch(path)
    exported = history("move", path).stdout
    assert epoch(path) != before  # whatever is stored here from now on has other positions
    done = imported(tmp_path, exported)
    assert done.stdout == "4 posts imported. Clients go on where they were.\n"
    assert epoch(tmp_path / "new.db") == before
    record = Record(in_file(tmp_path / "new.db"))
    assert record.timeline.epoch == before  # the rollback guard finds nothing wrong
    record.close()


def test_search_finds_what_is_there_after_a_move_to_the_former_place(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with served(tmp_path) as server:
        with Connection(*server.address, rooms=["zoo", "tea"]) as chat:
            for room, text in ("zoo", "one"), ("tea", "two"), ("tea", "three"):
                chat.say(room, text)
            until_finds(chat, "one", {("zoo", "one")})
            until_finds(chat, "three", {("tea", "three")})
        server.signal(signal.SIGTERM)
        server.wait(20)
    exported = tmp_path / "lines"
    exported.write_text(history("move", path).stdout, "utf-8")
    path.unlink()
    assert "Clients go on" in history("import", path, str(exported)).stdout
    with (
        served(tmp_path) as server,
        Connection(*server.address, rooms=["zoo", "tea"]) as chat,
    ):
        chat.say("zoo", "four")
        until_finds(chat, "four", {("zoo", "four")})
        until_finds(chat, "two", {("tea", "two")})


def until_finds(chat: Connection, text: str, posts: set[tuple[str, str]]) -> None:
    """Wait until a search finds something, and check what."""
    end = time.monotonic() + 20
    while not (found := chat.search(text).posts):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert {(post.room, post.text) for post in found} == posts


def test_an_import_into_a_database_that_has_only_accounts_is_refused(
    path: Path, tmp_path: Path
) -> None:
    """It would have the accounts of both, and two of them one nick."""
    record = Record(in_file(tmp_path / "new.db"))
    record.timeline.start()
    record.timeline.keep([("account", "1", b"kept")])
    record.close()
    done = imported(tmp_path, history("export", path).stdout)
    assert done.returncode == 2
    assert "the database is not empty" in done.stderr
    record = Record(in_file(tmp_path / "new.db"))
    assert record.timeline.records("account") == [("1", b"kept")]
    record.close()


def test_an_export_leaves_the_epoch_where_it_is(path: Path) -> None:
    before = epoch(path)
    assert before not in history("export", path).stdout
    assert epoch(path) == before


def test_a_move_that_cannot_be_written_keeps_the_epoch(path: Path) -> None:
    before = epoch(path)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "history", "move", "--timeline", f"sqlite:{path}"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert epoch(path) == before


def test_an_export_has_the_newest_positions_and_changes(path: Path) -> None:
    record = Record(in_file(path))
    record.turn(edit(1, "once"), edit(1, "twice"))
    record.close()
    lines = map(json.loads, history("export", path).stdout.splitlines())
    found = {line["name"]: (line["top"], line["change"]) for line in lines if "name" in line}
    assert found == {"lobby": (3, 2), "other": (1, 0)}


def totals(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as db:
        found: tuple[int, int] = db.execute("SELECT posts, room_bytes FROM store").fetchone()
    return found


def test_an_import_skips_a_byte_order_mark_and_names_utf_16(path: Path, tmp_path: Path) -> None:
    exported = history("export", path).stdout
    assert imported(tmp_path, f"\ufeff{exported}").stdout == "4 posts imported.\n"
    file = tmp_path / "utf-16"
    file.write_bytes(exported.encode("utf-16"))
    done = history("import", tmp_path / "other.db", str(file))
    assert done.returncode == 2
    assert done.stderr == f"geventchat: import {file}: is UTF-16; save it as UTF-8\n"


def test_an_import_names_a_post_that_repeats_a_key_and_stores_nothing(tmp_path: Path) -> None:
    lines = (
        '{"geventchat":"history","version":1}\n'
        '{"type":"room","name":"a"}\n'
        '{"type":"post","post":{"position":1,"client":"00","key":"k"}}\n'
        '{"type":"post","post":{"position":2,"client":"00","key":"k"}}\n'
        '{"type":"end","rooms":1,"posts":2}\n'
    )
    done = imported(tmp_path, lines)
    assert done.returncode == 2
    why = "the key k of one client is there twice in the room a: the post at position 2 repeats it"
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("new.db*"))


def test_an_imported_database_is_made_like_any_other(path: Path, tmp_path: Path) -> None:
    imported(tmp_path, history("export", path).stdout)
    assert tables(tmp_path / "new.db") == tables(path)


def test_an_import_updates_the_totals(path: Path, tmp_path: Path) -> None:
    """Posts ever stored, and the size of rooms and topics: no server has to count them again."""
    imported(tmp_path, history("export", path).stdout)
    assert totals(tmp_path / "new.db") == totals(path) == (4, room_bytes("") + room_bytes("tea"))


def test_history_can_be_exported_while_a_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with serving("--timeline", f"sqlite:{path}") as process:
        first_line(process)
        lines = history("export", path).stdout.splitlines()
        assert [json.loads(line) for line in lines] == [
            {"geventchat": "history", "version": 1},
            {"type": "end", "rooms": 0, "posts": 0},
        ]
        file = tmp_path / "chat.toml"
        file.write_text("limits.history_days = 1")
        for act, *more in (
            ("trim", "--config", str(file)), ("renew",), ("import",), ("move",)
        ):  # fmt: skip
            done = history(act, path, *more)
            assert done.returncode == 75
            assert f"in use by another server, process {process.pid}" in done.stderr


def test_trim_takes_the_database_and_the_limits_from_a_config_file(path: Path) -> None:
    file = path.with_name("chat.toml")
    file.write_text(f'timeline = "sqlite:{path}"\nlimits.history_posts_per_room = 1')
    assert run("history", "trim", GEVENTCHAT_CONFIG=str(file)).stdout == "2 posts deleted.\n"


def test_check_reports_no_problems_or_each_damaged_post(path: Path) -> None:
    done = history("check", path)
    assert (done.returncode, done.stdout) == (0, "No problems found.\n")
    damage(path)
    done = history("check", path)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "lobby: the post at position 2 is damaged or missing",
        "The history is damaged.",
    ]


def check_placeholder(tmp_path: Path, exported: str) -> None:
    """Check that an import has a placeholder at the position of the damaged post."""
    assert imported(tmp_path, exported).returncode == 0
    record = Record(in_file(tmp_path / "new.db"))
    texts = [post.text for post in record.everything()]
    record.close()
    assert texts[0::2] == ["one", "three"]
    assert "damaged" in texts[1]


def test_a_missing_post_is_refused_at_the_start_and_located_by_check(
    path: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM posts WHERE position = 2")
    line = refusal("serve", "--port", "0", "--timeline", f"sqlite:{path}")
    assert "posts of lobby are missing" in line
    assert history("check", path).stdout.splitlines() == [
        "posts of lobby are missing",
        "lobby: the post at position 2 is damaged or missing",
        "The history is damaged.",
    ]
    exported = history("export", path)
    assert exported.returncode == 1
    assert "posts of lobby are missing" in exported.stderr
    check_placeholder(tmp_path, exported.stdout)


def test_a_post_with_a_damaged_position_is_exported_as_lost_at_its_position(
    path: Path, tmp_path: Path
) -> None:
    data = path.read_bytes()
    author = data.index("annazwei 🎈".encode())
    at = data.rindex(b"\x02", 0, author - 6)  # six bytes of time are between them
    path.write_bytes(data[:at] + b"\x42" + data[at + 1 :])
    assert "posts of lobby are missing" in refusal(
        "serve", "--port", "0", "--timeline", f"sqlite:{path}"
    )
    exported = history("export", path)
    assert exported.returncode == 1
    check_placeholder(tmp_path, exported.stdout)


def test_a_damaged_post_is_exported_and_imported_as_lost(path: Path, tmp_path: Path) -> None:
    damage(path)
    exported = history("export", path)
    assert exported.returncode == 1
    assert exported.stderr == "geventchat: 1 posts are damaged and are lost\n"
    check_placeholder(tmp_path, exported.stdout)
    assert history("check", tmp_path / "new.db").returncode == 0


def test_a_file_whose_pages_are_damaged_is_refused_at_start_and_found_by_check(path: Path) -> None:
    data = bytearray(path.read_bytes())
    size = 4096
    for page in range(1, len(data) // size):  # all but the first, which names the tables
        data[page * size : page * size + 64] = b"\xa5" * 64
    path.write_bytes(data)
    line = refusal("serve", "--port", "0", "--timeline", f"sqlite:{path}")
    assert "damaged" in line
    assert "docs/operations.md" in line
    assert history("check", path).returncode in (1, 2)


def test_all_posts_outside_a_damaged_page_are_exported(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    record = Record(in_file(path))
    record.fill([f"{number} {'x' * 100}" for number in range(1, 1_001)])
    record.close()
    data = bytearray(path.read_bytes())
    middle = data.index(b"500 xxx") & ~4095  # start of its page
    data[middle : middle + 4096] = b"\xa5" * 4096
    path.write_bytes(data)

    exported = history("export", path)

    assert exported.returncode == 1
    done = imported(tmp_path, exported.stdout)
    assert (done.returncode, done.stdout) == (0, "1,000 posts imported.\n")
    record = Record(in_file(tmp_path / "new.db"))
    posts = record.everything()
    record.close()
    lost = [post.position for post in posts if "is lost" in post.text]
    assert 500 in lost
    assert lost == list(range(lost[0], lost[-1] + 1))
    assert len(lost) < 40
    assert all(
        post.text.startswith(f"{post.position} x") or post.position in lost for post in posts
    )
    done = history("check", path)
    assert done.returncode == 1
    assert "lobby: the post at position 500 is damaged" in done.stdout


def test_a_file_with_damaged_table_definitions_is_refused_with_advice(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:140] = b"\xa5" * 40
    path.write_bytes(data)
    line = refusal("serve", "--port", "0", "--timeline", f"sqlite:{path}")
    assert "damaged" in line
    assert "docs/operations.md" in line
    assert path.read_bytes() == data


@pytest.mark.parametrize("act", ["export", "check", "trim", "renew"])
def test_a_database_of_a_newer_version_is_named_and_untouched(path: Path, act: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    file = path.with_name("chat.toml")
    file.write_text("limits.history_days = 1")
    done = history(act, path, *(["--config", str(file)] if act == "trim" else []))
    assert done.returncode == 2
    assert "a newer geventchat wrote this database" in done.stderr
    assert path.read_bytes() == before


def test_history_is_trimmed(path: Path) -> None:
    file = path.with_name("chat.toml")
    file.write_text("limits.history_posts_per_room = 1")
    assert history("trim", path, "--config", str(file)).stdout == "2 posts deleted.\n"
    assert '"one"' not in history("export", path).stdout
    assert history("check", path).returncode == 0


def test_trim_asks_once_whether_a_clock_that_is_far_ahead_is_right(path: Path) -> None:
    """It would delete everything if it was wrong."""
    guard = path.with_name("chat.db.guard")
    known = json.loads(guard.read_text())
    guard.write_text(json.dumps(known | {"time": known["time"] - 40 * 86_400_000}))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE posts SET time = time - ?", (40 * 86_400_000,))
    file = path.with_name("chat.toml")
    file.write_text("limits.history_days = 30")
    done = history("trim", path, "--config", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert "by the system clock 40.0 days have passed" in done.stderr
    assert history("trim", path, "--config", str(file)).stdout == "4 posts deleted.\n"


def test_renew_starts_a_new_epoch(path: Path) -> None:
    before = epoch(path)
    assert history("renew", path).returncode == 0
    assert epoch(path) != before


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("", "line 1: this is no history that geventchat wrote"),
        ("{}\n", "line 1: this is no history that geventchat wrote"),
        ("H{\n", "line 2: "),
        ('H{"type":"post","post":{"position":1}}\n', "line 2: a post comes before its room"),
        ('H{"type":"room","name":"Ä b"}\n', "line 2: "),
        ('H{"type":"room","name":"a"}\n{"type":"room","name":"a"}\n', "line 3: UNIQUE"),
        (
            'H{"type":"room","name":"a"}\n{"type":"post","post":{"position":1}}\n'
            '{"type":"post","post":{"position":3}}\n',
            "line 4: position 3 comes after 1",
        ),
        (
            'H{"type":"room","name":"a"}\n{"type":"post","post":{"position":1,"text":"\\u0000"}}\n',
            "line 3: not a valid post",
        ),
    ],
)
def test_an_invalid_import_names_the_line_and_stores_nothing(
    tmp_path: Path, lines: str, why: str
) -> None:
    done = imported(tmp_path, lines.replace("H", '{"geventchat":"history","version":1}\n', 1))
    assert done.returncode == 2
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("new.db*"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["export", "--timeline", "memory:"], "has no stored history"),
        (["export", "--timeline", "sqlite:none.db"], "file not found"),
        (["trim"], "No retention limit is set"),
        (["trim", "--config", "none.toml"], "none.toml"),
        (["import", "none"], "No such file"),
    ],
)
def test_an_unusable_argument_of_history_is_one_line(arguments: list[str], line: str) -> None:
    assert line in refusal("history", *arguments)


def test_an_export_has_edits_and_redactions_and_no_former_text(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    record = Record(in_file(path))
    record.turn(say("helo", "k"), say("secret"), say("three"))
    record.turn(edit(1, "hello", account="a"), redact(2, may_redact_any=True))
    before = record.everything(), record.timeline.changes("lobby", 0, 3)
    record.close()

    exported = history("export", path).stdout

    assert "secret" not in exported
    assert '"helo"' not in exported
    assert imported(tmp_path, exported).stdout == "3 posts imported.\n"
    assert history("export", tmp_path / "new.db").stdout == exported
    assert totals(tmp_path / "new.db") == totals(path)
    record = Record(in_file(tmp_path / "new.db"))
    assert (record.everything(), record.timeline.changes("lobby", 0, 3)) == before
    assert record.timeline.change("lobby") == 2
    assert record.turn(say("helo", "k")).repeated[0][1] == 1
    record.close()
    assert history("check", tmp_path / "new.db").returncode == 0


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"redacted": True, "change": 1}, "a redacted post has no text"),
        ({"change": -1}, "not a valid post"),
    ],
)
def test_an_import_refuses_changes_that_cannot_be(
    path: Path, tmp_path: Path, fields: dict[str, object], told: str
) -> None:
    lines = [json.loads(line) for line in history("export", path).stdout.splitlines()]
    lines[2]["post"] |= fields
    done = imported(tmp_path, "\n".join(map(json.dumps, lines)))
    assert done.returncode == 2
    assert told in done.stderr
