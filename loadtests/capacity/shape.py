"""As many users as a file says at each moment; `loadtests.capacity` writes it."""

import os
from pathlib import Path

from loadtests.shapes import Shape

FILE = "LOADTESTS_USERS_FILE"
"""Environment variable of Locust's process that names the file."""
USERS_PER_SECOND = 300


class UsersFromFile(Shape):
    """Reads the number of users from the file; ends when it is empty."""

    def tick(self) -> tuple[int, float] | None:
        told = Path(os.environ[FILE]).read_text("ascii")
        return (int(told), USERS_PER_SECOND) if told else None
