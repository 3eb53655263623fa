"""Locust runs as a process, for seconds, and leaves reports; pytest never imports it."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.process import served

HERE = Path(__file__).parents[2]
LOAD = [sys.executable, "-m", "loadtests"]


@dataclass(frozen=True)
class Run:
    """What a run of Locust left behind."""

    code: int
    said: str
    prefix: Path

    def rows(self, report: str) -> list[dict[str, str]]:
        with Path(f"{self.prefix}_{report}.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def counts(self) -> dict[str, int]:
        """Return how often each thing was timed."""
        return {row["name"]: int(row["count"]) for row in self.rows("chat")}

    def failures(self) -> set[tuple[str, str]]:
        return {(row["Method"], row["Name"]) for row in self.rows("failures")}


class Started:
    """A run of Locust without a dashboard, with reports, that may still go on."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._prefix = folder / "run"
        command = [*LOAD, "--headless", "--csv", str(self._prefix), *options]
        self._process = subprocess.Popen(
            command, cwd=HERE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def end(self) -> Run:
        """Wait until it has ended by itself."""
        said, _ = self._process.communicate()
        return Run(self._process.returncode, said, self._prefix)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Run]:
    def run(*options: str) -> Run:
        return Started(tmp_path, *options).end()

    return run


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server for all of these tests."""
    with served(tmp_path_factory.mktemp("server"), "--timeline", "memory:") as process:
        yield "{}:{}".format(*process.address)


@pytest.fixture(autouse=True)
def no_settings_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    login = ("PASSWORD", "PASSWORD_FILE", "TOKEN", "OPERATOR_FILE")
    for name in [name for name in os.environ if name.startswith("LOCUST_")]:
        monkeypatch.delenv(name)
    for name in login:
        monkeypatch.delenv(f"GEVENTCHAT_{name}", raising=False)
