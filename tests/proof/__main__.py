"""`make proof`: kill a server repeatedly under load, and check that no message was lost.

python -m tests.proof [--kills 200] [--clients 50] [--seed N]
python -m tests.proof --bugs [NAME …]       # put in each bug, and see that it is caught
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
    parser.add_argument("--roll-back", action="store_true", help="put back an older copy, too")
    parser.add_argument("--bugs", nargs="*", metavar="NAME", help="put in these bugs, or all")
    asked = parser.parse_args()
    if asked.bugs is not None:
        return _see_bugs(asked.bugs or list(bugs.BY_NAME), asked.seed)
    return _prove(Plan(asked.kills, asked.clients, asked.seed, roll_back=asked.roll_back))


def _prove(plan: Plan) -> int:
    print(f"seed {plan.seed}, {plan.kills} kills, {plan.clients} clients", flush=True)
    folder = tempfile.mkdtemp(prefix="proof-")
    try:
        judged, faults, starts = run(plan, Path(folder))
    except Failed as why:
        print(f"proof: {why}; all of it is in {folder}", file=sys.stderr)
        return 2
    verdict = check(judged)
    counts = verdict.counts
    print(
        f"{counts['says']:,} said, {counts['ok']:,} acknowledged, {counts['unknown']:,} unknown, "
        f"{counts['kept']:,} kept, {counts['saw']:,} heard, {counts['away']:,} connections lost, "
        f"{counts['joined']:,} joins, {counts['gaps told']:,} gaps told"
    )
    for fault, count in sorted(faults.items()):
        print(f"{count:5} {fault}")
    print(
        f"ready after a start in {statistics.median(starts):.2f} s (median), "
        f"{max(starts):.2f} s (most)"
    )
    for line in verdict.lines():
        print(line)
    if not verdict.found:
        shutil.rmtree(folder)
    print(f"VIOLATIONS, see {folder}" if verdict.found else "Nothing was violated.")
    return 1 if verdict.found else 0


def _see_bugs(names: list[str], seed: int) -> int:
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
        told = f"caught by {', '.join(caught)}" if caught else f"MISSED; found {list(found)}"
        print(f"{name}: {told}", flush=True)
    print(f"{len(names) - missed} of {len(names)} bugs were caught.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
