"""Rules that other nodes make are applied here, and what they closed is known."""

import gevent
import msgspec
import pytest

from geventchat.protocol.errors import BANNED
from geventchat.server.access.rules import RULE, Rule
from geventchat.server.people.records import encoded
from geventchat.server.session import enforcement
from geventchat.server.session.enforcement import ENDED, asked_of
from tests.server.access.test_shared_rules import ban, make
from tests.server.hub_harness import connect
from tests.server.joined import Joined, Store
from tests.server.switches import let_run


@pytest.fixture
def nodes() -> list[Joined]:
    store = Store()
    return [Joined(store, "one"), Joined(store, "two")]


def closed(node: Joined, *rules: Rule) -> list[int]:
    """Return how many connections the other nodes have closed for some rules."""
    answers = node.hub.questions.ask(ENDED, asked_of(rules))
    return [msgspec.msgpack.decode(each, type=int) for each in answers.contents.values()]


def test_a_rule_that_is_heard_late_is_counted_all_the_same(nodes: list[Joined]) -> None:
    one, two = nodes
    bob, rule = connect(two, "bob"), ban("bob")
    asking = gevent.spawn(closed, one, rule)
    let_run()
    assert not asking.ready()
    make(one, rule)
    assert asking.get(timeout=20) == [1]
    assert bob.ending is not None


def test_what_each_command_closed_is_known_for_itself(nodes: list[Joined]) -> None:
    one, two = nodes
    sessions = [connect(two, nick) for nick in ("ann", "bob", "carl")]
    first, second = [ban("ann"), ban("bob")], [ban("carl", time=2)]
    make(one, *first)
    let_run()
    for session in sessions[:2]:
        two.hub.remove(session, BANNED)
    make(one, *second)
    let_run()
    assert (closed(one, *first), closed(one, *second)) == ([2], [1])


def test_a_rule_that_was_there_when_the_node_started_has_closed_nothing(
    nodes: list[Joined],
) -> None:
    one, two = nodes
    rule = ban("bob")
    make(two, rule)
    two.end()
    assert closed(one, rule) == []
    late = Joined(one.nodes.store, "late")
    assert closed(late, rule) == [0]


def test_a_rule_that_is_never_heard_is_not_answered_for_ever(
    nodes: list[Joined], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(enforcement, "_WAIT_SECONDS", 0.01)
    answers = nodes[0].hub.questions.ask(ENDED, asked_of([ban("bob")]), seconds=0.05)
    assert answers.silent == ("two",)
    assert not caplog.records


def test_operators_are_spared_on_all_nodes(nodes: list[Joined]) -> None:
    one, two = nodes
    oscar = connect(two, "oscar")
    oscar.operator = True
    make(one, ban("oscar"))
    let_run()
    assert oscar.ending is None


def test_many_rules_at_once_are_applied_together(
    nodes: list[Joined], monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[object] = []

    def apply(*hub_and_policy: object) -> int:
        applied.append(hub_and_policy)
        return 0

    monkeypatch.setattr(enforcement, "apply_rules", apply)
    for number in range(1_000):
        rule = ban(f"bob{number}", time=number)
        nodes[1].hub.other_nodes.hear_records([(RULE, f"ban/nick/bob{number}", encoded(rule))])
    nodes[1].hub.other_nodes.hear_records([(RULE, "", encoded("first"))])
    let_run()
    assert len(applied) < 20
    assert len(nodes[1].policy.rules.all()) == 1_000
