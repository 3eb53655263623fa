"""Loads a server and measures it, from its own process and, if there are two, its own core.

The loop is open: messages fall due at an even pace whatever the server does, all that fell due are
owed, and their time runs from when they fell due, not from when this got around to send them.
"""

import gc
import math
import os
import signal
import time
from pathlib import Path

from loadtests.fanout.crowd import Crowd
from loadtests.fanout.wires import Wire
from loadtests.fanout.work import Figures, Work

_CATCH_UP = 32
"""Messages sent at once when many are due, so that reading continues."""
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def prepare(core: int | None) -> None:
    """Pin this process to its core, and switch the garbage collector off. Ctrl-C ends it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if core is not None:
        os.sched_setaffinity(0, {core})
    gc.disable()


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process and its threads, in user code and in the kernel."""
    stat = Path(f"/proc/{process}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS_PER_SECOND


def resident_bytes(process: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE_BYTES


def measure(port: int, process: int, wire: Wire, work: Work) -> Figures:
    """Load the server on this port, `process` being its id, and return the figures.

    Raises NotReady, and OSError when the server is not there, or no longer.
    """
    with Crowd(port, wire, work) as crowd:
        empty_bytes = resident_bytes(process)
        crowd.gather()
        idle_bytes = resident_bytes(process) - empty_bytes
        connections = crowd.connections
        crowd.heard = 0
        pace = 1e9 / work.messages_per_second
        start = time.monotonic_ns()
        warm = _drive(crowd, pace, start, 0, start + int(work.warm_seconds * 1e9))
        crowd.since_ns = begun = time.monotonic_ns()
        heard, cpu, idle = crowd.heard, cpu_seconds(process), crowd.idle_seconds
        said = _drive(crowd, pace, start, warm, begun + int(work.seconds * 1e9))
        heard, cpu = crowd.heard - heard, cpu_seconds(process) - cpu
        idle, elapsed = crowd.idle_seconds - idle, (time.monotonic_ns() - begun) / 1e9
        # Messages that were due and not sent yet count as expected.
        due = int((time.monotonic_ns() - start) / pace)
        for number in range(said + 1, due + 1):
            crowd.say(number, start + int(number * pace))
        crowd.hear_out(4)
    late_ms = sorted(late / 1e6 for late in crowd.late_ns) or [math.inf]
    return Figures(
        owed=due * crowd.audience,
        heard=crowd.heard,
        deliveries_per_second=heard / elapsed,
        cpu_us=cpu * 1e6 / heard if heard else math.inf,
        p50_ms=late_ms[len(late_ms) // 2],
        p99_ms=late_ms[len(late_ms) * 99 // 100],
        idle_kb=idle_bytes / connections / 1000,
        load_busy=1 - idle / elapsed,
        closed=crowd.closed,
    )


def _drive(crowd: Crowd, pace: float, start: int, said: int, end: int) -> int:
    """Have said what falls due, one each `pace` from `start` on, until the end; return how many.

    Times are in nanoseconds.
    """
    while (now := time.monotonic_ns()) < end:
        due = int((now - start) / pace)
        for _ in range(min(due - said, _CATCH_UP)):
            said += 1
            crowd.say(said, start + int(said * pace))
        left = start + (said + 1) * pace - now
        crowd.hear(0 if said < due else max(0.0, min(left, end - now) / 1e9))
    return said
