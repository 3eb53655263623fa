"""A private room over two servers on one engine, one of which hears late what is said."""

from collections.abc import Callable

from tests.conversations.chat import chatting
from tests.conversations.devices import private_room, registered
from tests.conversations.peers import texts
from tests.engines import RunningEngine
from tests.fault_proxy import faults


def test_a_newcomer_sees_nothing_of_before_that_its_node_has_not_heard_yet(
    engines: Callable[[str], RunningEngine],
) -> None:
    engine = engines("valkey")
    with faults(engine.path) as proxy, chatting(engine.url) as one, chatting(proxy.url) as two:
        (ann,), (bob, cora) = registered(one, "Ann"), registered(two, "Bob", "Cora")
        private_room(one, "plans", ann, cora, history="joined")
        ann.ask("invite", room="plans", nick="Bob")
        bob.hear(lambda event: event["type"] == "invited")
        private_room(two, "other", bob)  # so this one was the last to decide something
        proxy.delays["XREAD"] = 0.5
        ann.say("plans", "of before")
        ann.posts(1)
        bob.tell("join", room="plans", id="1")
        joined = bob.hear(lambda event: event.get("id") == "1")[-1]
        assert (joined["position"], joined["oldest"]) == (1, 2)
        proxy.delays.clear()
        ann.say("plans", "of after")
        assert texts(bob.posts(1)) == ["of after"]
