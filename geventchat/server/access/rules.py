"""The rules of operators: what is forbidden, to which clients, until when.

No I/O and no clock: the caller passes the time. Rules are looked up by key, so the cost of a check
does not grow with their number.
"""

import time
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from geventchat.protocol import events, names
from geventchat.protocol.errors import Refused
from geventchat.server.networks import parsed

RULE: Final = "rule"
"""The kind of their records."""
GUEST: Final = "guest"
"""The type of a target that is a plain guest."""
MAX_RULES: Final = 2_000
"""In force at a time."""
_WIDEST: Final = {4: 8, 6: 16}
"""The shortest prefix of a network in a new rule, by IP version."""

Network = IPv4Network | IPv6Network
Key = tuple[str, str, str]
"""Action, target type and lookup value of a rule."""


class Rule(events.Rule, frozen=True, kw_only=True, omit_defaults=True):
    """A rule with its lookup value, which is never shown."""

    value: str
    """The skeleton of a nick, the hash of a client id, a network, a guest or a room."""

    def holds(self, now: float) -> bool:
        """Return whether it is in force at a time, in seconds since 1970."""
        return self.until is None or now * 1000 < self.until

    def shown(self) -> events.Rule:
        """Return the public part."""
        fields = {name: getattr(self, name) for name in events.Rule.__struct_fields__}
        return events.Rule(**fields)

    def sentence(self) -> str:
        """Return until when and why, as the end of a sentence."""
        until = f" until {moment(self.until)}" if self.until is not None else ""
        return f"{until}: {self.reason}" if self.reason else f"{until}."


class Rules:
    """All rules, one for each action and target; a newer one replaces it."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = {key_of(rule): rule for rule in rules}
        self.frozen: frozenset[str] = frozenset()
        """Rooms where only operators may post; may include expired rules."""
        self._lengths: frozenset[tuple[str, int, int]] = frozenset()
        """Action, IP version and prefix length of all networks in rules."""
        self._index()

    def all(self) -> dict[Key, Rule]:
        """Return all rules, expired ones too, oldest first."""
        return dict(self._rules)

    def get(self, key: Key) -> Rule | None:
        """Return the rule of an action about a target, though it may have expired."""
        return self._rules.get(key)

    def follow(self, changes: Mapping[Key, Rule | None]) -> None:
        """Take over rules that were made, and removed, by others; there may be too many."""
        for key in changes:
            self._rules.pop(key, None)
        made = [rule for rule in changes.values() if rule is not None]
        # In the order in which all nodes list them, whatever the order in which they were heard.
        rules = sorted([*self._rules.values(), *made], key=lambda rule: rule.time)
        self._rules = {key_of(rule): rule for rule in rules}
        self._index()

    def in_force(self, now: float) -> list[Rule]:
        """Return the rules in force, oldest first, and drop the expired ones."""
        if any(not rule.holds(now) for rule in self._rules.values()):
            self._rules = {key: rule for key, rule in self._rules.items() if rule.holds(now)}
            self._index()
        return list(self._rules.values())

    def make(self, made: Iterable[Rule], now: float) -> None:
        """Add rules. Raises Refused if there are too many."""
        fresh = {key_of(rule): rule for rule in made}
        self.in_force(now)
        if len(self._rules.keys() | fresh.keys()) > MAX_RULES:
            text = f"Limit of {MAX_RULES:,} rules reached. Remove some first."
            raise Refused("forbidden", text)
        for key in fresh:
            self._rules.pop(key, None)  # so that it is among the newest
        self._rules |= fresh
        self._index()

    def forget(self, guest: str) -> bool:
        """Remove the rule about a plain guest, who cannot return; return whether there was one."""
        return self._rules.pop(("mute", GUEST, names.fold(guest)), None) is not None

    def lift(self, action: str, target: str, target_type: str | None = None) -> list[Rule]:
        """Remove and return the rules of an action about a target, by any of its names."""
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
                or (rule.target_type == "address" and named & {rule.value, _unscoped(rule.value)})
            )
        ]
        for rule in lifted:
            del self._rules[key_of(rule)]
        self._index()
        return lifted

    def lift_account(self, action: str, account: str) -> list[Rule]:
        """Remove and return the rule of an action about an account."""
        rule = self._rules.pop((action, "account", account), None)
        return [rule] if rule is not None else []

    def find(self, action: str, target_type: str, value: str, now: float) -> Rule | None:
        """Return the rule with this key, if it is in force."""
        rule = self._rules.get((action, target_type, value))
        return rule if rule is not None and rule.holds(now) else None

    def of_address(self, action: str, address: str, now: float) -> Rule | None:
        """Return the rule about a network that contains an address."""
        if not self._lengths:
            return None
        ip = parsed(address)
        if ip is None:
            return None
        for each, version, length in self._lengths:
            if each == action and version == ip.version:
                inside = ip_network((ip, length), strict=False)
                rule = self.find(action, "address", str(inside), now)
                if rule is None and _scope(inside):  # a rule without a scope is for all links
                    rule = self.find(action, "address", _unscoped(str(inside)), now)
                if rule is not None:
                    return rule
        return None

    def of_client(
        self, action: str, client: bytes, nicks: Iterable[str], address: str, now: float
    ) -> Rule | None:
        """Return a rule about a client, one of its nicks or its address."""
        if not self._rules:
            return None
        found = self.find(action, "client", client.hex(), now) if client else None
        for nick in nicks:
            found = found or self.find(action, "nick", names.skeleton(nick), now)
            found = found or self.find(action, GUEST, names.fold(nick), now)
        return found or self.of_address(action, address, now)

    def of_room(self, action: str, room: str, now: float) -> Rule | None:
        """Return the rule that locks the topic of a room or freezes the room."""
        return self.find(action, "room", room, now)

    def closed(self, now: float) -> Rule | None:
        """Return the rule that closes the server to new users."""
        return self.find("close", "server", "", now)

    def _index(self) -> None:
        rules = self._rules.values()
        self.frozen = frozenset(rule.value for rule in rules if rule.action == "freeze")
        self._lengths = frozenset(
            (rule.action, *_version_and_length(rule.value))
            for rule in rules
            if rule.target_type == "address"
        )


def network(text: str) -> Network | None:
    """Parse a network or an address; None if it is invalid.

    An IPv6 address stands for its /64, since a host has all of it; a link-local one or loopback for
    itself, since all hosts on the link share their /64. IPv4 mapped into IPv6 becomes IPv4.
    """
    ip = parsed(text)
    if ip is not None:
        shared = ip.version == 4 or ip.is_link_local or ip.is_loopback
        return ip_network((ip, ip.max_prefixlen if shared else 64), strict=False)
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        return None
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    return ip_network((mapped, found.prefixlen - 96)) if mapped and found.prefixlen >= 96 else found


def within(meant: Network, address: str) -> bool:
    """Return whether an address is in a network; one with a scope id is on that link only."""
    ip = parsed(address)
    if ip is None or ip not in meant:
        return False
    return _scope(meant) in (None, getattr(ip, "scope_id", None))


def check_width(meant: Network) -> None:
    """Raise Refused if a network is too wide for a rule, which would hit nearly everybody."""
    least = _WIDEST[meant.version]
    if meant.prefixlen < least:
        text = f"target: {meant} is too wide; at most a /{least}. Use close to refuse new users."
        raise Refused("bad_field", text)


def _version_and_length(value: str) -> tuple[int, int]:
    """Return the IP version and the prefix length of a network in its canonical text.

    Without parsing the address: 2,000 of them would take 15 ms, in which nothing else runs.
    """
    return 6 if ":" in value else 4, int(value.rpartition("/")[2])


def _scope(meant: Network) -> str | None:
    return getattr(meant.network_address, "scope_id", None)


def _unscoped(value: str) -> str:
    address, _, length = value.partition("/")
    return f"{address.partition('%')[0]}/{length}"


def key_of(rule: Rule) -> Key:
    """Return what a rule is looked up by."""
    return rule.action, rule.target_type, rule.value


def moment(ms: int) -> str:
    """Format a time for people."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(ms / 1000))
