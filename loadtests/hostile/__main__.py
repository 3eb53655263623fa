"""Attack a server started for the run, and report what that cost it and its clients.

    python -m loadtests.hostile [slow-loris] [connects] [flood]

Prints one line per attack; the exit code is 1 if one did harm. All take about five minutes.
Everything stays on the loopback network.
"""

import sys
from collections.abc import Callable
from typing import Final, Protocol

from loadtests.hostile.connects import connect_and_close
from loadtests.hostile.flood import flood
from loadtests.hostile.slow_loris import slow_loris
from loadtests.support.command import Parser, command


class Outcome(Protocol):
    """The result of an attack; as text, one line."""

    @property
    def good(self) -> bool:
        """Whether it did no harm."""


ATTACKS: Final[dict[str, Callable[[], Outcome]]] = {
    "slow-loris": slow_loris,
    "connects": connect_and_close,
    "flood": flood,
}


def main() -> int:
    """Run the named attacks, or all; return the exit code."""
    parser = Parser(prog="hostile", description=__doc__.partition("\n")[0])
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=", ".join(ATTACKS))
    asked = parser.parse_args()
    if unknown := [each for each in asked.attacks if each not in ATTACKS]:
        parser.error(f"unknown attack {unknown[0]}; choose from {', '.join(ATTACKS)}")
    good = True
    for name in asked.attacks or ATTACKS:
        print(f"hostile: {name}, which takes a minute or two", file=sys.stderr)
        outcome = ATTACKS[name]()
        print(outcome, flush=True)
        good = good and outcome.good
    return 0 if good else 1


if __name__ == "__main__":
    command("hostile", main)
