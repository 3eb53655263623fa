"""How long other programs kept this process from running, so that a bound on time can leave it out.

A bound shows that nothing in the server delays a client. On a machine that also runs other things,
the process can be ready to run and have no core; that says nothing about the server.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import psutil


class Cores(NamedTuple):
    """Totals in seconds at one moment."""

    waited: float
    """Time in which threads of this process were ready to run without a core."""
    others: float
    """Processor time of all other programs."""

    @classmethod
    def now(cls) -> Self:
        """Read the totals. Without the kernel's account of waiting, that time is 0."""
        waited = 0.0
        for thread in Path("/proc/self/task").glob("*/schedstat"):
            with suppress(OSError):  # the thread has ended
                waited += int(thread.read_text("ascii").split()[1]) / 1e9
        cpu = psutil.cpu_times()
        busy = cpu.user + getattr(cpu, "nice", 0.0) + cpu.system
        return cls(waited, busy - time.process_time())

    def lost_since(self, before: Self) -> float:
        """Return the time that other programs took from this process.

        Threads that wait for each other's cores lose nothing by this measure: other programs must
        have used as much. So it is next to nothing on a quiet machine, whatever the server does.
        """
        waited = self.waited - before.waited
        return max(0.0, min(waited, self.others - before.others))
