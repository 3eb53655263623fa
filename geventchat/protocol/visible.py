"""Escapes untrusted text for terminals and logs.

A terminal interprets what is written to it: an escape sequence can change the window title, a
right-to-left override can make one name read as another. Such characters are escaped.
"""

from functools import cache
from typing import Final

_ACTING: Final = (
    (0x00, 0x1F),  # C0 controls, escape among them
    (0x7F, 0x9F),  # delete and the C1 controls, which some terminals take for escapes
    (0x061C, 0x061C),  # Arabic letter mark
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x200B, 0x200F),  # zero width, and direction marks
    (0x2028, 0x202E),  # line and paragraph separators, direction embeddings and overrides
    (0x2060, 0x206F),  # invisible operators, direction isolates
    (0xD800, 0xDFFF),  # surrogates, which no encoding takes
    (0xFEFF, 0xFEFF),  # zero width
    (0xFFF9, 0xFFFB),  # interlinear annotation
    (0xE0000, 0xE007F),  # tags: a whole invisible alphabet
)


def visible(text: str, keep: str = "") -> str:
    r"""Escape characters that a terminal would interpret: ESC becomes `\x1b`.

    Line breaks and tabs are escaped too (`\n`, `\t`), except the characters in `keep`. The result
    can always be encoded. Ordinary text is returned unchanged, and fast.
    """
    # Control characters are not printable, so most text takes this fast path.
    return text if text.isprintable() else text.translate(_spelling(keep))


@cache
def _spelling(keep: str) -> dict[int, str]:
    points = (point for first, last in _ACTING for point in range(first, last + 1))
    return {point: repr(chr(point))[1:-1] for point in points if chr(point) not in keep}
