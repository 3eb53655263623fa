"""Those who go from room to room."""

import random

from locust import task

from geventchat.protocol import requests
from loadtests.support import model
from loadtests.users.rich import RichUser

HOP_SECONDS = 10.0
MOST_VISITED = 5
HISTORY_POSTS = 50


class Hopper(RichUser):
    """Joins, leaves, and asks who is there and what was said before."""

    weight = 5

    def wait_time(self) -> float:
        """Draw the seconds until it does something again."""
        return random.expovariate(1 / HOP_SECONDS)

    @task(2)
    def hop(self) -> None:
        """Visit another room; leave the one visited longest if they are too many."""
        taken = random.randrange(model.seats.taken)
        home = self.rooms[0].rpartition("-")[0]
        room = f"{home}-{taken // self.options.room_size}"
        if room in self.rooms:
            return
        self.rooms.append(room)
        self.join(room)
        if len(self.rooms) > MOST_VISITED:
            left = self.rooms.pop(1)
            self.ask("leave", requests.Leave(room=left, id=self.id()))

    @task
    def who(self) -> None:
        """Ask who is in a room."""
        self.ask("who", requests.Who(room=random.choice(self.rooms), id=self.id()))

    @task
    def history(self) -> None:
        """Ask what was said before."""
        room = random.choice(self.rooms)
        self.ask("history", requests.History(room=room, limit=HISTORY_POSTS, id=self.id()))
