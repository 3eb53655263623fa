"""Text in files and pipes is UTF-8; editors on Windows add a mark to it, or write UTF-16."""

from typing import Final

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark: U+FEFF in UTF-8."""
UTF_16: Final = "is UTF-16; save it as UTF-8"


def decode(data: bytes) -> str:
    """Return the text of a whole file, without a byte order mark.

    Raises ValueError with the reason, for an error message that begins with the name of the file.
    """
    if is_utf16(data):
        raise ValueError(UTF_16)
    try:
        return data.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None


def is_utf16(head: bytes) -> bool:
    """Whether a text that begins with these bytes is UTF-16, with or without a mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    pairs = head[: len(head) & ~1]
    if b"\0" not in pairs:
        return False
    for encoding, high in ("utf-16-le", pairs[1::2]), ("utf-16-be", pairs[::2]):
        text = pairs.decode(encoding, errors="replace")
        if "\0" in text:
            continue
        if 2 * high.count(0) > len(high) or ("\n" in text and not is_utf8(head)):
            return True
    return False


def is_utf8(data: bytes) -> bool:
    """Return whether bytes are text in UTF-8. Never waits."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
