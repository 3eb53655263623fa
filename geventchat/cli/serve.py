"""`geventchat serve`: runs the server until it is asked to stop."""

import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

import click
import gevent
from click.core import ParameterSource

from geventchat import __version__
from geventchat.cli.options import as_number, called, option, variable
from geventchat.config import Config, checked, from_file

_DEFAULT: Final = Config()


@click.command(context_settings={"show_default": True})
@option("--host", default=_DEFAULT.host, help="Address to listen on.")
@option(
    "--port",
    type=as_number,
    default=str(_DEFAULT.port),
    metavar="PORT",
    help="0 takes a free one, told in the first line.",
)
@option(
    "--timeline",
    default=_DEFAULT.timeline,
    metavar="sqlite:PATH|memory:",
    help="Where posts are kept.",
)
@option(
    "--trust",
    multiple=True,
    default=_DEFAULT.trust,
    metavar="CIDR",
    help="Network exempt from flood and per-address limits; repeat for more.",
)
@option(
    "--password",
    metavar="TEXT",
    help="What all have to know who come in; other users of this machine can read it here.",
)
@option("--password-file", metavar="FILE", help="The same from a file, which they cannot.")
@option(
    "--operator-file",
    metavar="FILE",
    help="Where the operators' token is, or will be.  [default: beside the database]",
)
@option("--web/--no-web", default=_DEFAULT.web, help="Whether browsers may come in.")
@option("--log-format", default=_DEFAULT.log_format, metavar="text|json", help="Form of the log.")
@option(
    "--echo/--no-echo",
    default=None,
    help="Whether messages are shown here.  [default: on a terminal]",
)
@click.option(
    "--config", envvar=variable("config"), metavar="FILE", help="TOML file with such settings."
)
@click.pass_context
def serve(context: click.Context, /, config: str | None, **options: object) -> None:
    """Run the server until Ctrl-C."""
    settings = {} if config is None else from_file(Path(config))
    given = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    for parameter in context.command.params:
        name = parameter.name
        if name in options and context.get_parameter_source(name) in given:
            settings[name] = checked(called(context, parameter), name, options[name])
    if context.get_parameter_source("password") is ParameterSource.COMMANDLINE:
        text = "geventchat: others on this machine can read --password; --password-file is safe"
        click.echo(text, err=True)
    _serve(Config(**settings))


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
            if server.operator_file is not None:
                console.line(f"the operators' token is in {server.operator_file}")
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
