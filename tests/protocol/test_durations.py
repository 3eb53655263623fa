"""Durations: what people write is understood, or known to be meant as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5_400),
        ("1h 30m", 5_400),
        ("1H30M", 5_400),
        ("1.5h", 5_400),
        ("0.25h", 900),
        ("90 min", 5_400),
        ("90 minutes", 5_400),
        ("10mins", 600),
        ("1 hour 30 minutes 5 seconds", 5_405),
        ("2hrs", 7_200),
        ("7d", 604_800),
        ("1w", 604_800),
        ("2 weeks", 1_209_600),
        ("1d12h", 129_600),
        ("１０ｍ", 600),
        ("١٠m", 600),
        ("007s", 7),
        (" 10m ", 600),
        ("3660d", durations.MAX_SECONDS),
    ],
)
def test_a_duration_is_understood_as_people_write_it(text: str, seconds: int) -> None:
    assert durations.seconds(text) == seconds
    assert durations.begins_like_one(text)


@pytest.mark.parametrize(
    "text",
    [
        *"90 1h30 1,5h 1:30 01:30:00 +1h -1h −1h ±1h ~1h =1h .5h 5. 1.5 1.125h 1_000s 1e3s".split(),
        *"0x10s 10x 10month 1y 1mo 1h30x 1hour30 1h-2h 1h,30m ½h ① 10m! 10m, <10m>".split(),
        *"\u200b10m \u202e1h #3 *10m* _10m_ 1️⃣h".split(),
        "10\xa0m\u200b",
        *"(10m) [10m] \"10m\" '10m' PT1H30M P1D".split(),
        "1 000 s",
        "1h and 30m",
        "for 10m",
        "for  10 minutes",
        "an hour",
        "half an hour",
        "ten minutes",
        "until tomorrow",
        "until 18:00",
        "till monday",
        "3 strikes",
        "2nd warning",
        "9" * 5_000 + "d",
        "1h" * 5_000,
    ],
    ids=lambda text: text[:20],
)
def test_what_begins_like_a_duration_is_refused_and_the_forms_are_named(text: str) -> None:
    assert durations.begins_like_one(text)
    with pytest.raises(ValueError, match="90s, 10m, 1h30m, 7d, 2w") as refused:
        durations.seconds(text)
    assert len(str(refused.value)) < 150


@pytest.mark.parametrize("text", ["0s", "0m", "0.1s", "0h0m", "3661d", "999999999999w"])
def test_a_duration_is_between_a_second_and_ten_years(text: str) -> None:
    with pytest.raises(ValueError, match="between a second and ten years"):
        durations.seconds(text)


@pytest.mark.parametrize(
    "text",
    ["spam", "too loud", "by chance", "-- spam", ":-)", "for spamming", "forever", "before 10m",
     "a troll",
     "one more time", "一直刷屏", "三次警告",
     "part 2", "halfwit", "", " ", "m", "pt", "untidy"],
)  # fmt: skip
def test_a_reason_does_not_begin_like_a_duration(text: str) -> None:
    assert not durations.begins_like_one(text)
    with pytest.raises(ValueError, match="is not a duration"):
        durations.seconds(text)


@given(st.text(st.characters(categories=["Nd", "No", "Nl"]), min_size=1, max_size=3), st.text())
def test_nothing_that_begins_with_a_digit_of_any_script_is_a_reason(digits: str, rest: str) -> None:
    assert durations.begins_like_one(digits + rest)


@given(st.integers(1, durations.MAX_SECONDS))
def test_a_number_of_seconds_is_itself(seconds: int) -> None:
    assert durations.seconds(f"{seconds}s") == seconds
