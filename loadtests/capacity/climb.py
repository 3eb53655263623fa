"""Finds the limit: doubling, then bisection. Knows neither servers nor clocks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_CLOSE: Final = 0.1
"""Precision of the result, as a share."""
_CONFIRMATIONS: Final = 3
BUSY_PERCENT: Final = 90
"""Of a core: above that a process counts as saturated."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was measured with a number of users."""

    users: int
    p50_ms: float | None
    p99_ms: float | None
    failures: int = 0
    """Lost, duplicated and reordered posts, and all other failures."""
    missing: int = 0
    """Users that did not connect in time."""
    server_cpu: float | None = None
    """Percent of a core."""
    server_mb: float | None = None
    load_cpu: float = 0.0
    """Of the busiest load process, in percent of a core."""

    def good(self, bound_ms: float) -> bool:
        """Whether all users connected, nothing failed, and messages were delivered in time."""
        heard = self.p99_ms is not None and self.p99_ms <= bound_ms
        return heard and not self.failures and not self.missing


def climb(
    measure: Callable[[int], Step], first: int, most: int, grain: int, bound_ms: float
) -> list[Step]:
    """Measure until the limit is known to within a tenth, or `most` users are good.

    `grain` is the size of a room: users come in whole rooms. Returns the steps in order.
    """
    steps = []
    good, users = 0, min(first, most)
    bad: int | None = None
    while True:
        step = measure(users)
        steps.append(step)
        if step.good(bound_ms):
            good = users
        else:
            bad = users
        if bad is None:
            if good == most:
                return steps
            users = min(good * 2, most)
            continue
        users = (good + bad) // 2 // grain * grain
        if bad - good <= max(_CLOSE * bad, grain) or users in (0, good):
            return steps


def confirm(
    measure: Callable[[int], Step], knee: int, grain: int, bound_ms: float
) -> tuple[list[Step], int]:
    """Measure the limit again, and a tenth less while it fails; return what was confirmed."""
    steps = []
    for _ in range(_CONFIRMATIONS):
        steps.append(measure(knee))
        if steps[-1].good(bound_ms):
            return steps, knee
        knee = max(int(knee * (1 - _CLOSE)) // grain * grain, grain)
    return steps, 0


def knee(steps: list[Step], bound_ms: float) -> int:
    """Return the most users that were good below the fewest that were not; 0 if none were."""
    bad = min((step.users for step in steps if not step.good(bound_ms)), default=None)
    fine = [step.users for step in steps if step.good(bound_ms)]
    return max((users for users in fine if bad is None or users < bad), default=0)


def at_least(steps: list[Step], bound_ms: float) -> bool:
    """Whether something else than the server ended the search, so that it may support more."""
    bad = [step for step in steps if not step.good(bound_ms)]
    return not bad or _loaded(min(bad, key=lambda step: step.users))


def _loaded(step: Step) -> bool:
    """Whether the load generator was the bottleneck."""
    busy = step.load_cpu >= BUSY_PERCENT and (step.server_cpu or 0) < BUSY_PERCENT
    return busy and not step.missing


def limited_by(steps: list[Step], ended_by: str, bound_ms: float) -> str:
    """Name the bottleneck. `ended_by`: what did, if all steps are good."""
    bad = [step for step in steps if not step.good(bound_ms)]
    if not bad:
        best = max(steps, key=lambda step: step.users)
        left = ""
        if best.server_cpu is not None:
            left = f", with {max(100 - best.server_cpu, 0):.0f} % of the server's core idle"
        return f"{ended_by}{left}"
    worst = min(bad, key=lambda step: step.users)
    if worst.missing:
        return f"{worst.missing:,} of {worst.users:,} users could not connect"
    if _loaded(worst):
        return "the load generator's CPU ended first"
    if worst.server_cpu is not None and worst.server_cpu >= BUSY_PERCENT:
        return "limited by the server's CPU"
    if worst.failures:
        return f"{worst.failures:,} failures with {worst.users:,} users"
    late = "nothing was delivered" if worst.p99_ms is None else f"p99 was {worst.p99_ms:,.0f} ms"
    busy = "" if worst.server_cpu is None else f", the server's core {worst.server_cpu:.0f} % busy"
    return f"with {worst.users:,} users {late}{busy}"
