"""The table of the Chat tab: each figure now and over the whole run."""

from typing import Any, Final

from loadtests.dashboard.history import History, Range, milliseconds
from loadtests.support.measures import Histogram
from loadtests.support.order import VIOLATIONS

STRUCTURE: Final = [
    {"key": "figure", "title": "Figure"},
    {"key": "now", "title": "Now"},
    {"key": "run", "title": "Whole run"},
]
DASH: Final = "–"
TIMED: Final = {
    "delivered": "Delivery",
    "acknowledged": "Acknowledgement",
    "direct": "Direct message",
    "connect": "Connect",
    "join": "Join",
    "resume": "Resume",
}


def table(history: History) -> list[dict[str, str]]:
    """Return the rows in the format of Locust's page."""
    if history.now is None:
        return []
    now, counts = history.now, history.total.counts
    run = max(now.seconds, 1)

    def whole(name: str) -> Histogram:
        return history.total.times.get(name, Histogram())

    lines: list[tuple[str, Any, Any]] = [
        ("Connected users", now.connected, peak(history.connected)),
        ("Deliveries per second", now.delivered_per_second, counts["delivered"] / run),
        ("Messages sent per second", now.sent_per_second, counts["sent"] / run),
        *(
            (f"{title} p50 / p95 / p99, ms", spread(history.recent(name)), spread(whole(name)))
            for name, title in TIMED.items()
        ),
        *((name.capitalize(), history.recent_count(name), counts[name]) for name in VIOLATIONS),
        ("All failures", history.recent_count("failures"), counts["failures"]),
        ("Server CPU, % of a core", now.server_cpu_percent, mean_and_peak(history.cpu)),
        ("Server memory, MB", now.server_memory_mb, peak(history.memory)),
        ("Largest outbox, KB", now.largest_outbox_kb, peak(history.outbox)),
        ("Closed as too slow", history.recent_slow_closes(), now.slow_closes),
    ]
    return [{"figure": name, "now": _format(a), "run": _format(b)} for name, a, b in lines]


def spread(times: Histogram) -> str:
    """Return three quantiles."""
    figures = [milliseconds(times, share) for share in (0.5, 0.95, 0.99)]
    return " / ".join(map(_format, figures)) if times.count else DASH


def peak(figure: Range) -> str:
    """Return the highest value."""
    return DASH if figure.peak is None else f"{_format(figure.peak)} peak"


def mean_and_peak(figure: Range) -> str:
    """Return the mean and the highest value."""
    return DASH if figure.mean is None else f"{_format(figure.mean)} mean, {peak(figure)}"


def _format(figure: Any) -> str:
    if figure is None:
        return DASH
    if isinstance(figure, float):
        return f"{figure:,.0f}" if figure >= 100 else f"{figure:,.1f}"
    return f"{figure:,}" if isinstance(figure, int) else str(figure)
