"""The options of a run: Locust's own and those of the simulated chat, and what each may be.

Locust's parser checks the command line by them, and `dashboard/form.py` the form.
"""

from collections.abc import Callable
from typing import Final

from locust.argument_parser import LocustArgumentParser

from loadtests.support.arguments import address, positive, run_time, share, whole
from loadtests.support.login import add_login

CHECKS: Final[dict[str, Callable[[str], object]]] = {
    "host": address,
    "num_users": whole(1),
    "spawn_rate": positive,
    "run_time": run_time,
    "room_size": whole(1),
    "lobby": share,
    "talk_seconds": positive,
}
"""By the names that Locust has for them."""


def add_options(parser: LocustArgumentParser) -> None:
    """Add the options of the chat, see `model.py`, and check those of Locust more strictly."""
    parser.prog = "load"
    chat = parser.add_argument_group("The chat")
    chat.add_argument("--room-size", default=20, help="Users in a small room")
    chat.add_argument("--lobby", default=0.05, help="Share of users also in the lobby")
    chat.add_argument("--talk-seconds", default=20.0, help="How often a talker talks, on average")
    add_login(parser.add_argument_group("What the server asks for"))
    for action in parser._actions:
        action.type = CHECKS.get(action.dest, action.type)
