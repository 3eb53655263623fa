"""The proof in short: a server that is killed under load, and a bug that is detected.

`make proof` is the long form, with more kills, and all the bugs.
"""

from pathlib import Path

import pytest

from tests.proof.bugs import CAUGHT_BY
from tests.proof.bugs.posts import duplicate_on_resume
from tests.proof.checker import CHECKS, check
from tests.proof.nemesis import Plan, run

_QUICK_FAULTS = (
    "engine killed", "engine and server killed", "engine's disk full", "connections ended",
    "scripts forgotten", "memory full", "network cut", "answers withheld", "feed late",
)  # fmt: skip

pytestmark = pytest.mark.timeout(240)  # beside other programs that use up all cores


def test_a_server_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    judged, faults, starts = run(Plan(rounds=6, clients=20, seed=4, late_seconds=60), tmp_path)
    verdict = check(judged)
    assert verdict.lines() == []
    assert verdict.counts["ok"] > 100
    assert verdict.counts["away"] > 20
    assert sum(count for fault, count in faults.items() if fault.startswith("kill")) >= 6
    assert sorted(starts)[len(starts) // 2] < 2.0


def test_a_server_loses_and_doubles_nothing_when_its_engine_fails(tmp_path: Path) -> None:
    """Without faults that take long, and without waiting until redacted texts are gone."""
    plan = Plan(
        rounds=8, clients=10, seed=3, timeline="valkey", faults=_QUICK_FAULTS, late_seconds=None
    )
    judged, faults, _ = run(plan, tmp_path)
    verdict = check(judged)
    assert verdict.lines() == []
    assert verdict.counts["ok"] > 50
    assert sum(faults.values()) >= 10


def test_two_nodes_lose_and_double_nothing_and_agree(tmp_path: Path) -> None:
    plan = Plan(
        rounds=8,
        clients=10,
        seed=2,
        timeline="valkey",
        nodes=2,
        faults=_QUICK_FAULTS,
        late_seconds=None,
    )
    judged, faults, _ = run(plan, tmp_path)
    verdict = check(judged)
    assert verdict.lines() == []
    assert verdict.counts["ok"] > 50
    assert verdict.counts["nicks owned"] > 10
    assert sum(faults.values()) >= 8


def test_a_server_with_a_bug_is_caught(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing; `make proof ARGS=--bugs` injects all bugs."""
    found = set()
    for seed in (5, 6, 7):  # on a busy machine two kills may interrupt no replay
        folder = tmp_path / str(seed)
        folder.mkdir()
        judged, _, _ = run(
            Plan(rounds=2, clients=10, seed=seed, bug=duplicate_on_resume.__name__), folder
        )
        found |= set(check(judged).found)
        if "doubled" in found:
            break
    assert "doubled" in found


def test_each_bug_names_existing_checks() -> None:
    assert len(CAUGHT_BY) >= 15
    assert {check for checks in CAUGHT_BY.values() for check in checks} <= set(CHECKS)
