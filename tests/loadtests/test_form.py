"""The form of the dashboard, which starts and stops runs."""

import subprocess
from collections.abc import Iterator

import pytest

from loadtests.support.address import free_port
from tests.loadtests.conftest import HERE, LOAD
from tests.loadtests.web import WAIT_SECONDS, Dashboard, opened, until
from tests.process import Process, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with served(tmp_path_factory.mktemp("server"), "--timeline", "memory:") as process:
        yield process


@pytest.fixture(scope="module")
def dashboard(server: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Run `make load` with a dashboard and two processes."""
    host = "{}:{}".format(*server.address)
    port, master = free_port(), str(free_port())
    command = [*LOAD, "-P", str(port), "--host", host, "--processes", "2", "--talk-seconds", "0.2"]
    command += ["--master-bind-port", master, "--master-port", master]
    log = tmp_path_factory.mktemp("load") / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield opened(Dashboard(port, host), log, workers=2)
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("field", "text", "why"),
    [
        ("host", "", "host: '' is not HOST:PORT."),
        ("host", " ", "host: '' is not HOST:PORT."),
        ("host", "http://127.0.0.1:4040", "host: 'http://127.0.0.1:4040' is not HOST:PORT."),
        ("user_count", "0", "user count: '0' is not a whole number of at least 1."),
        ("user_count", "", "user count: '' is not a whole number of at least 1."),
        ("user_count", "99999999", "99,999,999 users in 2 process(es) need "),
        ("spawn_rate", "0", "spawn rate: '0' is not a number above 0."),
        ("spawn_rate", "nan", "spawn rate: 'nan' is not a number above 0."),
        ("run_time", "0", "run time: '0' is not a time like 90s, 20m or 1h30m."),
        ("run_time", "soon", "run time: 'soon' is not a time like 90s, 20m or 1h30m."),
        ("room_size", "0", "room size: '0' is not a whole number of at least 1."),
        ("lobby", "2", "lobby: '2' is not a number from 0 to 1."),
        ("talk_seconds", "x", "talk seconds: 'x' is not a number above 0."),
    ],
)
def test_what_cannot_run_is_refused_with_a_sentence(
    dashboard: Dashboard, field: str, text: str, why: str
) -> None:
    assert dashboard.refusal(**{field: text}).startswith(why)
    assert dashboard.requests()["state"] == "ready"


def test_stop_stops_and_each_run_begins_anew(dashboard: Dashboard, server: Process) -> None:
    before, began = server.descriptors(), set[float]()

    def runs() -> bool:  # what the last run left is there for a moment
        history = dashboard.history()
        return history["began"] not in began and any(
            row["connected"] >= 9 for row in history["rows"]
        )

    for _ in range(3):
        assert dashboard.swarm()["success"]
        until(runs)
        history = dashboard.history()
        began.add(history["began"])
        assert history["rows"][0]["seconds"] < WAIT_SECONDS
        dashboard.stop()
        until(lambda: server.descriptors() == before)
        stats = dashboard.requests()
        assert (stats["state"], stats["user_count"], stats["errors"]) == ("stopped", 0, [])
    assert len(began) == 3
