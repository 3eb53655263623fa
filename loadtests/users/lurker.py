"""Those who never say a word."""

import gevent
from locust import task

from loadtests.users.rich import RichUser


class Lurker(RichUser):
    """Hears only."""

    weight = 40

    @task
    def lurk(self) -> None:
        """Do nothing."""
        gevent.sleep(3600)
