"""A session that has a reason to end does nothing more, whichever the loop serves first."""

import gevent
import pytest

from geventchat.protocol import requests
from geventchat.protocol.errors import KICKED, Ending
from geventchat.protocol.events import Topic
from geventchat.server.session import handlers
from tests.server.hub_harness import Harness, forget, rich, seen
from tests.server.switches import let_run


@pytest.mark.parametrize(
    "request_",
    [
        requests.Direct(to="ann", text="after the kick"),
        requests.Typing(room="tea"),
        requests.Leave(room="tea"),
    ],
)
def test_who_is_kicked_with_the_verdict_that_it_waits_for_does_nothing_more(
    request_: requests.Direct | requests.Typing | requests.Leave,
) -> None:
    harness = Harness()
    ann, bob = rich(harness, "ann", "tea"), rich(harness, "bob", "tea")

    def read() -> None:
        handlers.answer(bob, requests.Topic(room="tea", topic="green"))
        handlers.answer(bob, request_)

    reader = bob._reader = gevent.spawn(read)
    let_run()
    forget(ann)
    harness.timeline.store()
    harness.timeline.deliver_next()  # the verdict
    bob.end(KICKED)
    let_run()
    with pytest.raises(Ending):
        reader.get(block=False)
    assert all(isinstance(event, Topic) for event in seen(ann))
