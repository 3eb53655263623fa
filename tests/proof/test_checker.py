"""The checker on a run of a few lines: no false violations, and each check detects its kind."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.proof import test_facts, test_nicks
from tests.proof.checker import CHECKS, Run, StoredPost, check

Lines = list[list[Any]]


def run() -> Run:
    """Ann sends two messages, Bob one in between; both receive all, Bob on two connections.

    Then Ann edits her first, and Bob redacts his.
    """
    lines: Lines = [
        [1, "joined", "ann", "one", "e", 0, 1, None, None],
        [2, "joined", "bob", "one", "e", 0, 1, None, None],
        [10, "says", "ann", "one", "ann-1", "ann-1: a"],
        [12, "saw", "ann", "one", "e", 1, "ann-1", "ann-1: a", 0, False],
        [13, "ok", "ann", "one", "ann-1", 1],
        [14, "saw", "bob", "one", "e", 1, "ann-1", "ann-1: a", 0, False],
        [20, "says", "bob", "one", "bob-1", "bob-1: b"],
        [22, "saw", "ann", "one", "e", 2, None, "bob-1: b", 0, False],
        [23, "away", "bob", "lost"],
        [24, "joined", "bob", "one", "e", 2, 1, True, ["e", 1]],
        [25, "saw", "bob", "one", "e", 2, "bob-1", "bob-1: b", 0, False],
        [26, "unknown", "bob", "one", "bob-1", "it took too long"],
        [30, "says", "ann", "one", "ann-2", "ann-2: c"],
        [32, "saw", "ann", "one", "e", 3, "ann-2", "ann-2: c", 0, False],
        [33, "ok", "ann", "one", "ann-2", 3],
        [34, "saw", "bob", "one", "e", 3, None, "ann-2: c", 0, False],
        [35, "edits", "ann", "one", "ann-1", 1, "ann-1~1: A"],
        [36, "heard", "ann", "one", "e", 1, 1, "ann-1~1: A"],
        [36, "heard", "bob", "one", "e", 1, 1, "ann-1~1: A"],
        [37, "edited", "ann", "one", "ann-1", 1, 1, "ann-1~1: A"],
        [37, "redacts", "bob", "one", "bob-1", 2],
        [38, "heard", "bob", "one", "e", 2, 2, None],
        [38, "heard", "ann", "one", "e", 2, 2, None],
        [38, "redacted", "bob", "one", "bob-1", 2, 2],
        [40, "end", "ann", {"one": 3}],
        [41, "end", "bob", {"one": 3}],
    ]
    stored = [
        StoredPost("one", 1, "ann-1", "ann-1~1: A", 1),
        StoredPost("one", 2, "bob-1", "", 2, 1),
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
    it.lines[5][7] = "ann-1: B"


def change_stored(it: Run) -> None:
    it.stored[2] = it.stored[2]._replace(text="ann-2: C")


def misplace(it: Run) -> None:
    it.lines[2][3] = "two"


def leave_a_hole(it: Run) -> None:
    it.stored[2] = it.stored[2]._replace(position=4)


def receive_unstored(it: Run) -> None:
    it.lines += [
        [50, "says", "ann", "one", "ann-3", "ann-3: d"],
        [51, "saw", "bob", "one", "e", 4, None, "ann-3: d", 0, False],
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
    del it.lines[15]


def come_late(it: Run) -> None:
    it.stored[1:] = [
        StoredPost("one", 2, "ann-2", "ann-2: c"),
        StoredPost("one", 3, "bob-1", "bob-1: b"),
    ]
    it.lines.insert(11, [26, "ok", "bob", "one", "bob-1", 3])


def turn_round_what_a_plain_client_said(it: Run) -> None:
    it.lines += [[50, "says", "q0", "two", f"q0-{n}", f"q0-{n}: x"] for n in (1, 2)]
    it.stored += [
        StoredPost("two", 1, "q0-2", "q0-2: x"),
        StoredPost("two", 2, "q0-1", "q0-1: x"),
    ]


def lose_a_change(it: Run) -> None:
    it.stored[0] = it.stored[0]._replace(text="ann-1: a", change=0)


def bring_a_text_back(it: Run) -> None:
    it.stored[1] = it.stored[1]._replace(text="bob-1: b", redacted=0)


def store_another_edit(it: Run) -> None:
    it.stored[0] = it.stored[0]._replace(text="ann-1~1: B")


def use_a_number_twice(it: Run) -> None:
    it.stored[1] = it.stored[1]._replace(change=1)


def change_unasked(it: Run) -> None:
    del it.lines[16]


def redact_unasked(it: Run) -> None:
    del it.lines[20]


def hear_two_texts(it: Run) -> None:
    it.lines[18][7] = "ann-1~1: B"


def miss_a_change(it: Run) -> None:
    del it.lines[18]


def hear_a_change_that_is_not_stored(it: Run) -> None:
    it.lines[18][6] = 7


def leave_a_text_in_the_file(it: Run) -> None:
    it.remains.append("bob-1")


def deny_what_is_stored(it: Run) -> None:
    it.lines[11][5] = "storage"


def deny_a_change_that_is_heard(it: Run) -> None:
    it.lines[19] = [37, "unsure", "ann", "one", "ann-1", 1, "storage"]


def hear_nothing(it: Run) -> None:
    it.lines.append([50, "deaf", "nemesis", "nothing was delivered for 15 s"])


def take_over(it: Run) -> None:
    it.lines.append([50, "usurped", "nemesis", "a second server came"])


def keep_the_epoch(it: Run) -> None:
    it.lost = True
    it.over.add("e")


def change_the_epoch(it: Run) -> None:
    it.lines.append([50, "joined", "ann", "one", "f", 3, 1, False, ["e", 3], None])


def leave_a_key(it: Run) -> None:
    it.leftover.append("the key of one 0")


def hear_two_texts_before_a_loss(it: Run) -> None:
    it.lost = True
    it.lines[18][7] = "ann-1~1: B"


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
        (turn_round_what_a_plain_client_said, "late"),
        (lose_a_change, "lost"),
        (bring_a_text_back, "resurrected"),
        (store_another_edit, "changed"),
        (use_a_number_twice, "doubled"),
        (change_unasked, "invented"),
        (redact_unasked, "invented"),
        (hear_two_texts, "changed"),
        (miss_a_change, "stale"),
        (hear_a_change_that_is_not_stored, "ghost"),
        (leave_a_text_in_the_file, "remains"),
        (deny_what_is_stored, "denied"),
        (deny_a_change_that_is_heard, "denied"),
        (hear_nothing, "deaf"),
        (take_over, "usurped"),
        (keep_the_epoch, "lied"),
        (change_the_epoch, "overcautious"),
        (leave_a_key, "leftover"),
        (hear_two_texts_before_a_loss, "changed"),
    ],
)
def test_each_check_detects_its_kind_of_violation(breaks: Callable[[Run], None], by: str) -> None:
    it = run()
    breaks(it)
    assert by in check(it).found


def test_what_was_trimmed_is_not_missing() -> None:
    it = run()
    del it.stored[0]
    it.oldest["one"] = 2
    assert check(it).found == {}


def test_what_was_sent_again_may_be_denied_and_stored() -> None:
    """It was stored when it was sent first, and nobody heard of it."""
    it = run()
    deny_what_is_stored(it)
    it.lines.insert(9, [24, "opens", "bob"])
    assert "denied" not in check(it).found


def test_a_redaction_may_be_denied_of_what_was_said_on_the_same_connection() -> None:
    it = run()
    deny_what_is_stored(it)
    at = next(n for n, line in enumerate(it.lines) if line[1] == "unknown")
    _, _, client, room, key, *_ = it.lines[at]
    it.lines[at] = [it.lines[at][0], "unsure", client, room, key, 1, "storage"]
    it.lines.insert(at, [it.lines[at][0], "redacts", client, room, key, 1])
    assert "denied" not in check(it).found


def test_every_check_is_covered_by_a_violation() -> None:
    marks = getattr(test_each_check_detects_its_kind_of_violation, "pytestmark")  # noqa: B009
    of_people = {by for _, by in test_facts.BREAKS}
    assert {by for _, by in marks[0].args[1]} | of_people | test_nicks.FINDS == set(CHECKS)
