import re
import subprocess
import sys

from tests.loadtests.conftest import HERE


def test_a_history_moves_to_each_engine_and_back() -> None:
    command = [sys.executable, "-m", "loadtests.scenarios.move"]
    command += ["--posts", "2000", "--rooms", "20"]
    ended = subprocess.run(command, cwd=HERE, check=False, text=True, capture_output=True)
    assert ended.returncode == 0, ended
    ways = re.findall(r"^from (\S+) to (\S+): export [\d.]+ s ", ended.stdout, re.MULTILINE)
    assert ("SQLite", "redis-server") in ways
    assert ("valkey-server", "SQLite") in ways
