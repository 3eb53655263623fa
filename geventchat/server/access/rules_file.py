"""The file that keeps the rules of operators over a restart, rewritten with every change.

Where an engine has the rules it is a copy, which the nodes of a machine may have in common.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import gevent
import msgspec
from gevent.lock import BoundedSemaphore

from geventchat.config import BadSetting
from geventchat.protocol.errors import Refused
from geventchat.server.access.rules import GUEST, Rule, network
from geventchat.server.files import replace
from geventchat.server.threads import in_thread

_log = logging.getLogger(__name__)


class _Content(msgspec.Struct):
    version: int
    rules: list[Rule]


class RulesFile:
    """Stores rules in a file that only its owner can read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._saving = BoundedSemaphore(1)
        self._newest: list[Rule] | None = None
        """The rules of the latest call of `save`."""
        self._tried: list[Rule] | None = None
        """The rules of the latest attempt to write."""
        self._failed = False

    def load(self) -> list[Rule]:
        """Return the saved rules, none if there is no file. Raises BadSetting."""
        try:
            content = msgspec.json.decode(Path(self.path).read_bytes(), type=_Content)
            if content.version != 1:
                raise ValueError("a newer geventchat wrote it")
            for rule in content.rules:
                # Addresses are looked up by the canonical text of their network.
                if rule.target_type == "address" and str(network(rule.value)) != rule.value:
                    raise ValueError(f"{rule.value} is not a network, as in 192.0.2.0/24")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadSetting.of("operator_file", self.path, error) from None
        except (ValueError, RecursionError) as error:  # msgspec's and Unicode's are ValueErrors
            text = f"does not hold rules: {error}; restore it, or delete it to start without rules"
            raise BadSetting("operator_file", self.path, text) from None
        return content.rules

    def save(self, rules: Sequence[Rule]) -> None:
        """Replace the rules on disk. Waits. Raises Refused `storage`.

        Of concurrent calls the latest one wins.
        """
        # Guest numbers start again with each process, so a rule about a guest ends with it.
        self._newest = [rule for rule in rules if rule.target_type != GUEST]
        with self._saving:
            if self._tried is not self._newest:  # or another save took these along
                newest = self._newest
                data = msgspec.json.format(msgspec.json.encode(_Content(1, newest)), indent=1)
                try:
                    in_thread(partial(_replace, self.path, data))
                    self._failed = False
                except OSError as error:
                    self._failed = True
                    _log.error("the rules could not be written to %s: %s", self.path, error)
                self._tried = newest
            failed = self._failed
        if failed:
            raise Refused("storage", "Applied, but not saved to disk; it will be lost on restart.")


class RulesCopy:
    """Keeps a file like the rules in memory, a moment later."""

    def __init__(self, file: RulesFile, rules: Callable[[], Sequence[Rule]]) -> None:
        """`rules` returns those that there are."""
        self._file, self._rules = file, rules
        self._changed = self._writing = False

    def update(self) -> None:
        """Have the file written: the rules have changed. Never waits."""
        self._changed = True
        if not self._writing:
            self._writing = True
            gevent.spawn(self._write).name = "rules file"

    def _write(self) -> None:
        while self._changed:
            self._changed = False
            with suppress(Refused):  # logged; the next change tries again
                self._file.save(self._rules())
        self._writing = False


def _replace(path: str, data: bytes) -> None:
    """Replace the file, one process at a time. Blocks. Raises OSError."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        replace(path, data)
    finally:
        os.close(folder)
