"""Slash commands: what one is, and how its arguments are parsed."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from geventchat.client.connection import Connection
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.view import View
from geventchat.protocol import durations
from geventchat.protocol.requests import SignIn


class Quit(Exception):
    """The user wants to quit."""


class Say(Exception):
    """The user wants to send a text where they are."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Ask(Exception):
    """The user has to answer questions, unseen by others, before a command can go on."""

    def __init__(self, *questions: str, then: "Callable[..., Iterable[Line]]") -> None:
        """`then` is called with the answers, and returns the lines to print."""
        super().__init__(*questions)
        self.questions = questions
        self.then = then


class SignInAgain(Exception):
    """The user wants to connect again: signed in as somebody, or as a guest."""

    def __init__(
        self,
        account: SignIn | None,
        *,
        ends: str | None = None,
        nick: str | None = None,
        rooms: tuple[str, ...] = (),
    ) -> None:
        """`ends` is the id of the session to revoke before.

        With `nick` and in `rooms` the user goes on if they cannot be signed in.
        """
        super().__init__()
        self.account = account
        self.ends = ends
        self.nick = nick
        self.rooms = rooms


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    name: str
    arguments: str
    """In capitals, optional ones in brackets. The last takes the rest, unless it is a Kind."""
    help: str
    run: Callable[..., Iterable[Line]]
    """Called with connection, view and the arguments by name; returns lines to print.

    May wait, and raise what Connection raises.
    """
    aliases: str = ""
    """Other names, as other chats have them."""

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.arguments}".rstrip()

    def given(self, rest: str) -> dict[str, str] | None:
        """Parse the arguments; None if they do not match."""
        if self.arguments.startswith("[POST] ") and _NO_TEXT.fullmatch(rest):
            return None  # the number is no text
        kinds = self.arguments.split()
        pattern = ""
        for kind in kinds:
            name = kind.strip("[]")
            text = r"\S.*" if kind is kinds[-1] else r"\S+"
            form = KINDS[name].form if name in KINDS else f"(?P<{name.lower()}>{text})"
            # What may be of a kind that comes last is left to it.
            lazy = name not in KINDS and kinds[-1].strip("[]") in KINDS
            optional = "" if name == kind else "??" if lazy else "?"
            pattern += rf"(?:\s+{form}){optional}"
        found = re.fullmatch(rf"{pattern}\s*", f" {rest}" if kinds else "", re.DOTALL)
        return found and {name: text for name, text in found.groupdict().items() if text}


class Kind(NamedTuple):
    """An argument with a syntax of its own."""

    form: str
    """A regular expression, whose named groups are passed to the command."""
    usage: str
    help: str


def run_command(command: Command, rest: str, chat: Connection, view: View) -> Iterable[Line]:
    """Run a command with what follows its name and return the lines to print. May wait.

    Raises Quit, Say, Ask, SignInAgain, NotUnderstood, and what Connection raises.
    """
    given = command.given(rest)
    if given is None:
        what = "Missing argument. Usage" if _NO_TEXT.fullmatch(rest) else "Usage"
        forms = f"; TIME is {durations.FORMS}" if "TIME" in command.arguments else ""
        raise NotUnderstood(f"{what}: {command.usage}{forms}")
    return command.run(chat, view, **given)


KINDS: Final = {
    "POST": Kind(r"#(?P<post>[0-9]{1,16})", "POST", "#17: as numbered by /recent; else your last"),
    "TARGET": Kind(
        r"(?P<target>\S+)(?:\s+(?i:by)\s+(?P<target_type>(?i:address|nick|client)))?",
        "TARGET by address",
        "the user's address; or by nick, by client",
    ),
    "TIME": Kind(
        rf"(?:for\s+)?(?P<time>{durations.PATTERN})",
        "TIME",
        f"{durations.FORMS}; else until undone",
    ),
}
"""By their name in the usage of commands."""
_NO_TEXT: Final = re.compile(r"(#[0-9]{1,16})?\s*")
"""At most the number of a post."""
