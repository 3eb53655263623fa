"""Users who talk."""

import random

from locust import task

from loadtests.support import model
from loadtests.users.rich import RichUser


class Talker(RichUser):
    """Sends a message now and then in one of its rooms."""

    weight = 40

    def wait_time(self) -> float:
        """Return a random pause."""
        return random.expovariate(1 / self.options.talk_seconds)

    @task
    def talk(self) -> None:
        """Send a message."""
        self.say(random.choice(self.rooms), model.text())
