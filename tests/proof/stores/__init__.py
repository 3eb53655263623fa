"""Where a server of the proof keeps its history, by name."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from tests.proof.stores.base import Store
from tests.proof.stores.engine import EngineStore
from tests.proof.stores.sqlite import SqliteStore

STORES: Final[Mapping[str, Callable[[Path, ExitStack], Store]]] = {
    "sqlite": SqliteStore,
    "valkey": partial(EngineStore, "valkey"),
    "redis": partial(EngineStore, "redis"),
}
