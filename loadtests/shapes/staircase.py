"""Up in ten equal steps, to see on which of them things get late."""

from loadtests.shapes import Shape

STEPS = 10


class Staircase(Shape):
    """Each step takes a tenth of the time."""

    def tick(self) -> tuple[int, float] | None:
        step = int(self.get_run_time() / self.seconds * STEPS) + 1
        if step > STEPS:
            return None
        return self.users * step // STEPS, self.rate
