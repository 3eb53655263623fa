"""Bugs on purpose: each must be caught, or the proof proves nothing.

Each is a function that breaks the server in its process. `CAUGHT_BY` names the checks of which at
least one has to report a violation.
"""

from collections.abc import Callable
from typing import Any, Final

from tests.proof.bugs import engine, nodes, people, posts

Bug = Callable[[], None]

OF_STORES: Final[dict[str, dict[Bug, tuple[str, ...]]]] = {
    "sqlite": posts.CAUGHT_BY | people.CAUGHT_BY,
    "valkey": engine.CAUGHT_BY | nodes.CAUGHT_BY,
    "redis": engine.CAUGHT_BY | nodes.CAUGHT_BY,
}
"""The bugs to inject by the store of the server."""
CAUGHT_BY: Final = OF_STORES["sqlite"] | OF_STORES["valkey"]
BY_NAME: Final = {bug.__name__: bug for bug in CAUGHT_BY}


def plan(name: str) -> dict[str, Any]:
    """Return what a plan needs, beside the bug, so that it shows."""
    bug = BY_NAME[name]
    if bug in engine.CAUGHT_BY:
        return {"rounds": 4, "late_seconds": 1.0} | engine.NEEDS.get(bug, {})
    if bug in nodes.CAUGHT_BY:
        return {"nodes": 2, "late_seconds": None} | nodes.NEEDS[bug]
    needs: dict[str, Any] = {
        "rounds": 15 if bug in people.CAUGHT_BY else 4,
        "moments": ("after a batch is stored",),  # when stored posts are not acknowledged yet
        "at_random": 0.4,
        "late_seconds": 20.0,
    }
    if bug in (posts.keep_the_epoch, posts.always_recovered):
        needs["lose"] = ""
    return needs
