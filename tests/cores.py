"""How long other programs kept a process from running, so that a bound on time can leave it out.

A bound shows that nothing in the server delays a client. On a machine that also runs other things,
the process can be ready to run and have no core; that says nothing about the server.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

import psutil

_THROTTLED = {
    "/sys/fs/cgroup/cpu.stat": ("throttled_usec", 1e6),
    "/sys/fs/cgroup/cpu/cpu.stat": ("throttled_time", 1e9),
}
"""Where a container's limit of processor time is accounted for: the field, and its unit."""


class Cores(NamedTuple):
    """Totals in seconds at one moment."""

    waited: float
    """Time in which threads of the process were ready to run without a core.

    Where the kernel has no account of that: in which it did not run.
    """
    others: float
    """Processor time of all other programs, and time in which the process was not allowed any."""
    stolen: float
    """Time that the machine, if it is a virtual one, was kept waiting by others on its host."""

    @classmethod
    def now(cls, pid: int | None = None) -> Self:
        """Read the totals of this process, or of another one."""
        own = time.process_time() if pid is None else sum(psutil.Process(pid).cpu_times()[:2])
        cpu = psutil.cpu_times()
        busy = cpu.user + getattr(cpu, "nice", 0.0) + cpu.system
        return cls(_waited(own, pid), busy - own + _throttled(), getattr(cpu, "steal", 0.0))

    def lost_since(self, before: Self) -> float:
        """Return the time that other programs took from the process.

        Threads that wait for each other's cores lose nothing by this measure: other programs must
        have used as much. So it is next to nothing on a quiet machine, whatever the server does.
        """
        waited, stolen = self.waited - before.waited, self.stolen - before.stolen
        return max(0.0, stolen + min(waited, self.others - before.others))


def _waited(own: float, pid: int | None) -> float:
    accounts = list(Path(f"/proc/{pid or 'self'}/task").glob("*/schedstat"))
    if not accounts:
        return time.monotonic() - own
    waited = 0.0
    for thread in accounts:
        with suppress(OSError):  # the thread has ended
            waited += int(thread.read_text("ascii").split()[1]) / 1e9
    return waited


def _throttled() -> float:
    for path, (field, unit) in _THROTTLED.items():
        with suppress(OSError):
            for line in Path(path).read_text("ascii").splitlines():
                name, _, value = line.partition(" ")
                if name == field:
                    return int(value) / unit
    return 0.0


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Check that a block takes less than so many seconds, but for what other programs took."""
    began, before = time.monotonic(), Cores.now()
    yield
    assert time.monotonic() - began - Cores.now().lost_since(before) < seconds
