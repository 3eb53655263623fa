"""Attack a server of its own, and say what that cost it and the others.

    python -m loadtests.hostile [loris] [passers] [flood]

Each attack is one line, and the exit code is 1 if one of them did harm. All take some five minutes.
Everything stays on this machine's loopback network.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Final, Protocol

from loadtests.hostile.connects import connect_and_close
from loadtests.hostile.flood import flood
from loadtests.hostile.slow_loris import slow_loris


class Outcome(Protocol):
    """What an attack did; as text, one line."""

    @property
    def good(self) -> bool:
        """Whether it did no harm."""


ATTACKS: Final[dict[str, Callable[[], Outcome]]] = {
    "loris": slow_loris,
    "passers": connect_and_close,
    "flood": flood,
}


def main() -> int:
    """Run the attacks that were named, or all; give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=", ".join(ATTACKS))
    asked = parser.parse_args()
    if unknown := [each for each in asked.attacks if each not in ATTACKS]:
        parser.error(f"there is no attack {unknown[0]}; there are {', '.join(ATTACKS)}")
    good = True
    for name in asked.attacks or ATTACKS:
        outcome = ATTACKS[name]()
        print(outcome, flush=True)
        good = good and outcome.good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
