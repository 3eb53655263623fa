"""How `geventchat connect` says what went wrong."""

import sys
from contextlib import suppress

from geventchat.protocol.visible import visible


class Failed(Exception):
    """An error, with a sentence for the user."""


class NotUnderstood(ValueError):
    """Nothing was done: the line is no command, or not a valid one."""


def complain(text: str) -> None:
    """Write a line to standard error, if that is possible."""
    if sys.stderr is not None:
        with suppress(OSError):  # its disk is full or its reader has gone; there is no other place
            sys.stderr.write(visible(f"geventchat: {text}") + "\n")
