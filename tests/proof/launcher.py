"""`geventchat serve` that is killed at a chosen moment, or has an injected bug.

    python -m tests.proof.launcher MOMENT BUG serve …

MOMENT is `-` or a name of `moments.py`; BUG is `-` or a name of `bugs.py`. The signal for a file
over the size limit is ignored, so that it is an error and does not end the process. What is removed
from an engine after minutes is removed after seconds.
"""

import signal
import sys

from geventchat.__main__ import main  # patches, so this module is for a process of its own
from geventchat.server.timeline.redis import beating, cleaning
from tests.proof import bugs, moments

if __name__ == "__main__":
    moment, bug = sys.argv[1:3]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error of write, not the end
    beating._FEED_BEATS = 10  # type: ignore[misc]
    cleaning.FEED_MS, cleaning.REWRITE_MS = 30_000, 30_000  # type: ignore[misc]
    if moment != "-":
        moments.kill_at(moment)
    if bug != "-":
        bugs.BY_NAME[bug]()
    sys.exit(main(sys.argv[3:]))
