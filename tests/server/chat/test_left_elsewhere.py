"""A room that is left on one connection of an account is left on all of them."""

from geventchat.protocol import requests
from geventchat.protocol.events import Left
from geventchat.server.session import handlers
from tests.server.hub_harness import Harness, account, connect, seen


def test_a_connection_that_could_not_join_a_room_yet_hears_that_it_is_left() -> None:
    """Otherwise its client would ask for it again, and put it back into the account's set."""
    harness = Harness()
    anna = account(harness, "anna", "lobby", "attic")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    harness.hub.leave(phone.rooms["attic"])  # as if the timeline had been away at its hello
    phone.cursors["attic"] = None
    for event in (laptop, phone):
        seen(event)
    handlers.answer(laptop, requests.Leave(room="attic", id="1"))
    assert seen(phone) == [Left(room="attic", reason="elsewhere")]
    assert phone.cursors == {}
    assert seen(laptop) == [Left(room="attic", id="1")]
