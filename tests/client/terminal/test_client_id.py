"""The name by which a server knows a client again."""

import re
from pathlib import Path

import pytest

from geventchat.client.terminal.client_id import client_id, folder


def test_a_client_keeps_its_id() -> None:
    with client_id("host", 4040) as first:
        assert re.fullmatch(r"[A-Za-z0-9_-]{16,64}", first)
    with client_id("host", 4040) as second:
        assert second == first


def test_each_server_gets_a_different_id() -> None:
    with client_id("host", 4040) as one, client_id("host", 4041) as other:
        assert one != other


def test_two_terminals_at_once_have_two_ids_and_keep_them() -> None:
    with client_id("host", 4040) as first, client_id("host", 4040) as second:
        assert first != second
    with client_id("host", 4040) as again, client_id("host", 4040) as too:
        assert [again, too] == [first, second]


def test_the_id_file_is_readable_by_its_owner_only() -> None:
    with client_id("::1/../x", 4040):
        (file,) = folder().iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder().stat().st_mode & 0o777 == 0o700


def test_an_invalid_id_file_is_rewritten() -> None:
    with client_id("host", 4040):
        (file,) = folder().iterdir()
    file.write_text("not an id")
    with client_id("host", 4040) as drawn:
        assert file.read_text() == f"{drawn}\n"


def test_without_storage_the_id_is_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with client_id("host", 4040) as drawn:
        assert len(drawn) >= 16
