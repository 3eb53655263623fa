"""The terminal application: displays events, sends what the user types or runs it as a command.

Reconnects until the user quits.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Final

import gevent

from geventchat.client.connection import Connection, TooLong
from geventchat.client.keys import new_key
from geventchat.client.pending_says import TooManyPending
from geventchat.client.plain import PlainConnection
from geventchat.client.socket_link import Ended, ServerError
from geventchat.client.terminal import formatting
from geventchat.client.terminal.account_commands import direct
from geventchat.client.terminal.command import Ask, Quit, Say, SignInAgain, run_command
from geventchat.client.terminal.completion import NameCompleter
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.line_prompt import LinePrompt, only_prints
from geventchat.client.terminal.prompt import Prompt
from geventchat.client.terminal.reading import Reading
from geventchat.client.terminal.regain import Regain
from geventchat.client.terminal.room import PendingSay, Room
from geventchat.client.terminal.silence import Silence
from geventchat.client.terminal.typed import read, read_plain
from geventchat.client.terminal.view import View
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Joined, Left, Renamed, SignedIn
from geventchat.protocol.names import LOBBY, endpoint

LAST_WORDS_SECONDS: Final = 10
"""How long to wait for pending messages after the user quits."""

Chat = Connection | PlainConnection


def rich(
    chat: Connection,
    room: str,
    host: str,
    port: int,
    nick: str | None = None,
    keep: Callable[[], None] = lambda: None,
    told: str = "",
) -> int:
    """Run in a room until the user or the server ends it; return the exit code.

    `keep` keeps the session of an account for the next time. `told` is what went wrong before.
    Raises SignInAgain if the user wants to go on as somebody else.

    `nick` is what was asked for; if it is in use, it is taken as soon as it is free.
    """
    view = View(room, chat.nick, date.today())
    view.account = chat.account
    prompt = LinePrompt() if only_prints() else Prompt(view, NameCompleter(view))
    greeting = f"connected to {endpoint(host, port)} as {chat.nick}; /help lists commands"
    prompt.show([formatting.notice(greeting)])
    return App(chat, view, prompt, nick, keep, told).run()


def plain(chat: PlainConnection, host: str, port: int) -> int:
    """Run in the original protocol, which has no nicks, rooms or commands."""
    view = View(LOBBY, "", date.today())
    view.rooms[LOBBY] = Room(LOBBY, joined=True)
    prompt = LinePrompt() if only_prints() else Prompt(view, None)
    prompt.show([formatting.notice(f"connected to {endpoint(host, port)} in plain mode; q quits")])
    return App(chat, view, prompt).run()


class App:
    """Ties a connection, a view and a prompt together."""

    def __init__(
        self,
        chat: Chat,
        view: View,
        prompt: Prompt | LinePrompt,
        nick: str | None = None,
        keep: Callable[[], None] = lambda: None,
        told: str = "",
    ) -> None:
        """`keep` keeps the session of an account for the next time; `told` is said once."""
        self._keep = keep
        self._told = told
        self._chat = chat
        self._view = view
        self._prompt = prompt
        self._quitting = False
        self._code = 0
        self._sign_in: SignInAgain | None = None
        self._watching: list[Regain | Silence | Reading] = []
        if isinstance(chat, Connection):
            self._watching += Regain(chat, nick, self._show), Silence(chat, view, self._show)
            self._watching.append(Reading(chat, view))

    def run(self) -> int:
        """Run to the end and return the exit code: 1 if the server ended it.

        Raises SignInAgain if the user wants to go on as somebody else.
        """
        hearing = gevent.spawn(self._hear)
        saying = gevent.spawn(self._say_typed)
        others = [gevent.spawn(self._tick), *(gevent.spawn(w.watch) for w in self._watching)]
        try:
            for greenlet in (hearing, saying, *others):
                # A bug: exit with its traceback rather than hang.
                greenlet.link_exception(lambda _: self._prompt.quit())
            self._prompt.run()
            self._quitting = True
            saying.join(LAST_WORDS_SECONDS)
            self._chat.close()
            hearing.join(LAST_WORDS_SECONDS)
        finally:
            gevent.killall([hearing, saying, *others])
        for unsaid in self._view.pending.values():
            self._prompt.show([formatting.error(f"Not sent: {unsaid.text}")])
        if self._sign_in is not None:
            raise self._sign_in
        return self._code

    # Receiving

    def _hear(self) -> None:
        for event in self._chat:
            for watch in self._watching:
                watch.hear(event)
            if isinstance(event, SignedIn | Renamed):
                self._keep()
            self._prompt.show(self._view.hear(event))
            if isinstance(event, Left) and event.id is not None:
                self._forget_stored(event.room)
            if isinstance(event, Joined):
                gevent.spawn(self._ask_who, event.room)
        if not self._quitting:
            assert self._chat.ended is not None
            self._show(formatting.error(self._chat.ended.text))
            self._code = 1
            self._prompt.quit()

    def _forget_stored(self, room: str) -> None:
        """Forget what was stored in a room that the user left: its posts are not heard any more."""
        assert isinstance(self._chat, Connection)
        unsent = {saying.key for saying in self._chat.pending}
        for key, saying in list(self._view.pending.items()):
            if saying.room == room and key not in unsent:
                del self._view.pending[key]

    def _ask_who(self, room: str) -> None:
        """Fetch the members, for completion."""
        if isinstance(self._chat, Connection):
            with suppress(Ended, Refused, TimeoutError, ServerError):
                self._view.members(self._chat.who(room))
                if self._told:  # the server has answered, so what was said there stands above it
                    self._show(formatting.error(self._told))
                    self._told = ""

    # Sending

    def _say_typed(self) -> None:
        for typed in self._prompt.typed():
            if not isinstance(typed, str):
                self._prompt.show(typed(self._view))
                continue
            self._view.asked = time.monotonic()
            try:
                self._take(typed)
            except Quit:
                self._prompt.quit()
                return  # what was typed after it, perhaps for a shell, is not sent
            except SignInAgain as again:
                self._quitting = True  # what the server says of the end is no news
                if again.ends is not None:
                    self._end_session(again.ends)
                self._sign_in = again
                self._prompt.quit()
                return
            except NotUnderstood as error:
                self._show(formatting.error(str(error)))
                self._prompt.give_back(typed)
            except Ended as ended:
                self._show(formatting.error(f"Not connected. {ended.bye.text}"))
            except (Refused, TooLong, TimeoutError, ServerError) as error:
                self._show(formatting.error(str(error)))
            finally:
                self._view.asked = None

    def _end_session(self, session: str) -> None:
        assert isinstance(self._chat, Connection)
        try:
            self._chat.revoke(session)
        except (Ended, Refused, TimeoutError, ServerError) as error:
            self._show(formatting.error(f"The session may not have ended. {error}"))

    def _take(self, line: str) -> None:
        if line.strip() == "q":
            raise Quit
        if not isinstance(self._chat, Connection):
            self._say(read_plain(line))
            return
        meant = read(line)
        if isinstance(meant, str):
            self._say_here(meant)
            return
        command, rest = meant
        try:
            self._prompt.show(run_command(command, rest, self._chat, self._view))
            gevent.sleep(0)  # what came with the answer is heard before the next line is taken
        except Say as say:
            self._say_here(say.text)
        except Ask as ask:
            answers = []
            for question in ask.questions:
                answer = self._prompt.ask(question)
                if answer is None:
                    raise NotUnderstood("Nothing was changed.") from None
                answers.append(answer)
            self._prompt.show(ask.then(*answers))

    def _say_here(self, text: str) -> None:
        """Send a text to whom or where the prompt says."""
        if self._view.partner:
            assert isinstance(self._chat, Connection)
            self._prompt.show(direct(self._chat, self._view, self._view.partner, text))
        else:
            self._say(text)

    def _say(self, text: str) -> None:
        if not self._view.current:
            raise NotUnderstood("You are not in a room; join one with /join ROOM.")
        saying = PendingSay(self._view.current, text, time.monotonic())
        key = new_key()
        self._view.pending[key] = saying
        self._prompt.show_if_late()
        self._send(key, saying)

    def _send(self, key: str, saying: PendingSay) -> None:
        try:
            self._chat.send(saying.room, saying.text, key=key)
        except Ended:
            pass  # reported as not sent at the end
        except (TooLong, TooManyPending) as error:
            self._view.pending.pop(key, None)
            self._show(formatting.error(str(error)))

    def _tick(self) -> None:
        # Not one sleep until midnight: the machine may sleep too, and some days have 25 hours.
        while True:
            gevent.sleep(1)
            if lines := self._view.tick(time.monotonic(), date.today()):
                self._prompt.show(lines)

    def _show(self, line: formatting.Line) -> None:
        self._prompt.show([line])
