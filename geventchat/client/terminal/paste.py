"""Notices a paste on a terminal that does not mark one (without bracketed paste).

Its lines arrive as typed lines, so each would be a message, or a command, of its own.
"""

import time
from collections.abc import Callable
from typing import Final

from prompt_toolkit.application import get_app
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

_LINES: Final = 4
_KEYS: Final = 64
"""More lines, or keys, than a person, or a script that types, has ready behind Enter."""
_REST_SECONDS: Final = 0.1
"""How long after that the rest of a paste may arrive."""


def paste_keys(clock: Callable[[], float] = time.monotonic) -> KeyBindings:
    """Return the binding by which the line ends of a paste do not send what was pasted so far."""
    keys = KeyBindings()
    last = float("-inf")

    @Condition
    def pasting() -> bool:
        nonlocal last
        behind = get_app().key_processor.input_queue
        lines = sum(press.key in (Keys.ControlM, Keys.ControlJ) for press in behind)
        if len(behind) >= _KEYS or lines >= _LINES:
            last = clock()
        return clock() - last < _REST_SECONDS

    @keys.add("enter", filter=pasting & has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
