"""Who comes and goes costs few lines, and none for nothing."""

import pytest

from geventchat.client.terminal.comings import Comings


@pytest.fixture
def comings() -> Comings:
    return Comings()


def lines(comings: Comings, first: int, last: int) -> list[str]:
    return [line for now in range(first, last) for line in comings.due(now)]


def test_the_first_is_shown_soon(comings: Comings) -> None:
    comings.join("bert")
    assert comings.due(0) == []
    assert comings.due(2) == ["bert joined"]
    assert lines(comings, 3, 2_000) == []


def test_a_crowd_is_one_line(comings: Comings) -> None:
    for n in range(200):
        comings.join(f"guest-{n}")
    comings.leave("bert")
    comings.leave("carl")
    assert lines(comings, 0, 4) == [
        "guest-0, guest-1, guest-2, guest-3, guest-4 and 195 others joined; bert and carl left"
    ]


def test_a_name_is_not_replaced_by_a_number_for_one(comings: Comings) -> None:
    for nick in "abcdef":
        comings.join(nick)
    assert lines(comings, 0, 4) == ["a, b, c, d, e and f joined"]


def test_who_has_spoken_already_is_not_said_to_have_joined(comings: Comings) -> None:
    comings.join("anna")
    comings.join("bert")
    comings.speaks("anna")
    assert lines(comings, 0, 4) == ["bert joined"]
    comings.join("cora")
    comings.speaks("cora")
    assert lines(comings, 10, 100) == []
    comings.leave("cora")
    assert lines(comings, 101, 130) == ["cora left"]


def test_who_has_spoken_under_another_nick_is_shown_to_have_a_new_one(comings: Comings) -> None:
    comings.join("anna")
    comings.speaks("anna")
    comings.rename("anna", "anne")
    assert lines(comings, 0, 4) == ["anna is now known as anne"]


def test_what_was_undone_is_not_shown(comings: Comings) -> None:
    comings.join("bert")
    comings.leave("bert")
    comings.leave("carl")
    comings.join("carl")
    comings.rename("dora", "dolly")
    comings.rename("dolly", "dora")
    assert lines(comings, 0, 600) == []


def test_a_nick_is_followed(comings: Comings) -> None:
    comings.join("guest-1")
    comings.rename("guest-1", "anna")
    comings.rename("bert", "bart")
    comings.leave("bart")
    comings.rename("carl", "carlo")
    comings.rename("carlo", "charles")
    assert lines(comings, 0, 4) == ["anna joined; bert left; carl is now known as charles"]


def test_ten_lines_that_drop_every_two_minutes_cost_few_lines_an_hour(comings: Comings) -> None:
    shown = []
    for now in range(3_600):
        for n in range(10):
            if (now + 12 * n) % 120 == 0:
                comings.leave(f"user-{n}")
            if (now + 12 * n) % 120 == 70:
                comings.join(f"user-{n}")
        shown += comings.due(now)
    assert len(shown) < 25


def test_after_a_quiet_time_the_first_is_shown_soon_again(comings: Comings) -> None:
    for now in range(300):
        comings.join(f"guest-{now}")
        comings.due(now)
    lines(comings, 300, 2_000)
    comings.leave("guest-7")
    assert lines(comings, 2_000, 2_004) == ["guest-7 left"]
