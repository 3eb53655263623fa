"""Locust's web server, without a browser."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

WAIT_SECONDS: Final = 20


class Dashboard:
    """Locust's web server."""

    def __init__(self, port: int, host: str) -> None:
        self._url = f"http://127.0.0.1:{port}/"
        self.host = host

    def swarm(self, **fields: str) -> dict[str, Any]:
        """Submit the form."""
        form = {"user_count": "10", "spawn_rate": "100", "host": self.host} | fields
        return self._ask("swarm", urllib.parse.urlencode(form).encode())

    def refusal(self, **fields: str) -> str:
        """Submit the form; return why it is refused."""
        answer = self.swarm(**fields)
        assert answer["success"] is False
        return str(answer["message"])

    def stop(self) -> None:
        """Press Stop."""
        urllib.request.urlopen(f"{self._url}stop", data=b"").close()

    def requests(self) -> dict[str, Any]:
        return self._ask("stats/requests")

    def history(self) -> dict[str, Any]:
        return self._ask("chat/history.json")

    def _ask(self, path: str, data: bytes | None = None) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._url}{path}", data=data) as answer:
            return json.load(answer)  # type: ignore[no-any-return]


def opened(dashboard: Dashboard, log: Path, workers: int = 0) -> Dashboard:
    """Wait until it answers and its workers are there; return it."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        with suppress(OSError):
            if len(dashboard.requests().get("workers", [])) == workers:
                return dashboard
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
