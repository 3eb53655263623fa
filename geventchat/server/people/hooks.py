"""Webhooks: each lets a program without a connection post into one room. Nothing here waits.

Only a hash of the token is kept.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Self

from msgspec import Struct

from geventchat.server.people.records import decoded
from geventchat.server.transport.token_bucket import TokenBucket

HOOK: Final = "hook"
"""The kind of its record."""
_TOKEN_BYTES: Final = 32
_ID_BYTES: Final = 8
"""Written as hex digits: people give an id to a command, where a hyphen would begin an option."""


class _HookRecord(Struct, omit_defaults=True):
    room: str
    by: str
    created: int
    digest: bytes
    private: bool = False


@dataclass(eq=False, slots=True)
class Hook:
    """A webhook."""

    id: str
    room: str
    by: str
    """The nick of who made it, or `operator at` an address."""
    created: int
    """Milliseconds since 1970, UTC."""
    digest: bytes
    """The hash of its token."""
    private: bool = False
    """Whether it was made for a private room: it posts into no other of the same name."""
    revoked: bool = False
    pace: TokenBucket | None = None
    """How quickly it may post; made with its first post."""

    @property
    def client(self) -> bytes:
        """What stands for a client's hash in its posts; no client can have the same."""
        return blake2b(self.id.encode(), digest_size=16, person=b"hook").digest()

    @property
    def record(self) -> tuple[str, str]:
        return HOOK, self.id

    def value(self) -> object:
        if self.revoked:
            return None
        return _HookRecord(self.room, self.by, self.created, self.digest, self.private)

    @classmethod
    def load(cls, number: str, value: bytes) -> Self:
        """Return the hook of a record."""
        kept = decoded(_HookRecord, value)
        return cls(number, kept.room, kept.by, kept.created, kept.digest, kept.private)


class Hooks:
    """All webhooks, in the order in which they were made."""

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self.address: str | None = None
        """What is followed by a token in the address of a hook; None: there is no web door."""
        self._by_id: dict[str, Hook] = {}
        self._by_digest: dict[bytes, Hook] = {}
        for hook in sorted(hooks, key=lambda each: each.created):
            self.put(hook)

    def make(self, room: str, by: str, now: int, *, private: bool) -> tuple[Hook, str]:
        """Return a new hook of a room, and its token; the caller saves it."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        number = secrets.token_hex(_ID_BYTES)
        hook = Hook(number, room, by, now, _digest(token), private)
        self.put(hook)
        return hook, token

    def find(self, token: str) -> Hook | None:
        """Return the hook with a token, after a time that says nothing about other tokens."""
        return self._by_digest.get(_digest(token))

    def get(self, number: str) -> Hook | None:
        """Return the hook with an id."""
        return self._by_id.get(number)

    def of(self, room: str | None) -> list[Hook]:
        """Return the hooks of a room, or all."""
        return [hook for hook in self._by_id.values() if room is None or hook.room == room]

    def revoke(self, hook: Hook) -> None:
        """End a hook; the caller saves it."""
        hook.revoked = True
        self._by_id.pop(hook.id, None)
        self._by_digest.pop(hook.digest, None)

    def put(self, hook: Hook) -> None:
        """Add a hook that was made."""
        self._by_id[hook.id] = hook
        self._by_digest[hook.digest] = hook


def _digest(token: str) -> bytes:
    return blake2b(token.encode(), digest_size=32).digest()
