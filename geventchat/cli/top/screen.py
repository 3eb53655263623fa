"""The screen of `geventchat top`, redrawn once a second."""

import signal
import time
from typing import Final

import gevent
from prompt_toolkit import Application
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import FormattedTextControl, Layout, Window

from geventchat.cli.top.page import NotAdminPort, Sample, fetch, page

SECONDS: Final = 1.0
"""Between two samples."""


class Screen:
    """Samples a server and displays the metrics."""

    def __init__(self, host: str, port: int, name: str, first: Sample) -> None:
        """`name` is the displayed name of the server, already escaped."""
        self._host, self._port, self._name = host, port, name
        self._before = self._now = first
        self._trouble = ""
        self._app: Application[None] = Application(
            layout=Layout(Window(FormattedTextControl(self._shown, show_cursor=False))),
            key_bindings=_keys(),
            full_screen=True,
        )

    def run(self) -> None:
        """Run until the user quits or the terminal is closed."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            gevent.signal_handler(number, self._leave)
        looking = gevent.spawn(self._look_on)
        # A bug: exit with its traceback rather than freeze.
        looking.link_exception(lambda _: self._leave())
        try:
            # Its own handler of exceptions would report to a terminal that is gone, for ever.
            self._app.run(handle_sigint=False, set_exception_handler=False)
        except (EOFError, OSError):
            pass  # the terminal is gone
        finally:
            looking.kill()

    def _look_on(self) -> None:
        while True:
            gevent.sleep(SECONDS)
            try:
                self._before, self._now = self._now, fetch(self._host, self._port)
                self._trouble = ""
            except NotAdminPort as error:
                self._trouble = str(error)
            except OSError as error:
                self._trouble = error.strerror or str(error)
            self._app.invalidate()

    def _leave(self) -> None:
        if loop := self._app.loop:
            loop.call_soon_threadsafe(self._exit)

    def _exit(self) -> None:
        if self._app.future and not self._app.future.done():
            self._app.exit()

    def _shown(self) -> StyleAndTextTuples:
        head = ("bold", f"{self._name}   {time.strftime('%H:%M:%S')}   q quits\n")
        trouble = [("ansired bold", f"no reply: {self._trouble}\n")] if self._trouble else []
        lines = page(self._before, self._now)
        return [head, *trouble, *((style, f"{text}\n") for style, text in lines)]


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("q")
    @keys.add("c-c")
    @keys.add("c-d")
    def _(event: KeyPressEvent) -> None:
        event.app.exit()

    return keys
