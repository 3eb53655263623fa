"""Users with a bad connection."""

import random

from locust import task

from loadtests.support import model
from loadtests.users.talker import Talker


class Reconnector(Talker):
    """Talks, loses its connection now and then, and resumes.

    Unacknowledged messages are sent again with the same key, and are stored once.
    """

    weight = 4

    @task
    def lose(self) -> None:
        """Lose the connection."""
        self.drop()

    @task
    def talk_and_lose(self) -> None:
        """Send a message, and lose the connection before the acknowledgement."""
        # No probe: if only the second attempt is stored, its age is not delivery latency.
        self.say(random.choice(self.rooms), model.words())
        self.drop()
