"""Secrets are compared, not shown; wrong tries are counted; files hold one line."""

import os
import stat
from pathlib import Path
from typing import Final

import pytest

from geventchat.config import BadOption
from geventchat.config.secrets import read
from geventchat.server import credentials
from geventchat.server.credentials import TRIES, Secret, Tries, read_or_make_token

NOW: Final = 1_000.0


def test_a_secret_is_known_to_who_has_it_alone() -> None:
    secret = Secret("pässword")
    assert secret.is_("pässword")
    for other in ("", "pässwor", "pässword ", "Pässword", "pa\u0308ssword", "x" * 1024):
        assert not secret.is_(other)


def test_a_secret_cannot_be_read_again() -> None:
    secret = Secret("pässword")
    assert "pässword" not in repr(secret)
    for name in Secret.__slots__:
        assert "pässword".encode() not in getattr(secret, name)


def test_tries_are_counted_for_a_minute() -> None:
    tries = Tries()
    for _ in range(TRIES):
        assert not tries.spent("192.0.2.1", NOW)
        tries.count("192.0.2.1", NOW)
    assert tries.spent("192.0.2.1", NOW)
    assert tries.spent("192.0.2.1", NOW + 59)
    assert not tries.spent("192.0.2.2", NOW)
    assert not tries.spent("192.0.2.1", NOW + 60)
    tries.count("192.0.2.1", NOW + 60)
    assert not tries.spent("192.0.2.1", NOW + 60)


def test_a_whole_64_of_ipv6_is_one_address() -> None:
    tries = Tries()
    for number in range(TRIES):
        tries.count(f"2001:db8::{number}", NOW)
    assert tries.spent("2001:db8::ffff", NOW)
    assert not tries.spent("2001:db8:0:1::1", NOW)


def test_trusted_networks_are_not_counted() -> None:
    tries = Tries(["192.0.2.0/24", "::1/128"])
    for _ in range(TRIES):
        for address in ("192.0.2.1", "::ffff:192.0.2.1", "::1", "198.51.100.1"):
            tries.count(address, NOW)
    assert not tries.spent("192.0.2.1", NOW)
    assert not tries.spent("::1", NOW)
    assert tries.spent("198.51.100.1", NOW)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_ADDRESSES", 10)
    tries = Tries()
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
def test_a_file_that_holds_no_secret_is_named_and_not_quoted(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(data)
    with pytest.raises(BadOption) as caught:
        read("password_file", str(file))
    assert str(caught.value).startswith(f"--password-file {file}: ")
    assert "two" not in str(caught.value)


@pytest.mark.parametrize("name", ["none/secret", "."])
def test_a_file_that_cannot_be_read_or_made_is_named(tmp_path: Path, name: str) -> None:
    for use in (read, read_or_make_token):
        with pytest.raises(BadOption, match=r"^--operator-file .*: "):
            use("operator_file", str(tmp_path / name))


def test_a_token_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "operator"
    token = read_or_make_token("operator_file", str(file))
    assert len(token) >= 43
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_or_make_token("operator_file", str(file)) == token
    file.unlink()
    assert read_or_make_token("operator_file", str(file)) != token


def test_a_token_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "operator"
    file.write_text("letmein")
    with pytest.raises(BadOption, match="could be guessed"):
        read_or_make_token("operator_file", str(file))
    assert file.read_text() == "letmein"


def test_an_empty_token_file_is_made_again_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "operator"
    file.touch()
    token = read_or_make_token("operator_file", str(file))
    assert file.read_text() == f"{token}\n"
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{file} was empty")


def test_a_token_is_on_disk_before_anybody_learns_of_it(
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
