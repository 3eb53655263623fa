"""A room that the server cannot open now: the user sees that, and when it is there."""

from geventchat.client import Error, Gap
from geventchat.client.terminal.view import View
from tests.client.terminal.test_view import NOON, hear, joined, post, toolbar

AWAY = Error(code="storage", text="The database is busy.", room="lobby")


def test_a_room_that_waits_for_the_server_says_so_until_it_is_there() -> None:
    view = View("lobby", "anna", NOON.date())
    (line,) = hear(view, AWAY)
    assert line.endswith("! lobby cannot be opened yet; trying again. The database is busy.")
    assert toolbar(view) == " lobby · waits for the server · anna"
    assert "2 here" in hear(view, joined())[0]
    assert toolbar(view) == " lobby · 2 here · anna"


def test_a_room_that_was_joined_before_shows_where_it_goes_on() -> None:
    view = View("lobby", "anna", NOON.date())
    hear(view, joined(), post(1, "before"), AWAY)
    assert "waits for the server" in toolbar(view)
    heading, line = hear(view, joined(position=2, recovered=True), post(2, "after"))
    assert "lobby · 2 here" in heading
    assert "after" in line


def test_what_was_lost_meanwhile_is_told_too() -> None:
    view = View("lobby", "anna", NOON.date())
    hear(view, joined(), post(1, "before"), AWAY)
    lines = hear(view, Gap("lobby", 1), joined(position=5, recovered=False))
    assert "some messages in lobby may be missing" in lines[0]
    assert "waits" not in toolbar(view)


def test_a_message_that_is_not_stored_makes_no_room_wait() -> None:
    view = View("lobby", "anna", NOON.date())
    hear(view, joined(), Error(code="storage", text="Not stored.", room="lobby", key="k"))
    assert "waits" not in toolbar(view)
