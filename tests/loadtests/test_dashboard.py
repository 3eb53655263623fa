"""The Chat tab in a browser: Debian's Chromium, driven by Playwright."""

import csv
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from loadtests.support.address import free_port
from tests.loadtests.conftest import HERE, LOAD

MILLISECONDS = 15_000
USERS = 40


@pytest.fixture(scope="module")
def dashboard() -> Iterator[str]:
    """Run `make load` with a dashboard; return the address that it says."""
    options = ["-P", str(free_port()), "--autostart", "-u", str(USERS), "--talk-seconds", "0.5"]
    options += ["Talker", "Lurker"]
    with subprocess.Popen(
        [*LOAD, *options], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        stdin=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout
        server = re.search(r"started a server at \S+:(\d+)", process.stdout.readline())
        address = re.search(r"dashboard: (http://\S+/)", process.stdout.readline())
        assert server
        assert address
        yield address[1]
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        assert process.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(server[1])))


@pytest.fixture
def page(browser: Browser, dashboard: str) -> Iterator[Page]:
    """Yield the page with the Chat tab open; no error may occur in it."""
    wrong: list[str] = []
    page = browser.new_page()
    page.set_default_timeout(MILLISECONDS)
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    _open(page, dashboard)
    page.get_by_role("tab", name="Chat").click()
    yield page
    page.close()
    assert wrong == []


def _open(page: Page, address: str) -> None:
    """Open the page once Locust listens."""
    for _ in range(100):
        with socket.socket() as probe:
            host, port = address.removeprefix("http://").rstrip("/").split(":")
            if probe.connect_ex((host, int(port))) == 0:
                break
        page.wait_for_timeout(100)
    page.goto(address)


def test_the_charts_have_data(page: Page) -> None:
    for line in (
        *(
            "delivered_per_second",
            "delivery_p50_ms",
            "delivery_p95_ms",
            "delivery_p99_ms",
            "connected",
        ),
        *("lost", "duplicated", "reordered", "server_cpu_percent", "server_memory_mb"),
    ):
        # Four points at least, so that something is drawn.
        page.wait_for_function(
            "line => (document.querySelector(`[data-line=${line}]`)?.getAttribute('d') ?? '')"
            ".split(/[ML]/).length > 4",
            arg=line,
        )
    assert page.locator("[data-chart='Connected users'] figcaption").inner_text().endswith("40")


def test_the_charts_are_there_again_after_another_tab_was_looked_at(page: Page) -> None:
    page.wait_for_selector("#chat-charts svg")
    page.get_by_role("tab", name="Statistics").click()
    page.wait_for_selector("#chat-charts", state="detached")
    page.get_by_role("tab", name="Chat").click()
    page.wait_for_selector("#chat-charts svg")


def test_the_table_has_the_figures_now_and_of_the_run(page: Page) -> None:
    row = page.get_by_role("row").filter(has_text="Connected users")
    row.filter(has_text=f"{USERS} peak").wait_for()
    cells = page.get_by_role("row").filter(has_text="Lost").get_by_role("cell")
    assert cells.all_inner_texts() == ["Lost", "0", "0"]
    row = page.get_by_role("row").filter(has_text="Server CPU")
    row.filter(has_text=re.compile(r"mean, .+ peak")).wait_for()


def test_the_figures_can_be_downloaded(page: Page, tmp_path: Path) -> None:
    page.wait_for_selector("#chat-charts svg")
    page.get_by_role("tab", name="Download Data").click()
    with page.expect_download() as download:
        page.get_by_text("Download chat history CSV").click()
    download.value.save_as(tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert int(rows[-1]["connected"]) == USERS


def test_a_run_that_cannot_be_is_refused_in_the_form(page: Page, dashboard: str) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    form: dict[str, str | float | bool] = {"host": nobody, "user_count": "10", "spawn_rate": "10"}
    answer = page.request.post(f"{dashboard}swarm", form=form).json()
    assert answer["success"] is False
    assert answer["message"].startswith(f"No server answers at {nobody}: Connection refused.")
