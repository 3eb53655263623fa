"""Secrets are compared and never shown; wrong attempts are counted; files hold one line."""

import os
import stat
from pathlib import Path
from typing import Final

import pytest

from geventchat.config import BadOption
from geventchat.config.secrets import read
from geventchat.server.access import credentials
from geventchat.server.access.credentials import (
    ATTEMPTS,
    FailedAttempts,
    Secret,
    read_or_make_token,
)

NOW: Final = 1_000.0


def test_only_the_exact_secret_matches() -> None:
    secret = Secret("pässword")
    assert secret.matches("pässword")
    for other in ("", "pässwor", "pässword ", "Pässword", "pa\u0308ssword", "x" * 1024):
        assert not secret.matches(other)


def test_a_secret_is_not_kept_in_the_clear() -> None:
    secret = Secret("pässword")
    assert "pässword" not in repr(secret)
    for name in Secret.__slots__:
        assert "pässword".encode() not in getattr(secret, name)


def test_wrong_attempts_are_counted_for_a_minute() -> None:
    tries = FailedAttempts()
    for _ in range(ATTEMPTS):
        assert not tries.exceeded("192.0.2.1", NOW)
        tries.count("192.0.2.1", NOW)
    assert tries.exceeded("192.0.2.1", NOW)
    assert tries.exceeded("192.0.2.1", NOW + 59)
    assert not tries.exceeded("192.0.2.2", NOW)
    assert not tries.exceeded("192.0.2.1", NOW + 60)
    tries.count("192.0.2.1", NOW + 60)
    assert not tries.exceeded("192.0.2.1", NOW + 60)


def test_an_ipv6_64_counts_as_one_address() -> None:
    tries = FailedAttempts()
    for number in range(ATTEMPTS):
        tries.count(f"2001:db8::{number}", NOW)
    assert tries.exceeded("2001:db8::ffff", NOW)
    assert not tries.exceeded("2001:db8:0:1::1", NOW)


def test_the_number_of_remembered_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_ADDRESSES", 10)
    tries = FailedAttempts()
    for number in range(100):
        tries.count(f"192.0.2.{number}", NOW)
    assert len(tries._wrong) == 10
    assert "192.0.2.99/32" in tries._wrong


@pytest.mark.parametrize("text", ["secret", "secret\n", "secret\r\n"])
def test_a_file_holds_a_secret_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(text.encode())
    assert read("password_file", str(file)) == "secret"


@pytest.mark.parametrize("data", [b"", b"\n", b"one\ntwo\n", b"\xff", b"a\0b", b"x" * 1025])
def test_the_error_about_a_secret_file_names_it_and_does_not_quote_it(
    tmp_path: Path, data: bytes
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(data)
    with pytest.raises(BadOption) as caught:
        read("password_file", str(file))
    assert str(caught.value).startswith(f"--password-file {file}: ")
    assert "two" not in str(caught.value)


@pytest.mark.parametrize("name", ["none/secret", "."])
def test_the_error_about_an_unreadable_secret_file_names_it(tmp_path: Path, name: str) -> None:
    for use in (read, read_or_make_token):
        with pytest.raises(BadOption, match=r"^--operator-file .*: "):
            use("operator_file", str(tmp_path / name))


def test_a_token_is_created_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "operator"
    token = read_or_make_token("operator_file", str(file))
    assert len(token) >= 43
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_or_make_token("operator_file", str(file)) == token
    file.unlink()
    assert read_or_make_token("operator_file", str(file)) != token


def test_a_short_token_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "operator"
    file.write_text("letmein")
    with pytest.raises(BadOption, match="could be guessed"):
        read_or_make_token("operator_file", str(file))
    assert file.read_text() == "letmein"


def test_an_empty_token_file_is_replaced_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "operator"
    file.touch()
    token = read_or_make_token("operator_file", str(file))
    assert file.read_text() == f"{token}\n"
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{file} was empty")


def test_a_created_token_is_synced_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    read_or_make_token("operator_file", str(tmp_path / "operator"))
    assert synced == [str(tmp_path / "operator.new"), str(tmp_path)]
