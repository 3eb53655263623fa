"""The file that Locust runs: users, options, the Chat tab.

    python -m locust -f loadtests/locustfile.py --host 127.0.0.1:4040

`make load` runs this with a server started for it.
"""

import logging
import sys

import gevent
from gevent.hub import Hub
from locust import events
from locust.env import Environment
from locust.runners import LocalRunner, WorkerRunner

from loadtests.dashboard.attach import attach
from loadtests.support.command import CannotRun
from loadtests.support.login import Login
from loadtests.support.preflight import check_host, check_users, raise_descriptor_limit
from loadtests.users import (
    DirectMessenger,
    Hopper,
    Lurker,
    PlainTalker,
    Reconnector,
    SlowReader,
    Talker,
    storm,
)
from loadtests.users.options import add_options
from loadtests.users.rich import RichUser

__all__ = [
    "DirectMessenger",
    "Hopper",
    "Lurker",
    "PlainTalker",
    "Reconnector",
    "SlowReader",
    "Talker",
]


def prepare(environment: Environment, **_: object) -> None:
    """Prepare this process for many users, and attach the Chat tab."""
    # Lateness of the users themselves must not count as the server's.
    gevent.setswitchinterval(0.001)
    Hub.NOT_ERROR += (KeyboardInterrupt,)  # Locust ends the run; the hub need not print it
    raise_descriptor_limit()
    try:
        login = _log_in(environment)
    except CannotRun as why:
        print(f"load: {why}", file=sys.stderr)
        sys.exit(2)
    storm.listen(environment)
    attach(environment, login)


def _log_in(environment: Environment) -> Login:
    """Give the users what the server asks for. Raises CannotRun."""
    options = environment.parsed_options
    assert options is not None
    login = Login.of(options)
    if (options.headless or options.autostart) and not isinstance(environment.runner, WorkerRunner):
        check_host(environment.host or "", login)
        if isinstance(environment.runner, LocalRunner):
            check_users(environment.host or "", options.num_users or 1)
    if login.web:
        _leave_out_plain(environment, "the web door has no plain mode")
    elif login.password is not None:
        _leave_out_plain(environment, "the server has a password")
    RichUser.login = PlainTalker.login = login
    return login


def _leave_out_plain(environment: Environment, why: str) -> None:
    """Run without PlainTalkers. Raises CannotRun if there are no other users."""
    if PlainTalker not in environment.user_classes:
        return
    environment.user_classes.remove(PlainTalker)
    if not environment.user_classes:
        raise CannotRun(f"No PlainTalker can connect, since {why}: choose other users.")
    if not isinstance(environment.runner, WorkerRunner):
        logging.getLogger(__name__).info("no PlainTalker: %s", why)


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(prepare)
