"""Bugs that show when there are several nodes."""

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent

from geventchat.server.chat.other_nodes import OtherNodes
from geventchat.server.timeline import RecordChange
from geventchat.server.timeline.redis import RedisTimeline
from geventchat.server.timeline.redis.claims import Claims
from geventchat.server.timeline.redis.scripts import Script

_HEALTHY_SECONDS: Final = 12.0


def forget_what_comes_while_a_room_opens() -> None:
    """Open a room as the engine had it, without what the feed has brought since."""

    def load(self: RedisTimeline, room: str) -> None:
        state = self._pages.reader.open(room)
        gevent.sleep(0.5)
        self._rooms.adopt(room, state, [])

    RedisTimeline._load = load  # type: ignore[method-assign]


def give_nicks_without_asking() -> None:
    """Give a nick that is free on this node, whoever has it on another."""
    Claims.claim = lambda self, nick, client: None  # type: ignore[method-assign]


def keep_who_is_gone() -> None:
    """Do not notice that a node has ended."""
    OtherNodes.hear_gone = lambda self, node: None  # type: ignore[method-assign]


def be_deaf_to_records() -> None:
    """Do not follow what other nodes keep: accounts, memberships, rules."""
    real, began = OtherNodes.hear_records, time.monotonic()

    def hear(self: OtherNodes, changes: Sequence[RecordChange]) -> None:
        if time.monotonic() < began + _HEALTHY_SECONDS:  # else nobody could sign in
            real(self, changes)

    OtherNodes.hear_records = hear  # type: ignore[method-assign]


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
    forget_what_comes_while_a_room_opens: ("unnoticed", "unheard", "lied", "doubled", "changed"),
    give_nicks_without_asking: ("shared",),
    keep_who_is_gone: ("lingering",),
    be_deaf_to_records: ("unbanned", "forgotten", "leaked", "unheard", "misplaced"),
    go_on_without_a_lease: ("usurped",),
}
_ALIVE: Final = {"faults": ("scripts forgotten",), "kills": False}
"""What leaves the nodes alone."""
NEEDS: Final[dict[Callable[[], None], dict[str, Any]]] = {
    forget_what_comes_while_a_room_opens: {"faults": ("scripts forgotten",), "rounds": 10},
    # Two guests have to have a nick for three seconds together.
    give_nicks_without_asking: _ALIVE | {"rounds": 20, "clients": 40},
    keep_who_is_gone: {"rounds": 15, "at_random": 1.0},
    be_deaf_to_records: _ALIVE | {"rounds": 25},
    go_on_without_a_lease: {"faults": ("node paused",), "rounds": 3},
}
"""What a plan needs, beside two nodes, so that a bug shows."""
