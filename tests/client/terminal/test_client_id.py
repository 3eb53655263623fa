"""The name by which a server knows a client again."""

import importlib
import pwd
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geventchat.client.terminal import client_id as module
from geventchat.client.terminal.client_id import client_id, folder


@contextmanager
def connected(host: str = "host", port: int = 4040) -> Iterator[str]:
    """Yield the id of a client that a server has welcomed."""
    with client_id(host, port) as client:
        client.keep()
        yield client.id


def test_a_client_keeps_its_id() -> None:
    with connected() as first:
        assert re.fullmatch(r"[A-Za-z0-9_-]{16,64}", first)
    with connected() as second:
        assert second == first


def test_each_server_gets_a_different_id() -> None:
    with connected("host", 4040) as one, connected("host", 4041) as other:
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
    with connected(one) as first:
        pass
    with connected(other) as second:
        assert first == second


@pytest.mark.parametrize(
    "other", ["127.0.0.2", "chat.example.net", "2001:db8::2", "x" * 300, "..."]
)
def test_another_host_is_another_server(other: str) -> None:
    with connected("localhost") as one, connected("chat.example.org") as two:
        pass
    with connected(other) as third:
        assert third not in (one, two)


def test_two_terminals_at_once_have_two_ids_and_keep_them() -> None:
    with connected() as first, connected() as second:
        assert first != second
    with connected() as again, connected() as too:
        assert [again, too] == [first, second]


def test_the_id_file_is_readable_by_its_owner_only() -> None:
    with connected("::1/../x"):
        (file,) = folder().iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder().stat().st_mode & 0o777 == 0o700


def test_an_invalid_id_file_is_rewritten() -> None:
    with connected():
        (file,) = folder().iterdir()
    file.write_text("not an id")
    with connected() as drawn:
        assert file.read_text() == f"{drawn}\n"


def test_a_server_that_never_answered_leaves_no_file() -> None:
    with connected("good") as kept:
        pass
    with client_id("mistyped", 4040), client_id("good", 4040) as again:
        assert again.id == kept
    assert [file.name for file in folder().iterdir()] == ["good:4040"]


def test_without_storage_the_id_is_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with connected() as drawn:
        assert len(drawn) >= 16


def test_without_a_home_the_id_is_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is a mere number."""
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with connected() as drawn:
        assert len(drawn) >= 16


def test_without_file_locks_the_id_is_random(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with monkeypatch.context() as without:
            without.setitem(sys.modules, "fcntl", None)
            importlib.reload(module)
        with module.client_id("host", 4040) as one, module.client_id("host", 4040) as other:
            assert one.id != other.id
            one.keep()
        assert list(folder().iterdir()) == []
    finally:
        importlib.reload(module)
