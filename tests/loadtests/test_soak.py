import random
import subprocess
import sys

import pytest

from loadtests.scenarios.soak import LEAST_MINUTES, WARM_UP_SHARE, Slope, by_minute, slope
from tests.loadtests.conftest import HERE


def test_a_slope_is_found_through_noise_and_outliers() -> None:
    noise = random.Random(1)
    points = [(minute / 60, 50 + 6 * minute / 60 + noise.gauss(0, 0.1)) for minute in range(20)]
    points[7] = points[7][0], 500
    found = slope(points)
    assert found.median == pytest.approx(6, abs=0.5)
    assert found.low < 6 < found.high


def test_what_is_flat_has_zero_in_its_interval() -> None:
    noise = random.Random(2)
    found = slope([(minute / 60, 50 + noise.gauss(0, 0.3)) for minute in range(20)])
    assert found.low < 0 < found.high


def test_too_few_points_tell_no_slope() -> None:
    with pytest.raises(ValueError, match="3 minutes"):
        slope([(0, 1), (1, 1), (2, 1)])


def test_the_warm_up_and_what_is_not_known_do_not_count() -> None:
    rows = [("0.5", "1"), ("60", "10"), ("90", "30"), ("100", ""), ("110", "20"), ("125", "40")]
    read = [{"seconds": at, "server_memory_mb": memory} for at, memory in rows]
    assert by_minute(read, after=60) == [(1 / 60, 20), (2 / 60, 40)]


def test_the_shortest_run_has_enough_minutes_for_a_trend() -> None:
    seconds = LEAST_MINUTES * 60
    rows = [{"seconds": f"{at}", "server_memory_mb": "50"} for at in range(seconds)]
    assert slope(by_minute(rows, after=seconds * WARM_UP_SHARE)) == (0, 0, 0)


def test_a_verdict_is_no_more_certain_than_its_interval() -> None:
    assert Slope(5, 3, 9).verdict == "It GROWS."
    assert Slope(0, -1, 1).verdict == "It is flat."
    assert Slope(0, -90, 90).verdict.startswith("It is not shown to grow;")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--minutes", "2"], "argument --minutes: '2' is too short: a trend takes at least 6"),
        (["--minutes", "nan"], "argument --minutes: 'nan' is not a number above 0"),
        (["--users", "0"], "argument -u/--users: '0' is not a whole number of at least 1"),
        (["--host", ""], "argument -H/--host: '' is not HOST:PORT"),
        (["--host", "127.0.0.1:1"], "nothing on this machine that listens at 127.0.0.1:1 can be"),
        (["--csv", "/dev/null/soak"], "argument --csv: the folder '/dev/null' cannot be made"),
    ],
)
def test_what_cannot_give_a_verdict_is_refused_at_once(options: list[str], line: str) -> None:
    command = [sys.executable, "-m", "loadtests.scenarios.soak", *options]
    ended = subprocess.run(command, cwd=HERE, check=False, text=True, capture_output=True)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (complaint,) = ended.stderr.splitlines()
    assert complaint.startswith(f"soak: {line}")
