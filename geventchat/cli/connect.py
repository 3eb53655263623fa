"""`geventchat connect`: chat at a terminal or through a pipe."""

from typing import Any

import click

from geventchat.cli.address import host_and_port
from geventchat.cli.options import as_given, names, option, secret, text


@click.command()
@click.argument("address", metavar="[HOST][:PORT]", default="")
@option("--nick", type=text, help="Your nick; default: a guest.")
@option(
    "--room",
    "rooms",
    multiple=True,
    type=text,
    help="Room to join; may be repeated, the first is shown.",
)
@option(
    "--password-file",
    metavar="FILE",
    help="File with the password; else GEVENTCHAT_PASSWORD, or a prompt.",
)
@option("--operator-file", metavar="FILE", help="File with the operator token.")
@click.option("--tls", is_flag=True, help="Use TLS and verify the host name.")
@click.option("--ca", metavar="FILE", help="Use TLS and trust only the certificates in this file.")
@click.option("--plain", is_flag=True, help="Use the original protocol: no nicks, no rooms.")
@click.option("--listen", is_flag=True, help="Only print messages, send none.")
@click.option("--history", is_flag=True, help="When piped: print recent history first.")
def connect(
    address: str, password_file: str | None, operator_file: str | None, **options: Any
) -> int:
    """Connect to a chat server, by default on this machine."""
    host, port = host_and_port(address)
    password, token = secret("password"), secret("token")
    from geventchat.client.terminal.run import Options, connect
    from geventchat.config.secrets import read

    with as_given(names(click.get_current_context())):
        if password_file is not None:
            password = read("password_file", password_file)
        if operator_file is not None:
            token = read("operator_file", operator_file)
    return connect(Options(host, port, password=password, token=token, **options))
