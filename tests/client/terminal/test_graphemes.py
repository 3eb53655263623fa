"""The input line is edited, and shown, by what a user takes for a character."""

from typing import Any

import pytest
from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import BufferControl, Layout, Window
from prompt_toolkit.layout.processors import Transformation, TransformationInput
from prompt_toolkit.output import DummyOutput

from geventchat.client.terminal.graphemes import Steady, editing_keys, steady

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
HEART = "\u2764\ufe0f"
ACUTE = "e\u0301"
GERMANY = "\U0001f1e9\U0001f1ea"
THUMB = "\U0001f44d\U0001f3fd"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
KEYCAP = "1\ufe0f\u20e3"
CHARACTERS = [FAMILY, HEART, ACUTE, GERMANY, THUMB, SCOTLAND, KEYCAP, "\u0915\u093f", "x"]
LEFT, RIGHT, DELETE, BACKSPACE, HOME, ENTER = (
    "\x1b[D",
    "\x1b[C",
    "\x1b[3~",
    "\x7f",
    "\x01",
    "\r",
)


def edited(text: str, *keys: str) -> str:
    """Return a text after keys were pressed at its end."""
    return press(Buffer(document=Document(text)), *keys)


def press(buffer: Buffer, *keys: str) -> str:
    bindings = editing_keys()

    @bindings.add("c-a")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.cursor_position = 0

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        event.app.exit(result=event.current_buffer.text)

    return _run(buffer, bindings, "".join(keys) + ENTER)


def _run(buffer: Buffer, bindings: KeyBindings, keys: str) -> str:
    with create_pipe_input() as piped:
        piped.send_text(keys)
        app: Application[Any] = Application(
            layout=Layout(Window(BufferControl(buffer))),
            key_bindings=bindings,
            input=piped,
            output=DummyOutput(),
        )
        # The loop of the browser's tests may run in this thread.
        result: str = app.run(handle_sigint=False, in_thread=True)
        return result


@pytest.fixture(params=CHARACTERS)
def character(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_backspace_and_delete_take_one_visible_character(character: str) -> None:
    assert edited(f"hi {character}", BACKSPACE) == "hi "
    assert edited(f"{character}there", HOME, DELETE) == "there"
    assert edited(f"{character}there", HOME, "\x04") == "there"


def test_the_cursor_goes_over_one_visible_character(character: str) -> None:
    assert edited(f"a{character}b", LEFT, LEFT, "-") == f"a-{character}b"
    assert edited(f"a{character}b", HOME, RIGHT, RIGHT, "-") == f"a{character}-b"


def test_backspace_joins_lines() -> None:
    assert edited(f"{FAMILY}\n{HEART}", LEFT, BACKSPACE) == f"{FAMILY}{HEART}"


def test_what_terminals_count_differently_is_shown_by_its_first_part() -> None:
    text = f"hi {FAMILY} {HEART} {ACUTE} {GERMANY} {THUMB} {SCOTLAND} {KEYCAP}"
    assert steady(text) == (f"hi \U0001f468 \u2764 {ACUTE} DE \U0001f44d \U0001f3f4 1")


@pytest.mark.parametrize(
    "text", ["Gr\u00fc\u00dfe", "\u4e16\u754c", "\u0645\u06cc\u200c\u062e", "\U0001f389"]
)
def test_everything_else_is_shown_as_it_is(text: str) -> None:
    assert steady(text) == text


def shown(text: str) -> Transformation:
    document = Document(text)
    given = TransformationInput(
        BufferControl(Buffer()), document, 0, lambda at: at, [("", text)], 80, 24
    )
    return Steady().apply_transformation(given)


def test_the_cursor_is_shown_where_the_text_is() -> None:
    line = shown(f"a{FAMILY}{GERMANY}{ACUTE}b")
    assert "".join(text for _, text, *_ in line.fragments) == f"a\U0001f468DE{ACUTE}b"
    at = [0, 1, 1 + len(FAMILY), 3 + len(FAMILY), 5 + len(FAMILY), 6 + len(FAMILY)]
    assert [line.source_to_display(n) for n in at] == [0, 1, 2, 4, 6, 7]
    assert [line.display_to_source(n) for n in (0, 1, 2, 4, 6, 7)] == at
