import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.fanout import chart, report
from loadtests.fanout.crowd import NotReady
from loadtests.fanout.load import measure
from loadtests.fanout.servers import BASE, SERVERS, Server
from loadtests.fanout.wires import Plain
from loadtests.fanout.work import Figures, Work, median
from tests.loadtests.conftest import HERE

TINY = Work(5, 400, warm_seconds=0.1, seconds=0.4, ready_seconds=5)
TINY_ROOMS = replace(TINY, rooms=4)
FAULTY = """
import sys
from loadtests.fanout.references.threads import Relay

class Faulty(Relay):
    said = 0
    def relay(self, frame, author):
        self.said += 1
        times = 1 if self.said < 50 or self.said % 10 else {times}
        for _ in range(times):
            super().relay(frame, author)

Faulty().serve(int(sys.argv[1]))
"""


def faulty(times: int) -> Server:
    """Return a relay that sends one message in ten so many times, once it has been talked to."""
    code = FAULTY.format(times=times)
    return Server("faulty", Plain(), lambda port, _: [sys.executable, "-c", code, str(port)])


def seen_of(server: Server, work: Work) -> Figures:
    with server.running() as (port, process):
        return measure(port, process, server.wire, work)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_everything_owed_is_heard_once(server: Server) -> None:
    if server.missing():
        pytest.skip(server.missing() or "")
    for work in (TINY, TINY_ROOMS) if server.wire.has_rooms else (TINY,):
        seen = seen_of(server, work)
        each = work.members - (not server.wire.echoes)
        assert seen.heard == seen.owed
        # 400 a second for half a second, and what a busy machine takes longer.
        assert seen.owed % each == 0
        assert 200 <= seen.owed / each < 800
        assert 0 < seen.p50_ms <= seen.p99_ms < 5_000
        assert 0 < seen.load_busy <= 1
        assert seen.closed == 0


@pytest.mark.parametrize(("times", "percent"), [(0, 90), (2, 110)])
def test_a_server_that_loses_or_doubles_messages_is_reported(times: int, percent: int) -> None:
    seen = seen_of(faulty(times), TINY)
    # Of some 200 messages, those after the first 50 are at stake.
    assert abs(100 * seen.arrived - percent) < 4
    assert seen.heard != seen.owed
    assert "100 %" not in report.table(TINY, {"faulty": seen})


def test_one_lost_in_a_million_is_not_rounded_away() -> None:
    seen = Figures(1_000_000, 999_999, 1, 1, 1, 1, 1, 0.1)
    assert report.share(seen) == "99.999900 %"
    assert report.share(replace(seen, heard=1_000_000)) == "100 %"


def test_members_who_never_hear_each_other_end_the_work() -> None:
    code = (
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "held = []\n"
        "while True: held.append(listener.accept())"
    )
    deaf = Server("deaf", Plain(), lambda port, _: [sys.executable, "-c", code, str(port)])
    with pytest.raises(NotReady, match="0 of 4 received a first message"):
        seen_of(deaf, replace(TINY, ready_seconds=0.1))


def test_a_server_that_does_not_start_says_so() -> None:
    absent = Server("absent", Plain(), lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(OSError, match="ended with exit code 3"), absent.running():
        pass


def test_a_server_that_is_not_installed_is_named() -> None:
    absent = replace(SERVERS[0], name="Absent", program="no-such-program")
    assert absent.missing() == "skipping Absent: no-such-program is not installed"
    assert not SERVERS[0].missing()


def test_a_table_has_a_row_for_each_server_and_ratios_to_the_first() -> None:
    base = Figures(100, 100, 1_000, 2, 1, 4, 9, 0.5)
    outcomes: dict[str, report.Outcome] = {
        BASE: base,
        "slower": replace(base, cpu_us=5, p99_ms=2_000, load_busy=0.97, closed=3),
        "refuses": "has only one room",
    }
    head, rule, first, second, third = report.table(TINY, outcomes).splitlines()
    assert len({line.count("|") for line in (head, rule, first, second, third)}) == 1
    assert "2 (1×)" in first
    assert "5 (2.5×)" in second
    assert "2 k (500×)" in second
    assert "load saturated (97%), closed 3 connections" in second
    assert "has only one room" in third


def test_the_median_is_of_each_figure() -> None:
    runs = [Figures(*([float(each)] * 8)) for each in (3, 1, 2)]
    assert median(runs) == runs[2]


def bench(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "loadtests.fanout", *options]
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(HERE)},
        check=False, text=True, capture_output=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--write", "nowhere"], "argument --write: 'nowhere' is not a folder; make it first"),
        (["--write", "/dev/null"], "argument --write: '/dev/null' is not a folder; make it first"),
        (["--runs", "0"], "argument --runs: '0' is not a whole number of at least 1"),
        (["--only", "nobody"], "no server has 'nobody' in its name; there are: geventchat"),
        (["--work", "idleness"], "no work has 'idleness' in its title; titles are like: One room"),
    ],
)
def test_a_benchmark_that_could_not_end_well_is_not_begun(
    options: list[str], line: str, tmp_path: Path
) -> None:
    ended = bench(tmp_path, *options)
    assert ended.returncode == 2
    (complaint,) = ended.stderr.splitlines()
    assert complaint.startswith(f"bench: {line}")


def test_a_benchmark_writes_where_it_is_asked_to_and_nowhere_else(tmp_path: Path) -> None:
    quick = ["--quick", "--only", "memory:, plain", "--work", "room of 10,"]
    ended = bench(tmp_path, *quick)
    assert ended.returncode == 0, ended.stderr
    assert "| geventchat memory:, plain |" in ended.stdout
    assert list(tmp_path.iterdir()) == []
    ended = bench(tmp_path, *quick, "--write", ".")
    assert "1/1: One room of 10, 1,000 messages a second: geventchat memory:, plain" in ended.stderr
    assert "| geventchat memory:, plain |" in (tmp_path / "bench.md").read_text("utf-8")
    assert "<svg" in (tmp_path / "bench.svg").read_text("utf-8")


def test_a_benchmark_on_one_core_says_so_in_what_it_writes(tmp_path: Path) -> None:
    quick = ["--quick", "--only", "thread per", "--work", "room of 10,", "--write", "."]
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_cores)})  # the benchmark inherits it
    try:
        ended = bench(tmp_path, *quick)
    finally:
        os.sched_setaffinity(0, all_cores)
    assert ended.returncode == 0, ended.stderr
    written = (tmp_path / "bench.md").read_text("utf-8")
    assert "; server and load compete for the only core." in written
    assert "the load on another" not in written


def test_ctrl_c_costs_a_benchmark_none_of_the_figures_it_has() -> None:
    command = [sys.executable, "-m", "loadtests.fanout", "--quick", "--only", "memory:, plain"]
    with subprocess.Popen(
        [*command, "--runs", "100", "--work", "room of 10,"], cwd=HERE, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr
        while "2/100: " not in process.stderr.readline():
            pass
        os.killpg(process.pid, signal.SIGINT)
        tables, complaints = process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert "| geventchat memory:, plain |" in tables
    assert "Traceback" not in complaints, complaints
    assert "bench: interrupted; the figures so far:" in complaints


def test_the_chart_is_one_svg_with_every_server_in_every_panel(tmp_path: Path) -> None:
    seen = Figures(100, 50, 1_000, 2, 1, 4, 9, 0.5)
    panels = [chart.Panel(TINY, "cpu_us", "CPU <µs>", "shorter")]
    drawn = chart.draw({TINY: {BASE: seen, "other": "has only one room"}}, panels)
    texts = [each.text or "" for each in ET.fromstring(drawn).iter() if each.tag.endswith("text")]
    assert "CPU <µs>" in texts
    assert {BASE, "other", "2, 50% arrived", "has only one room"} <= set(texts)
