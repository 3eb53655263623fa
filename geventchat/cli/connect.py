"""`geventchat connect`: talks through a server."""

import os
from typing import Any, Final

import click

from geventchat.cli.options import as_number, option, variable
from geventchat.config import Config
from geventchat.config.file import checked

_DEFAULT: Final = Config()


@click.command()
@click.argument("address", metavar="[HOST][:PORT]", default="")
@option("--nick", help="The name to talk under; without it you are a guest.")
@option("--room", "rooms", multiple=True, help="Room to begin in; repeat for more.")
@option(
    "--password-file",
    metavar="FILE",
    help="Holds the password; else GEVENTCHAT_PASSWORD does, or you are asked.",
)
@click.option("--plain", is_flag=True, help="Talk as a plain client: no names, no rooms.")
@click.option("--listen", is_flag=True, help="Only show what is said.")
@click.option("--history", is_flag=True, help="Off a terminal: show what was said before, too.")
def connect(address: str, password_file: str | None, **options: Any) -> int:
    """Talk through a server, by default the one on this machine."""
    host, port = _host_and_port(address)
    password = os.environ.get(variable("password"))
    if password_file is not None:
        from geventchat.server.credentials import read

        password = read("--password-file", password_file)
    from geventchat.client.run import connect

    return connect(host, port, password=password, **options)


def _host_and_port(address: str) -> tuple[str, int]:
    """Give the parts of `host`, `host:port`, `[::1]:port` or `::1`; either may be left out.

    Raises BadOption.
    """
    host, colon, port = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = address, ""  # a name alone, or an IPv6 address alone
    number = checked("port", "port", as_number(port or str(_DEFAULT.port)))
    return host.strip("[]") or _DEFAULT.host, number
