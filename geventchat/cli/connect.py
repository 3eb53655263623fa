"""`geventchat connect`: talks through a server."""

import os
from typing import Any

import click

from geventchat.cli.address import host_and_port
from geventchat.cli.options import as_given, names, option, variable


@click.command()
@click.argument("address", metavar="[HOST][:PORT]", default="")
@option("--nick", help="The name to talk under; without it you are a guest.")
@option("--room", "rooms", multiple=True, help="Room to begin in; repeat for more.")
@option(
    "--password-file",
    metavar="FILE",
    help="Holds the password; else GEVENTCHAT_PASSWORD does, or you are asked.",
)
@option("--operator-file", metavar="FILE", help="Holds the token that makes you an operator.")
@click.option("--tls", is_flag=True, help="Speak TLS, and only with the host that was named.")
@click.option("--ca", metavar="FILE", help="TLS, tls_context only the certificates in this file.")
@click.option("--plain", is_flag=True, help="Talk as a plain client: no names, no rooms.")
@click.option("--listen", is_flag=True, help="Only show what is said.")
@click.option("--history", is_flag=True, help="Off a terminal: show what was said before, too.")
def connect(
    address: str, password_file: str | None, operator_file: str | None, **options: Any
) -> int:
    """Talk through a server, by default the one on this machine."""
    host, port = host_and_port(address)
    password, token = (os.environ.get(variable(name)) for name in ("password", "token"))
    from geventchat.client.terminal.run import Options, connect
    from geventchat.config.secrets import read

    with as_given(names(click.get_current_context())):
        if password_file is not None:
            password = read("password_file", password_file)
        if operator_file is not None:
            token = read("operator_file", operator_file)
    return connect(Options(host, port, password=password, token=token, **options))
