import subprocess
import sys

from tests.loadtests.conftest import HERE


def test_a_slow_reader_catches_up_when_the_traffic_stops() -> None:
    command = [sys.executable, "-m", "loadtests.scenarios.slow_reader"]
    command += ["--bytes-per-second", "1000000"]
    command += ["--busy-seconds", "1", "--posts-per-second", "300", "--text-bytes", "8000"]
    ended = subprocess.run(command, cwd=HERE, check=False, text=True, capture_output=True)
    assert ended.returncode == 0, ended
    assert "each once and in order" in ended.stdout
    assert "Closed by the server: slow 1." in ended.stdout
