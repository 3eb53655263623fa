"""`geventchat serve --workers 2` as its users meet it: two workers on a real engine."""

import json
import os
import pty
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import gevent
import pexpect  # type: ignore[import-untyped]
import psutil
import pytest

from geventchat.client import Connection, Disconnected, Presence, Reconnected
from tests.command import COMMAND, refusal, run
from tests.engines import RunningEngine, running
from tests.workers import SECONDS, Cluster, check_all_heard, cluster, people, talking, until


@pytest.fixture(scope="module")
def valkey() -> Iterator[RunningEngine]:
    """Return an engine that the tests of this file share."""
    with running("valkey") as engine:
        yield engine


@pytest.fixture(scope="module")
def two(valkey: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return two workers that tests share, which leave them running."""
    with cluster(tmp_path_factory.mktemp("two"), valkey) as found:
        yield found


@pytest.fixture
def ending(tmp_path: Path, valkey: RunningEngine) -> Iterator[Cluster]:
    """Return two workers for a test that ends them."""
    with cluster(tmp_path, valkey, database=1) as found:
        yield found


def wait(found: Cluster) -> int:
    """Return the exit code of a parent, when it has ended."""
    code: int = gevent.get_hub().threadpool.apply(found.process.wait, (SECONDS,))
    return code


def test_the_log_begins_like_that_of_one_server_and_says_how_many_workers(two: Cluster) -> None:
    first, *_ = two.lines()
    assert f"listening on 127.0.0.1:{two.port} with 2 workers, messages stored in unix://" in first
    assert len(two.lines("listening on")) == 1
    with Connection("127.0.0.1", two.port, nick="Ann"):
        assert " worker " in two.line("is now known as Ann")


def test_people_on_both_workers_hear_each_other_in_one_order(two: Cluster) -> None:
    with people(two, 8) as found:
        with talking(found[:4]) as said:
            until(lambda: len(said) > 100)
        check_all_heard(found, said)


def test_clients_that_connect_one_by_one_are_dealt_over_the_workers(two: Cluster) -> None:
    with ExitStack() as stack:
        for number in range(60):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", two.port), timeout=5))
            peer.sendall(b"hi\0")
            until(lambda n=number: sum(two.connections()) > n)  # type: ignore[misc]
        assert min(two.connections()) > 10


def test_a_killed_worker_costs_its_clients_one_reconnect_and_nobody_a_message(
    two: Cluster,
) -> None:
    with people(two, 8) as found:
        with talking(found) as said:
            killed = two.workers()[0]
            killed.kill()
            until(lambda: any(person.count(Reconnected) for person in found))
            two.ready()
            assert killed not in two.workers()
        check_all_heard(found, said)
        assert all(person.count(Disconnected) <= 1 for person in found)
        assert all(person.count(Reconnected) == person.count(Disconnected) for person in found)
        until(lambda: sum(two.connections()) == len(found))
    assert f"worker 1 (process {killed.pid}) ended, killed by SIGKILL" in two.line("ended")
    assert "geventchat_worker_restarts_total 1.0" in two.page("/metrics")[1]


def test_recycle_costs_each_client_one_reconnect_that_nobody_sees(
    two: Cluster,
) -> None:
    with people(two, 8) as found:
        former = two.workers()
        least = [*range(len(found))][::-1]  # of those who came later
        until(lambda: all(p.count(Presence) >= n for p, n in zip(found, least, strict=True)))
        for person in found:
            person.events.clear()
        with talking(found) as said:
            done = two.run("admin", "recycle")
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("the workers are being replaced")
            two.line("all workers were replaced")
            until(lambda: all(person.count(Reconnected) for person in found))
        check_all_heard(found, said)
        assert {person.count(Reconnected) for person in found} == {1}
        seen = [event for person in found for event in person.events if isinstance(event, Presence)]
        assert seen == []
    assert not any(each.is_running() for each in former)
    assert two.page("/healthz") == (200, "ready\n")
    assert two.lines("Traceback") == []


def test_recycle_of_a_server_without_workers_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "operator").write_text("a-token-that-is-long-enough\n")
    (tmp_path / "operator").chmod(0o600)
    options = ["--timeline", "memory:", "--operator-file", str(tmp_path / "operator")]
    from tests.process import served

    with served(tmp_path, *options) as server:
        where = ["--server", f"127.0.0.1:{server.address[1]}", *options[2:]]
        done = run("admin", "recycle", *where)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "geventchat: action: this server has no workers (--workers) to replace.\n"
    )


def test_sigterm_drains_all_workers(ending: Cluster) -> None:
    with people(ending, 4) as found:
        with talking(found) as said:
            until(lambda: len(said) > 50)
        workers = ending.workers()
        ending.process.terminate()
        assert wait(ending) == 0
        until(lambda: all(person.count(Disconnected) for person in found))
        check_all_heard(found, said)
    assert not any(each.is_running() for each in workers)


def test_workers_end_when_their_parent_is_killed(ending: Cluster) -> None:
    workers = ending.workers()
    ending.process.kill()
    assert wait(ending) == -signal.SIGKILL
    gone = gevent.get_hub().threadpool.apply(psutil.wait_procs, (workers, SECONDS))
    assert not gone[1]
    assert len(ending.lines("shutting down: the process that started this worker has ended")) == 2


def test_sighup_reloads_the_settings_of_all_workers(tmp_path: Path, valkey: RunningEngine) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("limits.frame_bytes = 4096")

    def taken(port: int) -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
            peer.sendall(b"x" * 5_000 + b"\0q\0")
            return b"* geventchat" not in peer.makefile("rb").read()

    with cluster(
        tmp_path, valkey, "--timeline", f"{valkey.url}?db=2", "--config", str(file)
    ) as two:
        assert not any(taken(two.port) for _ in range(8))
        file.write_text("limits.frame_bytes = 8192")
        two.process.send_signal(signal.SIGHUP)
        until(lambda: len(two.lines("settings reloaded")) == 2)
        assert all(taken(two.port) for _ in range(8))
        file.write_text("limits.frame_bytes = 0")
        two.process.send_signal(signal.SIGHUP)
        assert "limits.frame_bytes 0: is not in the range" in two.line("reload failed")
        assert all(taken(two.port) for _ in range(8))
        assert len(two.lines("reload failed")) == 1


def test_a_log_of_json_has_the_number_of_the_worker(tmp_path: Path, valkey: RunningEngine) -> None:
    with cluster(
        tmp_path, valkey, "--timeline", f"{valkey.url}?db=3", "--log-format", "json"
    ) as two:
        with people(two, 6):
            pass
        events = [json.loads(line) for line in two.lines()]
    workers = {event.get("worker") for event in events if event.get("event") == "connected"}
    assert workers == {1, 2}


def test_top_shows_all_workers_as_one_server(two: Cluster) -> None:
    with people(two, 5):
        shown = f"clients {sum(two.connections())}: {sum(two.connections())} rich, 0 plain"
        done = run("top", two.admin.removeprefix("http://"))
    assert (done.returncode, done.stderr) == (0, "")
    assert shown in done.stdout


def test_ctrl_c_on_a_terminal_drains_once(tmp_path: Path, valkey: RunningEngine) -> None:
    terminal, end = pty.openpty()
    serve = [*COMMAND, "serve", "--port", "0", "--workers", "2"]
    serve += ["--timeline", f"{valkey.url}?db=4"]
    with subprocess.Popen(serve, stdin=end, stdout=end, stderr=end, start_new_session=True) as made:
        os.close(end)
        try:
            shown = ""
            while "with 2 workers" not in shown:
                shown += os.read(terminal, 1_000).decode()
            os.killpg(made.pid, signal.SIGINT)
            assert made.wait(SECONDS) == 0
        finally:
            made.kill()
            os.close(terminal)


def test_a_second_signal_ends_all_at_once(ending: Cluster) -> None:
    with closing(socket.create_connection(("127.0.0.1", ending.port), timeout=20)) as peer:
        peer.sendall(b"hi\0")
        until(lambda: sum(ending.connections()) == 1)
        workers = ending.workers()
        for each in workers:
            each.suspend()  # so that they do not end before
        ending.process.terminate()
        ending.line("shutting down: received SIGTERM")
        ending.process.terminate()
        assert wait(ending) == 128 + signal.SIGTERM
    gone = gevent.get_hub().threadpool.apply(psutil.wait_procs, (workers, SECONDS))
    assert not gone[1]


def test_workers_without_an_engine_are_refused_in_one_line() -> None:
    for command in ("serve", "config --check"):
        line = refusal(*command.split(), "--workers", "2", "--timeline", "memory:")
        assert line.startswith("geventchat: --workers 2: several workers share what Redis or Valk")
        assert "make cluster" in line


def test_a_wrong_setting_is_one_line_and_ends_the_parent(valkey: RunningEngine) -> None:
    serve = ["serve", "--port", "0", "--workers", "2", "--timeline", valkey.url]
    line = refusal(*serve, "--password-file", "/none")
    assert line == "geventchat: --password-file /none: No such file or directory"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refusal(*serve, "--port", port, code=75)
    assert line == f"geventchat: --port {port}: Address already in use"


def test_a_missing_engine_is_one_line_and_may_pass(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/none"
    line = refusal("serve", "--port", "0", "--workers", "2", "--timeline", url, code=75)
    assert line.startswith(f"geventchat: --timeline {url}: ")


def test_closing_the_terminal_ends_all_workers(tmp_path: Path, valkey: RunningEngine) -> None:
    url = f"{valkey.url}?db=5"
    arguments = [*COMMAND[1:], "serve", "--port", "0", "--workers", "2", "--timeline", url]
    terminal = pexpect.spawn(COMMAND[0], arguments, timeout=SECONDS)
    terminal.expect("with 2 workers")
    workers = psutil.Process(terminal.pid).children()

    os.close(terminal.child_fd)

    assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) == 0
    assert len(workers) == 2
    assert not any(each.is_running() for each in workers)


def test_systemd_hears_of_all_workers_once(
    tmp_path: Path, valkey: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "600000000")
        with cluster(tmp_path, valkey, database=6) as two:
            assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]
            two.process.terminate()
            assert wait(two) == 0
        assert systemd.recv(100).startswith(b"STOPPING=1")
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
