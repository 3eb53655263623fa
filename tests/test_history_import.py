"""`geventchat history import`: complete or not at all, whatever a file has been through."""

import bz2
import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import COMMAND, run
from tests.server.record import Record, in_file, say

ROOM = b'{"type":"room","name":"lobby","topic":"","top":0}'
HEAD = b'{"geventchat":"history","version":1}'
END = b'{"type":"end","rooms":2,"posts":4}'


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return an export of four posts in two rooms."""
    path = tmp_path_factory.mktemp("exported") / "chat.db"
    record = Record(in_file(path))
    record.turn(say("one", "k"), say("zwei 🎈"), say("three"), say("hi", room="other"))
    record.close()
    done = subprocess.run(
        [*COMMAND, "history", "export", "--timeline", f"sqlite:{path}"],
        capture_output=True,
        check=True,
    )
    return done.stdout


def imported(folder: Path, data: bytes) -> "subprocess.CompletedProcess[str]":
    file = folder / "lines"
    file.write_bytes(data)
    return run("history", "import", "--timeline", f"sqlite:{folder}/new.db", str(file))


def check_refused(folder: Path, done: "subprocess.CompletedProcess[str]", code: int) -> str:
    """Check that an import failed in one line and left nothing; return the line."""
    assert (done.returncode, done.stdout) == (code, "")
    assert not list(folder.glob("new.db*"))
    (line,) = done.stderr.splitlines()
    return line


def test_an_export_ends_with_its_counts(exported: bytes) -> None:
    assert exported.splitlines()[-1] == END


@pytest.mark.parametrize("kept", range(1, 7))
def test_an_export_that_was_cut_off_after_a_line_is_not_imported(
    tmp_path: Path, exported: bytes, kept: int
) -> None:
    line = check_refused(
        tmp_path, imported(tmp_path, b"".join(exported.splitlines(keepends=True)[:kept])), 1
    )
    assert f"cut off after line {kept}: " in line


def test_an_export_that_was_cut_off_anywhere_is_not_imported(
    tmp_path: Path, exported: bytes
) -> None:
    balloon = exported.index("🎈".encode())
    for end in (len(HEAD) + 9, balloon - 3, balloon + 2, len(exported) - 2):
        done = imported(tmp_path, exported[:end])
        assert "cut off after line" in check_refused(tmp_path, done, 1)


def test_what_is_left_of_an_export_can_be_imported_with_the_end_that_the_refusal_names(
    tmp_path: Path, exported: bytes
) -> None:
    """Also an export of a version that wrote no counts."""
    rest = b"".join(exported.splitlines(keepends=True)[:4])
    line = check_refused(tmp_path, imported(tmp_path, rest), 1)
    end = line[line.index('{"type":"end"') :]
    assert json.loads(end) == {"type": "end", "rooms": 1, "posts": 2}
    assert imported(tmp_path, rest + end.encode()).stdout == "2 posts imported.\n"


def test_an_epoch_that_clients_could_not_be_told_is_refused(
    tmp_path: Path, exported: bytes
) -> None:
    for epoch in (b"a b", b"e" * 65):
        data = exported.replace(END, END[:-1] + b',"epoch":"' + epoch + b'"}')
        assert "line 8: not a valid epoch" in check_refused(tmp_path, imported(tmp_path, data), 2)


def test_a_missing_room_is_noticed(tmp_path: Path, exported: bytes) -> None:
    lines = exported.splitlines(keepends=True)
    line = check_refused(tmp_path, imported(tmp_path, b"".join([*lines[:5], lines[-1]])), 1)
    assert "2 rooms and 4 posts were exported, here are 1 and 3" in line


def test_two_exports_in_one_file_are_refused(tmp_path: Path, exported: bytes) -> None:
    line = check_refused(tmp_path, imported(tmp_path, exported * 2), 2)
    assert "line 9: comes after the end" in line


@pytest.mark.parametrize(
    ("find", "put"),
    [
        (b"\n", b"\r\n"),
        (b"\n", b"\n\n"),
        (b"\n", b" \r\n\t\n"),
        (HEAD, b"\xef\xbb\xbf" + HEAD),
        (HEAD, b"\n" + HEAD),
        (END + b"\n", END),
        (END + b"\n", END + b"\n\r\n \n"),
    ],
)
def test_line_ends_blank_lines_and_a_byte_order_mark_do_not_matter(
    tmp_path: Path, exported: bytes, find: bytes, put: bytes
) -> None:
    done = imported(tmp_path, exported.replace(find, put))
    assert (done.returncode, done.stdout, done.stderr) == (0, "4 posts imported.\n", "")


@pytest.mark.parametrize(
    ("encode", "why"),
    [
        (gzip.compress, "is compressed; decompress it first: gzip -d"),
        (bz2.compress, "is compressed; decompress it first: bzip2 -d"),
        (lzma.compress, "is compressed; decompress it first: xz -d"),
        (lambda data: data.decode().encode("utf-16"), "lines: is UTF-16; save it as UTF-8"),
        (lambda data: data.decode().encode("utf-16-le"), "lines: is UTF-16; save it as UTF-8"),
        (lambda data: data.decode().encode("utf-16-be"), "lines: is UTF-16; save it as UTF-8"),
        (lambda data: data.decode().encode("utf-32"), "lines: is UTF-16; save it as UTF-8"),
        (lambda data: data.replace(b"three", b"d\xe9j\xe0"), "line 5: "),
        (lambda _: b"SQLite format 3\0" + b"\0" * 100, "lines: is a database, not an export"),
        (lambda _: b"\0" * 100_000, "no history that geventchat wrote"),
        (lambda _: b"", "no history that geventchat wrote"),
        (lambda _: b"\n", "no history that geventchat wrote"),
    ],
)
def test_what_is_no_utf_8_text_is_refused_with_its_name(
    tmp_path: Path, exported: bytes, encode: "type[bytes]", why: str
) -> None:
    line = check_refused(tmp_path, imported(tmp_path, encode(exported)), 2)
    assert why in line


def test_a_failed_import_leaves_an_empty_database_as_it_was(
    tmp_path: Path, exported: bytes
) -> None:
    Record(in_file(tmp_path / "new.db")).close()
    assert imported(tmp_path, exported[:-9]).returncode == 1
    assert imported(tmp_path, exported).stdout == "4 posts imported.\n"
    assert "the database is not empty" in imported(tmp_path, exported).stderr
    export = run("history", "export", "--timeline", f"sqlite:{tmp_path}/new.db")
    assert export.stdout.encode() == exported


def test_an_import_that_the_disk_is_too_small_for_leaves_nothing(
    tmp_path: Path, exported: bytes
) -> None:
    (tmp_path / "lines").write_bytes(exported)
    done = subprocess.run(
        ["prlimit", "--fsize=40000", *COMMAND, "history", "import", str(tmp_path / "lines")],
        env={"GEVENTCHAT_TIMELINE": f"sqlite:{tmp_path}/new.db", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    check_refused(tmp_path, done, 75)


def test_trimming_or_renewing_a_history_that_is_not_there_creates_none(tmp_path: Path) -> None:
    for action in ("trim", "renew"):
        done = run(
            "history", action, "--timeline", f"sqlite:{tmp_path}/none.db",
            GEVENTCHAT_CONFIG=_config(tmp_path) if action == "trim" else "",
        )  # fmt: skip
        assert "file not found" in done.stderr
    assert not list(tmp_path.glob("none.db*"))


def _config(folder: Path) -> str:
    file = folder / "chat.toml"
    file.write_text("limits.history_days = 1")
    return str(file)
