"""`make proof`: kill a server repeatedly under load, and check that no message was lost.

python -m tests.proof [--timeline sqlite] [--rounds 200] [--clients 50] [--seed N]
python -m tests.proof --nodes 3             # on one engine
python -m tests.proof --bugs [NAME …]       # inject each bug, and check that it is caught
"""

import argparse
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.proof import bugs
from tests.proof.checker import check
from tests.proof.nemesis import Plan, run
from tests.proof.server import Failed
from tests.proof.stores import STORES


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="make proof", description=__doc__.partition("\n")[0])
    parser.add_argument("--timeline", choices=STORES, default="sqlite")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--faults", nargs="+", default=(), metavar="NAME", help="these alone")
    parser.add_argument("--lose", nargs="?", const="", metavar="HOW", help="also lose history")
    parser.add_argument("--nodes", type=int, default=1, metavar="N", help="on one engine")
    parser.add_argument("--keep", type=int, metavar="N", help="keep N posts in each room")
    parser.add_argument("--bugs", nargs="*", metavar="NAME", help="inject these bugs, or all")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # leaves no process
    if options.bugs is not None:
        every = [bug.__name__ for bug in bugs.OF_STORES[options.timeline]]
        return _catch_bugs(options.timeline, options.bugs or every, options.seed)
    if options.nodes > 1 and options.timeline == "sqlite":
        options.timeline = "valkey"
    plan = Plan(
        options.rounds,
        options.clients,
        options.seed,
        options.timeline,
        faults=tuple(options.faults),
        lose=options.lose,
        keep=options.keep,
        nodes=options.nodes,
    )
    return _prove(plan)


def _prove(plan: Plan) -> int:
    print(
        f"seed {plan.seed}, {plan.timeline}, {plan.rounds} rounds, {plan.clients} clients",
        flush=True,
    )
    folder = tempfile.mkdtemp(prefix="proof-")
    try:
        result, faults, starts = run(plan, Path(folder))
    except Failed as why:
        print(f"proof: {why}; files are in {folder}", file=sys.stderr)
        return 2
    verdict = check(result)
    counts = verdict.counts
    print(
        f"{counts['says']:,} sent, {counts['ok']:,} acknowledged, {counts['unknown']:,} unknown, "
        f"{counts['stored']:,} stored, {counts['saw']:,} received, "
        f"{counts['away']:,} connections lost, {counts['joined']:,} joins, "
        f"{counts['gaps']:,} gaps reported"
    )
    print(
        f"{counts['edits']:,} edits sent, {counts['edited']:,} acknowledged, "
        f"{counts['redacts']:,} redactions sent, {counts['redacted']:,} acknowledged, "
        f"{counts['unsure']:,} unknown or refused, {counts['heard']:,} changes received; "
        f"{counts['redacted texts']:,} redacted texts searched for in the files"
    )
    print(
        f"{counts['account facts']:,} accounts acknowledged, {counts['login facts']:,} sessions, "
        f"{counts['member facts']:,} memberships, {counts['read facts']:,} read marks; "
        f"{counts['let in']:,} sessions let in, {counts['shut out']:,} revoked ones shut out, "
        f"{counts['counts']:,} counts of unread posts compared"
    )
    for file, seconds in result.seconds.items():
        print(f"{file}: no redacted text left after {seconds:.1f} s")
    for fault, count in sorted(faults.items()):
        print(f"{count:5} {fault}")
    print(
        f"ready after a start in {statistics.median(starts):.2f} s (median), "
        f"{max(starts):.2f} s (maximum)"
    )
    if result.recovered:
        print(
            f"stored and delivered after a fault in {statistics.median(result.recovered):.2f} s "
            f"(median), {max(result.recovered):.2f} s (maximum)"
        )
    for line in verdict.lines():
        print(line)
    if not verdict.found:
        shutil.rmtree(folder)
    print(f"VIOLATIONS, see {folder}" if verdict.found else "No violations.")
    return 1 if verdict.found else 0


def _catch_bugs(timeline: str, names: list[str], seed: int) -> int:
    missed = 0
    for name in names:
        needs = {"clients": 20} | bugs.plan(name)
        plan = Plan(seed=seed, timeline=timeline, bug=name, **needs)
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = check(run(plan, Path(folder))[0]).found
            except Failed as why:
                found = {str(why): []}
        caught = [each for each in bugs.CAUGHT_BY[bugs.BY_NAME[name]] if each in found]
        missed += not caught
        outcome = f"caught by {', '.join(caught)}" if caught else f"MISSED; found {list(found)}"
        print(f"{name}: {outcome}", flush=True)
    print(f"{len(names) - missed} of {len(names)} bugs caught.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
