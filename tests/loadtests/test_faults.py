import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.loadtests.conftest import HERE, Run, Started

FAULTS = {"drop": "lost", "duplicate": "duplicated", "swap": "reordered"}


@pytest.fixture(scope="module")
def runs(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Started]]:
    """Load a server through each fault, all at once."""
    with ExitStack() as stack:

        def through(fault: str) -> Started:
            command = [sys.executable, "-m", "tests.loadtests.faulty", server, fault, "10000"]
            process = stack.enter_context(
                subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.terminate)
            assert process.stdout
            return Started(
                tmp_path_factory.mktemp(fault),
                *("--host", f"127.0.0.1:{int(process.stdout.readline())}", "-u", "40", "-t", "4s"),
                *("--lobby", "0", "--talk-seconds", "0.1", "Talker", "Lurker"),
            )

        yield {fault: through(fault) for fault in FAULTS}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_post_in_ten_thousand_gone_wrong_is_a_failure_with_its_name(
    runs: dict[str, Started], fault: str
) -> None:
    run: Run = runs[fault].end()

    assert run.code == 1, run.said
    assert run.failures() == {("order", FAULTS[fault])}
    last = run.rows("chat_history")[-1]
    assert int(last[FAULTS[fault]]) > 0
    assert last["failures"] == last[FAULTS[fault]]  # has all of them, each once
