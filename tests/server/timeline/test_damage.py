"""Any bit flip is refused at the start or when it is read, or changes nothing."""

import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geventchat.config import BadOption
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Post
from tests.server.record import Record, in_file, say

ROOMS = "lobby", "other", "third"
PAGE = 4_096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of some pages that is not in use."""
    path = tmp_path_factory.mktemp("whole") / "chat.db"
    record = Record(in_file(path))
    for turn in range(6):
        said = [f"message {turn}, {number} ".ljust(70, ".") for number in range(60)]
        record.turn(
            *[
                say(text, f"{turn}-{number}" if number % 2 else None, room=ROOMS[number % 3])
                for number, text in enumerate(said)
            ]
        )
    record.close()
    return path


@pytest.fixture(scope="module")
def posts(whole: Path) -> dict[str, list[Post]]:
    record = Record(in_file(whole))
    try:
        return {room: record.everything(room) for room in ROOMS}
    finally:
        record.close()


# Half of them in table definitions and names of rooms: few bytes that matter much.
@settings(max_examples=150)
@given(at=st.one_of(st.integers(0, 5 * PAGE - 1), st.integers(0)), bit=st.integers(0, 7))
def test_no_flipped_bit_shortens_or_changes_the_history(
    whole: Path, posts: dict[str, list[Post]], at: int, bit: int
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "chat.db")
        data = bytearray(whole.read_bytes())
        data[at % len(data)] ^= 1 << bit
        path.write_bytes(data)
        shutil.copy(f"{whole}.guard", folder)
        try:
            record = Record(in_file(path))
        except BadOption:
            return
        try:
            for room in ROOMS:
                with suppress(Refused):
                    assert record.everything(room) == posts[room]
        finally:
            record.close()


@pytest.mark.parametrize(
    "damage",
    [
        (b"lobby", b"lobbx"),
        (b"third", b"thirc"),
        (b"id INTEGER PRIMARY KEY", b"id INTEGEr PRIMARY KEX"),
        (b"id INTEGER PRIMARY KEY", b"i\xff INTEGER PRIMARY KEY"),
        (b"id INTEGER PRIMARY KEY", b"idxINTEGER PRIMARY KEY"),
    ],
)
def test_a_damaged_name_is_refused_at_the_start(
    whole: Path, tmp_path: Path, damage: tuple[bytes, bytes]
) -> None:
    path = tmp_path / "chat.db"
    data = whole.read_bytes()
    assert damage[0] in data
    path.write_bytes(data.replace(*damage, 1))
    with pytest.raises(BadOption, match="it is damaged") as refused:
        Record(in_file(path))
    assert "docs/operations.md" in str(refused.value)
