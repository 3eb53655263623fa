"""Rules: their targets and durations, and that many cost no more than few."""

import itertools
import time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.server.access.rules import MAX_RULES, Rule, Rules, check_width, network
from geventchat.server.networks import parsed

NOW: Final = 1_700_000_000.0


def rule(action: str, target_type: str, value: str, **fields: object) -> Rule:
    given = {"target": value, "operator": "Olga", "time": int(NOW * 1000), **fields}
    return Rule(action=action, target_type=target_type, value=value, **given)  # type: ignore[arg-type]


def of_address(text: str, action: str = "ban") -> Rules:
    """Return rules with one for an address or network."""
    meant = network(text)
    assert meant is not None
    return Rules([rule(action, "address", str(meant))])


# Addresses


@pytest.mark.parametrize(
    ("meant", "inside", "outside"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("192.0.2.7/24", "192.0.2.255", "192.0.3.0"),
        ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.8"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("2001:db8:1:2::3", "2001:db8:1:2:ffff::", "2001:db8:1:3::3"),
        ("2001:db8:1:2::/64", "2001:0db8:0001:0002::9", "2001:db8:1:1:ffff::"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
        ("fe80::1", "fe80::1%eth0", "fe80::2%eth0"),
        ("fe80::1%eth0", "fe80::1%eth0", "fe80::1%eth1"),
        ("fe80::1%eth0", "fe80::1%eth0", "fe80::1"),
        ("fe80::/64", "fe80::2%eth0", "fe80:0:0:1::1%eth0"),
        ("::1", "::1", "::2"),
        ("0.0.0.0/0", "192.0.2.7", "2001:db8::1"),
        ("::/0", "2001:db8::1", "192.0.2.7"),
    ],
)
def test_an_address_is_in_its_network_and_in_no_other(
    meant: str, inside: str, outside: str
) -> None:
    rules = of_address(meant)
    assert rules.of_address("ban", inside, NOW)
    assert rules.of_address("ban", outside, NOW) is None
    assert rules.of_address("mute", inside, NOW) is None


@pytest.mark.parametrize("text", ["nowhere", "", "192.0.2", "192.0.2.256", "1", "Ann", "::/129"])
def test_an_invalid_address_is_in_no_network(text: str) -> None:
    assert parsed(text) is None
    assert network(text) is None
    assert of_address("0.0.0.0/0").of_address("ban", text, NOW) is None


@given(st.lists(st.ip_addresses(v=4), max_size=8), st.integers(8, 32), st.ip_addresses(v=4))
def test_an_address_is_banned_exactly_if_it_is_in_a_banned_network(
    banned: list[object], length: int, address: object
) -> None:
    meant = [network(f"{each}/{length}") for each in banned]
    rules = Rules(rule("ban", "address", str(each)) for each in meant)
    for each in (address, *banned):
        ip = parsed(str(each))
        assert ip is not None
        inside = any(ip in net for net in meant if net is not None)
        assert (rules.of_address("ban", str(each), NOW) is not None) == inside


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.0.2.1", "2001::/16", "fe80::1%eth0"])
def test_a_network_of_many_may_be_in_a_rule(text: str) -> None:
    meant = network(text)
    assert meant is not None
    check_width(meant)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "10.0.0.0/7", "::/0", "2000::/15", "::ffff:0:0/96"])
def test_a_network_of_nearly_everybody_may_not(text: str) -> None:
    meant = network(text)
    assert meant is not None
    with pytest.raises(Refused, match="too wide"):
        check_width(meant)


# Clients and nicks


def test_a_ban_of_a_nick_includes_look_alikes() -> None:
    rules = Rules([rule("ban", "nick", names.skeleton("Paul"))])
    for nick in ("Paul", "PAUL", "pau1", "\u0420aul"):
        assert rules.of_client("ban", b"", [nick], "", NOW)
    for nick in ("Paula", "Pau", "guest-1", ""):
        assert rules.of_client("ban", b"", [nick], "", NOW) is None


def test_a_rule_applies_by_client_nick_or_address() -> None:
    for about, client, nicks, address in (
        (rule("mute", "client", b"c".hex()), b"c", [], ""),
        (rule("mute", "nick", "ann"), b"", ["Bob", "Ann"], ""),
        (rule("mute", "address", "192.0.2.0/24"), b"", [], "192.0.2.1"),
    ):
        rules = Rules([about])
        assert rules.of_client("mute", client, nicks, address, NOW) == about
        assert rules.of_client("mute", b"d", ["Bob"], "192.0.3.1", NOW) is None


def test_plain_clients_do_not_share_rules_by_client() -> None:
    assert Rules([rule("ban", "client", "")]).of_client("ban", b"", ["guest-1"], "", NOW) is None


# Time


def test_a_rule_applies_until_its_end_and_is_then_dropped() -> None:
    until = int(NOW * 1000) + 1_000
    rules = Rules([rule("freeze", "room", "attic", until=until), rule("lock", "room", "attic")])
    assert rules.of_room("freeze", "attic", NOW + 0.999)
    assert rules.of_room("freeze", "attic", NOW + 1) is None
    assert [each.action for each in rules.in_force(NOW + 0.999)] == ["freeze", "lock"]
    assert [each.action for each in rules.in_force(NOW + 1)] == ["lock"]
    assert rules.frozen == frozenset()


def test_a_newer_rule_replaces_the_older() -> None:
    rules = Rules([rule("ban", "nick", "ann"), rule("ban", "nick", "bob")])
    rules.make([rule("ban", "nick", "ann", reason="again")], NOW)
    assert [(each.target, each.reason) for each in rules.in_force(NOW)] == [
        ("bob", ""),
        ("ann", "again"),
    ]


def test_a_rule_describes_itself_in_a_sentence() -> None:
    for fields, sentence in (
        ({}, "."),
        ({"reason": "spam"}, ": spam"),
        ({"until": int(NOW * 1000)}, " until 2023-11-14 22:13 UTC."),
        ({"until": int(NOW * 1000), "reason": "spam"}, " until 2023-11-14 22:13 UTC: spam"),
    ):
        assert rule("ban", "nick", "ann", **fields).sentence() == sentence


def test_the_lookup_value_is_never_shown() -> None:
    hidden = rule("ban", "client", "5ec2e7", target="Ann")
    assert "5ec2e7" not in repr(hidden.shown())


# Undoing


def test_a_rule_is_removed_by_any_name_of_its_target() -> None:
    for target_type, value, target, undo in (
        ("nick", "ann", "Ann", "ANN"),
        ("client", "5ec2e7", "Ann", "ann"),
        ("address", "192.0.2.7/32", "192.0.2.7/32", "192.0.2.7"),
        ("address", "192.0.2.0/24", "192.0.2.0/24", "192.0.2.9/24"),
        ("address", "2001:db8::/64", "2001:db8::/64", "2001:db8::1"),
        ("address", "fe80::1%eth0/128", "fe80::1%eth0/128", "FE80::1%eth0"),
        ("address", "fe80::1%eth0/128", "fe80::1%eth0/128", "fe80::1"),
        ("guest", "guest-7", "guest-7", "Guest-7"),
    ):
        made = rule("mute", target_type, value, target=target)
        rules = Rules([made])
        assert rules.lift("ban", undo) == []
        assert rules.lift("mute", undo, "room") == []
        assert rules.lift("mute", undo) == [made]
        assert rules.in_force(NOW) == []


# Bounds


def test_the_number_of_rules_in_force_is_bounded() -> None:
    ended = int(NOW * 1000)
    rules = Rules(
        rule("ban", "nick", f"n{number}", until=ended if number else None)
        for number in range(MAX_RULES)
    )
    rules.make((rule("ban", "nick", f"m{number}") for number in range(MAX_RULES - 1)), NOW)
    with pytest.raises(Refused) as refused:
        rules.make([rule("ban", "nick", "one-more")], NOW)
    assert refused.value.code == "forbidden"
    rules.make([rule("ban", "nick", "m1", reason="replaced")], NOW)
    assert len(rules.in_force(NOW)) == MAX_RULES


def test_a_lookup_costs_the_same_with_many_rules() -> None:
    addresses = (f"10.{high}.{low}.0/24" for high, low in itertools.product(range(7), range(250)))
    many = Rules(rule("ban", "address", each) for each in addresses)

    def seconds(rules: Rules) -> float:
        begun = time.thread_time()
        for _ in range(300):
            rules.of_client("ban", b"c", ["Ann"], "192.0.2.1", NOW)
        return time.thread_time() - begun

    few = of_address("10.0.0.0/24")
    assert min(seconds(many) for _ in range(20)) < 3 * min(seconds(few) for _ in range(20))
