"""A server that is killed at a chosen moment, or has a bug put in: `geventchat serve` and no other.

    python -m tests.proof.launcher MOMENT BUG serve …

MOMENT is `-`, or what `moments.py` knows; BUG is `-` or a name of `bugs.py`. An error of the disk
is not answered with the signal that would end the process.
"""

import signal
import sys

from geventchat.__main__ import main  # patches, so this module is for a process of its own
from tests.proof import bugs, moments

if __name__ == "__main__":
    moment, bug = sys.argv[1:3]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that may not grow is an error, no end
    if moment != "-":
        moments.kill_at(moment)
    if bug != "-":
        bugs.BY_NAME[bug]()
    sys.exit(main(sys.argv[3:]))
