from typing import Any

from loadtests.dashboard.history import MOST_ROWS, History, Row
from loadtests.dashboard.table import table
from loadtests.support.measures import Tally
from loadtests.support.server_stats import Figures

NOTHING = Figures()


def taken(
    connected: int = 0, delivered: int = 0, heard: tuple[float, ...] = (), failures: int = 0
) -> dict[str, Any]:
    tally = Tally(connected)
    tally.counts["delivered"] = delivered
    tally.counts["failures"] = failures
    for seconds in heard:
        tally.time("delivered", seconds)
    return tally.take()


def run(history: History, *seconds: dict[str, Any]) -> Row:
    for now, each in enumerate(seconds, start=1):
        history.add("worker", each, now)
        row = history.turn(now, NOTHING)
    return row


def test_rates_and_percentiles_are_those_of_the_last_three_seconds() -> None:
    row = run(
        History(0),
        taken(delivered=10_000, heard=(9.0,)),
        *(taken(delivered=100, heard=(0.001,)) for _ in range(3)),
    )
    assert row.delivered_per_second == 100
    assert row.delivery_p99_ms is not None
    assert 0.9 < row.delivery_p99_ms < 1.1


def test_the_last_line_is_of_the_whole_run_and_not_of_its_end() -> None:
    history = History(0)
    run(history, taken(2, 1_500, (0.001, 0.004), failures=3), *[taken()] * 9)
    assert history.summary() == (
        "the whole run: 2 connected at the peak, 1,500 deliveries, "
        "delivery p50 1.0 ms, p99 4.0 ms, lost 0, duplicated 0, reordered 0, failures 3"
    )
    server = Figures(cpu_percent=20.0, memory_mb=80.0), Figures(cpu_percent=40.0, memory_mb=70.0)
    for now, each in enumerate(server, start=11):
        history.turn(now, each)
    assert history.summary().endswith(
        ", server CPU 30 % of a core on average, memory 80 MB at its peak"
    )


def test_a_line_is_of_all_the_time_since_the_last_one() -> None:
    history = History(0)
    run(history, taken(7, 90, (0.002,)), *[taken(7)] * 8, taken(7, 10))
    assert history.line(10) == (
        "10 s: 7 connected, 10 deliveries/s, delivery p50 2.0 ms, p99 2.0 ms, "
        "lost 0, duplicated 0, reordered 0, failures 0"
    )
    history.add("worker", taken(7, 20), 11)
    assert "4 deliveries/s, no delivery timed," in history.line(15)
    assert "0 deliveries/s, nothing delivered," in history.line(20)


def test_the_users_of_all_processes_are_connected_until_a_process_is_silent_for_long() -> None:
    history = History(0)
    history.add("a", taken(connected=10), 1)
    history.add("b", taken(connected=5), 1)
    assert history.turn(1, NOTHING).connected == 15
    history.add("a", taken(connected=7), 12)
    assert history.turn(12, NOTHING).connected == 7


def test_a_run_of_days_keeps_no_more_rows_and_all_of_its_time() -> None:
    history = History(0)
    run(history, *(taken() for _ in range(5 * MOST_ROWS)))
    assert MOST_ROWS / 2 <= len(history.rows) < MOST_ROWS
    assert history.rows[0].seconds == 1
    assert history.rows[-1].seconds > 5 * MOST_ROWS - 20
    gaps = {b.seconds - a.seconds for a, b in zip(history.rows, history.rows[1:], strict=False)}
    assert gaps == {8.0}


def test_charts_ask_only_for_what_is_new() -> None:
    history = History(0)
    run(history, taken(), taken(), taken())
    assert [row["seconds"] for row in history.json(after=1)["rows"]] == [2, 3]


def test_what_is_not_known_is_a_dash() -> None:
    history = History(0)
    assert table(history) == []
    run(history, taken(connected=1234, delivered=3, heard=(0.002, 0.002)))
    rows = {row["figure"]: (row["now"], row["run"]) for row in table(history)}
    assert rows["Connected users"] == ("1,234", "1,234 peak")
    assert rows["Delivery p50 / p95 / p99, ms"][0] == "2.0 / 2.0 / 2.0"
    assert rows["Largest outbox, KB"] == ("–", "–")
    assert rows["Server CPU, % of a core"] == ("–", "–")
    assert rows["Lost"] == ("0", "0")


def test_what_is_known_of_the_server_is_shown_for_the_whole_run_too() -> None:
    history = History(0)
    for now, cpu in enumerate((10.0, 30.0, 20.0), start=1):
        history.turn(now, Figures(cpu, memory_mb=100 - cpu, outbox_kb=cpu, slow_closes=now))
    rows = {row["figure"]: (row["now"], row["run"]) for row in table(history)}
    assert rows["Server CPU, % of a core"] == ("20.0", "20.0 mean, 30.0 peak")
    assert rows["Server memory, MB"] == ("80.0", "90.0 peak")
    assert rows["Largest outbox, KB"] == ("20.0", "30.0 peak")
    assert rows["Closed as too slow"] == ("3", "3")
