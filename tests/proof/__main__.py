"""`make proof`: kill a server repeatedly under load, and check that no message was lost.

python -m tests.proof [--kills 200] [--clients 50] [--seed N]
python -m tests.proof --bugs [NAME …]       # inject each bug, and check that it is caught
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.proof import bugs
from tests.proof.checker import check
from tests.proof.nemesis import Failed, Plan, run


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="make proof", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--roll-back", action="store_true", help="also restore an older copy")
    parser.add_argument("--bugs", nargs="*", metavar="NAME", help="inject these bugs, or all")
    options = parser.parse_args()
    if options.bugs is not None:
        return _catch_bugs(options.bugs or list(bugs.BY_NAME), options.seed)
    return _prove(Plan(options.kills, options.clients, options.seed, roll_back=options.roll_back))


def _prove(plan: Plan) -> int:
    print(f"seed {plan.seed}, {plan.kills} kills, {plan.clients} clients", flush=True)
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
    for fault, count in sorted(faults.items()):
        print(f"{count:5} {fault}")
    print(
        f"ready after a start in {statistics.median(starts):.2f} s (median), "
        f"{max(starts):.2f} s (maximum)"
    )
    for line in verdict.lines():
        print(line)
    if not verdict.found:
        shutil.rmtree(folder)
    print(f"VIOLATIONS, see {folder}" if verdict.found else "No violations.")
    return 1 if verdict.found else 0


def _catch_bugs(names: list[str], seed: int) -> int:
    missed = 0
    for name in names:
        roll_back = name in ("keep_the_epoch", "always_recovered")
        plan = Plan(
            kills=4,
            clients=20,
            seed=seed,
            bug=name,
            moments=("after a batch is stored",),  # when stored posts are not acknowledged yet
            at_random=0.4,
            roll_back=roll_back,
        )
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
