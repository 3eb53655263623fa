"""`geventchat config`: prints the settings of a server, or checks them."""

import click

from geventchat.cli.options import as_given
from geventchat.cli.settings import resolve, settings, warn, warn_of_variables, world_readable
from geventchat.config.file import written


@click.command(
    short_help="Print or check the settings of a server.",
    context_settings={"show_default": True},
)
@settings
@click.option("--check", is_flag=True, help="Only check whether a server could run with them.")
@click.pass_context
def config(context: click.Context, /, check: bool, **_: object) -> None:
    """Print the settings that `serve` would use, as a file for --config.

    Takes the same options, variables and file as `serve`.
    """
    found = resolve(context)
    warn_of_variables(context)
    if not check:
        click.echo(written(found.config, found.sources), nl=False)
        return
    from geventchat.server.factory import check as check_files

    with as_given(found.names):
        check_files(found.config)
    for warning in world_readable(found):
        warn(warning)
    click.echo("A server can run with these settings.")
