"""The number of users over time: one shape per file, chosen by `make load ARGS='--shape …'`.

`--users` is the peak of a shape, and `--run-time` its duration.
"""

from typing import Any

from locust import LoadTestShape
from locust.util.timespan import parse_timespan


class Shape(LoadTestShape):
    """A shape that is scaled by Locust's options."""

    abstract = True
    use_common_options = True
    default_seconds = 300.0

    @property
    def users(self) -> int:
        """The peak number of users."""
        return self._option("num_users") or 1

    @property
    def seconds(self) -> float:
        """The duration."""
        asked = self._option("run_time")
        return float(parse_timespan(asked) if isinstance(asked, str) else asked or 0) or (
            self.default_seconds
        )

    @property
    def rate(self) -> float:
        """Users started per second, unless the shape decides."""
        return self._option("spawn_rate") or 100

    def _option(self, name: str) -> Any:
        assert self.runner is not None
        return getattr(self.runner.environment.parsed_options, name, None)
