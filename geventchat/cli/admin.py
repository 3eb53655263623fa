"""`geventchat admin`: operator actions from the command line."""

from typing import Any, Final, get_args

import click

from geventchat.cli.address import host_and_port
from geventchat.cli.options import as_given, names, option, secret, text
from geventchat.config import BadOption
from geventchat.protocol import durations
from geventchat.protocol.errors import Refused
from geventchat.protocol.names import endpoint
from geventchat.protocol.requests import Action, TargetType
from geventchat.protocol.visible import visible

_FILE: Final = "geventchat.db.operator"
_OF_ALL: Final = ("close", "open", "list")


class _Duration(click.ParamType):  # type: ignore[type-arg]
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return durations.seconds(f"{value}s" if str(value).strip().isdecimal() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("action", type=click.Choice(get_args(Action)))
@click.argument("target", required=False, type=text)
@click.argument("rest", nargs=-1, metavar="")
@option(
    "--server",
    default="",
    metavar="[HOST][:PORT]",
    help="Default: this machine.",
)
@option(
    "--operator-file",
    metavar="FILE",
    help=f"File with the operator token; else GEVENTCHAT_TOKEN.  [default: {_FILE}]",
)
@click.option("--tls", is_flag=True, help="Use TLS and verify the host name.")
@click.option("--ca", metavar="FILE", help="Use TLS and trust only the certificates in this file.")
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
    server: str,
    operator_file: str | None,
    tls: bool,
    ca: str | None,
    **options: Any,
) -> int:
    """Perform an operator action: kick, ban or mute a user, lock or freeze a room.

    TARGET is a nick, an address or a room. `list` shows the rules in force.
    """
    if target is not None and action in _OF_ALL:
        raise BadOption("TARGET", target, f"{action} takes no target{_place(target)}")
    if rest:
        raise BadOption("argument", rest[0], f"there is one word too many{_place(rest[0])}")
    host, port = host_and_port(server)
    token = secret("token")
    from geventchat.client import Connection, Ended, NotGeventchat, ServerError, tls_context
    from geventchat.client.terminal.admin_report import report
    from geventchat.config.secrets import read_token

    if operator_file is not None or token is None:
        with as_given(names(click.get_current_context())):
            token = read_token("operator_file", operator_file or _FILE)
    try:
        trust = tls_context(ca) if tls or ca else False
        with Connection(host, port, rooms=(), token=token, resume=False, tls=trust) as chat:
            lines = list(report(chat.admin(action, target, **options)))
    except (Ended, NotGeventchat, Refused, ServerError, TimeoutError) as error:
        click.echo(f"geventchat: {visible(str(error))}", err=True)
        return 1
    except OSError as error:
        click.echo(f"geventchat: {endpoint(host, port)}: {error.strerror or error}", err=True)
        return 1
    for line in lines:
        click.echo(visible(line))
    return 0


def _place(word: str) -> str:
    """Return where a duration belongs, if that is what a word out of place is."""
    if not durations.begins_like_one(word):
        return ""
    return f"; a duration goes into --seconds, as in {durations.FORMS}"
