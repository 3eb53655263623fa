"""The run so far: a row of figures per second, and the totals."""

from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any, Final

from loadtests.support.measures import Histogram, Tally
from loadtests.support.server_stats import Figures

WINDOW_SECONDS: Final = 3
"""Window of rates and percentiles: workers report once a second, not in step."""
MOST_ROWS: Final = 2_400
_STALE_SECONDS: Final = 10
"""A worker that is silent for so long is gone, with its users."""

TIMES: Final = (
    "delivered",
    "acknowledged",
    "direct",
    "connect",
    "join",
    "resume",
    "who",
    "rooms",
    "history",
)


@dataclass(frozen=True, slots=True)
class Row:
    """Figures at one moment. None: nothing was timed, or unknown."""

    seconds: float
    """Since the start of the run."""
    connected: int
    delivered_per_second: float
    sent_per_second: float
    delivery_p50_ms: float | None
    delivery_p95_ms: float | None
    delivery_p99_ms: float | None
    lost: int
    """Like the next three: since the start of the run."""
    duplicated: int
    reordered: int
    failures: int
    server_cpu_percent: float | None
    server_memory_mb: float | None
    largest_outbox_kb: float | None
    slow_closes: int | None
    """Since the start of the run, too."""


@dataclass(slots=True)
class Range:
    """A figure over the whole run. None: it was never known."""

    peak: float | None = None
    _sum: float = 0.0
    _count: int = 0

    def add(self, figure: float | None) -> None:
        """Add what it is now."""
        if figure is not None:
            self.peak = figure if self.peak is None else max(self.peak, figure)
            self._sum += figure
            self._count += 1

    @property
    def mean(self) -> float | None:
        """Its mean."""
        return self._sum / self._count if self._count else None


COLUMNS: Final = tuple(field.name for field in fields(Row))


class History:
    """Built from the reports of user processes. Knows neither Locust nor the clock."""

    def __init__(self, now: float) -> None:
        self.begin(now)

    def begin(self, now: float) -> None:
        """Reset for a new run."""
        self.rows: list[Row] = []
        self.now: Row | None = None
        """The latest row, which is not always kept."""
        self.total = Tally()
        self.connected, self.cpu, self.memory, self.outbox = Range(), Range(), Range(), Range()
        self._began = now
        self._every = 1  # how many turns make a row
        self._turns = 0
        self._users: dict[str, tuple[float, int]] = {}
        self._gathering = Tally()
        self._since_line = now, Tally()
        self._window: deque[tuple[float, Tally]] = deque([(now, Tally())], WINDOW_SECONDS + 1)
        self._slow_closes: deque[int] = deque([0], WINDOW_SECONDS + 1)

    def add(self, process: str, taken: dict[str, Any], now: float) -> None:
        """Add a report of a process."""
        self._users[process] = now, taken["connected"]
        for tally in self.total, self._gathering, self._since_line[1]:
            tally.add(taken)

    def turn(self, now: float, server: Figures) -> Row:
        """End a second; return its row."""
        self._window.append((now, self._gathering))
        self._gathering = Tally()
        self.now = row = self._row(now, server)
        self._slow_closes.append(row.slow_closes or 0)
        self.connected.add(row.connected)
        self.cpu.add(row.server_cpu_percent)
        self.memory.add(row.server_memory_mb)
        self.outbox.add(row.largest_outbox_kb)
        if self._turns % self._every == 0:
            self.rows.append(row)
        self._turns += 1
        if len(self.rows) == MOST_ROWS:
            # A soak of days is drawn with as many points as one of an hour.
            del self.rows[1::2]
            self._every *= 2
        return row

    def _row(self, now: float, server: Figures) -> Row:
        since = self._window[0][0]
        recent = [tally for _, tally in list(self._window)[1:]]
        seconds = max(now - since, 0.001)
        heard = self.recent("delivered")
        counts = self.total.counts
        return Row(
            seconds=round(now - self._began, 1),
            connected=sum(users for at, users in self._users.values() if now - at < _STALE_SECONDS),
            delivered_per_second=round(sum(t.counts["delivered"] for t in recent) / seconds, 1),
            sent_per_second=round(sum(t.counts["sent"] for t in recent) / seconds, 1),
            delivery_p50_ms=milliseconds(heard, 0.5),
            delivery_p95_ms=milliseconds(heard, 0.95),
            delivery_p99_ms=milliseconds(heard, 0.99),
            lost=counts["lost"],
            duplicated=counts["duplicated"],
            reordered=counts["reordered"],
            failures=counts["failures"],
            server_cpu_percent=rounded(server.cpu_percent),
            server_memory_mb=rounded(server.memory_mb),
            largest_outbox_kb=server.outbox_kb,
            slow_closes=server.slow_closes,
        )

    def recent(self, name: str) -> Histogram:
        """Return the times of the last three seconds."""
        return merged(tally.times.get(name) for _, tally in list(self._window)[1:])

    def recent_count(self, name: str) -> int:
        """Return how often something happened in the last three seconds."""
        return sum(tally.counts[name] for _, tally in list(self._window)[1:])

    def recent_slow_closes(self) -> int | None:
        """Return how many were closed as too slow in the last three seconds."""
        if self.now is None or self.now.slow_closes is None:
            return None
        return self._slow_closes[-1] - self._slow_closes[0]

    def line(self, now: float) -> str:
        """Return the time since the last line as a line for the log."""
        since, tally = self._since_line
        self._since_line = now, Tally()
        rate = tally.counts["delivered"] / max(now - since, 0.001)
        connected = self.now.connected if self.now else 0
        return (
            f"{now - self._began:.0f} s: {connected:,} connected, "
            f"{rate:,.0f} deliveries/s, {_latency(tally)}, {self._faults()}"
        )

    def summary(self) -> str:
        """Return the whole run as a line for the log."""
        server = ""
        if self.cpu.mean is not None and self.memory.peak is not None:
            server = (
                f", server CPU {self.cpu.mean:.0f} % of a core on average, "
                f"memory {self.memory.peak:.0f} MB at its peak"
            )
        return (
            f"the whole run: {self.connected.peak or 0:,.0f} connected at the peak, "
            f"{self.total.counts['delivered']:,} deliveries, {_latency(self.total)}, "
            f"{self._faults()}{server}"
        )

    def _faults(self) -> str:
        names = ("lost", "duplicated", "reordered", "failures")
        return ", ".join(f"{name} {self.total.counts[name]:,}" for name in names)

    def csv_rows(self) -> list[tuple[Any, ...]]:
        """Return the rows with a heading, for a CSV file."""
        return [COLUMNS, *(astuple(row) for row in self.rows)]

    def csv_times(self) -> list[tuple[Any, ...]]:
        """Return the percentiles of the whole run with a heading, for a CSV file."""
        heading = ("name", "count", "p50_ms", "p95_ms", "p99_ms")
        times = {name: self.total.times.get(name, Histogram()) for name in TIMES}
        return [
            heading,
            *(
                (name, each.count, *(milliseconds(each, share) for share in (0.5, 0.95, 0.99)))
                for name, each in times.items()
            ),
        ]

    def json(self, after: float) -> dict[str, Any]:
        """Return the rows after so many seconds, for the charts."""
        return {
            "began": self._began,
            "every": self._every,
            "rows": [asdict(row) for row in self.rows if row.seconds > after],
        }


def _latency(tally: Tally) -> str:
    """Return the delivery latency in words."""
    times = tally.times.get("delivered", Histogram())
    p50, p99 = (milliseconds(times, share) for share in (0.5, 0.99))
    if p50 is None or p99 is None:
        return "no delivery timed" if tally.counts["delivered"] else "nothing delivered"
    return f"delivery p50 {p50:.1f} ms, p99 {p99:.1f} ms"


def merged(parts: Iterable[Histogram | None]) -> Histogram:
    """Return the sum of several histograms."""
    whole = Histogram()
    for part in parts:
        if part is not None:
            whole.merge(part)
    return whole


def milliseconds(times: Histogram, share: float) -> float | None:
    """Return a quantile, to a hundredth of a millisecond."""
    seconds = times.quantile(share)
    return None if seconds is None else round(seconds * 1000, 2)


def rounded(figure: float | None) -> float | None:
    """Return a figure rounded to one digit."""
    return None if figure is None else round(figure, 1)
