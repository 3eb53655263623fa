"""The names of all keys of a store, which have one hash tag."""

from typing import Final

_TAG: Final = "{gc}:"

LIFE: Final = _TAG + "life"
FEED: Final = _TAG + "feed"
LEASES: Final = _TAG + "leases"
ROOMS: Final = _TAG + "rooms"
LISTED: Final = _TAG + "listed"
TOPICS: Final = _TAG + "topics"
CHANGES: Final = _TAG + "changes"
OLDEST: Final = _TAG + "oldest"
ERASE: Final = _TAG + "erase"
"""When a text was redacted that may be in the engine's file, and when that was last rewritten."""
IMPORT: Final = _TAG + "import"
"""There while an import is under way, or when one did not end."""
EVERY: Final = _TAG + "*"
"""The pattern of all of them."""


def room(name: str) -> str:
    """Return the stream of a room's posts."""
    return f"{_TAG}room:{name}"


def keys(name: str) -> str:
    """Return the positions in a room by client and key."""
    return f"{_TAG}keys:{name}"


def changed(name: str) -> str:
    """Return the latest changes of a room's posts, by position."""
    return f"{_TAG}changed:{name}"


def order(name: str) -> str:
    """Return the positions of changed posts in a room, by the number of the change."""
    return f"{_TAG}order:{name}"


def records(kind: str) -> str:
    """Return the records of a kind, by id."""
    return f"{_TAG}records:{kind}"
