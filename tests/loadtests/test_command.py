import signal
import subprocess
import sys

import psutil
import pytest

from tests.loadtests.conftest import HERE


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_load_test_that_is_ended_leaves_no_server_and_no_traceback(
    number: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-m", "loadtests.scenarios.churn", "--seconds", "60"]
    with subprocess.Popen(
        command, cwd=HERE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout
        assert "started a server at" in process.stdout.readline()
        (server,) = psutil.Process(process.pid).children()
        process.send_signal(number)
        said, _ = process.communicate()
    assert process.returncode == code
    assert "Traceback" not in said, said
    assert not server.is_running()


@pytest.mark.parametrize(
    ("scenario", "options", "line"),
    [
        ("agreement", ["--tools", "nowhere"], "there is no program 'blast' in 'nowhere'"),
        ("bars", ["--tools", "nowhere"], "there is no program 'blast' in 'nowhere'"),
        ("churn", ["--rate", "0"], "argument --rate: '0' is not a number above 0"),
        ("restart", ["--posts", "9", "--rooms", "10"], "--posts must be at least --rooms"),
        ("resume", ["--clients", "0"], "argument --clients: '0' is not a whole number"),
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
