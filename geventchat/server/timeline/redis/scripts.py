"""The scripts that the engine runs: files beside this one, called by their digest."""

import hashlib
import re
from importlib.resources import files
from typing import Final

_INCLUDE: Final = re.compile(rb"^-- include (\w+)\.lua$", re.MULTILINE)


class Script:
    """One script: the file `name`.lua of this package, unless its text is given."""

    def __init__(self, name: str, text: bytes | None = None) -> None:
        """Read it, and the files that it includes. Blocks."""
        if text is None:
            text = _INCLUDE.sub(lambda found: _read(found[1].decode()), _read(name))
        self.name: Final = name
        self.text: Final = text
        self.digest: Final = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        """What EVALSHA calls it."""


def _read(name: str) -> bytes:
    return files(__package__).joinpath(f"{name}.lua").read_bytes()
