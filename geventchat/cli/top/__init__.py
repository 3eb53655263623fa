"""`geventchat top`: a live dashboard of a server."""

import sys

import click
import gevent

from geventchat.cli.address import host_and_port
from geventchat.config import ADMIN_PORT
from geventchat.protocol.names import endpoint
from geventchat.protocol.visible import visible


@click.command(short_help="Show the load of a running server.")
@click.argument("address", metavar="[HOST][:PORT]", default="")
def top(address: str) -> int:
    """Show the load of a server, its busiest rooms and slowest clients, once a second.

    The address is that of its admin port, by default 127.0.0.1:4041. `q` quits. In a pipe, or with
    TERM=dumb, it prints one page and exits.
    """
    host, port = host_and_port(address, ADMIN_PORT)
    name = visible(endpoint(host, port))
    from geventchat.cli.top.page import NotAdminPort, fetch, page
    from geventchat.cli.top.screen import SECONDS, Screen
    from geventchat.client.terminal.line_prompt import only_prints

    try:
        first = fetch(host, port)
        at_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not only_prints()
        if at_terminal:
            Screen(host, port, name, first).run()
            return 0
        gevent.sleep(SECONDS)
        lines = list(page(first, fetch(host, port)))
    except (NotAdminPort, OSError) as error:
        why = getattr(error, "strerror", None) or error
        click.echo(f"geventchat: no admin port at {name}: {why}", err=True)
        return 1
    click.echo("\n".join(text.rstrip() for _, text in lines))
    return 0
