import random

import pytest

from loadtests.scenarios.soak import by_minute, slope


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
