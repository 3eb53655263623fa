"""The proof in short: a server that is killed under load, and a bug that is detected.

`make proof` is the long form, with more kills, and all the bugs.
"""

from pathlib import Path

import pytest

from tests.proof.bugs import CAUGHT_BY, duplicate_on_resume
from tests.proof.checker import CHECKS, check
from tests.proof.nemesis import Plan, run

pytestmark = pytest.mark.timeout(120)


def test_a_server_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    judged, faults, starts = run(Plan(kills=6, clients=20, seed=4), tmp_path)
    verdict = check(judged)
    assert verdict.lines() == []
    assert verdict.counts["ok"] > 100
    assert verdict.counts["away"] > 20
    assert sum(count for fault, count in faults.items() if fault.startswith("kill")) >= 6
    assert sorted(starts)[len(starts) // 2] < 2.0


def test_a_server_with_a_bug_is_caught(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing; `make proof ARGS=--bugs` injects all bugs."""
    judged, _, _ = run(
        Plan(kills=2, clients=10, seed=5, bug=duplicate_on_resume.__name__), tmp_path
    )
    assert "doubled" in check(judged).found


def test_each_bug_names_existing_checks() -> None:
    assert len(CAUGHT_BY) >= 15
    assert {check for checks in CAUGHT_BY.values() for check in checks} <= set(CHECKS)
