"""What a client hears that has read nothing for a while: nothing that is wrong by then."""

from collections.abc import Callable

import gevent
import pytest

from geventchat.protocol import events, requests
from geventchat.protocol.events import Event
from geventchat.server.search.scan import ScanSearch
from geventchat.server.session import handlers
from geventchat.server.session.replay import enter
from geventchat.server.session.session import Session
from tests.server.hub_harness import Harness, forget, link_of, rich, seen, submitted
from tests.server.switches import let_run

_MUCH = b'{"type": "unknown", "text": "%s"}\0' % (b"x" * (700 << 10))
"""More than half of what an outbox holds."""


def heard_late(
    session: Session, ask: Callable[[], None], meanwhile: Callable[[], None]
) -> list[Event]:
    """Do something while a client's answer waits for its outbox; return all that it hears then."""
    link_of(session).room = 0
    session.put(_MUCH)
    let_run()
    asking = gevent.spawn(ask)
    let_run()
    meanwhile()
    let_run()
    link_of(session).take(None)
    let_run()
    assert asking.ready()
    asking.get()
    return seen(session)


def test_a_topic_that_is_set_while_joined_waits_is_heard() -> None:
    harness = Harness()
    ann, bob = rich(harness, "ann", "tea"), rich(harness, "bob")

    def join() -> None:
        enter(bob, harness.hub.join(bob, "tea"), None, None)

    def set_topic() -> None:
        harness.set_topic(ann, "green", "tea")
        harness.timeline.store()
        harness.timeline.deliver_next()

    heard = heard_late(bob, join, set_topic)
    assert [event.topic for event in heard if isinstance(event, events.Joined)] == [""]
    assert [event.topic for event in heard if isinstance(event, events.Topic)] == ["green"]


@pytest.mark.parametrize(
    "request_", [requests.History(room="tea", limit=9), requests.Search(text="secret")]
)
def test_a_text_that_is_redacted_while_an_answer_waits_is_not_sent(
    request_: requests.History | requests.Search,
) -> None:
    harness = Harness()
    harness.hub.search = ScanSearch(harness.timeline)
    ann, bob = rich(harness, "ann", "tea"), rich(harness, "bob", "tea")
    harness.say(ann, "a secret", "tea")
    harness.timeline.store()
    harness.timeline.deliver_next()
    forget(bob)

    def redact() -> None:
        submission = submitted(ann, "", "tea")
        submission.kind, submission.position = "redact", 1
        harness.timeline.append(submission)
        harness.timeline.store()
        harness.timeline.deliver_next()

    heard = heard_late(bob, lambda: handlers.answer(bob, request_), redact)
    assert any(isinstance(event, events.Redacted) for event in heard)
    (answer,) = [event for event in heard if isinstance(event, events.History | events.Found)]
    assert "secret" not in str(answer)
