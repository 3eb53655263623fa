"""The corpus: for each target a file of cases, a Python literal of bytes on each line."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).with_name("cases")


def cases(target: str) -> list[bytes]:
    """Return the cases of a target."""
    lines = _FOLDER.joinpath(f"{target}.txt").read_text("ascii").splitlines()
    return [ast.literal_eval(line) for line in lines]


def keep(target: str, kept: Iterable[bytes]) -> None:
    """Write the cases of a target, shortest first."""
    lines = [f"{case!r}\n" for case in sorted(set(kept), key=lambda case: (len(case), case))]
    _FOLDER.joinpath(f"{target}.txt").write_text("".join(lines), "ascii")
