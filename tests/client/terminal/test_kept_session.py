"""The session of an account is kept for its server, for its owner alone, and until it ends."""

import os
import pwd
from pathlib import Path

import pytest

from geventchat.client.terminal import kept_session
from geventchat.client.terminal.client_id import folder
from geventchat.client.terminal.kept_session import KeptSession

ANN = KeptSession("Ann", "secret-of-ann")


def path() -> Path:
    (found,) = folder().iterdir()
    return found


def test_it_is_kept_for_one_server_however_that_is_spelled() -> None:
    kept_session.keep("localhost", 4040, ANN)
    assert kept_session.load("127.0.0.1", 4040) == ANN
    assert kept_session.load("127.0.0.1", 4041) is None
    assert kept_session.load("192.0.2.1", 4040) is None


def test_only_its_owner_can_read_it() -> None:
    old = os.umask(0)
    try:
        kept_session.keep("host", 4040, ANN)
    finally:
        os.umask(old)
    assert path().stat().st_mode & 0o777 == 0o600
    assert folder().stat().st_mode & 0o777 == 0o700


def test_a_later_one_takes_its_place() -> None:
    kept_session.keep("host", 4040, ANN)
    later = KeptSession("Ann", "later")
    kept_session.keep("host", 4040, later)
    assert kept_session.load("host", 4040) == later
    assert path().stat().st_mode & 0o777 == 0o600


def test_only_the_one_that_ended_is_forgotten() -> None:
    kept_session.keep("host", 4040, ANN)
    kept_session.forget("host", 4040, "another terminal has replaced it since")
    assert kept_session.load("host", 4040) == ANN
    kept_session.forget("host", 4040, ANN.session)
    assert kept_session.load("host", 4040) is None
    kept_session.forget("host", 4040, ANN.session)


@pytest.mark.parametrize(
    "held", [b"", b"{", b'{"nick":"Ann"}', b'{"nick":"\xff"}', b"\xff" * 9_000]
)
def test_a_damaged_file_is_as_none(held: bytes) -> None:
    kept_session.keep("host", 4040, ANN)
    path().write_bytes(held)
    assert kept_session.load("host", 4040) is None


def test_without_a_place_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    kept_session.keep("host", 4040, ANN)
    assert kept_session.load("host", 4040) is None
    kept_session.forget("host", 4040, ANN.session)


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    kept_session.keep("host", 4040, ANN)
    assert kept_session.load("host", 4040) is None
    kept_session.forget("host", 4040, ANN.session)
