"""The stored history as the commands of `geventchat history` use it, without a server.

All functions block, and raise BadSetting for a place that cannot be used.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from geventchat.server.timeline.lines import EndLine
from geventchat.server.timeline.retention_policy import RetentionPolicy


class NotTrimmed(Exception):
    """Nothing was deleted; the message says why, and what to do."""


class Readable(ABC):
    """A history that is read, also while a server uses it."""

    @abstractmethod
    def export_lines(self) -> Iterator[bytes]:
        """Yield the lines of an export, without line ends."""

    @abstractmethod
    def damage(self) -> Iterator[str]:
        """Yield a line for each problem."""

    @abstractmethod
    def unreachable_posts(self) -> str:
        """Describe posts that an export cannot find; empty if there are none."""


class Writable(Readable):
    """A history that no server uses meanwhile."""

    @abstractmethod
    def moved_lines(self, before_end: Callable[[], None]) -> Iterator[bytes]:
        """Yield the lines of an export that the epoch moves with.

        Before the last line `before_end` is called, and the history here gets a new epoch: never
        are there two with the same.
        """

    @abstractmethod
    def trim(self, keep: RetentionPolicy) -> int:
        """Delete the oldest posts, as a server with this policy would; return how many.

        Raises NotTrimmed.
        """

    @abstractmethod
    def renew(self) -> None:
        """Start a new epoch, which makes the positions of all clients void."""


class History(ABC):
    """The history at the path of a timeline."""

    def __init__(self, path: str) -> None:
        self._path = path

    @abstractmethod
    def reading(self) -> AbstractContextManager[Readable]:
        """Open it to be read in a `with` block."""

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[Writable]:
        """Open it in a `with` block that no server shares."""

    @abstractmethod
    def import_lines(self, lines: Iterable[bytes]) -> EndLine:
        """Store the lines of an export where nothing is stored yet; return the last one.

        Unless the epoch has moved it is a new one: newer posts may have been lost, and their
        positions will be reused. All or nothing. Raises ImportFailed, or Incomplete if the end is
        missing.
        """
