"""Figures as tables, in Markdown that also reads well in a terminal."""

import math
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from loadtests.fanout.servers import BASE
from loadtests.fanout.work import FULL, Figures, Work

Outcome = Figures | str
"""The figures of a server, or why there are none."""

_MANY = 500
"""Below so many connections the memory of each cannot be measured."""
_HEADS = "server|deliveries/s|arrived|CPU µs each|p50 ms|p99 ms|idle KB each|notes".split("|")

LEGEND = f"""\
A delivery is one message received by one member; messages are due at an even pace whatever the
server does. In some protocols senders receive their own messages; those count as deliveries.

* **arrived**: the share of all expected deliveries that arrived
* **CPU µs each**: CPU time of the server's process, threads included, per delivery
* **p50, p99**: latency from when a message was due until a member had it, of messages due after a
  warm-up; – if none of these arrived
* **idle KB each**: growth of the server's memory per connection that joined; – below
  {_MANY} connections
* **load saturated**: the load generator was busy for over {FULL:.0%} of the time, so it may have
  been the bottleneck, and the server may do better than its row says

In brackets: relative to `{BASE}`, the default of `geventchat serve`. Only the
`sqlite:` servers and those on `redis:` have every message on disk before anyone receives it. What
stores for the latter, a Redis with `appendfsync always`, is on the load's core, and not in the CPU.
"""


def machine() -> str:
    """Describe the machine."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    packages = ", ".join(f"{name} {_version(name)}" for name in ("gevent", "uvloop"))
    return (
        f"{len(os.sched_getaffinity(0))} cores of {cpu[1] if cpu else platform.machine()}, "
        f"Linux {platform.release()}, Python {platform.python_version()}, {packages}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def table(work: Work, outcomes: Mapping[str, Outcome]) -> str:
    """Return the table of a work, with a row for each server."""
    base = outcomes.get(BASE)
    rows = [_HEADS]
    for name, outcome in outcomes.items():
        if isinstance(outcome, str):
            rows.append([name, *["–"] * (len(_HEADS) - 2), outcome])
        else:
            compared = base if isinstance(base, Figures) else None
            rows.append([name, *_cells(work, outcome, compared)])
    return _aligned(rows)


def _cells(work: Work, seen: Figures, base: Figures | None) -> Iterator[str]:
    yield short(seen.deliveries_per_second) + _ratio(seen, base, "deliveries_per_second")
    yield share(seen)
    yield short(seen.cpu_us) + _ratio(seen, base, "cpu_us")
    yield short(seen.p50_ms)
    yield short(seen.p99_ms) + _ratio(seen, base, "p99_ms")
    yield short(seen.idle_kb) if work.connections >= _MANY else "–"
    yield ", ".join(_notes(seen))


def _ratio(seen: Figures, base: Figures | None, figure: str) -> str:
    if base is None:
        return ""
    value, times = getattr(seen, figure), getattr(base, figure)
    return f" ({short(value / times, 2)}×)" if times and math.isfinite(value / times) else ""


def _notes(seen: Figures) -> Iterator[str]:
    if seen.load_saturated:
        yield f"load saturated ({seen.load_busy:.0%})"
    if seen.closed:
        yield f"closed {seen.closed:,.0f} connections"


def share(seen: Figures) -> str:
    """Return the share that arrived; 100 % only if it is exactly what was expected."""
    percent = 100 * seen.arrived
    if 99.9 < percent < 100.1 and seen.heard != seen.owed:
        return f"{percent:.6f} %"
    return f"{percent:.4g} %"


def short(value: float, digits: int = 3) -> str:
    """Return a number rounded to so many digits, with a unit of k or M."""
    if not math.isfinite(value):
        return "–"
    for unit, size in ((" M", 1e6), (" k", 1e3)):
        if value >= 0.9995 * size:
            return (
                f"{value / size:.3g}{unit}" if value < 999.5 * size else f"{value / size:.0f}{unit}"
            )
    return f"{value:.0f}" if value > 99.5 else f"{value:.{digits}g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows: words to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    rules = ["-" * w if i in (0, last) else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([lines[0], f"| {' | '.join(rules)} |", *lines[1:]])
