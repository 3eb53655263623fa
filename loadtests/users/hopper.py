"""Users who move from room to room."""

import random

from locust import task

from geventchat.protocol import requests
from loadtests.support import model
from loadtests.users.rich import RichUser

HOP_SECONDS = 10.0
MOST_VISITED = 5
HISTORY_POSTS = 50
ROOMS = 50


class Hopper(RichUser):
    """Finds rooms, joins and leaves them, and requests members and history."""

    weight = 5

    def wait_time(self) -> float:
        """Return a random pause."""
        return random.expovariate(1 / HOP_SECONDS)

    @task(2)
    def hop(self) -> None:
        """Join another room; leave the oldest one if there are too many."""
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
    def find(self) -> None:
        """Request the rooms with most members, as before choosing one."""
        self.ask("rooms", requests.Rooms(limit=ROOMS, id=self.id()))

    @task
    def who(self) -> None:
        """Request the members of a room."""
        self.ask("who", requests.Who(room=random.choice(self.rooms), id=self.id()))

    @task
    def history(self) -> None:
        """Request the history of a room."""
        room = random.choice(self.rooms)
        self.ask("history", requests.History(room=room, limit=HISTORY_POSTS, id=self.id()))
