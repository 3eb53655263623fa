"""Everyone is disconnected at once and reconnects, as after a network fault."""

from loadtests.shapes import Shape
from loadtests.users import storm

STORMS = 6


class ReconnectStorm(Shape):
    """All users stay; after each sixth of the time the rich ones are disconnected."""

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
