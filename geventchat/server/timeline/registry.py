"""The registry: what makes a timeline of each scheme, and what else a server has to know of it."""

from collections.abc import Callable
from typing import Final, NamedTuple

from geventchat.config import Limits
from geventchat.server.timeline import Batch, Timeline
from geventchat.server.timeline.memory import MemoryTimeline
from geventchat.server.timeline.sqlite import SqliteTimeline
from geventchat.server.timeline.sqlite.claim import check_path

Deliver = Callable[[Batch], None]


class Kind(NamedTuple):
    """The timelines of one scheme. A path is what follows the scheme."""

    create: Callable[[Deliver, str, Limits], Timeline]
    """Raises BadSetting."""
    check: Callable[[str], None]
    """Raise BadSetting if there can be none at a path. Creates nothing."""
    kept: str
    """Where messages are kept, for the first line of the log; `{path}` stands for the path."""
    operator_file: str | None
    """The default path of the operator token; None: there are no operators unless it is set."""


def _memory(deliver: Deliver, _: str, limits: Limits) -> Timeline:
    return MemoryTimeline(
        deliver,
        posts_per_room=limits.memory_posts_per_room,
        total_bytes=limits.memory_bytes,
    )


def _any_path(_: str) -> None:
    """Accept it: nothing is there."""


KINDS: Final = {
    "memory": Kind(_memory, _any_path, "kept in memory only, lost on exit", None),
    "sqlite": Kind(SqliteTimeline, check_path, "stored in {path}", "{path}.operator"),
}
