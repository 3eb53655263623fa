"""The registry: how the timelines of each scheme are searched."""

from collections.abc import Callable
from typing import Final, NamedTuple

from geventchat.server.search import Search
from geventchat.server.search.indexed import IndexedSearch, discard_index
from geventchat.server.search.scan import ScanSearch
from geventchat.server.timeline import Timeline


class Kind(NamedTuple):
    """A kind of search. A path is what follows the scheme of the timeline."""

    create: Callable[[str, Timeline], Search]
    discard: Callable[[str], None]
    """Delete what is kept for the search of a timeline at a path. A failure is logged."""


def _nothing(_: str) -> None:
    """Delete nothing: there is no index."""


KINDS: Final = {
    "sqlite": Kind(lambda path, timeline: IndexedSearch(path, timeline.epoch), discard_index),
}
SCAN: Final = Kind(lambda _, timeline: ScanSearch(timeline), _nothing)
"""For every other scheme."""
