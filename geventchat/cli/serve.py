"""`geventchat serve`: runs the server until it is asked to stop."""

import signal
from contextlib import suppress

import click
import gevent
from click.core import ParameterSource

from geventchat import __version__
from geventchat.cli.settings import resolve, settings
from geventchat.config import Config


@click.command(context_settings={"show_default": True})
@settings
@click.pass_context
def serve(context: click.Context, /, **_: object) -> None:
    """Run the server until Ctrl-C."""
    config = resolve(context).config
    if context.get_parameter_source("password") is ParameterSource.COMMANDLINE:
        text = "geventchat: others on this machine can read --password; --password-file is safe"
        click.echo(text, err=True)
    _serve(config)


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
