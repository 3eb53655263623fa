"""As many users as a file says at each moment: `loadtests.capacity` decides while it measures."""

import os
from pathlib import Path

from loadtests.shapes import Shape

FILE = "LOADTESTS_USERS_FILE"
"""Names the file in the environment of Locust's process."""
USERS_PER_SECOND = 300


class UsersFromFile(Shape):
    """Does as it is told, until it is told nothing."""

    def tick(self) -> tuple[int, float] | None:
        told = Path(os.environ[FILE]).read_text("ascii")
        return (int(told), USERS_PER_SECOND) if told else None
