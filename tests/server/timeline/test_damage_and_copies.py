"""Damage is refused when it is read, and an older copy of the file gets a new epoch."""

from pathlib import Path

import pytest

from geventchat.config import BadOption
from geventchat.protocol.errors import Refused
from geventchat.server.timeline.sqlite import SqliteTimeline, schema
from tests.server.record import Record, Verdicts, on_disk, say, verdicts
from tests.server.timeline.conftest import other_program


@pytest.mark.parametrize(
    "change",
    [
        "text = 'Two'",
        "text = CAST(x'ff' AS TEXT)",
        "author = 'anne'",
        "time = time + 1",
        "key = 'j'",
        "client = x'00'",
        "sum = sum + 1",
        "text = 3",
    ],
)
def test_a_damaged_post_is_neither_returned_nor_skipped(
    record: Record, path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    record.turn(say("one"), say("two", "k"), say("three"))
    with other_program(path) as db:
        db.execute(f"UPDATE posts SET {change} WHERE position = 2")
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            record.timeline.since("lobby", 0, 3)
        assert refused.value.code == "storage"
    with pytest.raises(Refused):
        record.timeline.before("lobby", 4, 3)
    assert [post.text for post in record.timeline.since("lobby", 2, 3)] == ["three"]
    assert caplog.text.count("position 2 of lobby is damaged") == 1
    assert verdicts(record.turn(say("four"))).posts == [("lobby", 4, "four")]


@pytest.mark.parametrize("position", [1, 2, 3])
def test_a_missing_post_is_never_skipped(record: Record, path: Path, position: int) -> None:
    record.turn(say("one"), say("two"), say("three"))
    with other_program(path) as db:
        db.execute("DELETE FROM posts WHERE position = ?", (position,))
    since, before = record.timeline.since, record.timeline.before
    for read, first, second in (
        (since, 0, 3),
        (since, position - 1, 3),
        (since, position - 1, position),
        (before, 4, 3),
        (before, position + 1, 1),
    ):
        with pytest.raises(Refused) as refused:
            read("lobby", first, second)
        assert refused.value.code == "storage"


@pytest.mark.parametrize(
    "change", ["text = 'Two'", "text = CAST(x'ff' AS TEXT)", "author = CAST(x'ff' AS TEXT)"]
)
def test_a_say_that_may_repeat_a_damaged_post_is_no_conflict(
    record: Record, path: Path, change: str
) -> None:
    record.turn(say("one"), say("two", "k"))
    with other_program(path) as db:
        db.execute(f"UPDATE posts SET {change} WHERE position = 2")
    batch = record.turn(say("two", "k"), say("three"))
    assert verdicts(batch) == Verdicts(posts=[("lobby", 3, "three")], failed=["two"])


def copy(path: Path, to: Path) -> None:
    """Copy a database that is not in use."""
    to.write_bytes(path.read_bytes())


def test_a_restored_older_copy_gets_a_new_epoch(
    record: Record, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record.turn(say("one"))
    epoch = record.timeline.epoch
    record.close()
    copy(path, tmp_path / "backup")
    record.reopen()
    record.turn(say("two"))
    record.close()
    assert record.timeline.epoch == epoch
    copy(tmp_path / "backup", path)

    record.reopen()

    renewed = record.timeline.epoch
    assert renewed != epoch
    assert "is older than the last known state" in caplog.text
    assert verdicts(record.turn(say("three"))).posts == [("lobby", 2, "three")]
    record.close()
    record.reopen()
    assert record.timeline.epoch == renewed


def test_a_copy_with_another_epoch_gets_a_new_epoch(
    record: Record, path: Path, tmp_path: Path
) -> None:
    record.turn(say("one"))
    record.close()
    copy(path, tmp_path / "backup")
    path.unlink()
    record.reopen()
    record.close()
    former = {record.timeline.epoch}
    copy(tmp_path / "backup", path)
    record.reopen()
    assert record.timeline.epoch not in former


def test_a_restored_identical_copy_keeps_its_epoch(
    record: Record, path: Path, tmp_path: Path
) -> None:
    record.turn(say("one"))
    epoch = record.timeline.epoch
    record.close()
    copy(path, tmp_path / "backup")
    copy(tmp_path / "backup", path)
    record.reopen()
    assert record.timeline.epoch == epoch


def test_a_stale_broken_or_missing_guard_file_keeps_the_epoch(record: Record, path: Path) -> None:
    """It is behind after a crash, and may be truncated by a power failure."""
    record.turn(say("one"))
    epoch = record.timeline.epoch
    record.close()
    guard = Path(f"{path}.guard")
    seen = guard.read_text()
    for left in (seen.replace('"posts": 1', '"posts": 0'), "", "{", "[]", None):
        if left is None:
            guard.unlink()
        else:
            guard.write_text(left)
        record.reopen()
        assert record.timeline.epoch == epoch
        record.close()
    record.reopen()


def test_a_large_file_is_checked_while_the_server_runs(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = Record(on_disk(path))
    record.fill(["x" * 100] * 2_000)
    record.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)  # not where the newest posts are, nor the oldest
        file.write(b"\xa5" * 4_096)
    with pytest.raises(BadOption, match="damaged"):
        Record(on_disk(path))

    monkeypatch.setattr(schema, "CHECK_SECONDS", 0.0)
    record = Record(on_disk(path))
    assert isinstance(record.timeline, SqliteTimeline)
    assert record.timeline._check is not None
    assert verdicts(record.turn(say("goes on"))).posts == [("lobby", 2_001, "goes on")]
    record.timeline._check.join(20)
    record.close()
    assert f"{path} is damaged" in caplog.text


def test_shutdown_does_not_wait_for_the_check_of_a_large_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Record(on_disk(path)).close()
    monkeypatch.setattr(schema, "CHECK_SECONDS", 0.0)
    Record(on_disk(path)).close()
    assert not caplog.text
