"""What the command lines and the form accept: types for argparse, which say in a sentence what not.

Everything is checked before a run, so that none ends in an error after hours.
"""

import argparse
import math
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from loadtests.support.address import Address

Bad = argparse.ArgumentTypeError


def whole(least: int = 1, most: int | None = None) -> Callable[[str], int]:
    """Return a type: a whole number of at least `least`."""
    bounds = f"of at least {least}" if most is None else f"from {least} to {most:,}"

    def whole_number(text: str) -> int:
        digits = text.strip()
        # Longer ones are no numbers of anything, and Python refuses to read them.
        fits = digits.isascii() and digits.isdecimal() and len(digits) < 20
        if not fits or not least <= int(digits) <= (int(digits) if most is None else most):
            raise Bad(f"{text!r} is not a whole number {bounds}")
        return int(digits)

    return whole_number


def positive(text: str) -> float:
    """Return a number above 0."""
    return _number(text, lambda number: number > 0, "a number above 0")


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    return _number(text, lambda number: 0 <= number <= 1, "a number from 0 to 1")


def _number(text: str, fits: Callable[[float], bool], what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or not fits(number):
        raise Bad(f"{text!r} is not {what}")
    return number


def run_time(text: str) -> int:
    """Return a time as Locust reads it, in seconds; 0 would be for ever."""
    found = re.fullmatch(r"(\d{1,9})|(?:(\d{1,6})h)?(?:(\d{1,8})m)?(?:(\d{1,9})s)?", text.strip())
    plain, hours, minutes, seconds = (
        (int(each or 0) for each in found.groups()) if found else [0] * 4
    )
    if total := plain + 3600 * hours + 60 * minutes + seconds:
        return total
    raise Bad(f"{text!r} is not a time like 90s, 20m or 1h30m")


def address(text: str) -> str:
    """Return the address of a server as HOST:PORT."""
    try:
        return str(Address.parse(text))
    except ValueError as error:
        raise Bad(str(error).removesuffix(".")) from None


def folder(text: str) -> Path:
    """Return a folder that exists and can be written to."""
    path = Path(text)
    if not path.is_dir():
        raise Bad(f"{text!r} is not a folder; make it first")
    try:
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise Bad(f"the folder {text!r} cannot be written to: {error.strerror}") from None
    return path


def file(text: str) -> Path:
    """Return a file that can be written: its folder exists."""
    _check_file(text)
    folder(str(Path(text).parent))
    return Path(text)


def file_in_new_folder(text: str) -> str:
    """Make the folder of a file, or of several whose names begin with this; return the text."""
    _check_file(text)
    parent = Path(text).parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Bad(f"the folder {str(parent)!r} cannot be made: {error.strerror}") from None
    folder(str(parent))
    return text


def _check_file(text: str) -> None:
    path = Path(text)
    if not text.strip() or path.is_dir():
        raise Bad(f"{text!r} is not the name of a file")
    if path.exists() and not os.access(path, os.W_OK):
        raise Bad(f"the file {text!r} cannot be written to")
