"""Bugs that show when there are several nodes."""

import hashlib
import sys
from collections.abc import Callable
from typing import Any, Final

from geventchat.server.chat.other_nodes import OtherNodes
from geventchat.server.timeline.redis import RedisTimeline
from geventchat.server.timeline.redis.claims import Claims
from geventchat.server.timeline.redis.scripts import Script


def join_at_the_top() -> None:
    """Join a room where the engine is, not where this node has heard it."""

    def load(self: RedisTimeline, room: str) -> None:
        with self._rooms.opening(room):
            self._rooms.adopt(room, self._pages.reader.open(room), [])

    RedisTimeline._load = load  # type: ignore[method-assign]


def give_nicks_without_asking() -> None:
    """Give a nick that is free on this node, whoever has it on another."""
    Claims.claim = lambda self, nick, client: None  # type: ignore[method-assign]


def keep_who_is_gone() -> None:
    """Do not notice that a node has ended."""
    OtherNodes.hear_gone = lambda self, node: None  # type: ignore[method-assign]


def be_deaf_to_records() -> None:
    """Do not follow what other nodes keep: accounts, memberships, rules."""
    OtherNodes.hear_records = lambda self, changes: None  # type: ignore[method-assign]


def go_on_without_a_lease() -> None:
    """Let every node change everything."""
    for name, module in list(sys.modules.items()):
        if name.startswith("geventchat.server.timeline.redis."):
            for script in vars(module).values():
                if isinstance(script, Script):
                    end = b"error({err = 'FENCED this node has no lease any more'})"
                    script.text = script.text.replace(end, b"return")  # type: ignore[misc]
                    digest = hashlib.sha1(script.text, usedforsecurity=False).hexdigest()
                    script.digest = digest  # type: ignore[misc]


CAUGHT_BY: Final[dict[Callable[[], None], tuple[str, ...]]] = {
    join_at_the_top: ("unnoticed", "doubled", "unheard", "lied", "deaf"),
    give_nicks_without_asking: ("shared",),
    keep_who_is_gone: ("lingering",),
    be_deaf_to_records: ("unbanned", "forgotten", "leaked", "unheard", "misplaced"),
    go_on_without_a_lease: ("usurped",),
}
NEEDS: Final[dict[Callable[[], None], dict[str, Any]]] = {
    join_at_the_top: {"faults": ("feed late",), "rounds": 8},
    give_nicks_without_asking: {"faults": ("scripts forgotten",), "rounds": 6},
    keep_who_is_gone: {"rounds": 6},
    be_deaf_to_records: {"faults": ("scripts forgotten",), "rounds": 6},
    go_on_without_a_lease: {"faults": ("node paused",), "rounds": 3},
}
"""What a plan needs, beside two nodes, so that a bug shows."""
