import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from tests.loadtests.conftest import HERE


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["Ctrl-C", "SIGTERM", "a closed terminal"],
)
def test_a_load_test_that_is_ended_leaves_no_server_and_no_traceback(
    number: signal.Signals, code: int
) -> None:
    with started("loadtests.scenarios.churn", "--seconds", "60") as process:
        server = server_of(process)
        try:
            process.send_signal(number)
            said, _ = process.communicate()
            assert process.returncode == code
            assert "Traceback" not in said, said
            assert not server.is_running()
        finally:
            end(server)


def test_a_run_of_locust_leaves_no_server_when_its_terminal_is_closed() -> None:
    with started("loadtests", "--headless", "-u", "1") as process:
        server = server_of(process)
        try:
            process.send_signal(signal.SIGHUP)
            process.communicate()
            assert not server.is_running()
        finally:
            end(server)


def test_nohup_keeps_a_load_test_running() -> None:
    code = "import os, signal; from loadtests.support.command import command; "
    code += "command('it', lambda: print('kept', os.kill(os.getpid(), signal.SIGHUP)) or 0)"
    ignoring = ["nohup", sys.executable, "-c", code]
    ended = subprocess.run(ignoring, cwd=HERE, check=False, text=True, capture_output=True)
    assert (ended.returncode, ended.stdout) == (0, "kept None\n")


@contextmanager
def started(module: str, *options: str) -> "Iterator[subprocess.Popen[str]]":
    """Start a load test with a server of its own; kill it at the end if it still runs."""
    command = [sys.executable, "-m", module, *options]
    with subprocess.Popen(
        command, cwd=HERE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def server_of(process: "subprocess.Popen[str]") -> psutil.Process:
    """Wait until a load test has started its server; return it."""
    assert process.stdout
    assert "started a server at" in process.stdout.readline()
    (server,) = psutil.Process(process.pid).children()
    return server


def end(server: psutil.Process) -> None:
    """Leave no server behind, even if the load test did."""
    with suppress(psutil.NoSuchProcess):
        server.kill()


def test_a_simulation_is_not_checked_with_no_nodes() -> None:
    command = [sys.executable, "-m", "loadtests.scaling", "--check"]
    ended = subprocess.run(command, cwd=HERE, check=False, text=True, capture_output=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "argument --check: expected at least one argument" in ended.stderr


@pytest.mark.parametrize(
    ("scenario", "options", "line"),
    [
        ("agreement", ["--tools", "nowhere"], "there is no program 'blast' in 'nowhere'"),
        ("bars", ["--tools", "nowhere"], "there is no program 'blast' in 'nowhere'"),
        ("churn", ["--rate", "0"], "argument --rate: '0' is not a number above 0"),
        ("restart", ["--posts", "9", "--rooms", "10"], "--posts must be at least --rooms"),
        ("move", ["--posts", "9", "--rooms", "10"], "--posts must be at least --rooms"),
        (
            "search",
            ["--posts", "1000", "--rooms", "150"],
            "--posts must be at least 7 times --rooms",
        ),
        ("resume", ["--clients", "0"], "argument --clients: '0' is not a whole number"),
        ("resume", ["--rooms", "129"], "argument --rooms: '129' is not a whole number from 1 to"),
        ("slow_reader", ["--busy-seconds", "nan"], "argument --busy-seconds: 'nan' is not a"),
        ("storms", ["hail"], "unknown storm hail; choose from redactions, edits, searches"),
    ],
)
def test_a_scenario_refuses_what_it_cannot_do(scenario: str, options: list[str], line: str) -> None:
    command = [sys.executable, "-m", f"loadtests.scenarios.{scenario}", *options]
    ended = subprocess.run(command, cwd=HERE, check=False, text=True, capture_output=True)
    assert ended.returncode == 2
    (complaint,) = ended.stderr.splitlines()
    assert line in complaint
