"""An account that is removed has left all rooms at once, connected or lost."""

import pytest

from geventchat.protocol import requests
from geventchat.protocol.errors import LOST
from geventchat.protocol.events import Event, Presence
from geventchat.server.session import handlers
from tests.server.hub_harness import Harness, account, connect, seen


@pytest.fixture
def harness() -> Harness:
    return Harness()


def comings(events: list[Event]) -> list[tuple[str | None, str | None, str | None]]:
    return [(e.event, e.new_nick or e.nick, e.account) for e in events if isinstance(e, Presence)]


@pytest.mark.parametrize("lost", [False, True])
def test_a_guest_that_takes_the_nick_of_a_removed_account_is_not_taken_for_it(
    harness: Harness, lost: bool
) -> None:
    """Its connections are still ending then, or one that was lost may still be awaited."""
    olga, bert = connect(harness, "olga"), connect(harness, "bert")
    anna = account(harness, "anna")
    laptop = connect(harness, "laptop", anna)
    if lost:
        harness.hub.remove(laptop, LOST)
    olga.operator = True
    seen(bert)
    handlers.answer(olga, requests.Accounts(action="remove", nick="anna"))
    assert comings(seen(bert)) == [("leave", "anna", anna.id)]
    connect(harness, "anna")
    assert [each for each in comings(seen(bert)) if each[1] == "anna"] == [("join", "anna", None)]
    assert harness.hub.rooms["lobby"].count == 3
    assert lost or not laptop.rooms
