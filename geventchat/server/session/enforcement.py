"""Applies the rules of operators to the connections that there are."""

from typing import Final

from geventchat.server.access.policy import Policy
from geventchat.server.chat.hub import Hub
from geventchat.server.slices import in_slices

STRIDE: Final = 100
"""Sessions per slice when rules are applied: some 0.5 ms."""


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
