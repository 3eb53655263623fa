"""Reload while clients talk: they are not affected, and all settings are applied or none.

Files are read in a native thread; a pipe without a writer makes that block.
"""

import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock, patch

import gevent
import pytest
from gevent.lock import BoundedSemaphore

from geventchat.cli.serve import _on_hangup
from geventchat.cli.settings import Resolved
from geventchat.config import BadOption, Config, Limits
from tests.conversations.certificates import Authority
from tests.conversations.chat import Chat, chatting


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Return the files that a reload reads, by setting."""
    found = {"password_file": tmp_path / "password", "operator_file": tmp_path / "token"}
    found["password_file"].write_text("sesame")
    found["operator_file"].write_text("the-token-of-a-test")
    return found


@pytest.fixture
def chat(files: dict[str, Path]) -> Iterator[Chat]:
    with chatting(options={name: str(file) for name, file in files.items()}) as chat:
        yield chat


def test_a_reload_does_not_block_the_hub(chat: Chat, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    config = replace(chat.server._config, password_file=str(tmp_path / "pipe"))
    reload = gevent.spawn(chat.server.reload, config)
    ann = chat.rich("Ann", password="sesame")
    ann.say("lobby", "hi")
    ann.posts(1)
    assert not reload.dead
    (tmp_path / "pipe").write_text("changed")
    assert reload.get(timeout=20) == []
    chat.rich("Bob", password="changed")


def test_a_reload_that_takes_too_long_changes_nothing(chat: Chat, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    config = replace(chat.server._config, password_file=str(tmp_path / "pipe"))
    with (
        patch("geventchat.server.server.FILE_SECONDS", 0.01),
        pytest.raises(TimeoutError, match="took longer"),
    ):
        chat.server.reload(config)
    (tmp_path / "pipe").write_text("changed")  # so that the thread ends
    chat.rich("Ann", password="sesame")


def test_a_reload_while_the_server_shuts_down_does_not_break_that_off(chat: Chat) -> None:
    """A worker that is replaced also closes its doors first, and serves its clients on."""
    ann = chat.rich("Ann", password="sesame")
    chat.server.close_doors()
    assert chat.server.reload(replace(chat.server._config, drain_seconds=3)) == []
    assert ann.pong() == []
    assert chat.server.stop()


@pytest.mark.parametrize("setting", ["password_file", "operator_file"])
@pytest.mark.parametrize("now", ["nothing", "folder", "empty"])
def test_an_unusable_file_changes_no_settings(
    chat: Chat, files: dict[str, Path], setting: str, now: str
) -> None:
    for file in files.values():
        file.write_text("changed-to-this-now")
    files[setting].unlink()
    if now == "folder":
        files[setting].mkdir()
    elif now == "empty":
        files[setting].touch()
    before = chat.server._config
    with pytest.raises(BadOption, match=str(files[setting])):
        chat.server.reload(replace(before, limits=Limits(frame_bytes=10)))
    assert chat.server._config is before
    ann = chat.rich("Ann", password="sesame", token="the-token-of-a-test")
    assert ann.ask("admin", action="list")["rules"] == []


def test_a_reload_never_removes_the_password(chat: Chat, files: dict[str, Path]) -> None:
    """A settings file that is empty, or half written, may not open the server to all."""
    assert chat.server.reload(Config(timeline="memory:", admin="none", web="none", port=0)) == [
        "operator_file",
        "password_file",
    ]
    (error,) = chat.refused(password=None)[-1:]
    assert error["code"] == "password"
    chat.rich("Ann", password="sesame")
    files["password_file"].write_text("changed")
    chat.server.reload(replace(chat.server._config, password_file=None, password="another"))
    chat.rich("Bob", password="another")


def test_the_log_names_what_a_reload_changes(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "geventchat.server.server")
    before = chat.server._config
    chat.server.reload(replace(before, drain_seconds=5, limits=Limits(rooms=7)))
    chat.server.reload(replace(before, drain_seconds=5, limits=Limits(rooms=7)))
    assert caplog.messages == ["changed settings: drain_seconds, limits.rooms"]


def test_a_reload_never_turns_tls_off(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with chatting(options={"tls_cert": authority.issue("server")}) as chat:
        assert chat.server.reload(replace(chat.server._config, tls_cert=None)) == ["tls_cert"]
        assert chat.server._doors[0].name == "tls"


def hang_up(server: Mock, reloading: BoundedSemaphore, config: Config) -> None:
    found = Resolved(config, {}, {})
    _on_hangup(server, Mock(), lambda: found, reloading, had_terminal=False)


def test_concurrent_reloads_run_one_after_the_other() -> None:
    running = 0

    def reload(_: Config) -> list[str]:
        nonlocal running
        running += 1
        assert running == 1
        gevent.sleep(0)
        running -= 1
        return []

    server, reloading = Mock(operator_file=None), BoundedSemaphore(1)
    server.reload.side_effect = reload
    asked = [gevent.spawn(hang_up, server, reloading, Config(port=port)) for port in (1, 2)]
    gevent.joinall(asked, timeout=20, raise_error=True)
    assert [call.args[0].port for call in server.reload.call_args_list] == [1, 2]


def test_a_failed_reload_is_one_line_and_the_next_one_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, reloading = Mock(operator_file=None), BoundedSemaphore(1)
    server.reload.side_effect = [FileNotFoundError(2, "No such file", "x"), []]
    hang_up(server, reloading, Config())
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info is None
    hang_up(server, reloading, Config())
    assert server.reload.call_count == 2


def test_a_reload_reads_settings_in_a_native_thread() -> None:
    threads: list[int] = []

    def read() -> Resolved:
        threads.append(threading.get_native_id())
        return Resolved(Config(), {}, {})

    server = Mock(operator_file=None)
    server.reload.return_value = []
    _on_hangup(server, Mock(), read, BoundedSemaphore(1), had_terminal=False)
    assert threads != [threading.get_native_id()]
