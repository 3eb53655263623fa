"""A private room is made as a whole, even if the session that asked ends meanwhile."""

import gevent
import pytest
from gevent.event import Event as Flag

from geventchat.protocol import requests
from geventchat.protocol.errors import Refused
from tests.server.hub_harness import Harness, account, connect
from tests.server.session.test_removal import ask
from tests.server.switches import let_run

ROOM = "plans"


@pytest.mark.parametrize("stored", [True, False])
def test_a_room_that_is_being_made_is_one_after_the_session_has_ended(
    monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    harness = Harness()
    anna = account(harness, "anna")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    people, on_disk = harness.hub.people, Flag()

    def keep(_: object) -> None:
        on_disk.wait()
        if not stored:
            raise Refused("storage", "The disk is full.")

    monkeypatch.setattr(people.records, "_keep", keep)
    creating = ask(laptop, requests.Create(room=ROOM))
    creating.kill(gevent.GreenletExit)
    on_disk.set()
    for _ in range(5):
        let_run()
    assert (ROOM in phone.to_follow) == stored
    assert (ROOM in people.private) == stored
    assert (ROOM in anna.memberships) == stored
