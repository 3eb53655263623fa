import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.loadtests.conftest import HERE, Run

FAULTS = {"drop": "lost", "duplicate": "duplicated", "swap": "reordered"}


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def faulty(server: str, fault: str) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.loadtests.faulty", server, fault, "10000"]
    with subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


def test_one_post_in_ten_thousand_gone_wrong_is_a_failure_with_its_name(
    load: Callable[..., Run], faulty: str, fault: str
) -> None:
    run = load(
        *("--host", faulty, "-u", "40", "-t", "4s", "--lobby", "0", "--talk-seconds", "0.1"),
        *("Talker", "Lurker"),
    )

    assert run.code == 1, run.said
    assert run.failures() == {("order", FAULTS[fault])}
    assert int(run.rows("chat_history")[-1][FAULTS[fault]]) > 0
