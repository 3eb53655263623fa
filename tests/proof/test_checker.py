"""The checker on a run of a few lines: no false violations, and each check detects its kind."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.proof.checker import CHECKS, Run, StoredPost, check

Lines = list[list[Any]]


def run() -> Run:
    """Ann sends two messages, Bob one in between; both receive all, Bob on two connections."""
    lines: Lines = [
        [1, "joined", "ann", "one", "e", 0, 1, None, None],
        [2, "joined", "bob", "one", "e", 0, 1, None, None],
        [10, "says", "ann", "one", "ann-1", "ann-1: a"],
        [12, "saw", "ann", "one", "e", 1, "ann-1", "ann-1: a"],
        [13, "ok", "ann", "one", "ann-1", 1],
        [14, "saw", "bob", "one", "e", 1, "ann-1", "ann-1: a"],
        [20, "says", "bob", "one", "bob-1", "bob-1: b"],
        [22, "saw", "ann", "one", "e", 2, None, "bob-1: b"],
        [23, "away", "bob", "lost"],
        [24, "joined", "bob", "one", "e", 2, 1, True, ["e", 1]],
        [25, "saw", "bob", "one", "e", 2, "bob-1", "bob-1: b"],
        [26, "unknown", "bob", "one", "bob-1", "it took too long"],
        [30, "says", "ann", "one", "ann-2", "ann-2: c"],
        [32, "saw", "ann", "one", "e", 3, "ann-2", "ann-2: c"],
        [33, "ok", "ann", "one", "ann-2", 3],
        [34, "saw", "bob", "one", "e", 3, None, "ann-2: c"],
        [40, "end", "ann", {"one": 3}],
        [41, "end", "bob", {"one": 3}],
    ]
    stored = [
        StoredPost("one", 1, "ann-1", "ann-1: a"),
        StoredPost("one", 2, "bob-1", "bob-1: b"),
        StoredPost("one", 3, "ann-2", "ann-2: c"),
    ]
    return Run(lines, "e", stored)


def test_a_correct_run_has_no_violations() -> None:
    verdict = check(run())
    assert verdict.found == {}
    assert (verdict.counts["says"], verdict.counts["ok"], verdict.counts["saw"]) == (3, 2, 6)


def lose(it: Run) -> None:
    it.stored.pop()


def double(it: Run) -> None:
    it.stored.append(StoredPost("one", 4, "ann-1", "ann-1: a"))


def hear_twice(it: Run) -> None:
    it.lines.insert(8, it.lines[7])


def invent(it: Run) -> None:
    it.stored.append(StoredPost("one", 4, None, "never said"))


def change(it: Run) -> None:
    it.lines[5][7] = "ann-1: A"


def change_stored(it: Run) -> None:
    it.stored[0] = it.stored[0]._replace(text="ann-1: A")


def misplace(it: Run) -> None:
    it.lines[2][3] = "two"


def leave_a_hole(it: Run) -> None:
    it.stored[2] = it.stored[2]._replace(position=4)


def receive_unstored(it: Run) -> None:
    it.lines += [
        [50, "says", "ann", "one", "ann-3", "ann-3: d"],
        [51, "saw", "bob", "one", "e", 4, None, "ann-3: d"],
    ]


def misnumber(it: Run) -> None:
    it.lines[14][5] = 2


def pass_over(it: Run) -> None:
    del it.lines[7]


def lie(it: Run) -> None:
    del it.lines[10]


def claim_too_much(it: Run) -> None:
    it.lines[9][8] = ["another", 1]


def give_up_too_soon(it: Run) -> None:
    it.lines[9][7] = False


def leave_behind(it: Run) -> None:
    it.lines[-1][3] = {"one": 2}
    del it.lines[-3]


def come_late(it: Run) -> None:
    it.stored[1:] = [
        StoredPost("one", 2, "ann-2", "ann-2: c"),
        StoredPost("one", 3, "bob-1", "bob-1: b"),
    ]
    it.lines.insert(11, [26, "ok", "bob", "one", "bob-1", 3])


@pytest.mark.parametrize(
    ("breaks", "by"),
    [
        (lose, "lost"),
        (double, "doubled"),
        (hear_twice, "doubled"),
        (invent, "invented"),
        (change, "changed"),
        (change_stored, "changed"),
        (misplace, "misplaced"),
        (leave_a_hole, "hole"),
        (receive_unstored, "ghost"),
        (misnumber, "misnumbered"),
        (pass_over, "unnoticed"),
        (lie, "lied"),
        (claim_too_much, "lied"),
        (give_up_too_soon, "overcautious"),
        (leave_behind, "unheard"),
        (come_late, "late"),
    ],
)
def test_each_check_detects_its_kind_of_violation(breaks: Callable[[Run], None], by: str) -> None:
    it = run()
    breaks(it)
    assert by in check(it).found


def test_every_check_is_covered_by_a_violation() -> None:
    marks = getattr(test_each_check_detects_its_kind_of_violation, "pytestmark")  # noqa: B009
    assert {by for _, by in marks[0].args[1]} == set(CHECKS)
