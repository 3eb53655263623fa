"""The file that Locust runs: users, options, the Chat tab.

    python -m locust -f loadtests/locustfile.py --host 127.0.0.1:4040

`make load` runs this with a server started for it.
"""

import gevent
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtests.dashboard.attach import attach
from loadtests.support.preflight import raise_descriptor_limit
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

__all__ = [
    "DirectMessenger",
    "Hopper",
    "Lurker",
    "PlainTalker",
    "Reconnector",
    "SlowReader",
    "Talker",
]


def add_options(parser: LocustArgumentParser) -> None:
    """Add the options of the simulated chat; see `model.py`."""
    chat = parser.add_argument_group("The chat")
    chat.add_argument("--room-size", type=int, default=20, help="Users in a small room")
    chat.add_argument("--lobby", type=float, default=0.05, help="Share of users also in the lobby")
    chat.add_argument(
        "--talk-seconds", type=float, default=20.0, help="How often a talker talks, on average"
    )


def prepare(environment: Environment, **_: object) -> None:
    """Prepare this process for many users, and attach the Chat tab."""
    # Lateness of the users themselves must not count as the server's.
    gevent.setswitchinterval(0.001)
    raise_descriptor_limit()
    storm.listen(environment)
    attach(environment)


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(prepare)
