"""Files that can be used, and those that cannot: the refusal names the file and leaves nothing."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geventchat.config import BadOption, BadSetting
from geventchat.server.timeline.sqlite import SqliteTimeline, schema
from geventchat.server.timeline.sqlite.claim import Claim, check_path
from tests.command import COMMAND
from tests.server.record import Record, on_disk, say
from tests.server.timeline.conftest import other_program

NOBODY = 65_534


def unusable(path: Path) -> str:
    """Return why a path is refused."""
    with pytest.raises(BadOption) as refused:
        SqliteTimeline(lambda batch: None, str(path))
    assert refused.value.option == "--timeline"
    assert refused.value.value == f"sqlite:{path}"
    assert "\n" not in str(refused.value)
    return refused.value.reason


def test_one_server_at_a_time_may_use_a_file(record: Record, path: Path) -> None:
    record.fill(["one"])
    reason = unusable(path)
    assert "another server" in reason
    assert str(os.getpid()) in reason
    assert len(record.turn(say("two")).entries) == 1


def test_a_file_is_in_use_under_any_of_its_names(record: Record, path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path.name)
    assert "another server" in unusable(link)


def test_a_refused_server_does_not_disturb_the_running_one(record: Record, path: Path) -> None:
    for _ in range(3):
        assert str(os.getpid()) in unusable(path)


def test_a_file_may_be_used_again_after_its_server_ended(record: Record) -> None:
    for _ in range(3):
        record.close()
        record.reopen()


def test_another_programs_database_is_refused_and_untouched(path: Path) -> None:
    with other_program(path) as db:
        db.execute("CREATE TABLE posts (precious TEXT)")
    before = path.read_bytes()
    assert unusable(path) == "this is another program's database"
    assert path.read_bytes() == before


def test_a_newer_servers_database_is_refused_and_untouched(record: Record, path: Path) -> None:
    record.fill(["one"])
    record.close()
    with other_program(path) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = path.read_bytes()
    assert unusable(path) == "a newer geventchat wrote this database"
    assert path.read_bytes() == before
    with other_program(path) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION}")
    record.reopen()


def test_a_file_that_is_not_a_database_is_refused_and_untouched(path: Path) -> None:
    path.write_text("Dear diary, " * 1_000)
    assert unusable(path) == "file is not a database"
    assert path.read_text() == "Dear diary, " * 1_000


def test_a_database_that_is_locked_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Record(on_disk(path)).close()
    monkeypatch.setattr(schema, "LOCKED_SECONDS", 0.01)
    with other_program(path) as db:
        db.execute("BEGIN EXCLUSIVE")
        assert unusable(path) == "database is locked"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    assert unusable(place) == "Is a directory"
    assert list(place.iterdir()) == []


def test_a_path_in_a_missing_directory_is_refused(tmp_path: Path) -> None:
    assert unusable(tmp_path / "none" / "chat.db") == "No such file or directory"
    (tmp_path / "file").touch()
    assert unusable(tmp_path / "file" / "chat.db") == "Not a directory"


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Return a folder that any user may write to; those of pytest are private to root."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o777)
        yield place


@contextmanager
def unprivileged() -> Iterator[None]:
    """Switch to a user without root's permissions."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def permissive_umask() -> Iterator[None]:
    """Set a umask with which new files are world-readable."""
    former = os.umask(0o022)
    yield
    os.umask(former)


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


@pytest.mark.usefixtures("permissive_umask")
def test_created_files_are_readable_by_their_owner_only(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "there.db")
    record = Record(on_disk(path))
    record.fill(["secret"])
    path.unlink()
    made = ("there.db", "there.db-wal", "there.db-shm", "there.db.lock", "there.db.guard")
    assert modes(tmp_path) == dict.fromkeys(made, 0o600)
    record.close()


@pytest.mark.usefixtures("permissive_umask")
def test_an_existing_file_keeps_its_mode(path: Path, tmp_path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    record = Record(on_disk(path))
    record.fill(["secret"])
    found = modes(tmp_path)
    assert [found[f"chat.db{end}"] for end in ("", "-wal", "-shm")] == [0o640] * 3
    record.close()


def test_a_directory_that_cannot_be_written_to_is_refused(public_folder: Path) -> None:
    public_folder.chmod(0o555)
    with unprivileged():
        reason = unusable(public_folder / "chat.db")
    assert reason.startswith(f"cannot write {public_folder}: it belongs to ")
    assert list(public_folder.iterdir()) == []


def test_a_file_that_cannot_be_written_to_is_refused_and_untouched(
    path: Path, public_folder: Path
) -> None:
    Record(on_disk(path)).close()
    before = path.read_bytes()
    # Another file: SQLite may still have a descriptor of the former open, and reuse it.
    path = public_folder / "copy.db"
    path.write_bytes(before)
    path.chmod(0o444)
    with unprivileged():
        assert f"cannot write {path}: it belongs to " in unusable(path)
    assert path.read_bytes() == before


def test_a_refused_server_may_try_again(path: Path) -> None:
    path.write_text("Dear diary, " * 1_000)
    unusable(path)
    path.unlink()
    record = Record(on_disk(path))
    record.fill(["one"])
    record.close()


def refusal(path: Path) -> str:
    """Return why an unprivileged user cannot use a database; check that nothing is left."""
    before = set(path.parent.iterdir())
    with unprivileged():
        with pytest.raises(BadSetting) as refused:
            Record(on_disk(path))
        with pytest.raises(BadSetting):
            check_path(str(path))
    assert set(path.parent.iterdir()) <= before
    assert "\n" not in str(refused.value)
    return refused.value.reason


@pytest.mark.parametrize("name", ["chat.db", "chat.db-wal", "chat.db-shm", "chat.db.lock"])
def test_a_file_that_cannot_be_written_is_named_with_its_owner(
    public_folder: Path, name: str
) -> None:
    for each in ("chat.db", name):
        (public_folder / each).touch(mode=0o666)
    (public_folder / "chat.db").chmod(0o666)
    (public_folder / name).chmod(0o400)
    if os.geteuid() == 0:
        os.chown(public_folder / name, 0, 0)
    reason = refusal(public_folder / "chat.db")
    assert f"cannot write {public_folder / name}: it belongs to " in reason
    assert "with mode 0400" in reason


def test_after_a_failed_start_the_next_one_works(public_folder: Path) -> None:
    """SQLite would leave files beside the database that are read-only like it was."""
    path = public_folder / "chat.db"
    with unprivileged():
        Record(on_disk(path)).close()
        path.chmod(0o400)
    refusal(path)
    with unprivileged():
        path.chmod(0o600)
        record = Record(on_disk(path))
        assert len(record.turn(say("one")).entries) == 1
        record.close()


@pytest.mark.parametrize("size", [0, 1, 6_000, 30_000])
def test_a_start_on_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, size: int) -> None:
    path = tmp_path / "chat.db"
    serve = [*COMMAND, "serve", "--port", "0", "--admin", "none", "--timeline", f"sqlite:{path}"]
    done = subprocess.run(
        ["prlimit", f"--fsize={size}", *serve],
        # Bytecode would be cut off and kept, and other tests would meet it.
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 75
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"geventchat: --timeline sqlite:{path}: ")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    (tmp_path / "chat.db.guard").write_text("precious")
    claim = Claim(str(path))
    path.touch()
    claim.abandon(OSError("some reason"))
    assert [file.name for file in tmp_path.iterdir()] == ["chat.db.guard"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_root_creates_belongs_to_the_owner_of_the_folder(public_folder: Path) -> None:
    """So that the service can use it after a command that was run as root."""
    os.chown(public_folder, NOBODY, NOBODY)
    record = Record(on_disk(public_folder / "chat.db"))
    record.fill(["one"])
    owners = {file.name: file.stat().st_uid for file in public_folder.iterdir()}
    made = ("chat.db", "chat.db-wal", "chat.db-shm", "chat.db.lock", "chat.db.guard")
    assert owners == dict.fromkeys(made, NOBODY)
    record.close()
