import re
import subprocess
import sys

import pytest

from tests.loadtests.conftest import HERE


@pytest.mark.parametrize("storm", ["redactions", "edits", "searches"])
def test_a_storm_rages_beside_a_bystander(storm: str) -> None:
    command = [sys.executable, "-m", "loadtests.scenarios.storms", storm]
    command += ["--turns", "1", "--seconds", "0.3"]
    ended = subprocess.run(command, cwd=HERE, check=False, text=True, capture_output=True)
    assert ended.returncode == 0, ended
    assert ended.stderr == ""
    assert re.search(
        rf"^\| {storm} \| [1-9]\d* \| [\d.]+ and [\d.]+ \|", ended.stdout, re.MULTILINE
    )
