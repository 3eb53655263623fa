"""A few users, then all within a second, then a few again."""

from loadtests.shapes import Shape

CALM_SHARE = 0.1


class Spike(Shape):
    """A quarter of the time calm, half of it busy, a quarter calm."""

    default_seconds = 120.0

    def tick(self) -> tuple[int, float] | None:
        passed = self.get_run_time() / self.seconds
        if passed > 1:
            return None
        calm = max(int(self.users * CALM_SHARE), 1)
        return (self.users if 0.25 <= passed < 0.75 else calm), self.users
