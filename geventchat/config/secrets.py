"""Reading secrets from files: the password of a server, the token of its operators."""

from pathlib import Path
from typing import Final

from geventchat.config.checks import BadOption

LEAST_TOKEN: Final = 16
_MOST: Final = 1_024
"""Characters of a secret, as the protocol has it."""


def read(option: str, path: str) -> str:
    """Give the secret that a file holds: its text, without the line break at its end.

    Raises BadOption, which names the option and the file.
    """
    try:
        text = Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise BadOption(option, path, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise BadOption(option, path, "is not UTF-8") from None
    if not 1 <= len(text) <= _MOST or not text.isprintable():
        raise BadOption(option, path, f"does not hold one line of 1 to {_MOST:,} characters")
    return text


def read_token(option: str, path: str) -> str:
    """Give the token that a file holds. Raises BadOption."""
    token = read(option, path)
    if len(token) < LEAST_TOKEN:
        text = f"a token of fewer than {LEAST_TOKEN} characters could be guessed"
        raise BadOption(option, path, text)
    return token
