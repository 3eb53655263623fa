import subprocess
import sys

from tests.loadtests.conftest import HERE


def test_everyone_comes_back_at_once_and_misses_nothing() -> None:
    command = [sys.executable, "-m", "loadtests.scenarios.resume"]
    command += ["--clients", "60", "--missed", "20", "--rooms", "3"]
    ended = subprocess.run(command, cwd=HERE, check=False, text=True, capture_output=True)
    assert ended.returncode == 0, ended
    assert "60 clients missed 20 posts each" in ended.stdout
    assert "; 0 failed." in ended.stdout
