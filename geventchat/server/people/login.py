"""Logins: what the protocol calls the sessions of an account. Nothing here waits.

A login begins when somebody signs in with the password; its token signs in from then on. Only a
hash of the token is kept.
"""

import secrets
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Self

from msgspec import Struct

from geventchat.server.people.account import Account
from geventchat.server.people.records import decoded

LOGIN: Final = "login"
"""The kind of its record."""
UNUSED_MS: Final = 90 * 24 * 60 * 60 * 1000
"""A login that was not used for so long is void."""
_TOKEN_BYTES: Final = 32
_ID_BYTES: Final = 8
"""Written as hex digits: people give an id to a command, where a hyphen would begin an option."""


class _LoginRecord(Struct):
    id: str
    account: str
    created: int
    used: int
    device: str = ""


@dataclass(eq=False, slots=True)
class Login:
    """A login of an account."""

    digest: str
    """The hash of its token."""
    id: str
    """By which its owner names it."""
    account: Account
    created: int
    """Milliseconds since 1970; `used` too."""
    used: int
    device: str = ""
    """What the client that signed in called itself."""
    ended: bool = False
    """Whether it was revoked: the record goes."""

    @property
    def record(self) -> tuple[str, str]:
        return LOGIN, self.digest

    def value(self) -> object:
        if self.ended:
            return None
        return _LoginRecord(self.id, self.account.id, self.created, self.used, self.device)

    @classmethod
    def new(cls, account: Account, now: int, device: str = "") -> tuple[Self, str]:
        """Return a new login of an account, and its token."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        number = secrets.token_hex(_ID_BYTES)
        return cls(digest(token), number, account, now, now, device), token

    @classmethod
    def load(cls, hashed: str, value: bytes, accounts: dict[str, Account]) -> Self | None:
        """Return the login of a record; None: its account is gone."""
        kept = decoded(_LoginRecord, value)
        account = accounts.get(kept.account)
        if account is None or account.removed:
            return None
        return cls(hashed, kept.id, account, kept.created, kept.used, kept.device)

    def is_void(self, now: int) -> bool:
        """Return whether it can no longer be used."""
        return self.ended or self.account.removed or now - self.used > UNUSED_MS


def digest(token: str) -> str:
    """Return what is kept of a token. It has 256 random bits, so a fast hash is enough."""
    return blake2b(token.encode(), digest_size=16).hexdigest()
