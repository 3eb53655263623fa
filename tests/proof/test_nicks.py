"""The checker on who has which nick, on connections to several nodes."""

from typing import Any

from tests.proof.checker import Run, check

SECOND = 1_000_000_000
FINDS = {"shared", "lingering", "unbanned"}
"""The checks that are tested here."""


def found(*lines: list[Any]) -> dict[str, list[str]]:
    """Check what two guests and a device of an account log; times are in seconds."""
    at = [[line[0] * SECOND, *line[1:]] for line in lines]
    return check(Run([[0, "account", "c1", "pia"], *at], "e", [])).found


def saw(at: int, client: str) -> list[Any]:
    return [at, "heard", client, "one", "e", 1, 1, None]


def owners(*lines: list[Any]) -> list[str]:
    return found(*lines).get("shared", [])


def test_a_nick_that_is_given_back_is_the_next_ones() -> None:
    assert not owners(
        [1, "named", "c7", None, "wanted"],
        saw(2, "c7"),
        [3, "named", "c7", None, "c7"],
        saw(30, "c7"),
        [3, "named", "c8", None, "wanted"],
        saw(40, "c8"),
    )


def test_a_nick_is_free_when_its_owner_is_lost() -> None:
    assert not owners(
        [1, "named", "c7", None, "wanted"],
        [2, "away", "c7", "lost"],
        [3, "named", "c8", None, "wanted"],
        saw(40, "c8"),
        [41, "opens", "c7"],
        [42, "named", "c7", None, "c7"],
    )


def test_a_nick_that_two_have_at_once_is_found() -> None:
    (line,) = owners(
        [1, "named", "c7", None, "wanted"],
        [10, "named", "c8", None, "wanted"],
        saw(20, "c7"),
        saw(21, "c8"),
    )
    assert line == "wanted is c8 while it is c7"


def test_an_answer_to_who_asks_for_the_nick_that_it_has_proves_nothing() -> None:
    """Its node may have been stopped, and not know yet that others took it for dead."""
    stopped = [[1, "named", "c7", None, "wanted"], [10, "named", "c8", None, "wanted"]]
    again, ended = [14, "named", "c7", None, "wanted"], [15, "away", "c7", "storage"]
    assert not owners(*stopped, again, saw(40, "c8"), ended)
    (line,) = owners(*stopped, again, saw(14, "c7"), saw(40, "c8"), ended)
    assert line == "wanted is c8 while it is c7"


def test_what_a_paused_client_receives_late_proves_nothing() -> None:
    assert not owners(
        [1, "named", "c7", None, "wanted"],
        [10, "named", "c8", None, "wanted"],
        saw(12, "c7"),
    )


def test_devices_of_an_account_have_its_nick_together() -> None:
    assert not owners(
        [1, "named", "c1", None, "pia"], [2, "named", "c7", None, "pia"], saw(30, "c7")
    )


def test_who_is_listed_has_to_be_there() -> None:
    lines = [
        [1, "is", "c7", None, "wanted"],
        [1, "is", "c1", None, "pia"],
        [2, "who", "c7", "one", ["wanted", "pia"]],
    ]
    assert "lingering" not in found(*lines)
    ghosts = found(*lines, [3, "who", "c1", "two", ["wanted", "guest-7"]])["lingering"]
    assert ghosts == ["c1: guest-7 is listed in two, and is gone"]


def test_a_ban_that_does_not_hold_is_found() -> None:
    assert found([1, "unbanned", "nemesis", "eve1 was banned"])["unbanned"] == ["eve1 was banned"]
