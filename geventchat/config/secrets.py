"""Reads secrets from files: the password of a server, the token of its operators."""

from pathlib import Path
from typing import Final

from geventchat.config.checks import BadSetting
from geventchat.protocol.text import decode

LEAST_TOKEN: Final = 16
_MOST: Final = 1_024
"""Characters of a secret, as in the protocol."""


def read(setting: str, path: str) -> str:
    """Return the secret in a file: its text without the line break at the end.

    Raises BadSetting, which names the setting and the file.
    """
    try:
        text = decode(Path(path).read_bytes()).removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise BadSetting.of(setting, path, error) from None
    except ValueError as error:
        raise BadSetting(setting, path, str(error)) from None
    if not 1 <= len(text) <= _MOST or not text.isprintable():
        reason = f"does not hold one line of 1 to {_MOST:,} characters; write the secret into it"
        raise BadSetting(setting, path, reason)
    return text


def read_token(setting: str, path: str) -> str:
    """Return the token in a file. Raises BadSetting."""
    token = read(setting, path)
    if len(token) < LEAST_TOKEN:
        reason = (
            f"a token of fewer than {LEAST_TOKEN} characters could be guessed; use a longer one"
        )
        raise BadSetting(setting, path, reason)
    return token
