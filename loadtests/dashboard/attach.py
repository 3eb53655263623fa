"""Collects the reports of all processes, and writes them to the page, the log and CSV files."""

import csv
import logging
import time
from dataclasses import astuple
from typing import Any, Final, TextIO

import gevent
from locust import runners
from locust.env import Environment
from locust.runners import LocalRunner, WorkerRunner

from loadtests.dashboard.form import guard
from loadtests.dashboard.history import COLUMNS, History
from loadtests.dashboard.tab import add_tab
from loadtests.support.address import Address
from loadtests.support.login import Login
from loadtests.support.measures import tally
from loadtests.support.server_stats import Figures, Server

PROGRESS_SECONDS: Final = 10
_KEY: Final = "chat"

_log: Final = logging.getLogger(__name__)


def attach(environment: Environment, login: Login) -> None:
    """Report from this process, collect in it, or both, depending on its role.

    `login` is what the form checks servers with.
    """
    # Locust's reports are three seconds apart: too coarse for a chart of seconds.
    runners.WORKER_REPORT_INTERVAL = 1.0
    environment.events.test_start.add_listener(lambda **_: setattr(tally, "timing", True))
    environment.events.test_stopping.add_listener(lambda **_: setattr(tally, "timing", False))
    if isinstance(environment.runner, WorkerRunner):
        environment.events.report_to_master.add_listener(_report)
    else:
        Gathering(environment)
        if environment.web_ui:
            guard(environment, login)


def _report(client_id: str, data: dict[str, Any]) -> None:
    data[_KEY] = tally.take()


class Gathering:
    """The history of the run and its outputs."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._history = History(time.monotonic())
        self._server: Server | None = None  # the host may be given only in the form
        assert environment.parsed_options is not None
        self._prefix: str | None = environment.parsed_options.csv_prefix
        self._file: TextIO | None = None
        self._ticking = gevent.spawn(self._tick)
        environment.events.worker_report.add_listener(self._hear)
        environment.events.test_start.add_listener(self._begin)
        environment.events.reset_stats.add_listener(self._begin)
        if environment.reset_stats:  # what `--reset-stats` asks for
            environment.events.spawning_complete.add_listener(self._begin)
        environment.events.quit.add_listener(self._finish)
        if environment.web_ui:
            add_tab(environment.web_ui, self._history)

    def _hear(self, client_id: str, data: dict[str, Any]) -> None:
        if _KEY in data:
            self._history.add(client_id, data[_KEY], time.monotonic())

    def _begin(self, **_: object) -> None:
        tally.take()
        self._history.begin(time.monotonic())
        if self._file is not None:  # row by row, for those who watch, or if the run is cut off
            self._file.close()
        if self._prefix:
            self._file = open(f"{self._prefix}_chat_history.csv", "w", newline="", encoding="utf-8")  # noqa: SIM115
            self._put(COLUMNS)
        self._server = Server(Address.parse(self._environment.host or ""))

    def _tick(self) -> None:
        ticks = 0
        while True:
            gevent.sleep(1)
            runner = self._environment.runner
            if runner is None or runner.state in (runners.STATE_INIT, runners.STATE_STOPPED):
                continue
            self._gather()
            self._turn()
            ticks += 1
            if ticks % PROGRESS_SECONDS == 0:
                _log.info(self._history.line(time.monotonic()))
                self._write_times()

    def _gather(self) -> None:
        if isinstance(self._environment.runner, LocalRunner):
            self._history.add("", tally.take(), time.monotonic())

    def _finish(self, **_: object) -> None:
        """Write the CSV files of `--csv`, and the summary."""
        self._ticking.kill()  # it may wait for the server's figures, and would write after the end
        self._gather()
        self._turn()
        _log.info(self._history.summary())
        if self._file is not None:
            self._file.close()
        self._write_times()

    def _write_times(self) -> None:
        """Write the percentiles so far: a run that is killed leaves them."""
        if self._prefix:
            with open(f"{self._prefix}_chat.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(self._history.csv_times())

    def _turn(self) -> None:
        server = self._server.read() if self._server else Figures()
        self._put(astuple(self._history.turn(time.monotonic(), server)))

    def _put(self, row: tuple[Any, ...]) -> None:
        if self._file is not None:
            csv.writer(self._file).writerow(row)
            self._file.flush()
