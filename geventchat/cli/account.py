"""`geventchat account`: who has an account on a server."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from geventchat.cli.operator import perform, reaching
from geventchat.cli.options import as_utf8, text
from geventchat.config import BadOption
from geventchat.protocol.requests import MAX_PASSWORD, MIN_PASSWORD

if TYPE_CHECKING:
    from geventchat.client import Connection

_MOST_READ: Final = 4096
"""Characters that are read of a password: more than it may have."""


@click.command(short_help="Add, list and remove accounts.")
@click.argument("action", type=click.Choice(["add", "list", "remove", "password"]))
@click.argument("nick", required=False, type=text)
@reaching
def account(
    action: Literal["add", "list", "remove", "password"], nick: str | None, **options: Any
) -> int:
    """Make an account for a NICK, list all, remove one, or give it a new password.

    The password is asked for, or read from standard input.
    """
    if nick is None and action != "list":
        raise click.UsageError("missing argument NICK; see geventchat account --help")
    if nick is not None and action == "list":
        raise BadOption("NICK", nick, "list takes none")
    password = _password() if action in ("add", "password") else None

    def act(chat: "Connection") -> Iterator[str]:
        if action == "list":
            yield from _listed(chat)
            return
        (done,) = chat.accounts(action, nick, password).accounts
        did = {"add": "added", "remove": "removed", "password": "changed the password of"}[action]
        yield f"{did} {done.nick}"

    return perform(act, **options)


def _listed(chat: "Connection") -> Iterator[str]:
    after: str | None = None
    while True:
        page = chat.accounts("list", after)
        for each in page.accounts:
            connected = f", {each.connections} connected" if each.connections else ""
            yield f"{each.nick}{connected}"
        if page.next is None:
            return
        after = page.next


def _password() -> str:
    """Return a new password. Raises BadOption."""
    try:
        if sys.stdin is not None and sys.stdin.isatty():
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        else:
            given = sys.stdin.read(_MOST_READ) if sys.stdin is not None else ""
            password = given.removesuffix("\n").removesuffix("\r")
        password = as_utf8(password)
    except UnicodeError:  # found when it is read, or kept as surrogates, as the locale has it
        raise BadOption("password", "given", "is not UTF-8") from None
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        reason = f"has to have {MIN_PASSWORD} to {MAX_PASSWORD:,} characters"
        raise BadOption("password", "given", reason)
    return password
