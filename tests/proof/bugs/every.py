"""Lets a bug happen now and then, at the same places in each run."""

_counts: dict[str, int] = {}


def now(name: str, every: int) -> bool:
    """Return true every n-th time."""
    _counts[name] = _counts.get(name, 0) + 1
    return _counts[name] % every == 0


def begin(name: str, at: int) -> None:
    """Count from here on, so that a server which lives for a second meets it."""
    _counts[name] = at
