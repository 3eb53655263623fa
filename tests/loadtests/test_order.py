from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol.events import Joined, Post
from loadtests.support.order import GRACE_SECONDS, OrderChecker


@dataclass
class Hearing:
    """A user who joined an empty room, at a time of its own."""

    now: float = 0.0
    reports: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = OrderChecker(
            lambda name, room, at: self.reports.append((name, at)), lambda: self.now
        )
        self.join(0)

    def join(self, position: int, *, recovered: bool | None = None) -> None:
        self.watch.ask("room", None)
        self.watch.hear(
            Joined(
                room="room", epoch="e", position=position, oldest=1, recovered=recovered, count=1
            )
        )

    def posts(self, *positions: int) -> list[tuple[str, int]]:
        for position in positions:
            self.watch.hear(Post("room", position, "anna", 0, "hi"))
        return self.reports


def test_dense_positions_are_in_order() -> None:
    assert Hearing().posts(*range(1, 100)) == []


def test_a_post_that_never_comes_is_lost_once_its_grace_has_passed() -> None:
    hearing = Hearing()
    assert hearing.posts(1, 3, 4) == []
    hearing.now = GRACE_SECONDS
    assert hearing.posts(5, 6) == [("lost", 2)]


def test_what_is_missing_at_the_end_is_lost() -> None:
    hearing = Hearing()
    hearing.posts(1, 4)
    hearing.watch.finish()
    assert hearing.reports == [("lost", 2), ("lost", 3)]


def test_a_post_that_comes_twice_is_duplicated() -> None:
    assert Hearing().posts(1, 2, 2, 1, 3) == [("duplicated", 2), ("duplicated", 1)]


def test_two_posts_that_changed_places_are_one_reordered() -> None:
    hearing = Hearing()
    hearing.posts(1, 3, 2, 4)
    hearing.watch.finish()
    assert hearing.reports == [("reordered", 2)]


def test_the_first_two_posts_after_a_join_that_changed_places_are_reordered_too() -> None:
    hearing = Hearing()
    hearing.posts(1)
    hearing.watch.forget("room")
    hearing.join(9)
    assert hearing.posts(8, 7, 9) == [("reordered", 7)]


def test_a_post_of_a_room_that_was_left_is_uninvited() -> None:
    hearing = Hearing()
    hearing.watch.forget("room")
    assert hearing.posts(1) == [("unexpected", 1)]


def test_a_resume_goes_on_where_it_was() -> None:
    hearing = Hearing()
    hearing.posts(1, 2)
    hearing.join(5, recovered=True)
    assert hearing.posts(3, 4, 5, 6) == []


@given(st.integers(2, 50), st.sampled_from(["lost", "duplicated", "reordered"]))
def test_one_fault_anywhere_is_one_report_under_its_name(at: int, fault: str) -> None:
    positions = list(range(1, 60))
    match fault:
        case "lost":
            positions.remove(at)
        case "duplicated":
            positions.insert(at, at)
        case "reordered":
            positions[at - 1], positions[at] = positions[at], positions[at - 1]
    hearing = Hearing()
    hearing.posts(*positions)
    hearing.watch.finish()
    assert hearing.reports == [(fault, at)]
