"""A store filled without a server, by the layout of the keys alone."""

from collections.abc import Sequence
from typing import Any

import msgspec

from geventchat.server.timeline.redis.engine import Engine, Part, Rejected
from geventchat.server.timeline.redis.stored import string

NODE, LIFE = "n1", 1
NOW = 1_764_000_000_000
"""The time of the first post in milliseconds; each later one is a millisecond later."""


class Filled:
    """Rooms of an engine that was empty, written as a node writes them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.now = NOW
        self.tops: dict[str, int] = {}
        self._changes: dict[str, int] = {}
        self._posts: dict[tuple[str, int], tuple[int, list[Any]]] = {}
        self._do([("HSET", "{gc}:life", "life", LIFE), ("HSET", "{gc}:leases", NODE, NOW)])

    def say(self, room: str, *texts: str, key: str | None = None, client: bytes = b"c1") -> None:
        """Store posts; with a key, one."""
        commands: list[Sequence[Part]] = [("ZADD", "{gc}:rooms", 0, room)]
        for text in texts:
            position = self.tops[room] = self.tops.get(room, 0) + 1
            post = ["anna", text, string(client), key, None, False]
            self._posts[room, position] = self.now, post
            fields = "t", self.now, "p", msgspec.msgpack.encode(post)
            commands.append(("XADD", f"{{gc}}:room:{room}", "0-*", *fields))
            if key is not None:
                slot = client + key.encode()
                commands.append(("HSET", f"{{gc}}:keys:{room}", slot, position))
            self.now += 1
        self._do(commands)

    def change(self, room: str, position: int, text: str | None) -> None:
        """Edit a post; without a text, redact it."""
        number = self._changes[room] = self._changes.get(room, 0) + 1
        time, post = self._posts[room, position]
        fields = msgspec.msgpack.encode([post[0], "", *post[2:]])
        redacted = text is None
        change = [number, self.tops[room], "anna", "", redacted, text or "", time]
        packed = msgspec.msgpack.encode([*change, string(fields)])
        commands: list[Sequence[Part]] = [
            ("HSET", f"{{gc}}:changed:{room}", position, packed),
            ("ZADD", f"{{gc}}:order:{room}", number, position),
            ("HSET", "{gc}:changes", room, number),
            ("XDEL", f"{{gc}}:room:{room}", f"0-{position}"),
            ("HDEL", f"{{gc}}:moved:{room}", position),
        ]
        if redacted:
            mark = msgspec.msgpack.encode([room, position])
            commands.append(("RPUSH", "{gc}:remains", mark))
        self._do(commands)

    def topic(self, room: str, topic: str) -> None:
        """Set the topic of a listed room."""
        self._do(
            [
                ("ZADD", "{gc}:rooms", 0, room),
                ("HSET", "{gc}:topics", room, topic),
                ("ZADD", "{gc}:listed", 0, room) if topic else ("ZREM", "{gc}:listed", room),
            ]
        )

    def _do(self, commands: Sequence[Sequence[Part]]) -> None:
        for answer in self.engine.pipeline(commands):
            assert not isinstance(answer, Rejected), answer
