"""Everyone is cut off at the same moment, and comes back: as after a fault of the network."""

from loadtests.shapes import Shape
from loadtests.users import storm

STORMS = 6


class ReconnectStorm(Shape):
    """All users are there all the time; after each sixth of it the rich ones are cut off."""

    default_seconds = 120.0

    _struck = 0

    def tick(self) -> tuple[int, float] | None:
        assert self.runner is not None
        passed = self.get_run_time()
        if passed > self.seconds:
            return None
        due = int(passed / self.seconds * STORMS)
        if due > self._struck:
            storm.strike(self.runner.environment)
        self._struck = due  # 0 when it is run again
        return self.users, self.rate
