"""Fail unless the requirements files pin what pyproject.toml asks for.

Compiling them anew would need the index, and fail whenever a release came out; this needs nothing.
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pins(path: str) -> dict[str, Requirement]:
    """Give what a requirements file pins, by name."""
    lines = Path(path).read_text("utf-8").splitlines()
    found = (Requirement(line) for line in lines if line and not line.lstrip().startswith("#"))
    return {canonicalize_name(pin.name): pin for pin in found}


def drift(path: str, pinned: dict[str, Requirement], wanted: Iterable[str]) -> Iterator[str]:
    """Say what is wanted, but not pinned to a version in its range."""
    for need in map(Requirement, wanted):
        pin = pinned.get(canonicalize_name(need.name))
        versions = [spec.version for spec in pin.specifier if spec.operator == "=="] if pin else []
        if len(versions) != 1 or versions[0] not in need.specifier:
            yield f"{path} has no pin for {need}"


def main() -> int:
    """Say what has drifted; give the exit code."""
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    runs, tests = pins("requirements.txt"), pins("requirements-dev.txt")
    extras = project["optional-dependencies"]
    drifted = [
        *drift("requirements.txt", runs, [*project["dependencies"], *extras["redis"]]),
        *drift("requirements-dev.txt", tests, project["dependencies"]),
        *drift("requirements-dev.txt", tests, chain(*extras.values())),
        *drift("requirements-dev.txt", tests, map(str, runs.values())),
    ]
    for complaint in drifted:
        print(f"{complaint}: run `make requirements`", file=sys.stderr)
    return 1 if drifted else 0


if __name__ == "__main__":
    sys.exit(main())
