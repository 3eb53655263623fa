"""What many nodes cost their engine.

    python -m loadtests.scaling [--rate 1000] [--nodes 1 10 100 1000] [--check 1 2 4]

Prints a table of simulated nodes that store so many messages a second together, and how many they
could. With `--check` also what real nodes on a real engine need, beside the simulation of the same.
"""

import argparse
from collections.abc import Iterable

from loadtests.scaling import real
from loadtests.scaling.simulation import Result, Simulation, most
from loadtests.support.arguments import positive, whole
from loadtests.support.command import CannotRun, Parser, command
from loadtests.support.engine import valkey


def main() -> int:
    """Print the tables; return the exit code. Raises CannotRun."""
    asked = _arguments()
    print(
        "| nodes | messages/s | engine, % of a core | turns/s | answers/s | MB/s from the engine "
        "| p50 ms | p99 ms | most messages/s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for nodes in asked.nodes:
        print(_row(Simulation(nodes, asked.rate).run(), most(nodes)), flush=True)
    if asked.check:
        _check(asked.check, asked.rate)
    return 0


def _row(result: Result, limit: float) -> str:
    return (
        f"| {result.nodes:,} | {result.rate:,.0f} | {result.engine:.1%} | {result.turns:,.0f} "
        f"| {result.answers:,.0f} | {result.megabytes:,.1f} | {result.p50_ms:.1f} "
        f"| {result.p99_ms:.1f} | {limit:,.0f} |"
    )


def _check(nodes: Iterable[int], rate: float) -> None:
    program = valkey()
    if program is None:
        raise CannotRun("--check needs Valkey or Redis; for example: apt-get install redis-server")
    print("\n| nodes | engine, idle | engine, % of a core | simulated | turns/s | simulated |")
    print("|---|---|---|---|---|---|")
    for count in nodes:
        measured, simulated = real.measure(program, count, rate), Simulation(count, rate).run()
        print(
            f"| {count} | {measured.idle:.2%} | {measured.engine:.1%} | {simulated.engine:.1%} "
            f"| {measured.turns:,.0f} | {simulated.turns:,.0f} |",
            flush=True,
        )


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="scaling", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    add = parser.add_argument
    add("--rate", type=positive, default=1000.0, help="messages a second in all [1000]")
    add("--nodes", type=whole(1, 2000), nargs="+", default=[1, 10, 100, 1000], help="how many")
    add("--check", type=whole(1, 16), nargs="+", metavar="NODES", help="with real ones as well")
    return parser.parse_args()


if __name__ == "__main__":
    command("scaling", main)
