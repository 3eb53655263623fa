"""Hours of ordinary load, to find slow growth: memory, descriptors, latency."""

import math

from loadtests.shapes import Shape

TIDE_SECONDS = 600.0
EBB_SHARE = 0.2


class Soak(Shape):
    """A fifth of the users leaves and returns every ten minutes; eight hours."""

    default_seconds = 8 * 3600.0

    def tick(self) -> tuple[int, float] | None:
        passed = self.get_run_time()
        if passed > self.seconds:
            return None
        minute = passed // 60 * 60
        ebb = EBB_SHARE * (1 - math.cos(2 * math.pi * minute / TIDE_SECONDS)) / 2
        return max(int(self.users * (1 - ebb)), 1), self.rate
