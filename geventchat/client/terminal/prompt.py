"""The prompt: an input line at the bottom, with events printed above it.

Requires a full monkey patch: prompt_toolkit's event loop then waits in gevent's hub, so that
greenlets run while nobody types.
"""

import signal
import time
from collections.abc import Iterable, Iterator
from typing import Final

import gevent
from gevent.event import AsyncResult, Event
from gevent.queue import SimpleQueue
from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import Completer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import merge_key_bindings
from prompt_toolkit.layout import Dimension
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from geventchat.client.terminal import status
from geventchat.client.terminal.formatting import STYLE, Line, error, one_line
from geventchat.client.terminal.graphemes import Steady, editing_keys, steady
from geventchat.client.terminal.keys import Switch, keys
from geventchat.client.terminal.paste import paste_keys
from geventchat.client.terminal.view import View

GATHER_SECONDS: Final = 0.02
"""How long lines are batched before printing, so that a flood stays cheap."""
_STYLE: Final = Style.from_dict(STYLE)


class Prompt:
    """Prints lines, and yields those that the user types."""

    def __init__(self, view: View, completer: Completer | None) -> None:
        self._view = view
        self._typed: SimpleQueue[str | Switch | None] = SimpleQueue()
        self._unprinted: list[Line] = []
        self._some = Event()
        self._question = ""
        self._answer: AsyncResult[str | None] | None = None
        """Set while a question is asked whose answer must not be seen."""
        self._quitting = False
        self._gone = False  # the terminal, as when its window is closed
        self._session: PromptSession[str] = PromptSession(
            message=self._prompt,
            bottom_toolbar=self._toolbar,
            completer=completer,
            complete_style=CompleteStyle.READLINE_LIKE,
            complete_while_typing=False,
            enable_suspend=True,
            erase_when_done=True,
            input_processors=[Steady()],
            is_password=Condition(self._asks),
            key_bindings=merge_key_bindings(
                [editing_keys(), paste_keys(), keys(self._typed.put, self._asks)]
            ),
            style=_STYLE,
        )
        self._session.layout.current_window.height = self._input_height
        # One prompt for the whole program: accepting a line does not end it.
        self._session.default_buffer.accept_handler = self._accept

    def run(self) -> None:
        """Read input until the user quits or `quit` is called; then print the remaining lines."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            gevent.signal_handler(number, self.quit)
        printing = gevent.spawn(self._print_gathered)
        try:
            # With its own handler of exceptions, prompt_toolkit reports one to a terminal that is
            # gone, fails, and reports that, for ever.
            self._session.prompt(
                pre_run=self._exit_if_quitting, handle_sigint=False, set_exception_handler=False
            )
        except (EOFError, KeyboardInterrupt):
            pass
        except OSError:
            self._gone = True
        finally:
            printing.kill()
            self._print()
            self._typed.put(None)
            if self._answer is not None:
                self._answer.set(None)

    def typed(self) -> Iterator[str | Switch]:
        """Yield what the user types, a multi-line paste as one text, until they quit. Waits.

        A key that changes the room comes in its place among the lines, so that each of them goes
        to the room for which it was typed.
        """
        while (text := self._typed.get()) is not None:
            yield text

    def ask(self, question: str) -> str | None:
        """Ask for something that must not be seen, nor kept. Waits. None: the user gave up."""
        self._question, self._answer = question, AsyncResult()
        try:
            self._session.app.invalidate()
            return self._answer.get()
        finally:
            self._answer = None
            self._session.app.invalidate()

    def show(self, lines: Iterable[Line]) -> None:
        """Print lines above the input line, and redraw that and the toolbar."""
        self._unprinted += lines
        if not self._session.app.is_running:
            self._print()
        self._some.set()

    def give_back(self, text: str) -> None:
        """Put a text back into the input line, unless something else is typed there by now."""
        if loop := self._session.app.loop:
            loop.call_soon_threadsafe(self._insert, text)

    def show_if_late(self) -> None:
        """Redraw after status.PATIENCE_SECONDS, when a message sent now may be shown as pending."""
        gevent.spawn_later(status.PATIENCE_SECONDS, self._session.app.invalidate)

    def quit(self) -> None:
        """End the prompt. Never waits."""
        self._quitting = True
        if loop := self._session.app.loop:
            loop.call_soon_threadsafe(self._exit_if_quitting)

    def _asks(self) -> bool:
        return self._answer is not None

    def _exit_if_quitting(self) -> None:
        app = self._session.app
        if self._quitting and app.future and not app.future.done():
            app.exit(exception=EOFError)

    def _prompt(self) -> FormattedText:
        if self._answer is not None:
            return _steady([("class:prompt", f"{one_line(self._question)}: ")])
        return _steady(status.prompt(self._view, time.monotonic(), self._columns))

    def _toolbar(self) -> FormattedText:
        return _steady(status.toolbar(self._view, self._columns))

    def _input_height(self) -> Dimension:
        # Part of the window only: what does not fit could not be erased when a line is printed.
        return Dimension(max=max(1, self._session.output.get_size().rows // 2 - 1))

    @property
    def _columns(self) -> int:
        return self._session.output.get_size().columns

    def _accept(self, buffer: Buffer) -> bool:
        text = buffer.text
        if self._answer is not None:
            buffer.text = ""  # so that it does not enter the history
        try:
            text.encode()
        except UnicodeEncodeError:
            self.show([error("Not sent: that line is not UTF-8.")])
            return False
        if self._answer is not None:
            self._answer.set(text or None)
        elif text.strip():
            self._typed.put(text.rstrip("\n"))
        return False  # the buffer is emptied, and its text is in the input history

    def _insert(self, text: str) -> None:
        buffer = self._session.default_buffer
        if not buffer.text:
            buffer.insert_text(text)

    def _print_gathered(self) -> None:
        while self._some.wait():
            gevent.sleep(GATHER_SECONDS)
            self._some.clear()
            if loop := self._session.app.loop:
                loop.call_soon_threadsafe(self._print)

    def _print(self) -> None:
        # Not by run_in_terminal or patch_stdout: for the time of printing they let the terminal
        # echo, and what is typed in that moment then stands on the screen twice.
        lines, self._unprinted = self._unprinted, []
        app, renderer = self._session.app, self._session.app.renderer
        pieces = [piece for line in lines for piece in (*line, ("", "\n"))]
        if pieces and not self._gone:
            try:
                renderer.erase(leave_alternate_screen=False)
                print_formatted_text(self._session.output, FormattedText(pieces), _STYLE)
                if app.is_running:
                    renderer.request_absolute_cursor_position()
            except OSError:
                self._gone = True
                self.quit()
        app.invalidate()


def _steady(line: Line) -> FormattedText:
    return FormattedText((style, steady(text)) for style, text in line)
