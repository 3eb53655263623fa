"""Two servers on an engine that forgets everything: who has an account has it still."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import Rich
from tests.conversations.signed_in import PASSWORD, device, registered
from tests.engines import RunningEngine, running

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def own() -> Iterator[RunningEngine]:
    """Return an engine for this test alone."""
    with running("valkey") as engine:
        yield engine


@pytest.fixture
def nodes(own: RunningEngine) -> Iterator[tuple[Chat, Chat]]:
    """Return two servers on that engine."""
    with chatting(own.url) as one, chatting(own.url) as other:
        yield one, other


def until(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while not (found := holds()):
        assert time.monotonic() < end
        gevent.sleep(0.05)
    return found


def again(chat: Chat, first: Rich) -> Rich:
    """Return a further connection of somebody's account, as soon as the server takes it."""

    def connected() -> Rich | None:
        peer = device(chat, first)
        return peer if peer.welcome.get("account") else None

    return until(connected)  # type: ignore[no-any-return]


def test_accounts_and_their_rooms_outlast_an_engine_that_forgets_everything(
    nodes: tuple[Chat, Chat], own: RunningEngine
) -> None:
    one, other = nodes
    ann, bob = registered(one, "Ann"), registered(other, "Bob")
    ann.ask("join", room="tea")
    assert ann.ask("create", room="plans")["type"] == "joined"
    until(lambda: ann.ask("invite", room="plans", nick="Bob")["type"] == "invited")
    assert bob.ask("join", room="plans")["type"] == "joined"
    epoch = ann.ask("join", room="tea")["epoch"]
    own.call("FLUSHALL")
    for peer in (ann, bob):
        assert peer.closing()[-1]["reconnect"]
    here, there = again(one, bob), again(other, ann)
    joined = there.ask("join", room="tea")
    assert joined["epoch"] != epoch
    assert there.ask("join", room="plans")["moderator"]
    assert here.ask("join", room="plans")["private"]
    assert there.ask("nick", nick="Annette")["type"] == "renamed"
    until(lambda: b"Annette" in b"".join(own.call("HVALS", "{gc}:records:account")))
    third = until(lambda: one.rich(account={"nick": "Annette", "password": PASSWORD}))
    assert third.nick == "Annette"
    assert {"Annette", "Bob"} <= set(here.ask("who", room="plans")["nicks"])
