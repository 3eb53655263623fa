"""`geventchat hook`: webhooks, by which programs post into a room."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import click

from geventchat.cli.operator import perform, reaching
from geventchat.cli.options import text

if TYPE_CHECKING:
    from geventchat.client import Connection


@click.command(short_help="Add, list and revoke webhooks.")
@click.argument("action", type=click.Choice(["add", "list", "revoke"]))
@click.argument("name", required=False, type=text, metavar="[ROOM|ID]")
@reaching
def hook(action: Literal["add", "list", "revoke"], name: str | None, **options: Any) -> int:
    """Make a webhook for a ROOM, list them, or revoke the one with an ID.

    `add` prints how to post, with an address that is shown only this once.
    """
    if name is None and action != "list":
        what = "ROOM" if action == "add" else "ID, which `list` shows"
        raise click.UsageError(f"missing argument {what}; see geventchat hook --help")

    def act(chat: "Connection") -> Iterable[str]:
        from geventchat.client.terminal.hook_report import report

        if action == "revoke":
            return report(action, chat.hook(action, hook=name))
        return report(action, chat.hook(action, room=name))

    return perform(act, **options)
