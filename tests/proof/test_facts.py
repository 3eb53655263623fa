"""The checker on what is known of people: accounts, sessions, memberships, marks, counts."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.proof.checker import Run, StoredPost, check

RUN_NAMES = {"@x": "@ann+bob"}


def run() -> Run:
    """Ann, on two devices, and Bob have accounts; Bob comes into a private room, and goes again.

    A newcomer registers, and revokes the session. Bob says something to Ann, who reads it.
    """
    lines: list[list[Any]] = [
        [1, "account", "c0", "ann"],
        [1, "account", "c1", "ann"],
        [1, "account", "c2", "bob"],
        [1, "has", "c0", "account ann", True],
        [1, "has", "c0", "login a", True],
        [1, "has", "c1", "login b", True],
        [1, "has", "c0", "member ann since-0", True],
        [2, "opens", "c0"],
        [2, "opens", "c1"],
        [2, "opens", "c2"],
        [3, "wants", "c2", "member bob since-0", True],
        [4, "joined", "c2", "since-0", "e", 0, 1, None, None, 0],
        [4, "joined", "c0", "since-0", "e", 0, 1, None, None, 0],
        [5, "has", "c2", "member bob since-0", True],
        [6, "wants", "c2", "member bob since-0", False],
        [7, "left", "c2", "since-0", None],
        [8, "has", "c2", "member bob since-0", False],
        [9, "says", "c0", "since-0", "c0-1", "c0-1: a secret"],
        [10, "saw", "c0", "since-0", "e", 1, "c0-1", "c0-1: a secret", 0, False],
        [11, "ok", "c0", "since-0", "c0-1", 1],
        [12, "says", "c2", "@x", "c2-1", "c2-1: text to ann ."],
        [13, "joined", "c0", "@x", "e", 1, 1, None, None, 0],
        [13, "joined", "c1", "@x", "e", 1, 1, None, None, 0],
        [13, "joined", "c2", "@x", "e", 1, 1, None, None, 0],
        *[[14, "saw", c, "@x", "e", 1, "c2-1", "c2-1: text to ann .", 0, False]
          for c in ("c0", "c1", "c2")],
        [15, "ok", "c2", "@x", "c2-1", 1],
        [16, "counts", "c1", "@x", 0, 1, 1],
        [17, "wants", "c0", "read ann @x", 1],
        [18, "mark", "c0", "@x", 1],
        [18, "has", "c0", "read ann @x", 1],
        [20, "opens", "c1"],
        [21, "joined", "c1", "@x", "e", 1, 1, True, ["e", 1], 1],
        [22, "mark", "c1", "@x", 1],
        [23, "wants", "n", "account new", True],
        [24, "has", "n", "account new", True],
        [24, "has", "n", "login c", True],
        [25, "wants", "n", "login c", False],
        [26, "has", "n", "login c", False],
        [27, "let in", "t", "login a"],
        [28, "shut out", "t", "login c", "account"],
        [30, "end", "c0", {"since-0": 1, "@x": 1}],
        [30, "end", "c1", {"since-0": 1, "@x": 1}],
        [30, "end", "c2", {"@x": 1}],
    ]  # fmt: skip
    run = Run([], "e", [], names=dict(RUN_NAMES))
    run.take(lines)
    run.stored = [
        StoredPost("@ann+bob", 1, "c2-1", "c2-1: text to ann .", account="bob"),
        StoredPost("since-0", 1, "c0-1", "c0-1: a secret", account="ann"),
    ]
    facts = ("account ann", "account new", "login a", "login b", "member ann since-0",
             "read ann @ann+bob")  # fmt: skip
    run.facts = dict.fromkeys(facts, 1)
    return run


def test_a_correct_run_has_no_violations() -> None:
    it = run()
    in_seconds(it)
    verdict = check(it)
    assert verdict.found == {}
    assert (verdict.counts["account facts"], verdict.counts["returns"]) == (2, 0)


def test_a_request_without_an_answer_may_have_been_carried_out() -> None:
    for stored in (0, 1):
        it = run()
        it.lines.append([40, "wants", "c0", "member ann since-0", False])
        it.facts["member ann since-0"] = stored
        it.lines = [line for line in it.lines if line[1:3] != ["end", "c0"]]
        in_seconds(it)
        assert check(it).found == {}


def in_seconds(it: Run) -> None:
    """Take the times above for seconds."""
    it.lines = [[line[0] * 1_000_000_000, *line[1:]] for line in it.lines]


def forget_an_account(it: Run) -> None:
    del it.facts["account new"]


def forget_a_session(it: Run) -> None:
    del it.facts["login b"]


def forget_a_membership(it: Run) -> None:
    del it.facts["member ann since-0"]


def keep_a_revoked_session(it: Run) -> None:
    it.facts["login c"] = 1


def keep_an_ended_membership(it: Run) -> None:
    it.facts["member bob since-0"] = 1


def let_in_by_a_revoked_session(it: Run) -> None:
    it.lines.append([29, "let in", "t", "login c"])


def shut_out_by_a_valid_session(it: Run) -> None:
    it.lines.append([29, "shut out", "t", "login a", "account"])


def end_a_device(it: Run) -> None:
    it.lines.append([29, "over", "c1", "account"])


def forget_a_mark(it: Run) -> None:
    it.facts["read ann @ann+bob"] = 0


def tell_a_device_an_older_mark(it: Run) -> None:
    it.lines.append([29, "mark", "c1", "@ann+bob", 0])


def show_a_room_after_it_was_left(it: Run) -> None:
    it.lines.append([29, "saw", "c2", "since-0", "e", 1, "c0-1", "c0-1: a secret", 0, False])


def show_what_was_said_before(it: Run) -> None:
    it.lines += [
        [27, "wants", "c2", "member bob since-0", True],
        [28, "joined", "c2", "since-0", "e", 1, 1, None, None, 1],
        [29, "saw", "c2", "since-0", "e", 1, "c0-1", "c0-1: a secret", 0, False],
    ]


def let_in_who_was_removed(it: Run) -> None:
    it.lines += [[27, "opens", "c2"], [28, "joined", "c2", "since-0", "e", 1, 2, None, None, 1]]


def show_a_conversation_of_others(it: Run) -> None:
    it.lines += [[27, "opens", "c9"], [28, "joined", "c9", "@ann+bob", "e", 1, 1, None, None, None]]


def leave_a_conversation_closed(it: Run) -> None:
    it.lines.append([29, "closed", "c1", "@ann+bob", 1])


def count_too_few_unread(it: Run) -> None:
    it.lines.append([29, "counts", "c1", "@ann+bob", 0, 0, 1])


def count_a_mention_twice(it: Run) -> None:
    it.lines.append([29, "counts", "c1", "@ann+bob", 0, 1, 2])


BREAKS: list[tuple[Callable[[Run], None], str]] = [
    (forget_an_account, "forgotten"),
    (forget_a_session, "forgotten"),
    (forget_a_membership, "forgotten"),
    (keep_a_revoked_session, "forgotten"),
    (keep_an_ended_membership, "forgotten"),
    (let_in_by_a_revoked_session, "forgotten"),
    (shut_out_by_a_valid_session, "forgotten"),
    (end_a_device, "forgotten"),
    (forget_a_mark, "receded"),
    (tell_a_device_an_older_mark, "receded"),
    (show_a_room_after_it_was_left, "leaked"),
    (show_what_was_said_before, "leaked"),
    (let_in_who_was_removed, "leaked"),
    (show_a_conversation_of_others, "leaked"),
    (leave_a_conversation_closed, "unheard"),
    (count_too_few_unread, "miscounted"),
    (count_a_mention_twice, "miscounted"),
]


@pytest.mark.parametrize(("breaks", "by"), BREAKS)
def test_each_check_detects_its_kind_of_violation(breaks: Callable[[Run], None], by: str) -> None:
    it = run()
    breaks(it)
    in_seconds(it)
    assert by in check(it).found
