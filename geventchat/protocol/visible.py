"""Escapes untrusted text for terminals and logs.

A terminal interprets what is written to it: an escape sequence can change the window title, a
right-to-left override can make one name read as another. Such characters are escaped.

Invisible characters without which a script cannot be read stay: joiners (Persian, Indic scripts,
emoji) and the direction marks of right-to-left scripts, which act on what is next to them alone.
Embeddings, overrides and isolates act on all that follows, so they do not.
"""

import re
from functools import cache
from typing import Final

_ACTING: Final = (
    (0x00, 0x1F),  # C0 controls, escape among them
    (0x7F, 0x9F),  # delete and the C1 controls, which some terminals take for escapes
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x200B, 0x200B),  # zero width space
    (0x2028, 0x202E),  # line and paragraph separators, direction embeddings and overrides
    (0x2060, 0x206F),  # invisible operators, direction isolates
    (0xD800, 0xDFFF),  # surrogates, which no encoding takes
    (0xFEFF, 0xFEFF),  # zero width
    (0xFFF9, 0xFFFB),  # interlinear annotation
    (0xE0000, 0xE007F),  # tags: a whole invisible alphabet
)
_IN_PLACE: Final = re.compile(
    "("
    "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"  # a region's flag
    "|(?<=[\u0e00-\u109f\u1780-\u17ff])\u200b(?=[\u0e00-\u109f\u1780-\u17ff])"  # Thai to Khmer
    "|(?<=[\u1820-\u18aa])\u180e(?=[\u1820-\u18aa])"  # Mongolian
    ")"
)
"""Where characters that are escaped elsewhere belong to the script."""


def visible(text: str, keep: str = "") -> str:
    r"""Escape characters that a terminal would interpret: ESC becomes `\x1b`.

    Line breaks and tabs are escaped too (`\n`, `\t`), except the characters in `keep`. The result
    can always be encoded. Ordinary text is returned unchanged, and fast.
    """
    # Control characters are not printable, so most text takes this fast path.
    if text.isprintable():
        return text
    spelling = _spelling(keep)
    parts = _IN_PLACE.split(text)  # those at odd places match
    return "".join(part if i % 2 else part.translate(spelling) for i, part in enumerate(parts))


@cache
def _spelling(keep: str) -> dict[int, str]:
    points = (point for first, last in _ACTING for point in range(first, last + 1))
    return {point: repr(chr(point))[1:-1] for point in points if chr(point) not in keep}
