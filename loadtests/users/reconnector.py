"""Those on a bad line."""

import random

from locust import task

from loadtests.support import model
from loadtests.users.talker import Talker


class Reconnector(Talker):
    """Talks, loses its connection now and then, and resumes where it was.

    What it said without hearing the post it says again under the same key: stored once.
    """

    weight = 4

    @task
    def lose(self) -> None:
        """Lose the connection."""
        self.drop()

    @task
    def talk_and_lose(self) -> None:
        """Say something, and lose the connection before the answer can have come."""
        # No probe: if it is stored only when it is said again, nobody heard it late before that.
        self.say(random.choice(self.rooms), model.words())
        self.drop()
