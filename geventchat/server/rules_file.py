"""The file that keeps operators' rules over a restart: a few, written whole, each time anew."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import gevent
import msgspec
from gevent.lock import BoundedSemaphore

from geventchat.config import BadOption
from geventchat.protocol.errors import Refused
from geventchat.server.moderation import Rule, network

_FORGOTTEN: Final = "guest"
"""Guests are counted anew by each server, so a rule about one ends with it."""

_log = logging.getLogger(__name__)


class _Content(msgspec.Struct):
    version: int
    rules: list[Rule]


class RulesFile:
    """Rules in a file that only its owner can read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._saving = BoundedSemaphore(1)

    def load(self) -> list[Rule]:
        """Give the rules that were saved; none if there is no file. Raises BadOption."""
        try:
            content = msgspec.json.decode(Path(self.path).read_bytes(), type=_Content)
            if content.version != 1:
                raise ValueError("a newer geventchat wrote it")
            for rule in content.rules:
                # An address is looked for by the text of its networks, so another text is no rule.
                if rule.target_type == "address" and str(network(rule.value)) != rule.value:
                    raise ValueError(f"{rule.value} is not a network, as in 192.0.2.0/24")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadOption("--operator-file", self.path, error.strerror or str(error)) from None
        except (ValueError, RecursionError) as error:  # msgspec's and Unicode's are ValueErrors
            text = f"does not hold rules: {error}"
            raise BadOption("--operator-file", self.path, text) from None
        return content.rules

    def save(self, rules: Sequence[Rule]) -> None:
        """Put rules on disk in place of the former ones. Waits. Raises Refused `storage`."""
        kept = [rule for rule in rules if rule.target_type != _FORGOTTEN]
        data = msgspec.json.format(msgspec.json.encode(_Content(1, kept)), indent=1)
        with self._saving:
            error = gevent.get_hub().threadpool.apply(_replace, (self.path, data))
        if error is not None:
            _log.error("the rules could not be written to %s: %s", self.path, error)
            text = "It holds, but could not be stored: it ends with the server."
            raise Refused("storage", text)


def _replace(path: str, data: bytes) -> OSError | None:
    """Write a file so that at any moment there is the former or the new one, whole, on disk."""
    # In a native thread, where nothing may be logged: logging's locks are the hub's.
    fresh = f"{path}.new"
    try:
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(file, "wb") as written:
            written.write(data)
            written.flush()
            os.fsync(file)
        os.replace(fresh, path)
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        return error
    return None
