"""What the commands of operators share: how they reach a server, and prove what they are."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from geventchat.cli.address import host_and_port
from geventchat.cli.options import as_given, names, option, secret, variable
from geventchat.protocol.errors import Refused
from geventchat.protocol.names import endpoint
from geventchat.protocol.visible import visible

if TYPE_CHECKING:
    from geventchat.client import Connection

_FILE: Final = "geventchat.db.operator"
_Command = TypeVar("_Command", bound=Callable[..., Any])


def reaching(command: _Command) -> _Command:
    """Add the options `server`, `operator_file`, `tls` and `ca` to a command."""
    added = (
        option("--server", default="", metavar="[HOST][:PORT]", help="Default: this machine."),
        option(
            "--operator-file",
            metavar="FILE",
            help=f"File with the operator token; else GEVENTCHAT_TOKEN.  [default: {_FILE}]",
        ),
        click.option("--tls", is_flag=True, help="Use TLS and verify the host name."),
        click.option(
            "--ca", metavar="FILE", help="Use TLS and trust only the certificates in this file."
        ),
    )
    for each in reversed(added):
        command = each(command)
    return command


def perform(
    act: "Callable[[Connection], Iterable[str]]",
    *,
    server: str,
    operator_file: str | None,
    tls: bool,
    ca: str | None,
) -> int:
    """Do something as an operator and print the lines it yields; return the exit code. Waits."""
    host, port = host_and_port(server)
    token, source = secret("token"), variable("token")
    from geventchat.client import Connection, Ended, NotGeventchat, ServerError, tls_context
    from geventchat.config.secrets import read_token

    if operator_file is not None or token is None:
        file, given = operator_file or _FILE, names(click.get_current_context())
        source = f"{given['operator_file']} {file}"
        with as_given(given):
            token = read_token("operator_file", file)
    try:
        trust = tls_context(ca) if tls or ca else False
        with Connection(host, port, rooms=(), token=token, resume=False, tls=trust) as chat:
            try:
                lines = list(act(chat))
            except Refused:
                _check_token(chat, source)
                raise
    except (Ended, NotGeventchat, Refused, ServerError, TimeoutError) as error:
        click.echo(f"geventchat: {visible(str(error))}", err=True)
        return 1
    except OSError as error:
        click.echo(f"geventchat: {endpoint(host, port)}: {error.strerror or error}", err=True)
        return 1
    for line in lines:
        click.echo(visible(line))
    return 0


def _check_token(chat: "Connection", source: str) -> None:
    """Raise Refused if the server did not take the token: that came with the welcome."""
    from geventchat.client import Error

    for event in chat.heard():
        if isinstance(event, Error):
            raise Refused("forbidden", f"{source}: {event.text}")
