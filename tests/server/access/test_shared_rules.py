"""Rules of operators on several nodes: made on one, in force on all, whatever is lost."""

import random
from pathlib import Path

import gevent
import pytest

from geventchat.protocol.errors import Refused
from geventchat.server.access.rules import RULE, Rule
from geventchat.server.access.rules_file import RulesFile
from tests.server.joined import Joined, Store
from tests.server.switches import let_run

NOW = 1_000.0


def ban(nick: str, time: int = 1, until: int | None = None) -> Rule:
    return Rule(
        action="ban", target_type="nick", target=nick, operator="olga", time=time, value=nick,
        until=until,
    )  # fmt: skip


def banned(node: Joined) -> list[str]:
    """Return the nicks that are banned on a node, in the order of the list."""
    return [rule.target for rule in node.policy.rules.in_force(NOW)]


def make(node: Joined, *rules: Rule) -> None:
    """Make rules as an operator does, and wait until they are stored."""
    with node.nodes.deciding():
        node.policy.rules.make(rules, NOW)
        stored = node.policy.note_rules()
    stored()


def lift(node: Joined, nick: str) -> None:
    with node.nodes.deciding():
        node.policy.rules.lift("ban", nick)
        stored = node.policy.note_rules()
    stored()


def stored(store: Store) -> list[str]:
    return sorted(number for kind, number in store.records if kind == RULE and number)


def saved(path: Path) -> list[str]:
    return [rule.target for rule in RulesFile(str(path)).load()]


def wait_until_saved(path: Path, nicks: list[str]) -> None:
    with gevent.Timeout(20):
        while saved(path) != nicks:
            gevent.sleep(0.01)


def test_a_rule_made_or_removed_on_one_node_is_so_on_all() -> None:
    store = Store()
    one, two = Joined(store, "one"), Joined(store, "two")
    make(one, ban("bob"))
    let_run()
    assert banned(two) == ["bob"]
    make(two, ban("carl", time=2))
    let_run()
    assert banned(one) == banned(two) == ["bob", "carl"]
    lift(one, "bob")
    let_run()
    assert banned(one) == banned(two) == ["carl"]
    assert stored(store) == ["ban/nick/carl"]


def test_a_node_that_starts_later_has_the_rules() -> None:
    store = Store()
    make(Joined(store, "one"), ban("bob"), ban("carl"))
    assert banned(Joined(store, "two")) == ["bob", "carl"]


def test_rules_are_listed_in_one_order_whatever_the_order_in_which_they_were_heard() -> None:
    store = Store()
    one, two = Joined(store, "one"), Joined(store, "two")
    make(one, ban("new", time=3))
    make(two, ban("old", time=2))
    let_run()
    assert banned(one) == banned(two) == banned(Joined(store, "three")) == ["old", "new"]


def test_hearing_of_rules_that_were_read_at_the_start_changes_nothing() -> None:
    store = Store()
    one, two = Joined(store, "one"), Joined(store, "two")
    make(one, ban("bob"))
    let_run()
    changes = [(kind, number, value) for (kind, number), value in store.records.items()]
    assert two.policy.shared is not None
    assert two.policy.shared.hear(changes) == {}
    assert banned(two) == ["bob"]


def test_a_rule_that_has_expired_leaves_the_store_with_the_next_change() -> None:
    store = Store()
    one = Joined(store, "one")
    make(one, ban("bob", until=int(NOW * 1000) + 1))
    one.policy.rules.in_force(NOW + 1)
    make(one, ban("carl"))
    assert stored(store) == ["ban/nick/carl"]


def test_each_node_keeps_a_copy_of_what_others_decide(tmp_path: Path) -> None:
    store = Store()
    one = Joined(store, "one", tmp_path / "one")
    Joined(store, "two", tmp_path / "two")
    make(one, ban("bob"))
    for copy in ("one", "two"):
        wait_until_saved(tmp_path / copy, ["bob"])


def test_nodes_may_have_their_copy_in_common(tmp_path: Path) -> None:
    store = Store()
    nodes = [Joined(store, name, tmp_path / "rules") for name in ("one", "two", "three")]
    for number in range(10):
        make(nodes[number % 3], ban(f"bob{number}", time=number))
    wait_until_saved(tmp_path / "rules", [f"bob{number}" for number in range(10)])


def test_a_store_without_rules_gets_those_of_the_file(tmp_path: Path) -> None:
    RulesFile(str(tmp_path / "rules")).save([ban("bob")])
    store = Store()
    one, two = Joined(store, "one"), Joined(store, "two", tmp_path / "rules")
    let_run()
    assert banned(one) == banned(two) == ["bob"]
    assert stored(store) == ["ban/nick/bob"]


def test_an_old_copy_brings_back_no_rule_that_was_removed_meanwhile(tmp_path: Path) -> None:
    store = Store()
    one = Joined(store, "one")
    make(one, ban("bob"))
    lift(one, "bob")
    RulesFile(str(tmp_path / "old")).save([ban("bob")])
    two = Joined(store, "two", tmp_path / "old")
    let_run()
    assert banned(one) == banned(two) == []
    wait_until_saved(tmp_path / "old", [])


def begin_epoch(store: Store, *nodes: Joined) -> None:
    store.epoch = "second"
    for node in nodes:
        node.timeline.epoch = store.epoch
        node.timeline.epoch_changed()
    let_run()


def test_a_store_that_has_lost_everything_gets_the_rules_that_the_nodes_have() -> None:
    store = Store()
    one, two = Joined(store, "one"), Joined(store, "two")
    make(one, ban("bob"))
    let_run()
    store.records.clear()
    begin_epoch(store, one, two)
    assert stored(store) == ["ban/nick/bob"]
    assert banned(one) == banned(two) == banned(Joined(store, "three")) == ["bob"]


def test_a_store_that_is_older_gets_the_rules_as_they_were_confirmed() -> None:
    store = Store()
    one, two = Joined(store, "one"), Joined(store, "two")
    make(one, ban("bob"))
    older = dict(store.records)
    lift(one, "bob")
    make(one, ban("carl"))
    let_run()
    store.records = older
    begin_epoch(store, two, one)
    assert stored(store) == ["ban/nick/carl"]
    assert banned(one) == banned(two) == ["carl"]


def test_in_another_epoch_no_rule_is_about_a_guest_whose_number_another_may_have() -> None:
    store = Store()
    one = Joined(store, "one")
    guest = Rule(
        action="mute", target_type="guest", target="guest-1", operator="o", time=1, value="guest-1"
    )
    make(one, guest)
    begin_epoch(store, one)
    assert stored(store) == []
    assert banned(one) == []


def test_the_rule_about_a_guest_ends_everywhere_when_the_guest_leaves() -> None:
    store = Store()
    one, two = Joined(store, "one"), Joined(store, "two")
    guest = Rule(
        action="mute", target_type="guest", target="guest-1", operator="o", time=1, value="guest-1"
    )
    make(one, guest)
    let_run()
    two.policy.forget_guest("guest-1")
    let_run()
    assert banned(one) == banned(two) == []
    assert stored(store) == []


def test_a_rule_that_cannot_be_stored_is_refused_and_holds_until_it_is() -> None:
    store = Store()
    one, two = Joined(store, "one"), Joined(store, "two")

    def full() -> None:
        raise Refused("storage", "The engine is full.")

    one.policy.rules.make([ban("bob")], NOW)
    store.refuses = full
    with pytest.raises(Refused):
        one.policy.note_rules()()
    assert banned(one) == ["bob"]
    store.refuses = lambda: None
    with gevent.Timeout(20):
        while banned(two) != ["bob"]:
            gevent.sleep(0.01)


def test_a_damaged_record_of_another_node_is_logged_and_the_rest_holds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store()
    one, two = Joined(store, "one"), Joined(store, "two")
    make(one, ban("bob"))
    let_run()
    assert two.policy.shared is not None
    two.policy.shared.hear([(RULE, "ban/nick/carl", b"\xc1"), (RULE, "nothing", b"1")])
    assert banned(two) == ["bob"]
    assert "cannot be read" in caplog.text


def test_many_operators_on_all_nodes_end_with_the_same_rules() -> None:
    store = Store()
    nodes = [Joined(store, name) for name in ("one", "two", "three")]
    draw = random.Random(7)

    def operate(node: Joined, began: int) -> None:
        for number in range(30):
            nick = f"bob{draw.randrange(8)}"
            if draw.random() < 0.5:
                make(node, ban(nick, time=began + number))
            else:
                lift(node, nick)

    operating = [
        gevent.spawn(operate, node, began) for began, node in enumerate(nodes * 2, start=1)
    ]
    gevent.joinall(operating, timeout=20, raise_error=True)
    let_run()
    assert banned(nodes[0]) == banned(nodes[1]) == banned(nodes[2]) == banned(Joined(store, "four"))
    assert sorted(banned(nodes[0])) == [number.rpartition("/")[2] for number in stored(store)]
