"""The rules that operators make: what is forbidden to whom, and until when.

No I/O and no clock: who asks says what time it is. A rule is found by what it is about, never by
looking through all of them, so the price of being asked does not grow with their number.
"""

import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from geventchat.protocol import events, names
from geventchat.protocol.errors import Refused

MAX_RULES: Final = 2_000
"""In force at a time. They are few, or something else is wrong."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Rule(events.Rule, frozen=True, kw_only=True, omit_defaults=True):
    """A rule as the server knows it: with what it is found by, which nobody is shown."""

    value: str
    """A nick's look, the hash of a client's id, a network, a guest, a room's name."""

    def holds(self, now: float) -> bool:
        """Say whether it is in force at a time, in seconds since 1970."""
        return self.until is None or now * 1000 < self.until

    def shown(self) -> events.Rule:
        """Give what others may see of it."""
        fields = {name: getattr(self, name) for name in events.Rule.__struct_fields__}
        return events.Rule(**fields)

    def sentence(self) -> str:
        """Say until when, and why, as the end of a sentence."""
        until = f" until {moment(self.until)}" if self.until is not None else ""
        return f"{until}: {self.reason}" if self.reason else f"{until}."


class Rules:
    """All rules, one for each action and what it is about; a newer one replaces."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = {_key(rule): rule for rule in rules}
        self.frozen: frozenset[str] = frozenset()
        """Rooms in which nobody but operators speaks; some of these rules may have run out."""
        self._lengths: frozenset[tuple[str, int, int]] = frozenset()
        """Action, IP version and length of the networks that rules are about."""
        self._index()

    def in_force(self, now: float) -> list[Rule]:
        """Give all that are in force, oldest first, and forget those that are not."""
        if any(not rule.holds(now) for rule in self._rules.values()):
            self._rules = {key: rule for key, rule in self._rules.items() if rule.holds(now)}
            self._index()
        return list(self._rules.values())

    def make(self, made: Iterable[Rule], now: float) -> None:
        """Let rules be in force from here on. Raises Refused if there are too many."""
        fresh = {_key(rule): rule for rule in made}
        self.in_force(now)
        if len(self._rules.keys() | fresh.keys()) > MAX_RULES:
            text = f"There are {len(self._rules):,} rules, which is the limit. Lift some first."
            raise Refused("forbidden", text)
        for key in fresh:
            self._rules.pop(key, None)  # so that it is among the newest
        self._rules |= fresh
        self._index()

    def forget(self, guest: str) -> None:
        """Undo what is about a plain guest alone, who is gone and never comes back."""
        self._rules.pop(("mute", "guest", names.fold(guest)), None)

    def lift(self, action: str, target: str, target_type: str | None = None) -> list[Rule]:
        """Undo the rules of an action about a target, as it was named or may be; give them."""
        named = {names.fold(target)}
        if (meant := network(target)) is not None:
            named.add(str(meant))
        lifted = [
            rule
            for rule in self._rules.values()
            if rule.action == action
            and target_type in (None, rule.target_type)
            and (
                names.fold(rule.target) in named
                or (rule.target_type == "address" and rule.value in named)
            )
        ]
        for rule in lifted:
            del self._rules[_key(rule)]
        self._index()
        return lifted

    def find(self, action: str, target_type: str, value: str, now: float) -> Rule | None:
        """Give the rule of an action about one thing, if it is in force."""
        rule = self._rules.get((action, target_type, value))
        return rule if rule is not None and rule.holds(now) else None

    def of_address(self, action: str, address: str, now: float) -> Rule | None:
        """Give the rule about a network that an address is in."""
        if not self._lengths:
            return None
        ip = parsed(address)
        if ip is None:
            return None
        for each, version, length in self._lengths:
            if each == action and version == ip.version:
                inside = ip_network((ip, length), strict=False)
                rule = self.find(action, "address", str(inside), now)
                if rule is not None:
                    return rule
        return None

    def of_client(
        self, action: str, client: bytes, nicks: Iterable[str], address: str, now: float
    ) -> Rule | None:
        """Give a rule about a client, one of its nicks as it is kept, or where it comes from."""
        if not self._rules:
            return None
        found = self.find(action, "client", client.hex(), now) if client else None
        for nick in nicks:
            found = found or self.find(action, "nick", names.skeleton(nick), now)
            found = found or self.find(action, "guest", names.fold(nick), now)
        return found or self.of_address(action, address, now)

    def of_room(self, action: str, room: str, now: float) -> Rule | None:
        """Give the rule that locks a room's topic or freezes the room."""
        return self.find(action, "room", room, now)

    def closed(self, now: float) -> Rule | None:
        """Give the rule that closes the server to newcomers."""
        return self.find("close", "server", "", now)

    def _index(self) -> None:
        rules = self._rules.values()
        self.frozen = frozenset(rule.value for rule in rules if rule.action == "freeze")
        self._lengths = frozenset(
            (rule.action, each.version, each.prefixlen)
            for rule in rules
            if rule.target_type == "address"
            for each in [ip_network(rule.value)]
        )


def parsed(address: str) -> Address | None:
    """Give what an address means, or None if it is none; IPv4 mapped into IPv6 is IPv4."""
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def network(text: str) -> Network | None:
    """Give the network that a text names, or None.

    An IPv6 address alone means its /64: whoever has one has all of them. Part of IPv4 that is
    mapped into IPv6 is IPv4.
    """
    ip = parsed(text)
    if ip is not None:
        return ip_network((ip, 64 if ip.version == 6 else 32), strict=False)
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        return None
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    return ip_network((mapped, found.prefixlen - 96)) if mapped and found.prefixlen >= 96 else found


def _key(rule: Rule) -> tuple[str, str, str]:
    return rule.action, rule.target_type, rule.value


def moment(ms: int) -> str:
    """Give a time for people to read."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(ms / 1000))
