"""The kinds of users. Their weights add up to 100; see `model.py`."""

from loadtests.users.direct_messenger import DirectMessenger
from loadtests.users.hopper import Hopper
from loadtests.users.lurker import Lurker
from loadtests.users.plain_talker import PlainTalker
from loadtests.users.reconnector import Reconnector
from loadtests.users.slow_reader import SlowReader
from loadtests.users.talker import Talker

__all__ = [
    "DirectMessenger",
    "Hopper",
    "Lurker",
    "PlainTalker",
    "Reconnector",
    "SlowReader",
    "Talker",
]
