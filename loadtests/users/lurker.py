"""Users who never talk."""

import gevent
from locust import task

from loadtests.users.rich import RichUser


class Lurker(RichUser):
    """Only receives."""

    weight = 40

    @task
    def lurk(self) -> None:
        """Do nothing."""
        gevent.sleep(3600)
