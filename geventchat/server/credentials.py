"""What a client has to know: the server's password, the operators' token.

Neither is ever logged or shown. They are compared by hashes of equal length, in a time that does
not depend on what was tried, and few times a minute for each address.
"""

import hmac
import os
import secrets
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from geventchat.config import BadOption
from geventchat.config.secrets import read_token
from geventchat.server.limits import Trust, origin

TRIES: Final = 5
"""Wrong tries that one address has in a minute."""
TRY_SECONDS: Final = 60.0
_ADDRESSES: Final = 10_000
"""Whose wrong tries are remembered."""


class Secret:
    """Something that is known or not; it cannot be read again, only be compared."""

    __slots__ = ("_hash", "_salt")

    def __init__(self, text: str) -> None:
        self._salt = secrets.token_bytes(16)
        self._hash = self._hashed(text)

    def is_(self, text: str) -> bool:
        """Say whether a text is the secret. Never waits; takes 2 µs."""
        return hmac.compare_digest(self._hash, self._hashed(text))

    def _hashed(self, text: str) -> bytes:
        return blake2b(text.encode(), key=self._salt).digest()


class Tries:
    """Counts wrong tries: so many in a minute for each address, or each IPv6 /64.

    Trusted networks are not counted. What is remembered is bounded, the oldest goes first.
    """

    def __init__(self, trust: Sequence[str] = ()) -> None:
        self._trust = Trust(trust)
        self._wrong: dict[str, tuple[float, int]] = {}
        """By network: when its minute began, and how many there were."""

    def spent(self, address: str, now: float) -> bool:
        """Say whether an address has to wait before it may try again."""
        began, count = self._wrong.get(origin(address), (now, 0))
        return count >= TRIES and now - began < TRY_SECONDS

    def count(self, address: str, now: float) -> None:
        """Take note of a wrong try."""
        if address in self._trust:
            return
        whence = origin(address)
        began, count = self._wrong.pop(whence, (now, 0))
        if now - began >= TRY_SECONDS:
            began, count = now, 0
        self._wrong[whence] = began, count + 1
        if len(self._wrong) > _ADDRESSES:
            del self._wrong[next(iter(self._wrong))]


def read_or_make_token(option: str, path: str) -> str:
    """Give the token that a file holds, made now if there is no such file.

    Only its owner can read what is made. Raises BadOption.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return read_token(option, path)
    except OSError as error:
        raise BadOption(option, path, error.strerror or str(error)) from None
    token = secrets.token_urlsafe(32)
    with open(file, "w", encoding="ascii") as made:
        made.write(f"{token}\n")
    return token
