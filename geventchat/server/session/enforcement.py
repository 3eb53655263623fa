"""Applies the rules of operators to the connections that there are."""

import logging
from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Final

import gevent
import msgspec
from gevent.event import Event

from geventchat.server.access.policy import Policy
from geventchat.server.access.rules import Rule, key_of
from geventchat.server.access.shared_rules import SharedRules
from geventchat.server.chat.hub import Hub
from geventchat.server.slices import in_slices
from geventchat.server.timeline import RecordChange

STRIDE: Final = 100
"""Sessions per slice when rules are applied: some 0.5 ms."""
_WAIT_SECONDS: Final = 1.5
"""How long a rule may take to be heard here before the question how many it hit is given up."""
_MOST_APART: Final = 10
"""Changes that wait to be applied; of more it is only known what all of them closed together."""
_POLL_SECONDS: Final = 0.1
_MOST_REMEMBERED: Final = 1_000
"""Rules of which it is known how many connections they closed here."""

ENDED: Final = "ended"
"""The question how many connections of a node some rules have closed."""

Made = tuple[str, str, str, int]
"""What a rule is looked up by, and when it was made."""

_log = logging.getLogger(__name__)


def apply_rules(hub: Hub, policy: Policy) -> int:
    """Apply the rules to all sessions; return the number of connections closed. Waits."""
    ended = 0
    for other in in_slices(hub.sessions, STRIDE):
        policy.refresh_mute(other)
        banned = policy.banned(other.client, [other.nick], other.address, other.account)
        if banned is not None and not other.operator:
            other.end(banned)
            ended += 1
    return ended


def asked_of(rules: Sequence[Rule]) -> bytes:
    """Return the question how many connections some rules have closed."""
    return msgspec.msgpack.encode([_made(rule) for rule in rules])


def _made(rule: Rule) -> Made:
    return (*key_of(rule), rule.time)


class Enforcement:
    """Applies what operators decide on other nodes."""

    def __init__(self, hub: Hub, policy: Policy, shared: SharedRules) -> None:
        self._hub, self._policy, self._shared = hub, policy, shared
        self._heard: deque[list[Rule]] = deque()
        """What was made together, and is not applied yet."""
        self._working = False
        self._ended: dict[Made, int] = {}
        """How many connections rules have closed here, with those made together with them."""
        self._applied = Event()

    def hear(self, changes: Sequence[RecordChange]) -> None:
        """Have rules in force that another node has written. Never waits."""
        if not (fresh := self._shared.hear(changes)):
            return
        self._heard.append([rule for rule in fresh.values() if rule is not None])
        if not self._working:
            self._working = True
            gevent.spawn(self._work).name = "rules in force"

    def _work(self) -> None:
        while self._heard:
            made = self._heard.popleft()
            if len(self._heard) > _MOST_APART:
                made = [*made, *chain(*self._heard)]
                self._heard.clear()
            ended = apply_rules(self._hub, self._policy)
            if ended:
                _log.info("closed %d connections for a rule made on another node", ended)
            self._ended |= {_made(rule): ended for rule in made}
            while len(self._ended) > _MOST_REMEMBERED:
                del self._ended[next(iter(self._ended))]
            self._applied.set()
            self._applied = Event()
        self._working = False

    def answer(self, about: bytes) -> bytes:
        """Return how many connections rules have closed here, when they are applied. Waits.

        Raises TimeoutError if they are not heard of in time.
        """
        rules = msgspec.msgpack.decode(about, type=list[Made])
        with gevent.Timeout(_WAIT_SECONDS, TimeoutError):
            while not all(map(self._is_applied, rules)):
                self._applied.wait(_POLL_SECONDS)
        closed = (self._ended.get(rule, 0) for rule in rules)
        return msgspec.msgpack.encode(max(closed, default=0))

    def _is_applied(self, made: Made) -> bool:
        if made in self._ended:
            return True
        rule = self._policy.rules.get(made[:3])  # there since the start, or newer
        return not self._working and rule is not None and rule.time >= made[3]
