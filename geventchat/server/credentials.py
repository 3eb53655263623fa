"""What a client has to know: the server's password, the operators' token.

Neither is ever logged or shown. They are compared by hashes of equal length, in a time that does
not depend on what was tried, and few times a minute for each address.
"""

import hmac
import logging
import os
import secrets
import stat
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

from geventchat.config import BadSetting
from geventchat.server.files import replace
from geventchat.server.limits import Trust, origin

TRIES: Final = 5
"""Wrong tries that one address has in a minute."""
TRY_SECONDS: Final = 60.0
_ADDRESSES: Final = 10_000
"""Whose wrong tries are remembered."""
LEAST_TOKEN: Final = 16
_MOST: Final = 1_024
"""Characters of a secret, as the protocol has it."""

_log: Final = logging.getLogger(__name__)


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


def read(setting: str, path: str) -> str:
    """Give the secret that a file holds: its text, without the line break at its end.

    Raises BadSetting, which names the setting and the file.
    """
    try:
        text = Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise BadSetting(setting, path, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise BadSetting(setting, path, "is not UTF-8") from None
    if not 1 <= len(text) <= _MOST or not text.isprintable():
        text = (
            f"does not hold one line of 1 to {_MOST:,} characters; write the secret into it again"
        )
        raise BadSetting(setting, path, text)
    return text


def read_token(setting: str, path: str) -> str:
    """Give the token that a file holds. Raises BadSetting."""
    token = read(setting, path)
    if len(token) < LEAST_TOKEN:
        text = f"a token of fewer than {LEAST_TOKEN} characters could be guessed; use a longer one"
        raise BadSetting(setting, path, text)
    return token


def read_or_make_token(setting: str, path: str) -> str:
    """Give the token that a file holds, made now if there is no such file or it is empty.

    Only its owner can read what is made, and it is on disk. Raises BadSetting.
    """
    try:
        found = os.stat(path)
        if found.st_size or not stat.S_ISREG(found.st_mode):
            return read_token(setting, path)
        _log.warning("%s was empty, perhaps after a crash: made a new operator token", path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise BadSetting(setting, path, error.strerror or str(error)) from None
    token = secrets.token_urlsafe(32)
    try:
        replace(path, f"{token}\n".encode())
    except OSError as error:
        raise BadSetting(setting, path, error.strerror or str(error)) from None
    return token
