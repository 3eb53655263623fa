"""What a store of the proof is: where a server keeps its history, and what can go wrong there."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

from tests.proof.checker import Run
from tests.proof.clients import Clients
from tests.proof.contents import Place
from tests.proof.server import Server


@dataclass
class Scene:
    """Who takes part in a run."""

    server: Server
    clients: Clients
    dice: random.Random
    stack: ExitStack
    """Ends what was started."""
    note: Callable[..., None]
    """Writes a line of the log: a kind, and details."""


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

    @abstractmethod
    def read(self) -> Run:
        """Return what is stored, still without what the clients logged."""

    @abstractmethod
    def places(self, late_seconds: float) -> Iterable[Place]:
        """Return where to look for redacted texts.

        `late_seconds`: how soon they have to be gone from what is cleaned up now and then only.
        """
