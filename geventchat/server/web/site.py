"""The files of the page, read once at the start and served from memory."""

import gzip
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
"""The files that are served, by the ends of their names."""
# What begins and ends with its lines, so no string and no code is touched. The lines stay, for the
# numbers in errors.
_COMMENT: Final = re.compile(
    rb"^[ \t]*(?:/\*(?:(?!\*/).)*\*/|//[^\n]*)[ \t]*$", re.MULTILINE | re.DOTALL
)
# A comment in or after code, without quotes, so that no string ends in it; and the indentation.
# Both could be text in a string that has several lines or comments: a test of the page holds that
# none is changed.
_ASIDE: Final = re.compile(rb"[ \t]*/\*[^\"'`\n]*?\*/(?=[ \t(])|[ \t]+// [^\"'`\n]*$", re.MULTILINE)
_INDENTATION: Final = re.compile(rb"^[ \t]+", re.MULTILINE)
_INDEX: Final = "index.html"


class File(NamedTuple):
    """A file as it is sent."""

    kind: str
    """Its content type."""
    body: bytes
    gzipped: bytes | None
    """None: that would hardly be smaller."""
    tag: str
    """Its ETag, which changes with its content; weak, for packed it is the same file."""


def load(folder: Traversable | None = None) -> Mapping[str, File]:
    """Read the files of a folder, by their paths on the web; by default those of the page. Blocks.

    Only these paths exist, so no path of a request can lead anywhere else.
    """
    found = dict(_walk(folder or files("geventchat") / "page", "/"))
    if f"/{_INDEX}" in found:
        found["/"] = found.pop(f"/{_INDEX}")
    return found


def _walk(folder: Traversable, path: str) -> list[tuple[str, File]]:
    found: list[tuple[str, File]] = []
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            found += _walk(each, f"{path}{each.name}/")
        elif (kind := _TYPES.get(each.name[each.name.rfind(".") :])) is not None:
            found.append((path + each.name, _file(kind, each.read_bytes())))
    return found


def _file(kind: str, body: bytes) -> File:
    if kind.startswith(("text/javascript", "text/css")):  # a quarter of the page
        body = _COMMENT.sub(lambda comment: b"\n" * comment[0].count(b"\n"), body)
        if kind.startswith("text/javascript"):
            body = _ASIDE.sub(b"", body)
        body = _INDENTATION.sub(b"", body)
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    small = gzip.compress(body, 9, mtime=0)
    return File(kind, body, small if len(small) < 0.9 * len(body) else None, tag)
