"""The registry: what makes a timeline of each scheme, and what else a server has to know of it."""

from collections.abc import Callable
from typing import Final, NamedTuple

from geventchat.config import BadSetting, Limits
from geventchat.config.checks import ENGINES
from geventchat.server.timeline import Batch, Timeline
from geventchat.server.timeline.history import History
from geventchat.server.timeline.memory import MemoryTimeline
from geventchat.server.timeline.sqlite import SqliteTimeline
from geventchat.server.timeline.sqlite.claim import check_path
from geventchat.server.timeline.sqlite.history import SqliteHistory

Deliver = Callable[[Batch], None]


class Kind(NamedTuple):
    """The timelines of one scheme. A path is what follows the scheme; of an engine, its URL."""

    create: Callable[[Deliver, str, Limits], Timeline]
    """Raises BadSetting."""
    check: Callable[[str], None]
    """Raise BadSetting if there can be none at a path. Creates nothing."""
    kept: str
    """Where messages are kept, for the first line of the log; `{path}` stands for the path."""
    operator_file: str | None
    """The default path of the operator token; None: there are no operators unless it is set."""
    history: Callable[[str], History] | None
    """Makes what `geventchat history` uses; None: nothing is stored."""


def _memory(deliver: Deliver, _: str, limits: Limits) -> Timeline:
    return MemoryTimeline(
        deliver,
        posts_per_room=limits.memory_posts_per_room,
        total_bytes=limits.memory_bytes,
    )


def _any_path(_: str) -> None:
    """Accept it: nothing is there."""


def _engine(deliver: Deliver, url: str, limits: Limits) -> Timeline:
    _check_engine(url)
    from geventchat.server.timeline.redis import RedisTimeline

    return RedisTimeline(deliver, url, limits)


def _check_engine(url: str) -> None:
    _check_installed(url)
    from geventchat.server.timeline.redis import fitness

    fitness.check(url)


def _check_installed(url: str) -> None:
    try:
        import hiredis  # noqa: F401
    except ImportError:
        reason = "needs the package hiredis; run: pip install 'geventchat[redis]'"
        raise BadSetting("timeline", url, reason) from None


def _engine_history(url: str) -> History:
    _check_installed(url)
    from geventchat.server.timeline.redis.history import RedisHistory

    return RedisHistory(url)


_ENGINE: Final = Kind(_engine, _check_engine, "stored in {path}", None, _engine_history)
# Without a file of one's own for the operator token: each node would make another one.

KINDS: Final = {
    "memory": Kind(_memory, _any_path, "kept in memory only, lost on exit", None, None),
    "sqlite": Kind(
        SqliteTimeline, check_path, "stored in {path}", "{path}.operator", SqliteHistory
    ),
    **dict.fromkeys(ENGINES, _ENGINE),
}
