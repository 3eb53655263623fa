"""The command line: options become a Config, outcomes become exit codes.

Precedence: flag, environment (`GEVENTCHAT_PORT` for `--port`), file, default. An unusable value is
one line on standard error and exit code 2, or 75 if it may be usable later. Each command is a
module, which imports what it needs when it runs, so that a server starts without the parts of a
terminal.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import click

from geventchat import __version__
from geventchat.cli import output
from geventchat.cli.account import account
from geventchat.cli.admin import admin
from geventchat.cli.config import config
from geventchat.cli.connect import connect
from geventchat.cli.history import history
from geventchat.cli.hook import hook
from geventchat.cli.options import called
from geventchat.cli.serve import serve
from geventchat.cli.top import top
from geventchat.config import BadOption
from geventchat.protocol.visible import visible

OUTPUT_FAILED: Final = 1
"""Exit code: what a command prints could not be written."""
UNUSABLE: Final = 2
"""Exit code: a value on the command line cannot be used."""
TEMPORARY: Final = 75
"""Exit code: it cannot be used at present; EX_TEMPFAIL of sysexits.h."""
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. `arguments`: those of the process unless given."""
    output.prepare()
    try:
        code = commands.main(arguments, prog_name="geventchat", standalone_mode=False)
        output.flush()
    except click.Abort:
        return INTERRUPTED
    except click.MissingParameter as error:
        name = called(error.ctx, error.param).upper()
        where = error.ctx.command_path if error.ctx else "geventchat"
        return _failed(f"missing argument {name}; see {where} --help")
    except click.BadParameter as error:
        return _failed(f"{called(error.ctx, error.param)}: {error.message}")
    except click.ClickException as error:
        return _failed(error.format_message())
    except BadOption as error:
        return _failed(str(error), TEMPORARY if error.temporary else UNUSABLE)
    except output.OutputFailed as error:
        output.give_up()
        return _failed(str(error.strerror), OUTPUT_FAILED)
    return code if isinstance(code, int) else 0


@click.group(invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """A chat server for many clients, and a terminal client."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (serve, connect, config, history, admin, account, hook, top):
    commands.add_command(command)


def _failed(complaint: str, code: int = UNUSABLE) -> int:
    with suppress(OSError):  # there is no other place to say it
        click.echo(visible(f"geventchat: {complaint}"), err=True)
    return code
