"""The parent, with workers that have faults. tests/test_workers.py has real ones."""

import errno
import json
import os
import signal
import socket
import urllib.request
from contextlib import ExitStack
from itertools import count
from typing import Any
from unittest.mock import patch

import gevent
import pytest

from geventchat.config import BadOption, Config
from geventchat.server import tether
from geventchat.server.workers import parent as module
from geventchat.server.workers import process
from geventchat.server.workers.parent import Parent
from tests.server.workers.parents import alive, answer, asked, made, pids, started, until


def fetched(parent: Parent, path: str) -> tuple[int, str]:
    """Return status and body of a page of the admin port."""
    host, port = parent.admin_addresses[0]

    def fetch() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=10) as found:
                return found.status, found.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    found: tuple[int, str] = gevent.get_hub().threadpool.apply(fetch)
    return found


def test_workers_share_the_port() -> None:
    with started() as parent:
        numbers: set[int] = set()

        def both() -> bool:
            numbers.add(asked(parent)[0])
            return numbers == {1, 2}

        until(both)


def test_a_worker_that_was_killed_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    with started() as parent:
        first, second = pids(parent)
        os.kill(second, signal.SIGKILL)
        until(lambda: pids(parent)[1] != second)
        assert pids(parent)[0] == first
        until(lambda: fetched(parent, "/healthz") == (200, "ready\n"))
        assert "geventchat_worker_restarts_total 1.0" in fetched(parent, "/metrics")[1]
    text = f"worker 2 (process {second}) ended, killed by SIGKILL; starting it again in 1 s"
    assert text in caplog.text


def test_clients_that_connect_while_no_worker_runs_wait_and_are_not_reset() -> None:
    with patch.object(module, "FIRST_SECONDS", 0.3), started(workers=1) as parent:
        (pid,) = pids(parent)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid))
        with ExitStack() as stack:
            peers = [
                stack.enter_context(socket.create_connection(parent.addresses[0]))
                for _ in range(1_000)
            ]
            for peer in peers:
                peer.sendall(b"?")
            answers = {answer(peer) for peer in peers}
        assert answers == {(1, pids(parent)[0])}


def test_a_worker_that_fails_again_and_again_is_started_more_and_more_rarely() -> None:
    with patch.object(module, "FIRST_SECONDS", 0.01), patch.object(module, "MOST_SECONDS", 0.02):
        with started("second dies") as parent:
            until(lambda: parent._restarts > 3)
            assert asked(parent)[0] == 1
            status, text = fetched(parent, "/healthz")
        assert (status, text) in [
            (503, "worker 2 has ended and is about to be started again\n"),
            (503, "worker 2 is starting\n"),
        ]


def test_a_parent_whose_first_worker_refuses_its_settings_ends_with_its_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    parent = made("refuses")
    assert parent.start() == 2
    parent.stop()
    assert capfd.readouterr().err == (
        "geventchat: --password-file /none: No such file or directory\n"
    )


def test_a_parent_whose_first_worker_dies_at_once_ends() -> None:
    parent = made("dies")
    assert parent.start() == 1
    parent.stop()


def test_a_worker_that_does_not_end_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    with patch.object(module, "GRACE_SECONDS", 0.1):
        parent = made("stays")
        assert parent.start() is None
        found = pids(parent)
        assert parent.stop() == 1
    assert not any(map(alive, found))
    assert f"worker 1 (process {found[0]}) did not end in time and was killed" in caplog.text


def test_a_stop_ends_all_workers_and_closes_the_ports() -> None:
    with started() as parent:
        address = parent.addresses[0]
        found = pids(parent)
        assert parent.stop() == 0
        assert not any(map(alive, found))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_a_worker_that_gives_no_sign_of_life_is_killed_and_started_again() -> None:
    with (
        patch.object(tether, "ALIVE_SECONDS", 0.02),
        patch.object(process, "_SILENT_TIMES", 100),
        started(workers=1) as parent,
    ):
        (pid,) = pids(parent)
        os.kill(pid, signal.SIGSTOP)
        until(lambda: not alive(pid))
        until(lambda: pids(parent) != [pid])


def test_workers_are_replaced_one_after_the_other(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with started() as parent:
        former = pids(parent)
        parent.recycle()
        parent.recycle()  # while that is under way
        until(lambda: "all workers were replaced" in caplog.text)
        assert not {*pids(parent)} & {*former}
        assert not any(map(alive, former))
        assert fetched(parent, "/healthz")[0] == 200
        assert parent._restarts == 0
    lines = [record.getMessage() for record in caplog.records]
    assert [line[:8] for line in lines if "was replaced" in line] == ["worker 1", "worker 2"]


def test_a_worker_can_have_all_replaced(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with started() as parent:
        former = pids(parent)
        assert asked(parent, b"r")[1] in former
        until(lambda: "all workers were replaced" in caplog.text)
        assert not {*pids(parent)} & {*former}


def test_a_successor_that_does_not_start_leaves_the_former_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with started() as parent:
        former = pids(parent)
        parent._command.append("dies")
        parent.recycle()
        until(lambda: "workers not replaced: the new worker 1 is not ready" in caplog.text)
        assert pids(parent) == former
        assert all(map(alive, former))


def fail_to_spawn(monkeypatch: pytest.MonkeyPatch, *failing: int) -> None:
    """Let some of the next processes not start, counted from 1."""
    spawn, numbers = os.posix_spawn, count(1)

    def try_to_spawn(*arguments: Any, **options: Any) -> int:
        if next(numbers) in failing:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return spawn(*arguments, **options)

    monkeypatch.setattr(os, "posix_spawn", try_to_spawn)


def test_a_worker_that_cannot_be_started_is_started_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.01)
    with started() as parent:
        second = pids(parent)[1]
        fail_to_spawn(monkeypatch, 1, 2)
        os.kill(second, signal.SIGKILL)
        until(lambda: pids(parent)[1] != second)
        until(lambda: fetched(parent, "/healthz") == (200, "ready\n"))
    assert caplog.text.count("worker 2 cannot be started: [Errno") == 2


def test_the_former_workers_stay_alone_if_a_new_one_cannot_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with started() as parent:
        former = pids(parent)
        fail_to_spawn(monkeypatch, 2)
        parent.recycle()
        until(lambda: "workers not replaced: [Errno" in caplog.text)
        until(lambda: len(parent._workers) == 2)
        assert pids(parent) == former
        assert all(map(alive, former))


def test_a_worker_can_ask_again_when_the_workers_could_not_be_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with started(workers=1) as parent:
        former = pids(parent)
        parent._command.append("dies")
        for times in 1, 2:
            asked(parent, b"r")
            until(lambda n=times: caplog.text.count("workers not replaced") == n)  # type: ignore[misc]
        parent._command.pop()
        asked(parent, b"r")
        until(lambda: parent._recycling is not None and parent._recycling.dead)
        assert not {*pids(parent)} & {*former}


def test_workers_end_when_their_parent_is_killed() -> None:
    with started() as parent:
        found = pids(parent)
        for slot in parent._slots:  # what the kernel does
            slot.worker._tether.close()
        until(lambda: not any(map(alive, found)))


def test_the_admin_port_has_the_figures_of_all_workers() -> None:
    with started() as parent:
        _, text = fetched(parent, "/metrics")
        assert '\nsaid_total{node="1"} 2.0\nsaid_total{node="2"} 2.0\n' in text
        assert text.count("# HELP said_total Texts.") == 1
        assert "\ngeventchat_workers_ready 2.0\n" in text
        (room,) = json.loads(fetched(parent, "/top")[1])["rooms"]
        assert room == {"room": "tea", "messages_per_second": 1.0, "members": 2}


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadOption, match=f"--port {port}: Address already in use"):
            made(port=port)


@pytest.mark.parametrize("timeline", ["memory:", "sqlite:chat.db"])
def test_several_workers_need_an_engine(timeline: str) -> None:
    settings: dict[str, Any] = {"workers": 2, "timeline": timeline}
    with pytest.raises(BadOption, match=r"--workers 2: several workers .*`make cluster`"):
        Config.of(settings).check_workers()
    Config.of(settings | {"workers": 1}).check_workers()
