"""`geventchat admin`: operator actions from the command line."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from geventchat.cli.operator import perform, reaching
from geventchat.cli.options import text
from geventchat.config import BadOption
from geventchat.protocol import durations
from geventchat.protocol.requests import Action, TargetType

if TYPE_CHECKING:
    from geventchat.client import Connection

_OF_ALL: Final = ("close", "open", "list", "recycle")


class _Duration(click.ParamType):  # type: ignore[type-arg]
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return durations.seconds(f"{value}s" if str(value).strip().isdecimal() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(short_help="Kick, ban, mute and the other operator actions.")
@click.argument("action", type=click.Choice(get_args(Action)))
@click.argument("target", required=False, type=text)
@click.argument("rest", nargs=-1, metavar="")
@reaching
@click.option(
    "--target-type", type=click.Choice(get_args(TargetType)), help="How to interpret TARGET."
)
@click.option(
    "--seconds",
    type=_Duration(),
    metavar="SECONDS",
    help=f"Duration, also {durations.FORMS}; default: until undone.",
)
@click.option("--reason", type=text, help="Reason shown to the user.")
def admin(
    action: Action,
    target: str | None,
    rest: tuple[str, ...],
    target_type: TargetType | None,
    seconds: int | None,
    reason: str | None,
    **options: Any,
) -> int:
    """Perform an operator action: kick, ban or mute a user, lock or freeze a room.

    TARGET is a nick, an address or a room. `list` shows the rules in force. `end` ends a private
    room, by its name or as the log shows it: "private room 12". `recycle` replaces the workers of
    the server that answers, without an outage.
    """
    if target is not None and action in _OF_ALL:
        raise BadOption("TARGET", target, f"{action} takes no target{_place(target)}")
    if rest:
        raise BadOption("argument", rest[0], f"there is one word too many{_place(rest[0])}")

    def act(chat: "Connection") -> Iterable[str]:
        from geventchat.client.terminal.admin_report import report

        return report(
            chat.admin(action, target, target_type=target_type, seconds=seconds, reason=reason)
        )

    return perform(act, **options)


def _place(word: str) -> str:
    """Return where a duration belongs, if that is what a word out of place is."""
    if not durations.begins_like_one(word):
        return ""
    return f"; a duration goes into --seconds, as in {durations.FORMS}"
