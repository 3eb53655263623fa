"""How much history a server keeps."""

from dataclasses import dataclass
from typing import Final, Self

from geventchat.config import Limits
from geventchat.server.timeline.clock import DAY_MS

_AWAY_MS: Final = 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Limits of the history; None: no limit."""

    days: int | None = None
    posts_per_room: int | None = None
    total_bytes: int | None = None

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """Return the policy in the limits of a server."""
        return cls(limits.history_days, limits.history_posts_per_room, limits.history_bytes)

    @property
    def away_ms(self) -> int:
        """How long a server may be down before its clock is doubted: a quarter of the history."""
        return min(_AWAY_MS, self.days * DAY_MS // 4) if self.days else _AWAY_MS

    def __bool__(self) -> bool:
        return any((self.days, self.posts_per_room, self.total_bytes))
