"""The name by which a server knows a client again."""

import re
import socket
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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1", "localhost"),
        ("::1", "LOCALHOST."),
        ("127.0.0.1", "0.0.0.0"),
        ("127.0.0.1", "127.1"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("127.0.0.1", "0:0:0:0:0:0:0:1"),
        ("127.0.0.1", "chat.localhost"),
        ("127.0.0.1", socket.gethostname()),
        ("Chat.Example.org", "chat.example.org."),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("2001:DB8::1", "2001:db8:0:0::1"),
        ("192.0.2.1", "[::ffff:192.0.2.1]"),
    ],
)
def test_another_spelling_of_a_host_is_the_same_server(one: str, other: str) -> None:
    with client_id(one, 4040) as first:
        pass
    with client_id(other, 4040) as second:
        assert first == second


@pytest.mark.parametrize(
    "other", ["127.0.0.2", "chat.example.net", "2001:db8::2", "x" * 300, "..."]
)
def test_another_host_is_another_server(other: str) -> None:
    with client_id("localhost", 4040) as one, client_id("chat.example.org", 4040) as two:
        pass
    with client_id(other, 4040) as third:
        assert third not in (one, two)


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
