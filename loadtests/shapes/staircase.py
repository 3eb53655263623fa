"""Ten equal steps, to find the one at which latency grows."""

from loadtests.shapes import Shape

STEPS = 10


class Staircase(Shape):
    """Each step lasts a tenth of the time."""

    def tick(self) -> tuple[int, float] | None:
        step = int(self.get_run_time() / self.seconds * STEPS) + 1
        if step > STEPS:
            return None
        return self.users * step // STEPS, self.rate
