"""The keys of the terminal beyond those of prompt_toolkit: rooms, a line break, Ctrl-C."""

from collections.abc import Callable
from functools import partial

from prompt_toolkit.application.current import get_app
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.view import View

Switch = Callable[[View], list[Line]]
"""A change of rooms; returns the lines to print."""


def keys(switch: Callable[[Switch], object], is_secret: Callable[[], bool]) -> KeyBindings:
    """Return the bindings; those that change rooms call `switch`.

    `is_secret`: what is typed now must not be kept.
    """
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add(Keys.Vt100MouseEvent)
    def _(event: KeyPressEvent) -> None:
        """Nothing uses the mouse; pasted colours look like its reports, and are none."""

    @keys.add("c-c", filter=has_focus(DEFAULT_BUFFER) & Condition(_something_is_typed))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.reset(append_to_history=not is_secret())

    def add(change: Switch, *sequence: str) -> None:
        keys.add(*sequence)(lambda event: switch(change))

    for number in range(1, 11):
        add(partial(View.enter_number, number=number), "escape", str(number % 10))
    for sequence in (["escape", "right"], ["escape", "down"], ["c-n"]):
        add(partial(View.enter_next, step=1), *sequence)
    for sequence in (["escape", "left"], ["escape", "up"], ["c-p"]):
        add(partial(View.enter_next, step=-1), *sequence)
    add(View.enter_unread, "escape", "a")
    return keys


def _something_is_typed() -> bool:
    return bool(get_app().current_buffer.text)
