"""The command line: options become a Config, outcomes become exit codes.

A flag goes before the environment (`GEVENTCHAT_PORT` for `--port`), that before the file, that
before the default. What cannot be used is one line on standard error and exit code 2.
Each command imports what it needs when it runs, so that a server starts without a terminal's parts.
"""

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
import gevent
from click.core import ParameterSource

from geventchat import __version__
from geventchat.config import BadOption, Config, checked, from_file
from geventchat.protocol.visible import visible

UNUSABLE: Final = 2
"""Exit code: something given on the command line cannot be used."""
INTERRUPTED: Final = 130

_DEFAULT: Final = Config()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code. `arguments`: those of the process unless given."""
    try:
        code = commands.main(arguments, prog_name="geventchat", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.BadParameter as error:
        return _unusable(f"{_called(error.ctx, error.param)}: {error.message}")
    except click.ClickException as error:
        return _unusable(error.format_message())
    except BadOption as error:
        return _unusable(str(error))
    return code if isinstance(code, int) else 0


def _unusable(complaint: str) -> int:
    click.echo(visible(f"geventchat: {complaint}"), err=True)
    return UNUSABLE


def _called(context: click.Context | None, parameter: click.Parameter | None) -> str:
    """Give the name by which the user gave a value: the flag, or the environment's variable."""
    if context is None or parameter is None or parameter.name is None:
        return "option"
    if context.get_parameter_source(parameter.name) is ParameterSource.ENVIRONMENT:
        return str(parameter.envvar)
    return max(parameter.opts, key=len)


def _variable(name: str) -> str:
    return f"GEVENTCHAT_{name.upper()}"


def _number(text: str) -> int | str:
    """Give the number that a text spells, else the text, for `checked` to say what is wrong."""
    return int(text) if text.isdecimal() else text


def _option(*names: str, **attributes: Any) -> Callable[[Any], Any]:
    """Declare an option that the environment may give too."""
    name = names[0].split("/")[0].strip("-").replace("-", "_")
    return click.option(*names, envvar=_variable(name), **attributes)


@click.group(invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """A chat server for many clients, and the terminal to talk through it."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@commands.command(context_settings={"show_default": True})
@_option("--host", default=_DEFAULT.host, help="Address to listen on.")
@_option(
    "--port",
    type=_number,
    default=str(_DEFAULT.port),
    metavar="PORT",
    help="0 takes a free one, told in the first line.",
)
@_option(
    "--timeline",
    default=_DEFAULT.timeline,
    metavar="sqlite:PATH|memory:",
    help="Where posts are kept.",
)
@_option(
    "--trust",
    multiple=True,
    default=_DEFAULT.trust,
    metavar="CIDR",
    help="Network exempt from flood and per-address limits; repeat for more.",
)
@_option("--web/--no-web", default=_DEFAULT.web, help="Whether browsers may come in.")
@_option("--log-format", default=_DEFAULT.log_format, metavar="text|json", help="Form of the log.")
@_option(
    "--echo/--no-echo",
    default=None,
    help="Whether messages are shown here.  [default: on a terminal]",
)
@click.option(
    "--config", envvar=_variable("config"), metavar="FILE", help="TOML file with such settings."
)
@click.pass_context
def serve(context: click.Context, /, config: str | None, **options: object) -> None:
    """Run the server until Ctrl-C."""
    settings = {} if config is None else from_file(Path(config))
    given = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    for parameter in context.command.params:
        name = parameter.name
        if name in options and context.get_parameter_source(name) in given:
            settings[name] = checked(_called(context, parameter), name, options[name])
    _serve(Config(**settings))


@commands.command()
@click.argument("address", metavar="[HOST][:PORT]", default="")
@_option("--nick", help="The name to talk under; without it you are a guest.")
@_option("--room", "rooms", multiple=True, help="Room to begin in; repeat for more.")
@click.option("--plain", is_flag=True, help="Talk as a plain client: no names, no rooms.")
@click.option("--listen", is_flag=True, help="Only show what is said.")
@click.option("--history", is_flag=True, help="Off a terminal: show what was said before, too.")
def connect(address: str, **options: Any) -> int:
    """Talk through a server, by default the one on this machine."""
    host, port = _host_and_port(address)
    from geventchat.client.run import connect

    return connect(host, port, **options)


def _host_and_port(address: str) -> tuple[str, int]:
    """Give the parts of `host`, `host:port`, `[::1]:port` or `::1`; either may be left out.

    Raises BadOption.
    """
    host, colon, port = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = address, ""  # a name alone, or an IPv6 address alone
    number = checked("port", "port", _number(port or str(_DEFAULT.port)))
    return host.strip("[]") or _DEFAULT.host, number


def _serve(config: Config) -> None:
    from geventchat.server.console import open_console
    from geventchat.server.logs import log_death
    from geventchat.server.server import Server

    _raise_descriptor_limit()
    console = open_console(config)
    gevent.get_hub().print_exception = log_death  # type: ignore[assignment, method-assign]
    try:
        server = Server(config, console)
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, server.ask_to_stop)
        server.start()
        try:
            console.line(_start_line(config, *server.address))
            server.wait()
        finally:
            server.stop()
    finally:
        console.close(seconds=1.0)


def _start_line(config: Config, host: str, port: int) -> str:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    kind, _, path = config.timeline.partition(":")
    posts = "posts stay in memory" if kind == "memory" else f"posts go to {path}"
    return f"geventchat {__version__} listens on {address}, {posts}"


def _raise_descriptor_limit() -> None:
    """Allow as many open connections as the system lets this process have."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems have a lower bound than the one they tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
