"""`make cluster`, as its users meet it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from geventchat.client import Connection
from tests.command import first_line, port
from tests.loadtests.conftest import HERE

COMMAND = [sys.executable, "-m", "loadtests.cluster"]


@contextmanager
def started(folder: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    command = [*COMMAND, "--folder", str(folder), "--port", "0", *options]
    with subprocess.Popen(command, cwd=HERE, text=True, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_workers_and_their_engine_are_there_until_ctrl_c_and_keep_what_was_said(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "tried"
    for position in 1, 2:
        with started(folder) as process:
            assert f"keeps all in {folder}, and is at unix://" in first_line(process)
            with Connection("127.0.0.1", port(first_line(process))) as chat:
                assert chat.say("lobby", "hello") == position
            started_here = psutil.Process(process.pid).children(recursive=True)
            assert len(started_here) == 4  # an engine, a parent and its workers
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        assert not psutil.wait_procs(started_here, timeout=30)[1]
    assert folder.stat().st_mode & 0o777 == 0o700


def refusal(folder: Path) -> str:
    """Return the only line of a run that cannot work."""
    done = subprocess.run(
        [*COMMAND, "--folder", str(folder)],
        cwd=HERE, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def test_two_at_a_time_in_one_folder_are_refused(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        first_line(process)
        assert (
            refusal(tmp_path) == f"cluster: --folder {tmp_path}: in use by another `make cluster`"
        )


def test_an_engine_that_does_not_start_is_named_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("not a folder")
    line = refusal(tmp_path)
    assert "-server does not start: it ended" in line
    assert line.endswith(f"; see {tmp_path}/engine.log")
    assert "appendonlydir" in (tmp_path / "engine.log").read_text("utf-8")
