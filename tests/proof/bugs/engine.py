"""Bugs in how a server stores on an engine, and hears from it."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import gevent

from geventchat.server.timeline import Batch
from geventchat.server.timeline.redis import life, retention, storing
from geventchat.server.timeline.redis import turn as turns
from geventchat.server.timeline.redis.beating import Beating
from geventchat.server.timeline.redis.cleaning import Cleaning
from geventchat.server.timeline.redis.engine import Away, Engine, InDoubt, Rejected
from geventchat.server.timeline.redis.feed import Feed
from geventchat.server.timeline.redis.life import Life
from geventchat.server.timeline.redis.rooms import FeedId
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.storing import Storing
from geventchat.server.timeline.redis.writer import Writer

_HEALTHY_SECONDS: Final = 3.0


def deliver_from_the_answer() -> None:
    """Deliver what this server has stored when it is answered, not only when the feed brings it."""
    real = Storing.judge

    def judge(self: Storing, passed: FeedId) -> None:
        for turn in self._answered:
            if turn.place > passed:
                batch = turns.batch(turn.submitted, turn.time, turn.results)
                self._deliver(Batch([(entry, 0) for entry, _ in batch.entries]))
        real(self, passed)

    Storing.judge = judge  # type: ignore[method-assign]


def retry_without_the_number() -> None:
    """Give a turn that is sent again another number."""
    attempts: Counter[int] = Counter()
    real_run, real_heard = Writer.run, Storing.heard

    def run(self: Writer, script: Script, *arguments: Any) -> Any:
        if script.name == "turn":
            number, blob = arguments
            arguments = number * 1_000 + attempts[number], blob
            attempts[number] += 1
        return real_run(self, script, *arguments)

    def heard(self: Storing, number: int) -> Any:
        return real_heard(self, number // 1_000)

    Writer.run = run  # type: ignore[method-assign]
    Storing.heard = heard  # type: ignore[method-assign]


def do_not_beat() -> None:
    """Do not renew the lease any more after a while, on the second of two nodes.

    The clients come to their end on the first one.
    """
    if "127.0.0.1" in sys.argv:
        return
    real, began = Beating.next, time.monotonic()

    def next_beat(self: Beating) -> None:
        if time.monotonic() > began + _HEALTHY_SECONDS:
            gevent.sleep(1.0)
        else:
            real(self)

    Beating.next = next_beat  # type: ignore[method-assign]


def keep_the_life() -> None:
    """Do not notice that an engine has less than was seen, by the feed either."""

    def confirm(self: Life, engine: Engine) -> None:
        told = life._told(engine)
        if told.get("role") != "master":
            raise Away("a replica")
        self.run = told["run_id"].encode()
        engine.call("HSET", "{gc}:life", "run", self.run)

    Life.confirm = confirm  # type: ignore[method-assign]
    life._was_replica = lambda told: False
    Feed._break = lambda self: None  # type: ignore[method-assign]


def trim_without_the_keys() -> None:
    """Leave the keys of posts that are deleted."""
    text = retention._TRIM.text
    assert b"HDEL', key('keys'" in text
    text = text.replace(b"redis.call('HDEL', key('keys', room), unpack(keys))", b"local _")
    retention._TRIM = Script("trim", text)  # type: ignore[misc]


def deny_in_doubt() -> None:
    """Answer `storage` when there was no answer."""
    real = Writer.run

    def run(self: Writer, script: Script, *arguments: Any) -> Any:
        try:
            return real(self, script, *arguments)
        except InDoubt as error:
            raise Rejected(f"ERR {error.text}") from None

    Writer.run = run  # type: ignore[method-assign]


def send_two_turns() -> None:
    """Send a turn while another one is in flight, and store it then whatever its number."""
    real = Storing._store
    text = storing._TURN.text
    assert b"elseif number < former[1]" in text
    text = text.replace(b"elseif number < former[1]", b"elseif false")
    storing._TURN = Script("turn", text)  # type: ignore[misc]

    def store(self: Storing, turn: Any) -> None:
        gevent.spawn(real, self, turn)

    Storing._store = store  # type: ignore[method-assign]


def leave_remains_in_memory() -> None:
    """Delete redacted posts, and leave their bytes in the nodes of the streams."""
    Cleaning.step = lambda self: False  # type: ignore[method-assign]


def leave_remains_in_the_file() -> None:
    """Do not have the append-only file rewritten after redactions."""
    Cleaning._rewrite = lambda self, now: None  # type: ignore[method-assign]


CAUGHT_BY: Final[dict[Callable[[], None], tuple[str, ...]]] = {
    deliver_from_the_answer: ("unheard", "unnoticed", "doubled"),
    retry_without_the_number: ("doubled",),
    do_not_beat: ("deaf",),
    keep_the_life: ("lied", "changed"),
    trim_without_the_keys: ("leftover",),
    deny_in_doubt: ("denied",),
    send_two_turns: ("late", "doubled"),
    leave_remains_in_memory: ("remains",),
    leave_remains_in_the_file: ("remains",),
}
_LOST_ANSWERS: Final = ("answers lost",)
NEEDS: Final[dict[Callable[[], None], dict[str, Any]]] = {
    # What another node has stored before, and the feed has not brought, is passed over then.
    deliver_from_the_answer: {"faults": ("feed late",), "rounds": 10, "nodes": 2},
    # Only a plain client, one of each ten, says something that has no key.
    retry_without_the_number: {"faults": _LOST_ANSWERS, "rounds": 15, "clients": 60},
    do_not_beat: {"faults": ("scripts forgotten",), "nodes": 2, "late_seconds": None},
    keep_the_life: {"lose": "stale"},
    trim_without_the_keys: {"keep": 20, "rounds": 8},
    deny_in_doubt: {"faults": _LOST_ANSWERS, "rounds": 15},
    send_two_turns: {"faults": ("engine killed", "engine's disk full"), "rounds": 12},
    leave_remains_in_memory: {"late_seconds": 60.0},
    leave_remains_in_the_file: {"late_seconds": 60.0},
}
"""What a plan needs so that a bug shows."""
