"""Secrets: the password of the server and the operator token.

They are never logged or shown, and compared in constant time. Wrong attempts are limited per
address and minute.
"""

import hmac
import logging
import os
import secrets
import stat
from hashlib import blake2b
from typing import Final

from geventchat.config import BadSetting
from geventchat.config.secrets import read_token
from geventchat.server.access.rate_limits import origin
from geventchat.server.files import replace

ATTEMPTS: Final = 5
"""Wrong attempts per address and minute."""
ATTEMPT_SECONDS: Final = 60.0
_ADDRESSES: Final = 10_000
"""Addresses whose wrong attempts are remembered."""

_log: Final = logging.getLogger(__name__)


class Secret:
    """A salted hash of a secret, to compare with."""

    __slots__ = ("_hash", "_salt")

    def __init__(self, text: str) -> None:
        self._salt = secrets.token_bytes(16)
        self._hash = self._hashed(text)

    def matches(self, text: str) -> bool:
        """Return whether a text is the secret. Never waits; takes 2 µs."""
        return hmac.compare_digest(self._hash, self._hashed(text))

    def _hashed(self, text: str) -> bytes:
        return blake2b(text.encode(), key=self._salt).digest()


class FailedAttempts:
    """Counts wrong attempts per minute and address, or IPv6 /64.

    The number of addresses is bounded; the oldest is forgotten.
    """

    def __init__(self) -> None:
        self._wrong: dict[str, tuple[float, int]] = {}
        """By network: the start of its minute, and the number of attempts."""

    def exceeded(self, address: str, now: float) -> bool:
        """Return whether an address has used up its attempts."""
        began, count = self._wrong.get(origin(address), (now, 0))
        return count >= ATTEMPTS and now - began < ATTEMPT_SECONDS

    def count(self, address: str, now: float) -> None:
        """Count a wrong attempt."""
        network = origin(address)
        began, count = self._wrong.pop(network, (now, 0))
        if now - began >= ATTEMPT_SECONDS:
            began, count = now, 0
        self._wrong[network] = began, count + 1
        if len(self._wrong) > _ADDRESSES:
            del self._wrong[next(iter(self._wrong))]


def read_or_make_token(setting: str, path: str) -> str:
    """Return the token in a file; create it if the file is missing or empty.

    A created file is readable by its owner only, and synced to disk. Raises BadSetting.
    """
    try:
        found = os.stat(path)
        if found.st_size or not stat.S_ISREG(found.st_mode):
            return read_token(setting, path)
        _log.warning("%s was empty, perhaps after a crash: made a new operator token", path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise BadSetting.of(setting, path, error) from None
    token = secrets.token_urlsafe(32)
    try:
        replace(path, f"{token}\n".encode())
    except OSError as error:
        raise BadSetting.of(setting, path, error) from None
    return token
