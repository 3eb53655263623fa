"""Turns as one node sends them, without its greenlets."""

from collections.abc import Mapping
from typing import Any

import msgspec

from geventchat.server.timeline import Batch, Submission
from geventchat.server.timeline.redis import turn
from geventchat.server.timeline.redis.engine import Engine
from geventchat.server.timeline.redis.scripts import Script
from tests.engines import RunningEngine

NODE, LIFE = "n1", 3


class Turns:
    """A registered node of an engine that was empty, and what became of its turns."""

    _script = Script("turn")

    def __init__(self, engine: RunningEngine) -> None:
        self.engine = Engine(engine.where, name="test")
        self.begin()

    def begin(self) -> None:
        """Register in an empty store."""
        self.number = 0
        self.engine.call("FLUSHALL")
        self.engine.call("HSET", "{gc}:life", "life", LIFE, "epoch", "e", "run", "r1")
        self.engine.call("HSET", "{gc}:leases", NODE, 9_000_000_000_000)
        self.engine.call("XADD", "{gc}:feed", f"{LIFE}-*", "h", NODE)

    def close(self) -> None:
        """End the connection."""
        self.engine.close()

    def take(self, *submitted: Submission) -> Batch:
        """Store a turn."""
        self.number += 1
        return turn.batch(submitted, *self.ask(self.number, *submitted)[1:])

    def ask(self, number: int, *submitted: Submission, node: str = NODE, life: int = LIFE) -> Any:
        """Ask for a turn under a number; return the answer."""
        return self.ask_packed(number, turn.packed(submitted), node=node, life=life)

    def ask_packed(self, number: int, packed: bytes, *, node: str = NODE, life: int = LIFE) -> Any:
        """Ask for a turn that is packed already."""
        return self.engine.run(self._script, (), node, life, number, packed)

    def feed(self) -> list[Mapping[bytes, bytes]]:
        """Return the entries of turns in the feed."""
        entries = [fields for _, fields in self.engine.call("XRANGE", "{gc}:feed", "-", "+")]
        return [
            dict(zip(fields[::2], fields[1::2], strict=True))
            for fields in entries
            if fields[0] == b"n"
        ]

    def contents(self) -> dict[bytes, Any]:
        """Return all that is stored."""
        reads = {
            b"stream": ("XRANGE", "-", "+"), b"hash": ("HGETALL",), b"list": ("LRANGE", 0, -1),
            b"zset": ("ZRANGE", 0, -1, "WITHSCORES"), b"string": ("GET",),
        }  # fmt: skip
        found = {}
        for key in self.engine.call("KEYS", "*"):
            command, *rest = reads[self.engine.call("TYPE", key)]
            found[key] = self.engine.call(command, key, *rest)
        return found


def results(answer: Any) -> Any:
    """Return the results in the answer to a turn."""
    return msgspec.msgpack.decode(answer[2])
