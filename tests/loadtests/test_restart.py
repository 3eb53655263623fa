import re
import subprocess
import sys

from tests.loadtests.conftest import HERE


def test_a_server_with_a_history_is_ready_soon_after_it_was_killed() -> None:
    command = [sys.executable, "-m", "loadtests.scenarios.restart"]
    command += ["--posts", "2000", "--times", "1"]
    ended = subprocess.run(command, cwd=HERE, check=False, text=True, capture_output=True)
    assert ended.stdout.startswith("2,000 posts in 100 rooms"), ended
    assert len(re.findall(r"ready after a kill, .+: [\d.]+ to [\d.]+ s", ended.stdout)) == 2
    assert ended.returncode == ("failed: it took more than 2.0 s" in ended.stdout)
