"""What a store of the proof is: where a server keeps its history, and what can go wrong there."""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, TypeAlias

from tests.proof.checker import Run
from tests.proof.clients import Clients
from tests.proof.contents import Place
from tests.proof.server import Failed, Server


@dataclass
class Scene:
    """Who takes part in a run."""

    server: Server
    """The node to which something happens now."""
    nodes: list[Server]
    """All nodes, in the order of their numbers."""
    clients: Clients
    dice: random.Random
    stack: ExitStack
    """Ends what was started."""
    note: Callable[..., None]
    """Writes a line of the log: a kind, and details."""
    cut_off: float = -math.inf
    """When a node was last cut off, perhaps until others took it for dead; monotonic seconds."""


CUT_OFF: Final = frozenset({
    "answers lost", "answers withheld, then cut off", "network half open", "network stalled",
    "node paused beyond its lease",
})  # fmt: skip
"""The faults after which a node may end, as the others go on without it."""
Fault: TypeAlias = Callable[[Scene], None]
"""Makes something go wrong, and right again."""


class Store(ABC):
    """A store, empty at first; its `faults` and `losses` are by name."""

    timeline: str
    """The setting of the server."""
    moments: ClassVar[tuple[str, ...]]
    """Moments at which a server may be killed."""
    faults: Mapping[str, Fault]
    losses: Mapping[str, Fault]
    """Those after which some of the history is missing, so that its epoch has to be another."""
    fault_share: ClassVar[float]
    """The share of rounds with a fault of the store, of the clients, or a pause of the server."""
    kill_share: ClassVar[float]
    """The share of rounds in which the server is killed."""

    @abstractmethod
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Make it in a folder; what it starts is ended by the stack."""

    def timeline_of(self, number: int) -> str:
        """Return the setting of another node of the store."""
        raise Failed(f"{self.timeline} has one server")

    @abstractmethod
    def read(self) -> Run:
        """Return what is stored, still without what the clients logged."""

    @abstractmethod
    def places(self, late_seconds: float) -> Iterable[Place]:
        """Return where to look for redacted texts.

        `late_seconds`: how soon they have to be gone from what is cleaned up now and then only.
        """
