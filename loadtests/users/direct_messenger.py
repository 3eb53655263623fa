"""Users who send direct messages."""

import random
import secrets

from locust import task
from locust.env import Environment

from geventchat.protocol import requests
from loadtests.support import model
from loadtests.users.rich import RichUser, present


class DirectMessenger(RichUser):
    """Sends direct messages to others of its kind; each is a probe."""

    weight = 4
    forgiven = frozenset({"no_such_nick"})
    """The other user may be offline or reconnecting."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.nick = f"dm-{secrets.token_hex(5)}"

    def wait_time(self) -> float:
        """Return a random pause."""
        return random.expovariate(1 / self.options.talk_seconds)

    @task
    def whisper(self) -> None:
        """Send a direct message to another such user, if there is one."""
        others = [user.nick for user in present if user.nick and user is not self]
        if others:
            text = model.probe("psst")
            self.ask("sent", requests.Direct(to=random.choice(others), text=text, id=self.id()))
