"""Durations as people write them: `90s`, `10m`, `1h30m`, `2 weeks`.

What begins like a duration and is none must never be taken for something else, such as the reason
of a mute: the mute would have no end.
"""

import re
import unicodedata
from fractions import Fraction
from typing import Final

MAX_SECONDS: Final = 10 * 366 * 86_400
"""Ten years."""
FORMS: Final = "90s, 10m, 1h30m, 7d, 2w"

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_PART: Final = (
    r"\d+(?:\.\d{1,2})?[ \t]*"
    r"(?:s(?:ecs?|econds?)?|m(?:ins?|inutes?)?|h(?:rs?|ours?)?|d(?:ays?)?|w(?:ks?|eeks?)?)"
)
PATTERN: Final = rf"(?i:{_PART}(?:[ \t]*{_PART})*)(?!\S)"
"""A regular expression for a duration, without a group of its own."""

_ONE_PART: Final = re.compile(r"([\d.]+)\s*([a-z])[a-z]*")
_IN_FRONT: Final = re.compile(r"[\W_]*(?:for\s[\W_]*)?")
"""Signs, brackets, quotes and invisible characters in front of a number."""
_IN_WORDS: Final = re.compile(
    r"(?:until|till?|half|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|"
    r"twenty|thirty|forty|fifty|sixty|ninety|few|couple)\b[\s-]*(?:of\s+)?(?:an?\s+)?"
    r"(?:second|sec|minute|min|hour|day|night|week|month|year|decade|tomorrow|tonight|noon|"
    r"midnight|morning|evening|monday|tuesday|wednesday|thursday|friday|saturday|sunday|\d)",
)
_ISO: Final = re.compile(r"pt?\d+(?:\.\d+)?[ymwdhs]")


def seconds(text: str) -> int:
    """Return the whole seconds of a duration. Raises ValueError with a sentence for people."""
    duration = unicodedata.normalize("NFKC", text).strip().casefold()
    if len(duration) > 100 or re.fullmatch(PATTERN, duration) is None:
        raise ValueError(f"{shown(text)} is not a duration; write {FORMS}")
    parts = _ONE_PART.findall(duration)
    total = round(sum(Fraction(number) * _UNITS[unit] for number, unit in parts))
    if not 1 <= total <= MAX_SECONDS:
        raise ValueError(f"{shown(text)} is not between a second and ten years; write {FORMS}")
    return total


def begins_like_one(text: str) -> bool:
    """Return whether a text begins like a duration, so that its author may have meant one."""
    start = text[:100].casefold()
    start = start[_end(start) :]
    folded = unicodedata.normalize("NFKC", start)
    folded = folded[_end(folded) :]
    number = any(unicodedata.category(each).startswith("N") for each in start[:1] + folded[:1])
    return number or bool(_IN_WORDS.match(folded) or _ISO.match(folded))


def _end(text: str) -> int:
    found = _IN_FRONT.match(text)
    return found.end() if found else 0


def shown(text: str) -> str:
    """Return the beginning of a text that is not understood, for an error."""
    return text if len(text) <= 40 else f"{text[:40]}…"
