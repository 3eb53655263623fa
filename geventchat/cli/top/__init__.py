"""`geventchat top`: shows how a server does, once a second."""

import sys
from contextlib import suppress

import click
import gevent

from geventchat.cli.address import host_and_port
from geventchat.config import ADMIN_PORT
from geventchat.protocol.visible import visible


@click.command()
@click.argument("address", metavar="[HOST][:PORT]", default="")
@click.option("--once", is_flag=True, help="Print one page and end, as it does off a terminal.")
def top(address: str, once: bool) -> int:
    """Show how a server does: its load, the busiest rooms, the slowest clients.

    The address is that of its admin port, by default 127.0.0.1:4041. `q` leaves.
    """
    host, port = host_and_port(address, ADMIN_PORT)
    name = visible(f"{host}:{port}")
    from geventchat.cli.top.page import NotAdminPort, fetch, page
    from geventchat.cli.top.screen import SECONDS, Screen

    try:
        first = fetch(host, port)
        if not once and sys.stdin.isatty() and sys.stdout.isatty():
            Screen(host, port, name, first).run()
            return 0
        gevent.sleep(SECONDS)
        lines = list(page(first, fetch(host, port)))
    except (NotAdminPort, OSError) as error:
        why = getattr(error, "strerror", None) or error
        click.echo(f"geventchat: no admin port at {name}: {why}", err=True)
        return 1
    with suppress(BrokenPipeError):  # whoever read it has seen enough
        click.echo("\n".join(text.rstrip() for _, text in lines))
    return 0
